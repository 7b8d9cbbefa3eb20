#include "ctl/mcp/schema.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

static const char *const colours[] = {"red", "green", NULL};

static const struct schema_field inner[] = {
    {"n", SCHEMA_INTEGER, .required = true},
    {.name = NULL},
};

static const struct schema_field fields[] = {
    {"name", SCHEMA_STRING, .required = true, .min = 1, .max = 5, .description = "a name"},
    {"count", SCHEMA_INTEGER, .min = -1, .max = 10},
    {"ratio", SCHEMA_NUMBER},
    {"on", SCHEMA_BOOLEAN},
    {"words", SCHEMA_STRINGS, .min = 1, .max = 2},
    {"map", SCHEMA_MAP, .max = 2},
    {"colour", SCHEMA_STRING, .choices = colours},
    {"any", SCHEMA_ANY},
    {"one", SCHEMA_OBJECT, .of = inner},
    {"list", SCHEMA_ARRAY, .of = inner, .max = 2},
    {"when", SCHEMA_STRING, .nullable = true},
    {.name = NULL},
};

/* What the check says of a text; "" when it is content. */
static const char *check(const char *text)
{
	static char error[SCHEMA_ERROR_MAX];
	json_t *value = json_loads(text, JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);
	int r;

	cr_assert_not_null(value, "%s", text);
	error[0] = '\0';
	r = schema_check(fields, value, error);
	cr_assert_eq(r, error[0] ? -EINVAL : 0);
	json_decref(value);
	return error;
}

static void expect(const char *text, const char *part)
{
	const char *error = check(text);

	if (part)
		cr_assert(strstr(error, part), "%s: '%s'", text, error);
	else
		cr_assert_str_eq(error, "", "%s: '%s'", text, error);
}

Test(schema, takes_what_fits)
{
	expect("{\"name\": \"x\"}", NULL);
	expect(
	    "{\"name\": \"x\", \"count\": 10, \"ratio\": 0.5, \"on\": true, \"words\": [\"a\"], "
	    "\"map\": {\"K\": \"v\"}, \"colour\": \"red\", \"any\": [null], \"one\": {\"n\": 1}, "
	    "\"list\": [{\"n\": 1}, {\"n\": 2}], \"when\": null}",
	    NULL);
	/* A number without a fraction is an integer, says JSON Schema. */
	expect("{\"name\": \"x\", \"count\": 5.0}", NULL);
	expect("{\"name\": \"x\", \"ratio\": 3}", NULL);
}

Test(schema, names_what_does_not_fit)
{
	expect("[]", "object");
	expect("{}", "'name' is missing");
	expect("{\"name\": 5}", "'name' must be of type string");
	expect("{\"name\": null}", "'name'");
	expect("{\"name\": \"\"}", "'name' must have from 1 to 5 bytes");
	expect("{\"name\": \"123456\"}", "'name'");
	expect("{\"name\": \"a\\u0000b\"}", "NUL");
	expect("{\"name\": \"x\", \"count\": 11}", "'count' must be from -1 to 10");
	expect("{\"name\": \"x\", \"count\": 1.5}", "'count' must be of type integer");
	expect("{\"name\": \"x\", \"count\": 1e300}", "'count'");
	expect("{\"name\": \"x\", \"on\": 1}", "'on' must be of type boolean");
	expect("{\"name\": \"x\", \"words\": []}", "'words'");
	expect("{\"name\": \"x\", \"words\": [\"a\", \"b\", \"c\"]}", "'words'");
	expect("{\"name\": \"x\", \"words\": [1]}", "'words' must hold strings only");
	expect("{\"name\": \"x\", \"words\": [\"\\u0000\"]}", "NUL");
	expect("{\"name\": \"x\", \"map\": {\"a\": 1}}", "'map'");
	expect("{\"name\": \"x\", \"map\": {\"a\": \"\", \"b\": \"\", \"c\": \"\"}}", "'map'");
	expect("{\"name\": \"x\", \"colour\": \"blue\"}", "one of: red, green");
	expect("{\"name\": \"x\", \"one\": {}}", "'n' is missing");
	expect("{\"name\": \"x\", \"one\": {\"n\": \"\"}}", "'one.n'");
	expect("{\"name\": \"x\", \"list\": [{\"n\": 1}, 5]}", "'list' must be an object");
	expect("{\"name\": \"x\", \"nonsense\": 1}",
	       "there is no 'nonsense'; there are: name, count");
}

Test(schema, without_arguments_is_an_empty_object)
{
	static const struct schema_field none[] = {{.name = NULL}};
	char error[SCHEMA_ERROR_MAX];

	cr_assert_eq(schema_check(none, NULL, error), 0);
	cr_assert_eq(schema_check(NULL, NULL, error), 0);
	cr_assert_eq(schema_check(fields, NULL, error), -EINVAL);
}

static const char *text_of(const json_t *schema, const char *field, const char *key)
{
	const json_t *property = json_object_get(json_object_get(schema, "properties"), field);

	return json_string_value(json_object_get(property, key));
}

Test(schema, is_shown_as_json_schema)
{
	json_t *schema = schema_of_input(fields);
	const json_t *properties = json_object_get(schema, "properties");
	const json_t *count = json_object_get(properties, "count");

	cr_assert_str_eq(json_string_value(json_object_get(schema, "type")), "object");
	cr_assert(json_is_false(json_object_get(schema, "additionalProperties")));
	cr_assert_eq(json_array_size(json_object_get(schema, "required")), 1);
	cr_assert_eq(json_object_size(properties), 11);
	cr_assert_str_eq(text_of(schema, "name", "type"), "string");
	cr_assert_str_eq(text_of(schema, "name", "description"), "a name");
	cr_assert_str_eq(text_of(schema, "words", "type"), "array");
	cr_assert_null(text_of(schema, "any", "type"));
	cr_assert_eq(json_integer_value(json_object_get(count, "minimum")), -1);
	cr_assert_eq(json_integer_value(json_object_get(count, "maximum")), 10);
	cr_assert_eq(
	    json_array_size(json_object_get(json_object_get(properties, "colour"), "enum")), 2);
	json_decref(schema);
}

Test(schema, of_an_answer_has_no_bounds_and_may_grow)
{
	json_t *schema = schema_of_output(fields);
	const json_t *count = json_object_get(json_object_get(schema, "properties"), "count");

	cr_assert_null(json_object_get(count, "maximum"));
	cr_assert_null(json_object_get(schema, "additionalProperties"));
	json_decref(schema);
}
