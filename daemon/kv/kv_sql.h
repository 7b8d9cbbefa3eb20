/*
 * The table of values: what can be done with one open database. Each function is a few statements
 * within the caller's transaction (daemon/store_thread) and knows neither loop nor requests.
 *
 * A key whose time is over is absent in everything that is asked; its row goes when the key is
 * changed, or with kv_sql_expire.
 */
#ifndef DAEMON_KV_KV_SQL_H
#define DAEMON_KV_KV_SQL_H

#include <sqlite3.h>

#include "proto/identity.h"
#include "proto/ops_peer.h"

#define KV_SQL_STATEMENTS 14
#define KV_SQL_CHANGES    2     /* of one operation, at most */
#define KV_SQL_LOG_MAX    65536 /* changes that are kept, and a few more */

/* A connection's prepared statements. Zero-initialised but for db; on the connection's thread only,
 * which finalises them when it ends. */
struct kv_sql {
	sqlite3 *db;
	sqlite3_stmt *statements[KV_SQL_STATEMENTS];
};

/* Times are ns since 1970. Not terminated: key. */
struct kv_meta {
	uint64_t version, size;
	char from[IDENTITY_ID_SIZE];                /* who wrote it */
	int64_t created_ns, changed_ns, expires_ns; /* 0: never */
	uint16_t key_size;
	char key[OPS_KV_KEY_MAX];
};

struct kv_change_made {
	enum kv_change_kind kind;
	struct kv_meta meta;
};

/* What an operation did, in the order of versions. */
struct kv_changes {
	unsigned n;
	struct kv_change_made list[KV_SQL_CHANGES];
};

struct kv_sql_set {
	struct bytes key, value[2]; /* the second behind the first */
	uint64_t flags, version;    /* kv_flags */
	uint64_t ttl_ms;            /* 0: none */
	const char *from;
	uint64_t max_entries, max_bytes; /* of that writer */
};

/* Is that a key? 1 to 512 bytes of UTF-8 (which is the codec's to check), no control characters. */
bool kv_sql_is_key(struct bytes key);
/* As in ops_kv.h: ttl_ms and times, seen from `now_ns`. Bytes point into meta. */
struct kv_entry kv_sql_entry(const struct kv_meta *meta, int64_t now_ns);

/* All return 0 or -errno. */
int kv_sql_version(struct kv_sql *sql, uint64_t *ret_version);
/* -ENOENT. `ret_value` (malloc'ed) may be NULL. */
int kv_sql_get(struct kv_sql *sql, struct bytes key, int64_t now_ns, struct kv_meta *ret_meta,
	       uint8_t **ret_value);
/* -EEXIST, -EREMCHG, -ENOENT, -EFBIG, -ENOSPC. The last change is the new entry's. */
int kv_sql_set(struct kv_sql *sql, const struct kv_sql_set *set, int64_t now_ns,
	       struct kv_changes *ret_changes);
/* -ENOENT, -EREMCHG. The last change is the deletion. */
int kv_sql_delete(struct kv_sql *sql, struct bytes key, bool if_version, uint64_t version,
		  int64_t now_ns, struct kv_changes *ret_changes);
/* -ENOENT, -EEXIST, -ENOSPC. To the same key it is no change: ret_meta is the entry in any case. */
int kv_sql_rename(struct kv_sql *sql, struct bytes key, struct bytes new_key, bool if_absent,
		  uint64_t max_bytes, int64_t now_ns, struct kv_changes *ret_changes,
		  struct kv_meta *ret_meta);
/* The entry behind `after` with that prefix: 0, or -ENOENT behind the last. Opens a cursor that
 * kv_sql_list_next goes on with; kv_sql_list_end closes it. */
int kv_sql_list(struct kv_sql *sql, struct bytes prefix, struct bytes after, int64_t now_ns);
int kv_sql_list_next(struct kv_sql *sql, struct kv_meta *ret_meta);
void kv_sql_list_end(struct kv_sql *sql);
/* Takes out the one whose time was over first: -ENOENT if there is none. */
int kv_sql_expire(struct kv_sql *sql, int64_t now_ns, struct kv_changes *ret_changes);
/* When the next one's time is over; 0: none has one. */
int kv_sql_next_expiry(struct kv_sql *sql, int64_t *ret_ns);
/* Tells of the changes that are kept, in the order of their versions. `each` may return -errno,
 * which ends it. */
int kv_sql_log_each(struct kv_sql *sql, int (*each)(void *arg, const struct kv_change_made *change),
		    void *arg);

#endif
