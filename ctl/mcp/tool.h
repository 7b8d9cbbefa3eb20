/*
 * Tools: what an agent can call. A tool is a row of tool_table, a description of its arguments and
 * of its answer, and a function that runs on a thread of its own, with a connection to loopsyd of
 * its own, and may wait as long as it looks after mcp_call_interrupt_fd.
 */
#ifndef CTL_MCP_TOOL_H
#define CTL_MCP_TOOL_H

#include "ctl/mcp/mcp_call.h"
#include "ctl/mcp/schema.h"
#include "ctl/remote.h"

/* All four of MCP's annotations are told of each tool; these are their true ones. */
#define TOOL_READ_ONLY   1u /* changes nothing */
#define TOOL_DESTRUCTIVE 2u /* may change or remove what is there, not only add */
#define TOOL_IDEMPOTENT  4u /* the same call once more changes nothing more */
#define TOOL_OPEN_WORLD  8u /* what it does is not bounded to loopsy: it runs programs */

struct tool {
	const char *name, *title;
	const char *description; /* when to use it; short */
	unsigned hints;
	const struct schema_field *input, *output; /* NULL: no arguments */
	/* Arguments are checked already (never NULL, borrowed for the call). Ends the call exactly
	 * once: mcp_call_answer, mcp_call_fail or mcp_call_fail_errno. */
	void (*run)(struct mcp_call *call, const json_t *arguments);
};

/* In the order in which they are listed, which never changes; they follow tools_X.h. */
extern const struct tool *const tool_table[];
extern const size_t tool_table_n;

/* NULL if there is none. */
const struct tool *tool_find(const char *name);
/* As tools/list says it, in the words of that version; NULL without memory. */
json_t *tool_describe(const struct tool *tool, enum mcp_version version);

/* Arguments, of the type that the table says; `otherwise` if it is not given. */
const char *tool_string(const json_t *arguments, const char *name, const char *otherwise);
long long tool_integer(const json_t *arguments, const char *name, long long otherwise);
bool tool_boolean(const json_t *arguments, const char *name, bool otherwise);

#endif
