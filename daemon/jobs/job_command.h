/*
 * Command: what a peer wants to run, checked and ready to be executed.
 */
#ifndef DAEMON_JOBS_JOB_COMMAND_H
#define DAEMON_JOBS_JOB_COMMAND_H

#include "daemon/jobs/job_env.h"
#include "proto/codec.h"
#include "proto/ops_peer.h"

/* Lists of command names, separated by commas. A name list is no wall: whoever may run a program
 * can have it run another. */
struct job_rules {
	const char *allow; /* "": all */
	const char *deny;
};

struct job_command {
	char **argv; /* NULL at its end */
	char *file;  /* to be executed: argv[0], but for a login shell */
	struct job_env env;
	char *cwd; /* "": the home */
	size_t cwd_size;
	char term[OPS_JOB_NAME_MAX + 1];
	char base[OPS_JOB_NAME_MAX + 1]; /* a name for the job */
	char text[OPS_JOB_CMD_MAX + 1];  /* as a shell would take it; UTF-8 */
};

/* `base` is the environment of all jobs. Returns 0, -EINVAL, -EPERM (a denied name; `text` is there
 * for the audit log) or -ENOMEM; job_command_deinit in any case. */
int job_command_init(struct job_command *command, const struct args_job_start *args,
		     const struct job_env *base, const struct job_rules *rules);
void job_command_deinit(struct job_command *command);

/* Is it a good name for a job? */
bool job_command_name_is_valid(const char *name, size_t size);
/* Is `name` one of a list? */
bool job_command_is_listed(const char *list, const char *name);

#endif
