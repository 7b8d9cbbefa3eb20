/*
 * The methods prompts/list and prompts/get.
 */
#ifndef CTL_MCP_MCP_PROMPTS_H
#define CTL_MCP_MCP_PROMPTS_H

#include "ctl/mcp/mcp_call.h"

void mcp_prompts_list(struct mcp_call *call);
void mcp_prompts_get(struct mcp_call *call);

#endif
