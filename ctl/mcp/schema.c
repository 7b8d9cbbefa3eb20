#include "ctl/mcp/schema.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *type_name(enum schema_type type)
{
	static const char *const names[] = {
	    [SCHEMA_STRING] = "string",   [SCHEMA_INTEGER] = "integer", [SCHEMA_NUMBER] = "number",
	    [SCHEMA_BOOLEAN] = "boolean", [SCHEMA_STRINGS] = "array",   [SCHEMA_MAP] = "object",
	    [SCHEMA_ANY] = "any value",   [SCHEMA_OBJECT] = "object",   [SCHEMA_ARRAY] = "array"};

	return names[type];
}

/* --- as JSON Schema --------------------------------------------------------------------------- */

static json_t *object_schema(const struct schema_field *fields, bool input);

static void add_bounds(json_t *schema, const struct schema_field *field)
{
	static const struct {
		const char *min, *max;
	} names[] = {
	    [SCHEMA_INTEGER] = {"minimum", "maximum"},
	    [SCHEMA_NUMBER] = {"minimum", "maximum"},
	    [SCHEMA_STRINGS] = {"minItems", "maxItems"},
	    [SCHEMA_MAP] = {"minProperties", "maxProperties"},
	    [SCHEMA_ARRAY] = {"minItems", "maxItems"},
	};
	bool number = field->type == SCHEMA_INTEGER || field->type == SCHEMA_NUMBER;

	if ((field->min == 0 && field->max == 0) ||
	    field->type >= sizeof(names) / sizeof(names[0]) || !names[field->type].min)
		return;
	/* Lengths are bounded generously, and not told: the model need not read it. A string's is
	 * in bytes, which JSON Schema cannot say. */
	if (number || (field->min > 0 && field->type != SCHEMA_STRING))
		json_object_set_new(schema, names[field->type].min, json_integer(field->min));
	if (number)
		json_object_set_new(schema, names[field->type].max, json_integer(field->max));
}

static void add_choices(json_t *schema, const struct schema_field *field)
{
	json_t *list = json_array();

	for (const char *const *choice = field->choices; *choice; choice++)
		json_array_append_new(list, json_string(*choice));
	if (field->nullable)
		json_array_append_new(list, json_null());
	json_object_set_new(schema, "enum", list);
}

static json_t *field_schema(const struct schema_field *field, bool input)
{
	json_t *schema =
	    field->type == SCHEMA_OBJECT ? object_schema(field->of, input) : json_object();

	if (field->nullable)
		json_object_set_new(schema, "type",
				    json_pack("[s, s]", type_name(field->type), "null"));
	else if (field->type != SCHEMA_ANY)
		json_object_set_new(schema, "type", json_string(type_name(field->type)));
	if (field->type == SCHEMA_STRINGS)
		json_object_set_new(schema, "items", json_pack("{s:s}", "type", "string"));
	if (field->type == SCHEMA_MAP)
		json_object_set_new(schema, "additionalProperties",
				    json_pack("{s:s}", "type", "string"));
	if (field->type == SCHEMA_ARRAY)
		json_object_set_new(schema, "items", object_schema(field->of, input));
	if (input)
		add_bounds(schema, field);
	if (input && field->choices)
		add_choices(schema, field);
	if (field->description)
		json_object_set_new(schema, "description", json_string(field->description));
	return schema;
}

static json_t *object_schema(const struct schema_field *fields, bool input)
{
	json_t *properties = json_object(), *required = json_array();
	json_t *schema = json_pack("{s:s, s:o}", "type", "object", "properties", properties);

	for (const struct schema_field *field = fields; field && field->name; field++) {
		json_object_set_new(properties, field->name, field_schema(field, input));
		if (field->required)
			json_array_append_new(required, json_string(field->name));
	}
	if (json_array_size(required) > 0)
		json_object_set(schema, "required", required);
	json_decref(required);
	if (input)
		json_object_set_new(schema, "additionalProperties", json_false());
	return schema;
}

json_t *schema_of_input(const struct schema_field *fields)
{
	return object_schema(fields, true);
}

json_t *schema_of_output(const struct schema_field *fields)
{
	return object_schema(fields, false);
}

/* --- the check -------------------------------------------------------------------------------- */

struct check {
	char *error;
	char path[80]; /* of what is looked at: "options.name" */
};

static int check_object(struct check *check, const struct schema_field *fields,
			const json_t *value);

#define COMPLAIN(check, ...) (snprintf((check)->error, SCHEMA_ERROR_MAX, __VA_ARGS__), -EINVAL)

static bool has_type(const json_t *value, enum schema_type type)
{
	switch (type) {
	case SCHEMA_STRING:
		return json_is_string(value);
	case SCHEMA_INTEGER:
		/* 5.0 is one, says JSON Schema. */
		return json_is_integer(value) ||
		       (json_is_real(value) && json_real_value(value) >= -9e15 &&
			json_real_value(value) <= 9e15 &&
			json_real_value(value) == (double)(long long)json_real_value(value));
	case SCHEMA_NUMBER:
		return json_is_number(value);
	case SCHEMA_BOOLEAN:
		return json_is_boolean(value);
	case SCHEMA_STRINGS:
	case SCHEMA_ARRAY:
		return json_is_array(value);
	case SCHEMA_MAP:
	case SCHEMA_OBJECT:
		return json_is_object(value);
	case SCHEMA_ANY:
		return true;
	}
	return false;
}

