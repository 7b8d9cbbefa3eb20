/*
 * The operations on shared values. A part of ops_peer.h, which includes it.
 *
 * Each machine has one store. A key is 1 to 512 bytes of UTF-8 without control characters (EINVAL
 * otherwise), a value any bytes up to OPS_KV_VALUE_MAX (EFBIG beyond). Every change of the store
 * has a version of its own, larger than all before it, also after deletions and restarts; an
 * entry's is that of its last change. A change is on the disk when it is answered.
 *
 * A value that does not fit into one frame is sent in parts before it is set (KV_STAGE), and
 * follows the reply that gives it as a stream on channel 0; readers never see half of one.
 */
#ifndef PROTO_OPS_KV_H
#define PROTO_OPS_KV_H

#include "proto/ops.h"

#define OPS_KV_KEY_MAX   512
#define OPS_KV_VALUE_MAX (16 * 1024 * 1024)
#define OPS_KV_TTL_MAX   (100ull * 366 * 24 * 3600 * 1000)
#define OPS_KV_PAGE_MAX  1024
#define OPS_KV_FROM_MAX  128

enum kv_flags {
	KV_IF_ABSENT = 1 << 0,  /* EEXIST if it is there */
	KV_IF_VERSION = 1 << 1, /* EREMCHG if its version is another; 0: it must be absent */
	KV_KEEP_TTL = 1 << 2,   /* it expires when it would have; else ttl_ms counts from now */
	KV_KEEP_VALUE = 1 << 3, /* only the time to live and that of the change are set; ENOENT */
	KV_FLAGS_ALL = (1 << 4) - 1,
};

#define RECORD_kv_entry(F, O, X)                                                                   \
	F(X, TEXT, key, OPS_KV_KEY_MAX)                                                            \
	F(X, UINT, version, OPS_ANY)                                                               \
	F(X, UINT, size, OPS_KV_VALUE_MAX)                                                         \
	F(X, TEXT, from, OPS_KV_FROM_MAX) /* id of the machine that wrote it last */               \
	F(X, TIME, created, 0)                                                                     \
	F(X, TIME, changed, 0)                                                                     \
	F(X, UINT, ttl_ms, OPS_KV_TTL_MAX) /* left; 0: it does not expire */
RECORD_DECLARE(kv_entry)

enum kv_change_kind {
	KV_SET_CHANGE = 0,
	KV_DELETED = 1,
	KV_EXPIRED = 2,
	KV_LOST =
	    3, /* changes up to that version are not kept any more: look at everything again */
	KV_CHANGE_MAX = 3,
};

/* An element of KV_WATCH's stream. Of what is gone, only key, version and the time of the change
 * are told; of what was lost, only the version. */
#define RECORD_kv_change(F, O, X)                                                                  \
	F(X, UINT, kind, KV_CHANGE_MAX)                                                            \
	F(X, RECORD, entry, kv_entry)
RECORD_DECLARE(kv_change)

/* `more`: the value is longer than OPS_IO_MAX, and all of it follows as a stream. */
#define RECORD_args_kv_get(F, O, X) F(X, TEXT, key, OPS_KV_KEY_MAX)
#define RECORD_result_kv_get(F, O, X)                                                              \
	F(X, RECORD, entry, kv_entry)                                                              \
	F(X, BOOL, more, 0)                                                                        \
	F(X, PAYLOAD, value, OPS_IO_MAX)

#define RECORD_args_kv_stat(F, O, X)   F(X, TEXT, key, OPS_KV_KEY_MAX)
#define RECORD_result_kv_stat(F, O, X) F(X, RECORD, entry, kv_entry)

/* A part of a value to be set: `upload` is a number that the caller chose at random, parts come in
 * their order. Kept for the session, and for a while. Few uploads may be under way: another one's
 * first part is answered when there is room. EINVAL: a gap before `offset`. */
#define RECORD_args_kv_stage(F, O, X)                                                              \
	F(X, UINT, upload, OPS_ANY)                                                                \
	F(X, UINT, offset, OPS_KV_VALUE_MAX)                                                       \
	F(X, PAYLOAD, part, OPS_IO_MAX)
#define RECORD_result_kv_stage(F, O, X) F(X, UINT, end, OPS_KV_VALUE_MAX)

