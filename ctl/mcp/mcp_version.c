#include "ctl/mcp/mcp_version.h"

#include <string.h>

#include "ctl/mcp/mcp_text.h"
#include "ctl/mcp/rpc.h"

static const char *const names[] = {
    [MCP_2024_11_05] = "2024-11-05", [MCP_2025_03_26] = "2025-03-26",
    [MCP_2025_06_18] = "2025-06-18", [MCP_2025_11_25] = "2025-11-25",
    [MCP_2026_07_28] = "2026-07-28",
};

const char *mcp_version_name(enum mcp_version version)
{
	return names[version];
}

enum mcp_version mcp_version_agree(const json_t *params)
{
	const char *asked = json_string_value(json_object_get(params, "protocolVersion"));

	for (int i = MCP_2024_11_05; asked && i <= MCP_LAST_SESSION; i++)
		if (strcmp(names[i], asked) == 0)
			return (enum mcp_version)i;
	return MCP_LAST_SESSION;
}

bool mcp_version_is_implementation(const json_t *value)
{
	return json_is_string(json_object_get(value, "name")) &&
	       json_is_string(json_object_get(value, "version"));
}

/* What is wrong with it, or NULL. */
static const char *check_meta(const json_t *meta, bool modern)
{
	const json_t *token = json_object_get(meta, "progressToken");
	const json_t *info = json_object_get(meta, "io.modelcontextprotocol/clientInfo");

	if (token && !json_is_string(token) && !json_is_integer(token))
		return "_meta: progressToken must be a string or an integer";
	if (!modern)
		return NULL;
	if (!json_is_object(json_object_get(meta, "io.modelcontextprotocol/clientCapabilities")))
		return "_meta: io.modelcontextprotocol/clientCapabilities must be an object";
	if (info && !mcp_version_is_implementation(info))
		return "_meta: io.modelcontextprotocol/clientInfo must have name and version";
	return NULL;
}

int mcp_version_of_request(const json_t *params, enum mcp_version session,
			   enum mcp_version *ret_version, const char **ret_message,
			   json_t **ret_data)
{
	const json_t *meta = json_object_get(params, "_meta");
	const json_t *version = json_object_get(meta, "io.modelcontextprotocol/protocolVersion");
	const char *wrong;

	*ret_data = NULL;
	*ret_message = "_meta must be an object";
	if (meta && !json_is_object(meta))
		return RPC_INVALID_PARAMS;
	*ret_message = "_meta: io.modelcontextprotocol/protocolVersion must be a string";
	if (version && !json_is_string(version))
		return RPC_INVALID_PARAMS;
	if (version && strcmp(json_string_value(version), names[MCP_2026_07_28]) != 0) {
		*ret_message = "Unsupported protocol version";
		*ret_data =
		    json_pack("{s:[s], s:o}", "supported", names[MCP_2026_07_28], "requested",
			      mcp_text(json_string_value(version), json_string_length(version)));
		return RPC_UNSUPPORTED_VERSION;
	}
	wrong = check_meta(meta, version != NULL);
	if (wrong) {
		*ret_message = wrong;
		return RPC_INVALID_PARAMS;
	}
	*ret_version = version ? MCP_2026_07_28 : session;
	return 0;
}
