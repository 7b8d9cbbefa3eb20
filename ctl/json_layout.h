/*
 * JSON layout: the text of a JSON file, checked, and where its members are in it.
 */
#ifndef CTL_JSON_LAYOUT_H
#define CTL_JSON_LAYOUT_H

#include <jansson.h>
#include <stdbool.h>

#include "ctl/edit_error.h"
#include "proto/codec.h"

#define JSON_LAYOUT_FLAGS (JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL)

struct json_layout {
	const char *data; /* borrowed */
	size_t size;
	size_t start; /* behind a byte order mark */
	size_t root;  /* where the value begins; the size when there is none */
	char *plain;  /* of the same length: what every reader of JSON takes */
	char *marked; /* of the same length, and a NUL: bytes of line comments are '/', those of
		       * others '*' */
};

struct json_member {
	size_t from; /* its name */
	size_t value, end;
	size_t comma; /* behind it; 0: none */
};

struct json_object {
	size_t open, close; /* its braces */
	unsigned n;
	struct json_member first, last;
	bool has_previous; /* before the member that was looked for */
	struct json_member previous;
};

/* Returns 0, -EINVAL when it does not parse (said in `ret_error`), or -ENOMEM. */
int json_layout_read(struct bytes bytes, struct json_layout *ret_text,
		     struct edit_error *ret_error);
void json_layout_deinit(struct json_layout *text);

/* Looks through the object that begins at `open`. `name` NULL: for nothing in particular. Returns
 * 0, -ENOENT, -EEXIST when it is there twice (ret_member is the second), or -ENOMEM. */
int json_layout_find(const struct json_layout *text, size_t open, const char *name,
		     struct json_object *ret_object, struct json_member *ret_member);

/* Says what is wrong at that place; returns -EINVAL. */
int json_layout_fail(const struct json_layout *text, size_t at, struct edit_error *ret_error,
		     const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
