/*
 * A call, for those who carry it: the server, the pool and mcp_call.c.
 */
#ifndef CTL_MCP_CALL_PRIVATE_H
#define CTL_MCP_CALL_PRIVATE_H

#include <stdatomic.h>

#include "ctl/mcp/mcp_call.h"

struct mcp_batch;
struct mcp_worker;
struct tool;

struct mcp_call {
	struct mcp_call *next; /* in the pool's queue */
	struct mcp_server *server;
	const struct mcp_method *method;
	enum mcp_version version;
	json_t *message; /* id and params are parts of it */
	json_t *id, *params;
	struct mcp_batch *batch;   /* NULL: on its own */
	struct mcp_worker *worker; /* NULL: answered at once, on the main thread */
	atomic_bool cancelled;
	bool has_ended;
	const struct tool *tool; /* of tools/call */
	char *mount;
	char *reason;    /* of mcp_call_connect */
	char *kept;      /* of mcp_call_keep */
	double progress; /* the last one told */
};

/* Takes the reference of `message`, unless it returns NULL (no memory). */
struct mcp_call *mcp_call_new(struct mcp_server *server, json_t *message, json_t *id,
			      json_t *params);
struct mcp_call *mcp_call_free(struct mcp_call *call);

#endif
