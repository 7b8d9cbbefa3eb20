/*
 * Excerpt: the head and the tail of a long output, for a model to read, and what it is in all.
 *
 * All bytes pass through; kept are the first and the last ones, so memory is bounded however long
 * it gets.
 */
#ifndef CTL_MCP_EXCERPT_H
#define CTL_MCP_EXCERPT_H

#include <stdbool.h>

#include "proto/codec.h"

#define EXCERPT_SHA256_MAX 65 /* bytes, with the NUL */

struct excerpt {
	uint64_t size;    /* of all that was added */
	uint64_t skipped; /* bytes before the first that was added: the text tells of them, and has
			   * no head then */
	/* the excerpt's own */
	size_t max;
	struct buffer head; /* the first `max` bytes */
	uint8_t *ring;      /* of `max` bytes: the last ones behind those of the head */
	void *digest;
};

/* `max`: bytes of JSON that excerpt_text makes at most. Returns 0 or -ENOMEM. */
int excerpt_init(struct excerpt *excerpt, size_t max);
void excerpt_deinit(struct excerpt *excerpt);

/* Takes what comes next. Returns 0 or -ENOMEM. */
int excerpt_add(struct excerpt *excerpt, struct bytes data);

/* Whether it is no text to be shown. */
bool excerpt_is_binary(const struct excerpt *excerpt);
/* The SHA-256 of all, in hexadecimal. Once, at the end. Returns 0 or -ENOMEM. */
int excerpt_sha256(struct excerpt *excerpt, char text[EXCERPT_SHA256_MAX]);

/*
 * The text, in `max` bytes or less as a string of JSON: all of it, or the first third and the last
 * two with a line between them that says how much is left out and that `where` has it (NULL: it
 * does not say). What is no UTF-8 is replaced. Malloc'ed; NULL without memory.
 */
char *excerpt_text(const struct excerpt *excerpt, size_t max, const char *where,
		   bool *ret_truncated);

#endif
