/*
 * Follows a job on a peer for a while, on behalf of a call: what it writes, and whether it ends.
 * Whatever becomes of the call, the job goes on, unless it is cancelled and was started by it.
 */
#ifndef CTL_MCP_JOB_FOLLOW_H
#define CTL_MCP_JOB_FOLLOW_H

#include "ctl/job_client.h"
#include "ctl/mcp/excerpt.h"
#include "ctl/mcp/mcp_call.h"

#define JOB_FOLLOW_WAIT_MAX   45  /* s: clients wait for a reply for 60 */
#define JOB_FOLLOW_REASON_MAX 300 /* bytes */

/* What is known of a job; texts are copied. */
struct job_followed {
	uint64_t number;
	char name[OPS_JOB_NAME_MAX + 1];
	enum job_state state;
	unsigned exit, signal;
	struct timespec started, ended;
	uint64_t offset, next; /* of the output in the excerpt, and behind it */
	struct excerpt excerpt;
	char reason[JOB_FOLLOW_REASON_MAX]; /* of a failure; may be empty */
};

/* `max`: of the excerpt. */
int job_followed_init(struct job_followed *followed, size_t max);
void job_followed_deinit(struct job_followed *followed);
/* Takes over what is known of it but for the output. */
void job_followed_take(struct job_followed *followed, const struct job_info *info);

/*
 * Starts a job (`args` but for its number) with `input` on its standard input, or attaches to one
 * from followed->offset on, and follows it until it ends or `wait_ms` are over. Returns 0, or
 * -errno with followed->reason: -ECANCELED when the call was cancelled (a job that was started here
 * is killed then), else the peer's or the link's.
 */
int job_follow_start(struct mcp_call *call, struct remote *remote, const char *peer,
		     const struct args_job_start *args, struct bytes input, int wait_ms,
		     struct job_followed *followed);
int job_follow_attach(struct mcp_call *call, struct remote *remote, const char *peer, int wait_ms,
		      struct job_followed *followed);

#endif
