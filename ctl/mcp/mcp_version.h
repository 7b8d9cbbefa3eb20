/*
 * The versions of MCP. Up to 2025-11-25 a session begins with `initialize`, which agrees on one;
 * from 2026-07-28 on each request says its own, and there is no session. Both come on one stream,
 * and are told apart request by request.
 */
#ifndef CTL_MCP_VERSION_H
#define CTL_MCP_VERSION_H

#include <jansson.h>
#include <stdbool.h>

enum mcp_version {
	MCP_2024_11_05,
	MCP_2025_03_26,
	MCP_2025_06_18,
	MCP_2025_11_25,
	MCP_2026_07_28,
};

#define MCP_LAST_SESSION MCP_2025_11_25

static inline bool mcp_version_is_modern(enum mcp_version version)
{
	return version >= MCP_2026_07_28;
}

const char *mcp_version_name(enum mcp_version version);

/* Whether it is a clientInfo: an object with texts for name and version. */
bool mcp_version_is_implementation(const json_t *value);

/* What `initialize` agrees on: that version if it has sessions and we know it, else our last. */
enum mcp_version mcp_version_agree(const json_t *params);

/* Of a request: its own version if it says one, else that of the session; and what every request
 * has in its _meta is checked. Returns 0 or an RPC code
 * with *ret_message (static) and *ret_data (NULL or a new reference). */
int mcp_version_of_request(const json_t *params, enum mcp_version session,
			   enum mcp_version *ret_version, const char **ret_message,
			   json_t **ret_data);

#endif
