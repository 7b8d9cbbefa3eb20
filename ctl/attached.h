/*
 * Attached: our terminal, or our standard streams, at a job that does not belong to us: keys and
 * signals there, output here, until the job ends or we leave.
 */
#ifndef CTL_ATTACHED_H
#define CTL_ATTACHED_H

#include "ctl/context.h"
#include "ctl/remote.h"

#define ATTACHED_FAILURE 125 /* exit status: the failure is ours, not the job's */

struct attached_target {
	const char *peer;
	const char *name; /* of the job, for people */
	/* To be started, or NULL: `job` runs there. */
	const struct args_job_start *start;
	uint64_t job;
	bool tty;
};

/* Returns the exit status: the job's, 0 when it was left, ATTACHED_FAILURE having said why. */
int attached_run(const struct context *context, struct remote *remote,
		 const struct attached_target *target);

#endif
