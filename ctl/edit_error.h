/*
 * Why a configuration file of another program is left as it is.
 */
#ifndef CTL_EDIT_ERROR_H
#define CTL_EDIT_ERROR_H

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "proto/cursor.h"

struct edit_error {
	unsigned line; /* from 1 */
	char text[160];
};

/* Whether it is text at all: UTF-8, and no NUL. Returns 0 or -EINVAL, said in `ret_error`. */
static inline int edit_error_check(struct bytes text, struct edit_error *ret_error)
{
	for (unsigned line = 1; text.size > 0; line++) {
		const uint8_t *end = memchr(text.data, '\n', text.size);
		size_t n = end ? (size_t)(end - text.data) + 1 : text.size;

		if (memchr(text.data, '\0', n) || !cursor_is_utf8((struct bytes){text.data, n})) {
			ret_error->line = line;
			snprintf(ret_error->text, sizeof(ret_error->text), "it is not UTF-8 text");
			return -EINVAL;
		}
		text = (struct bytes){text.data + n, text.size - n};
	}
	return 0;
}

#endif