/* The value is what was staged for `upload` (0: nothing), which is over then, and `value` behind
 * it. ENOSPC: no room, on the disk or in what this machine may keep there; ENOKEY: no such upload.
 */
#define RECORD_args_kv_set(F, O, X)                                                                \
	F(X, UINT, upload, OPS_ANY)                                                                \
	F(X, TEXT, key, OPS_KV_KEY_MAX)                                                            \
	F(X, UINT, flags, KV_FLAGS_ALL)                                                            \
	F(X, UINT, version, OPS_ANY)                                                               \
	F(X, UINT, ttl_ms, OPS_KV_TTL_MAX) /* 0: it does not expire */                             \
	F(X, PAYLOAD, value, OPS_IO_MAX)
#define RECORD_result_kv_set(F, O, X) F(X, RECORD, entry, kv_entry)

/* Of `flags`, KV_IF_VERSION. The result is the version of the deletion. */
#define RECORD_args_kv_del(F, O, X)                                                                \
	F(X, TEXT, key, OPS_KV_KEY_MAX)                                                            \
	F(X, UINT, flags, KV_FLAGS_ALL)                                                            \
	F(X, UINT, version, OPS_ANY)
#define RECORD_result_kv_del(F, O, X) F(X, UINT, version, OPS_ANY)

/* Of `flags`, KV_IF_ABSENT: of the new key. The entry keeps value, writer, creation and time to
 * live. It is two changes: the old key's deletion, then the new one. */
#define RECORD_args_kv_rename(F, O, X)                                                             \
	F(X, TEXT, key, OPS_KV_KEY_MAX)                                                            \
	F(X, TEXT, new_key, OPS_KV_KEY_MAX)                                                        \
	F(X, UINT, flags, KV_FLAGS_ALL)
#define RECORD_result_kv_rename(F, O, X) F(X, RECORD, entry, kv_entry)

/* Entries whose keys begin with `prefix` and come behind `after` in the order of their bytes. */
#define RECORD_args_kv_list(F, O, X)                                                               \
	F(X, TEXT, prefix, OPS_KV_KEY_MAX)                                                         \
	F(X, TEXT, after, OPS_KV_KEY_MAX) /* empty: from the first one on */                       \
	F(X, UINT, limit, OPS_KV_PAGE_MAX)
#define RECORD_result_kv_list(F, O, X)                                                             \
	F(X, UINT, version, OPS_ANY)         /* of the store, at this moment */                    \
	F(X, BOOL, rest, 0)                  /* there are more behind the last one */              \
	F(X, LIST, entries, OPS_KV_PAGE_MAX) /* of kv_entry */

/* A stream: on channel 0 encoded kv_changes, each frame whole ones: all behind version `since`
 * (OPS_ANY: from now on), once and in order. `version` of the result is where it begins. It ends
 * only when it is given up, or with ENOTCONN; `since` of the last change that came goes on. */
#define RECORD_args_kv_watch(F, O, X)                                                              \
	F(X, TEXT, prefix, OPS_KV_KEY_MAX)                                                         \
	F(X, UINT, since, OPS_ANY)
#define RECORD_result_kv_watch(F, O, X) F(X, UINT, version, OPS_ANY)

#define OPS_kv(OP)                                                                                 \
	OP(90, KV_GET, kv_get, KV, OP_REPEATABLE | OP_STREAMS, "a value")                          \
	OP(91, KV_STAT, kv_stat, KV, OP_REPEATABLE, "a value's version, size and times")           \
	OP(92, KV_STAGE, kv_stage, KV, OP_KEEPS_REPLY, "a part of a large value")                  \
	OP(93, KV_SET, kv_set, KV, OP_MUTATES, "sets a value")                                     \
	OP(94, KV_DEL, kv_del, KV, OP_MUTATES, "deletes a value")                                  \
	OP(95, KV_RENAME, kv_rename, KV, OP_MUTATES, "gives a value another key")                  \
	OP(96, KV_LIST, kv_list, KV, OP_REPEATABLE, "the keys that begin so")                      \
	OP(97, KV_WATCH, kv_watch, KV, OP_STREAMS, "tells of changes of values")

/* Why an operation on values failed, for people: as ops_jobs_error. */
const char *ops_kv_error(uint16_t op, int error);

#endif
