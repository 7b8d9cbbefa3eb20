/*
 * The methods resources/list, resources/templates/list and resources/read.
 */
#ifndef CTL_MCP_MCP_RESOURCES_H
#define CTL_MCP_MCP_RESOURCES_H

#include "ctl/mcp/mcp_call.h"

void mcp_resources_list(struct mcp_call *call);
void mcp_resources_templates(struct mcp_call *call);
void mcp_resources_read(struct mcp_call *call); /* waits */

/* There is none of that address: as the call's version has it. */
void mcp_resources_fail_unknown(struct mcp_call *call, const char *uri);

#endif
