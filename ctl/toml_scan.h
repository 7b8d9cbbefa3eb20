/*
 * TOML scan: reads the text of a TOML file (toml.io, 1.0, and what 1.1 allows in inline tables),
 * and tells of its tables and values and where they are. Values are checked for their form only.
 */
#ifndef CTL_TOML_SCAN_H
#define CTL_TOML_SCAN_H

#include <stdbool.h>

#include "ctl/edit_error.h"
#include "proto/codec.h"

#define TOML_PATH_NAMES 4
#define TOML_NAME_SIZE  32

/* Longer names are kept as "", those behind the fourth not at all: nobody asks for them. */
struct toml_path {
	unsigned n;
	char names[TOML_PATH_NAMES][TOML_NAME_SIZE];
};

enum toml_kind {
	TOML_TABLE,       /* [a.b] */
	TOML_ARRAY_TABLE, /* [[a.b]] */
	TOML_VALUE,
	TOML_INLINE_TABLE, /* as a value; what is in it is told before it */
};

struct toml_item {
	enum toml_kind kind;
	struct toml_path path;     /* from the root */
	unsigned line;             /* from 1 */
	size_t line_from, line_to; /* from the start of its line to the start of the next; `line_to`
				    * 0 of what is within */
	size_t key_from, key_last, key_to; /* the key as written, and its last part */
	size_t from, to;                   /* the value */
	bool within;                       /* an inline table */
	bool headed;                       /* it stands below a header, or is one */
};

/* What is in an array is not told. Returns 0, -EINVAL having said what does not parse, or what
 * `each` returned. */
int toml_scan(struct bytes text, int (*each)(void *arg, const struct toml_item *item), void *arg,
	      struct edit_error *ret_error);

#endif
