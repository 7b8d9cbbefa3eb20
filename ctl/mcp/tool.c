#include "ctl/mcp/tool.h"

#include <string.h>

const struct tool *tool_find(const char *name)
{
	for (size_t i = 0; i < tool_table_n; i++)
		if (strcmp(tool_table[i]->name, name) == 0)
			return tool_table[i];
	return NULL;
}

static json_t *annotations(unsigned hints)
{
	return json_pack("{s:b, s:b, s:b, s:b}", "readOnlyHint", (hints & TOOL_READ_ONLY) != 0,
			 "destructiveHint", (hints & TOOL_DESTRUCTIVE) != 0, "idempotentHint",
			 (hints & TOOL_IDEMPOTENT) != 0, "openWorldHint",
			 (hints & TOOL_OPEN_WORLD) != 0);
}

json_t *tool_describe(const struct tool *tool, enum mcp_version version)
{
	json_t *object = json_pack("{s:s, s:s, s:o}", "name", tool->name, "description",
				   tool->description, "inputSchema", schema_of_input(tool->input));

	if (version >= MCP_2025_06_18) {
		json_object_set_new(object, "title", json_string(tool->title));
		json_object_set_new(object, "outputSchema", schema_of_output(tool->output));
	}
	if (version >= MCP_2025_03_26)
		json_object_set_new(object, "annotations", annotations(tool->hints));
	return object;
}

const char *tool_string(const json_t *arguments, const char *name, const char *otherwise)
{
	const char *text = json_string_value(json_object_get(arguments, name));

	return text ? text : otherwise;
}

long long tool_integer(const json_t *arguments, const char *name, long long otherwise)
{
	const json_t *value = json_object_get(arguments, name);

	if (json_is_integer(value))
		return json_integer_value(value);
	return json_is_real(value) ? (long long)json_real_value(value) : otherwise;
}

bool tool_boolean(const json_t *arguments, const char *name, bool otherwise)
{
	const json_t *value = json_object_get(arguments, name);

	return json_is_boolean(value) ? json_is_true(value) : otherwise;
}
