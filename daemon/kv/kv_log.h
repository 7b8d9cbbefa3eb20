/*
 * Kv log: the last changes of the store, in memory, for those who watch; at the start, from the
 * disk (kv_sql_log.c). Bounded; the oldest go first. Changes have numbers without gaps, which are
 * not their versions.
 */
#ifndef DAEMON_KV_KV_LOG_H
#define DAEMON_KV_KV_LOG_H

#include "daemon/kv/kv_sql.h"

#define KV_LOG_MAX   KV_SQL_LOG_MAX     /* changes */
#define KV_LOG_BYTES (16 * 1024 * 1024) /* of memory */

struct kv_logged;

/* Zero-initialised but for floor. */
struct kv_log {
	struct kv_logged **ring; /* KV_LOG_MAX, from the first change on */
	uint64_t first, next;    /* numbers: of the oldest, and of the one to come */
	uint64_t floor;          /* all changes of a higher version are kept */
	uint64_t version;        /* of the last one, or floor */
	size_t bytes;
};

void kv_log_deinit(struct kv_log *log);
/* Without memory, all that was kept is dropped. */
void kv_log_add(struct kv_log *log, enum kv_change_kind kind, const struct kv_meta *meta);
/* Nothing is known of changes up to that version. */
void kv_log_forget(struct kv_log *log, uint64_t version);
/* The number of the first change of a higher version (log->next: none has come yet). */
uint64_t kv_log_find(const struct kv_log *log, uint64_t version);
/* One that is kept: its version, kind and key, and all of it. */
uint64_t kv_log_version(const struct kv_log *log, uint64_t number);
enum kv_change_kind kv_log_kind(const struct kv_log *log, uint64_t number);
struct bytes kv_log_key(const struct kv_log *log, uint64_t number);
void kv_log_meta(const struct kv_log *log, uint64_t number, struct kv_meta *ret_meta);

#endif
