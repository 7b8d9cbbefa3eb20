#ifndef DAEMON_PERMISSIONS_H
#define DAEMON_PERMISSIONS_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/failure.h"
#include "proto/ops.h"

/*
 * What a peer may do here: a set of bits of enum permission, written as a list of names
 * ("fs:rw,exec").
 */
struct permissions_info {
	const char *name;
	uint16_t set;     /* the bits that the name stands for: fs:rw has fs:ro's too */
	const char *text; /* what it allows, to follow "the peer may" */
};

extern const struct permissions_info permissions_table[];
extern const size_t permissions_table_n;

/* fs:rw,exec,kv,msg */
#define PERMISSIONS_DEFAULT                                                                        \
	(PERMISSION_FS_RW | PERMISSION_FS_RO | PERMISSION_EXEC | PERMISSION_KV | PERMISSION_MSG)
/* Longest list that permissions_print writes, with NUL. */
#define PERMISSIONS_TEXT_MAX 64

/*
 * Reads a list separated by commas, blanks around names allowed; "none" alone is the empty set.
 * Returns 0 and sets *ret_set, or -EINVAL with the line in failure (may be NULL): an unknown or
 * empty name is an error.
 */
int permissions_parse(const char *text, uint16_t *ret_set, struct failure *failure);

/* Writes the list, shortest form, into buffer (PERMISSIONS_TEXT_MAX bytes); returns buffer. */
char *permissions_print(uint16_t set, char *buffer);

#endif
