/*
 * Exec command: what is to be run on a peer, made of a command line.
 */
#ifndef CTL_EXEC_COMMAND_H
#define CTL_EXEC_COMMAND_H

#include "ctl/context.h"
#include "ctl/remote.h"

struct path_filter;

#define EXEC_FAILURE 125 /* exit status: the failure is ours, not the command's */

struct exec_command {
	const char *peer;
	bool detach;
	struct args_job_start args;     /* but for the job's number */
	struct path_filter *filters[2]; /* of standard output and standard error; NULL: none */
	/* What the args point into. */
	struct buffer argv, env;
	char *line;
};

/* Words for the argv of a job, each copied. Returns 0, -ENOMEM, -EMSGSIZE or -EINVAL. */
int exec_command_add(struct exec_command *command, const char *word);
/* A variable, "K=V". */
int exec_command_add_env(struct exec_command *command, const char *text);
/* The words, joined by blanks, as a line for a shell. */
int exec_command_set_line(struct exec_command *command, char *const *words, int n);
/* It gets a terminal: of the kind and size of ours. */
void exec_command_set_terminal(struct exec_command *command);
/* Once all is added: sets the lists of the args. */
void exec_command_finish(struct exec_command *command);
void exec_command_deinit(struct exec_command *command);

/* Runs it with our standard streams (cmd_exec.c). Returns the exit status. */
int cmd_exec_follow(const struct context *context, struct remote *remote,
		    const struct exec_command *command);

#endif
