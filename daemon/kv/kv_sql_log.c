/* The last changes, kept in the transactions that make them. */
#include <errno.h>

#include "daemon/kv/kv_sql_private.h"
#include "daemon/store_thread.h"

#define TRIM 256 /* so many go at a time: a page or two less in all other transactions */

static int trim(struct kv_sql *sql, uint64_t version)
{
	int r;
	sqlite3_stmt *statement = kv_sql_take(sql, KV_SQL_TRIM_LOG, &r);

	if (!statement)
		return r;
	sqlite3_bind_int64(statement, 1, (int64_t)version - KV_SQL_LOG_MAX);
	return kv_sql_finish(statement);
}

int kv_sql_log_add(struct kv_sql *sql, const struct kv_change_made *change)
{
	int r;
	sqlite3_stmt *statement = kv_sql_take(sql, KV_SQL_LOG, &r);

	if (!statement)
		return r;
	kv_sql_bind_meta(statement, &change->meta);
	sqlite3_bind_int(statement, 8, change->kind);
	r = kv_sql_finish(statement);
	if (r == 0 && change->meta.version % TRIM == 0)
		r = trim(sql, change->meta.version);
	return r;
}

static int read_change(sqlite3_stmt *statement, struct kv_change_made *ret_change)
{
	int64_t kind = sqlite3_column_int64(statement, 7);

	if (kind != KV_SET_CHANGE && kind != KV_DELETED && kind != KV_EXPIRED)
		return -EBADMSG;
	ret_change->kind = (enum kv_change_kind)kind;
	return kv_sql_read_meta(statement, &ret_change->meta);
}

/* Once, at the start: prepared for it. */
int kv_sql_log_each(struct kv_sql *sql, int (*each)(void *arg, const struct kv_change_made *change),
		    void *arg)
{
	struct kv_change_made change;
	sqlite3_stmt *statement;
	int r = sqlite3_prepare_v2(
	    sql->db, "SELECT " KV_SQL_COLUMNS ", kind FROM kv_change ORDER BY version", -1,
	    &statement, NULL);
	int error = store_thread_errno(r);

	while (error == 0 && (r = sqlite3_step(statement)) == SQLITE_ROW) {
		error = read_change(statement, &change);
		if (error == 0)
			error = each(arg, &change);
	}
	sqlite3_finalize(statement);
	return error < 0 ? error : store_thread_errno(r);
}
