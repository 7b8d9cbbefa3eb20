/*
 * JSON edit: sets and removes one member in the text of a JSON file, and keeps every other byte.
 *
 * Understood is JSON with what editors' configuration files have besides: a byte order mark,
 * comments and trailing commas. All is checked before anything is changed.
 */
#ifndef CTL_JSON_EDIT_H
#define CTL_JSON_EDIT_H

#include <jansson.h>
#include <stdbool.h>

#include "ctl/edit_error.h"
#include "proto/codec.h"

/* What json_edit_remove must know to give back exactly what was there. Zero at first. */
struct json_edit_undo {
	unsigned n_made; /* members of the path that were not there; one more: nor anything else */
	char *tail;      /* white space that was put behind the outermost of them, or NULL */
	char *before;    /* the text of the value, of the whole file where there was nothing, that
			  * was replaced; NULL where none was */
};
void json_edit_undo_deinit(struct json_edit_undo *undo);

/*
 * `path` is the member's name below the names of what it is in, `n` of them, at most 8. All return
 * 0 or: -EINVAL when the text does not parse, or what the path leads through is no object, or is
 * there twice, having said so in `ret_error`; -ENOMEM.
 */

/* The value as it is written; -ENOENT when there is none. */
int json_edit_get(struct bytes text, const char *const *path, unsigned n, struct bytes *ret_value,
		  struct edit_error *ret_error);
/* The same, read; a new reference. */
int json_edit_load(struct bytes text, const char *const *path, unsigned n, json_t **ret_value,
		   struct edit_error *ret_error);
/* Appends the text with that value to `out`; `value` is borrowed. `ret_undo` may be NULL. */
int json_edit_set(struct bytes text, const char *const *path, unsigned n, const json_t *value,
		  struct buffer *out, struct json_edit_undo *ret_undo,
		  struct edit_error *ret_error);
/* Appends the text without the member, or with what was there before; -ENOENT when there is none.
 * `undo` NULL: nothing is known. */
int json_edit_remove(struct bytes text, const char *const *path, unsigned n,
		     const struct json_edit_undo *undo, struct buffer *out,
		     struct edit_error *ret_error);

#endif
