/*
 * Operations: what one end may ask of the other, each defined once.
 *
 * A table is an X-macro `OPS_table(OP)` of
 *
 *     OP(number, NAME, name, permission, flags, summary)
 *
 * with `RECORD_args_name` and `RECORD_result_name` beside it. From it come the numbers (OP_NAME),
 * the structs (struct args_name, struct result_name), the codec, dispatch, the permission check,
 * the names in logs and the chapter of operations in loopsy-protocol(7).
 */
#ifndef PROTO_OPS_H
#define PROTO_OPS_H

#include "proto/record.h"

/* What the asking peer must have been granted. */
enum permission {
	PERMISSION_NONE = 0, /* any authenticated peer */
	PERMISSION_FS_RO = 1 << 0,
	PERMISSION_FS_RW = 1 << 1,  /* includes FS_RO */
	PERMISSION_FS_IDS = 1 << 2, /* calls are done as the caller's ids: for allow_other */
	PERMISSION_EXEC = 1 << 3,
	PERMISSION_KV = 1 << 4,
	PERMISSION_MSG = 1 << 5,
	PERMISSION_LOCAL = 1 << 15, /* only this machine's own user; granted to no peer */
};

enum op_flags {
	OP_MUTATES = 1 << 0,     /* changes something: its reply is kept for a repeated request */
	OP_REPEATABLE = 1 << 1,  /* may be sent again to a restarted server */
	OP_EVENT = 1 << 2,       /* sent as an event: has no reply */
	OP_STREAMS = 1 << 3,     /* streams of data may follow its reply */
	OP_KEEPS_REPLY = 1 << 4, /* not mutating, but its reply counts something: kept likewise */
	OP_LAZY = 1 << 5, /* nobody waits for it: it may wait a little for others to go with, and so
			     may its reply */
	OP_TYPED = 1 << 6, /* small ones are keys that somebody types, and waits to see */
};

struct op {
	uint16_t number;
	uint16_t permission; /* enum permission: one bit, or none */
	uint16_t flags;      /* enum op_flags */
	const char *name;    /* lower case, as in logs */
	const char *summary;
	const struct record *args;
	const struct record *result;
};

struct op_table {
	const char *name;
	const struct op *ops; /* ascending by number */
	size_t n_ops;
};

/* The operation of that number, or NULL. */
const struct op *op_find(const struct op_table *table, uint64_t number);

/* Whether stream data follows this reply. By convention the result's `more` says so; without such a
 * field it is certain where the operation has streams at all. */
bool op_reply_streams(const struct op *op, const void *result);

#define OP_NUMBER(number, NAME, name, permission, flags, summary) OP_##NAME = number,
#define OP_DECLARE(number, NAME, name, permission, flags, summary)                                 \
	RECORD_DECLARE(args_##name) RECORD_DECLARE(result_##name)
#define OP_DEFINE(number, NAME, name, permission, flags, summary)                                  \
	RECORD_DEFINE(args_##name) RECORD_DEFINE(result_##name)
#define OP_ROW(number_, NAME, name_, permission_, flags_, summary_)                                \
	{.number = number_,                                                                        \
	 .permission = PERMISSION_##permission_,                                                   \
	 .flags = flags_,                                                                          \
	 .name = #name_,                                                                           \
	 .summary = summary_,                                                                      \
	 .args = &args_##name_##_record,                                                           \
	 .result = &result_##name_##_record},

#endif
