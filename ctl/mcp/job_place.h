/*
 * Where a job is to run and what it is called, from a tool's arguments.
 */
#ifndef CTL_MCP_JOB_PLACE_H
#define CTL_MCP_JOB_PLACE_H

#include "ctl/exec_command.h"
#include "ctl/mcp/tool.h"

/* The argument "cwd" as args_job_start has it: a path in the mount becomes one of the peer (the
 * argument "peer"). *ret_cwd is malloc'ed. Returns 0, or a negative errno having failed the call.
 */
int job_place_find_cwd(struct mcp_call *call, const json_t *arguments, char **ret_cwd);

/* A name for a job that no other has, which begins with that of the command. */
void job_place_make_name(const char *command, char *name, size_t size);

/* A map of variables (may be NULL), checked to be of strings. Returns 0, -EINVAL, -EMSGSIZE or
 * -ENOMEM. */
int job_place_set_env(struct exec_command *command, const json_t *map);

#endif
