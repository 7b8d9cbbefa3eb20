#pragma once

#include <stddef.h>
#include <stdint.h>

#include "daemon/failure.h"

/*
 * What a peer may do here: a set of bits, written as a list of names ("fs:rw,exec").
 */
enum permissions_bit {
	PERMISSIONS_FS_RO = 1 << 0,
	PERMISSIONS_FS_RW = 1 << 1,
	PERMISSIONS_FS_IDS = 1 << 2, /* operations are done as the caller's ids */
	PERMISSIONS_EXEC = 1 << 3,
	PERMISSIONS_KV = 1 << 4,
	PERMISSIONS_MSG = 1 << 5,
};

struct permissions_info {
	const char *name;
	uint32_t set;     /* the bits that the name stands for: fs:rw includes fs:ro */
	const char *text; /* what it allows, to follow "the peer may" */
};

extern const struct permissions_info permissions_table[];
extern const size_t permissions_table_n;

#define PERMISSIONS_NONE    0u
#define PERMISSIONS_DEFAULT 0x3bu /* fs:rw,exec,kv,msg */
/* Longest list that permissions_print writes, with NUL. */
#define PERMISSIONS_TEXT_MAX 64

/*
 * Reads a list separated by commas, blanks around names allowed; "none" alone is the empty set.
 * Returns 0 and sets *ret_set, or -EINVAL with the line in failure (may be NULL): an unknown or
 * empty name is an error.
 */
int permissions_parse(const char *text, uint32_t *ret_set, struct failure *failure);

/* Writes the list, shortest form, into buffer (PERMISSIONS_TEXT_MAX bytes); returns buffer. */
char *permissions_print(uint32_t set, char *buffer);