static int check_range(struct check *check, const struct schema_field *field, double n,
		       const char *what)
{
	if ((field->min == 0 && field->max == 0) ||
	    (n >= (double)field->min && n <= (double)field->max))
		return 0;
	return COMPLAIN(check, "'%s' must %s from %lld to %lld%s", check->path,
			what[0] ? "have" : "be", field->min, field->max, what);
}

/* C strings are made of them: a NUL would hide the rest. */
static int check_text(struct check *check, const json_t *text)
{
	if (strlen(json_string_value(text)) != json_string_length(text))
		return COMPLAIN(check, "'%s' must not have a NUL character", check->path);
	return 0;
}

static int check_string(struct check *check, const struct schema_field *field, const json_t *value)
{
	char list[120] = "";
	size_t n = 0;
	int r = check_text(check, value);

	if (r == 0)
		r = check_range(check, field, (double)json_string_length(value), " bytes");
	if (r < 0 || !field->choices)
		return r;
	for (const char *const *choice = field->choices; *choice; choice++) {
		if (strcmp(*choice, json_string_value(value)) == 0)
			return 0;
		if (n < sizeof(list))
			n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s", n ? ", " : "",
					      *choice);
	}
	return COMPLAIN(check, "'%s' must be one of: %s", check->path, list);
}

static int check_element(struct check *check, const json_t *element)
{
	if (!json_is_string(element))
		return COMPLAIN(check, "'%s' must hold strings only", check->path);
	if (json_string_length(element) > SCHEMA_STRINGS_MAX)
		return COMPLAIN(check, "a string of '%s' is longer than %d bytes", check->path,
				SCHEMA_STRINGS_MAX);
	return check_text(check, element);
}

static int check_elements(struct check *check, const struct schema_field *field,
			  const json_t *value)
{
	int r = check_range(check, field, (double)json_array_size(value), " elements");

	for (size_t i = 0; r == 0 && i < json_array_size(value); i++) {
		const json_t *element = json_array_get(value, i);

		r = field->type == SCHEMA_STRINGS ? check_element(check, element)
						  : check_object(check, field->of, element);
	}
	return r;
}

static int check_map(struct check *check, const struct schema_field *field, const json_t *value)
{
	int r = check_range(check, field, (double)json_object_size(value), " members");
	const char *key;
	json_t *element;

	json_object_foreach((json_t *)value, key, element)
	{
		if (r == 0)
			r = check_element(check, element);
	}
	return r;
}

static int check_field(struct check *check, const struct schema_field *field, const json_t *value)
{
	size_t n = strlen(check->path);
	int r = 0;

	snprintf(check->path + n, sizeof(check->path) - n, "%s%s", n ? "." : "", field->name);
	if (field->nullable && json_is_null(value))
		r = 0;
	else if (!has_type(value, field->type))
		r = COMPLAIN(check, "'%s' must be of type %s", check->path, type_name(field->type));
	else if (field->type == SCHEMA_STRING)
		r = check_string(check, field, value);
	else if (field->type == SCHEMA_INTEGER || field->type == SCHEMA_NUMBER)
		r = check_range(check, field, json_number_value(value), "");
	else if (field->type == SCHEMA_STRINGS || field->type == SCHEMA_ARRAY)
		r = check_elements(check, field, value);
	else if (field->type == SCHEMA_MAP)
		r = check_map(check, field, value);
	else if (field->type == SCHEMA_OBJECT)
		r = check_object(check, field->of, value);
	check->path[n] = '\0';
	return r;
}

static int complain_unknown(struct check *check, const struct schema_field *fields, const char *key)
{
	char list[120] = "";
	size_t n = 0;

	for (const struct schema_field *field = fields; field && field->name; field++)
		if (n < sizeof(list))
			n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s", n ? ", " : "",
					      field->name);
	return COMPLAIN(check, "there is no '%.40s'; there are: %s", key, n ? list : "none");
}

static int check_object(struct check *check, const struct schema_field *fields, const json_t *value)
{
	const struct schema_field *field;
	const char *key;
	json_t *member;

	if (value && !json_is_object(value))
		return COMPLAIN(check, "'%s' must be an object",
				check->path[0] ? check->path : "arguments");
	for (field = fields; field && field->name; field++) {
		int r;

		member = json_object_get(value, field->name);
		if (!member && field->required)
			return COMPLAIN(check, "'%s' is missing", field->name);
		r = member ? check_field(check, field, member) : 0;
		if (r < 0)
			return r;
	}
	json_object_foreach((json_t *)value, key, member)
	{
		for (field = fields; field && field->name; field++)
			if (strcmp(field->name, key) == 0)
				break;
		if (!field || !field->name)
			return complain_unknown(check, fields, key);
	}
	return 0;
}

int schema_check(const struct schema_field *fields, const json_t *value, char *error)
{
	struct check check = {.error = error};

	return check_object(&check, fields, value);
}
