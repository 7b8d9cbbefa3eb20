/*
 * Types into a terminal of a peer and waits until what it shows comes to rest, so that the next
 * look at the screen sees the outcome.
 */
#ifndef CTL_MCP_JOB_SETTLE_H
#define CTL_MCP_JOB_SETTLE_H

#include <jansson.h>

#include "ctl/mcp/mcp_call.h"
#include "ctl/remote.h"

/* What is typed: text, then keys by name (checked to be an array of strings; NULL: none). */
struct job_settle_keys {
	const char *text;
	const json_t *keys;
};

/*
 * `job` is its number; with `typed` NULL it is only looked at. Waits at most `wait_ms` for rest, or
 * for its end. Returns 0, -ECANCELED, -ENOENT when a key is none (*ret_reason is its name), -EAGAIN
 * when the program does not read what is typed, or another -errno with *ret_reason (valid as long
 * as the arguments, or until the remote is asked again).
 */
int job_settle(struct mcp_call *call, struct remote *remote, const char *peer, uint64_t job,
	       const struct job_settle_keys *typed, int wait_ms, const char **ret_reason);

#endif
