/* The inside of job clients: shared by job_client.c and job_input.c. */
#ifndef CTL_JOB_CLIENT_PRIVATE_H
#define CTL_JOB_CLIENT_PRIVATE_H

#include "ctl/job_client.h"

enum job_client_state {
	JOB_CLIENT_IDLE,
	JOB_CLIENT_ASKING,    /* JOB_START or JOB_ATTACH is under way */
	JOB_CLIENT_FOLLOWING, /* its stream is open */
	JOB_CLIENT_LOST,      /* until it is asked again */
	JOB_CLIENT_AWAITING,  /* the output has ended, the job not: JOB_WAIT is under way */
	JOB_CLIENT_CLOSED,
};

/* A part of standard input that the peer has not taken yet. */
struct job_input_piece {
	struct job_input_piece *next;
	struct job_client *job;
	struct remote_call *call; /* NULL: to be sent (again) */
	uint64_t offset;
	bool eof;
	size_t size;
	uint8_t data[];
};

struct job_input {
	struct job_input_piece *first, **last; /* by offset */
	unsigned n_pieces;
	uint64_t end; /* offset behind all that was taken from the caller */
	bool closed;
};

struct job_client {
	struct remote *remote;
	const char *peer;
	const struct job_client_handler *handler;
	void *arg;
	enum job_client_state state;
	struct remote_call *call; /* of ASKING, FOLLOWING, AWAITING */
	uint64_t number;
	uint64_t flags;       /* JOB_OWNER, for the next attach */
	uint64_t offset;      /* of the next byte of output */
	uint64_t screen_left; /* bytes of a terminal's screen that come before that */
	bool was_told_started, was_told_ended, is_lost;
	int64_t lost_at, retry_at; /* ms, monotonic */
	/* Bytes told and not consumed: all, and those of streams that are gone. */
	size_t unconsumed[FRAME_CHANNELS], stale[FRAME_CHANNELS];
	struct job_input input;
};

void job_input_init(struct job_input *input);
void job_input_deinit(struct job_input *input);
/* Sends what the peer has not got. */
void job_input_resume(struct job_client *job);

#endif
