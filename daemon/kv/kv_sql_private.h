/* The inside of kv_sql*.c: statements, and rows. */
#ifndef DAEMON_KV_KV_SQL_PRIVATE_H
#define DAEMON_KV_KV_SQL_PRIVATE_H

#include "daemon/kv/kv_sql.h"

enum kv_sql_statement {
	KV_SQL_READ_VERSION,
	KV_SQL_RAISE_VERSION,
	KV_SQL_FIND,
	KV_SQL_FIND_VALUE,
	KV_SQL_INSERT,
	KV_SQL_UPDATE,
	KV_SQL_UPDATE_TIMES,
	KV_SQL_MOVE,
	KV_SQL_DELETE,
	KV_SQL_COUNT_WRITER,
	KV_SQL_READ_WRITER,
	KV_SQL_LIST,
	KV_SQL_LOG,
	KV_SQL_TRIM_LOG,
	KV_SQL_N,
};

/* A kv_meta, in this order. */
#define KV_SQL_COLUMNS "version, size, writer, created_ns, changed_ns, expires_ns, key"

/* Ready to be bound; NULL and *ret_r if it cannot be made. */
sqlite3_stmt *kv_sql_take(struct kv_sql *sql, enum kv_sql_statement which, int *ret_r);
/* One that gives no row. */
int kv_sql_finish(sqlite3_stmt *statement);
void kv_sql_bind_bytes(sqlite3_stmt *statement, int index, struct bytes bytes);
/* As the first parameters, and from the first columns on. */
void kv_sql_bind_meta(sqlite3_stmt *statement, const struct kv_meta *meta);
int kv_sql_read_meta(sqlite3_stmt *statement, struct kv_meta *ret_meta);

/* kv_sql_log.c: keeps a change, and drops what is too old. 0 or -errno. */
int kv_sql_log_add(struct kv_sql *sql, const struct kv_change_made *change);

#endif
