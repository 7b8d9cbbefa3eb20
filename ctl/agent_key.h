/*
 * The key of an agent: one of its own, named mcp-AGENT, in a file that only its user reads.
 */
#ifndef CTL_AGENT_KEY_H
#define CTL_AGENT_KEY_H

#include "ctl/context.h"

/* Makes it and writes it to `path`, unless there is one that is valid. Returns 0, or -errno and a
 * line in *ret_error (malloc'ed). */
int agent_key_make(const struct context *context, const char *agent, const char *path,
		   char **ret_error);
/* Revokes it and removes the file; likewise. */
int agent_key_end(const struct context *context, const char *agent, const char *path,
		  char **ret_error);
/* "ok", "missing" or "open" to others. */
const char *agent_key_state(const char *path);

#endif
