/*
 * The methods that clients call, by version: one table, which is dispatch and check.
 */
#ifndef CTL_MCP_METHOD_H
#define CTL_MCP_METHOD_H

#include <stdbool.h>

#include "ctl/mcp/mcp_call.h"

struct mcp_method {
	const char *name;
	enum mcp_version first,
	    last;   /* versions that have it; first MCP_NONE: also before a session */
	bool waits; /* runs on a thread of the pool; else it must not wait */
	void (*run)(struct mcp_call *call);
};

extern const struct mcp_method mcp_method_table[];
extern const size_t mcp_method_table_n;

/* NULL if there is none. */
const struct mcp_method *mcp_method_find(const char *name);

#endif
