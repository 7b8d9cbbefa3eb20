/*
 * Cursor: takes msgpack values from the front of bytes, checking each length against what is
 * there and allocating nothing. (msgpack-c's unpacker allocates on the word of the sender: five
 * bytes can ask it for 128 GiB.)
 *
 * Each function returns 0 and moves `input` behind the value, or returns -EBADMSG and leaves it.
 * Integers in any of msgpack's widths are taken.
 */
#ifndef PROTO_CURSOR_H
#define PROTO_CURSOR_H

#include "proto/record.h"

#define CURSOR_DEPTH_MAX 16 /* of arrays and maps within each other */

int cursor_uint(struct bytes *input, uint64_t *ret_value);
int cursor_int(struct bytes *input, int64_t *ret_value);
int cursor_bool(struct bytes *input, bool *ret_value);
int cursor_nil(struct bytes *input);
int cursor_bin(struct bytes *input, struct bytes *ret_value);
int cursor_text(struct bytes *input, struct bytes *ret_value); /* str; UTF-8 is not checked */
/* The header of an array; its n elements follow. n is at most the bytes that are left. */
int cursor_array(struct bytes *input, uint32_t *ret_n);
/* Any one value, with all that is in it. `ret_value` may be NULL, else the value's bytes. */
int cursor_skip(struct bytes *input, struct bytes *ret_value);

/* Is it valid UTF-8 (RFC 3629: no surrogates, no overlong forms) without NUL? */
bool cursor_is_utf8(struct bytes text);

#endif
