/*
 * Schema: a table of fields describes a JSON object; from it come the JSON Schema that clients are
 * shown and the check of what they send.
 */
#ifndef CTL_MCP_SCHEMA_H
#define CTL_MCP_SCHEMA_H

#include <jansson.h>
#include <stdbool.h>

enum schema_type {
	SCHEMA_STRING,
	SCHEMA_INTEGER,
	SCHEMA_NUMBER,
	SCHEMA_BOOLEAN,
	SCHEMA_STRINGS, /* an array of strings */
	SCHEMA_MAP,     /* an object whose values are strings */
	SCHEMA_ANY,
	SCHEMA_OBJECT, /* with the fields `of` */
	SCHEMA_ARRAY,  /* of objects with the fields `of` */
};

/* Tables end with a field that has no name. */
struct schema_field {
	const char *name;
	enum schema_type type;
	bool required;
	/* Of a number; of a string's length in bytes; of how many an array or a map holds. Both 0:
	 * no bounds. */
	long long min, max;
	const char *const *choices; /* of a string, NULL at the end; NULL: any */
	const char *description;    /* short: all of tools/list is read by the model; may be NULL */
	const struct schema_field *of;
	bool nullable; /* of output: null stands for "not known" */
};

#define SCHEMA_ERROR_MAX   200
#define SCHEMA_STRINGS_MAX (64 * 1024) /* bytes of an element of SCHEMA_STRINGS or a SCHEMA_MAP */

/* The JSON Schema (2020-12) of an object with these fields and no others; NULL without memory.
 * Output has neither bounds nor choices in it: nobody needs them there, and each costs tokens. */
json_t *schema_of_input(const struct schema_field *fields);
json_t *schema_of_output(const struct schema_field *fields);

/* Whether `value` is such an object. NULL stands for an empty one. Returns 0, or -EINVAL and a
 * line in `error` (SCHEMA_ERROR_MAX bytes) that names what is wrong. */
int schema_check(const struct schema_field *fields, const json_t *value, char *error);

#endif
