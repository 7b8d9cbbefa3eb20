/*
 * The room of jobs with sessions, but without daemon/net: calls are made with typed args, answers
 * and streams go into memory. Programs are real.
 */
#ifndef TESTS_JOBS_FAKE_H
#define TESTS_JOBS_FAKE_H

#include <errno.h>
#include <signal.h>

#include "daemon/jobs/jobs.h"
#include "proto/codec.h"
#include "tests/unit/daemon/loop_until.h"
#include "tests/unit/daemon/scratch.h"

#define JOBS_FAKE_DEADLINE_MS 60000
#define JOBS_FAKE_SESSIONS    4
#define JOBS_FAKE_LOCAL       1 /* a peer that points to that is this machine's own user */

struct jobs_fake_call {
	struct request request; /* first: requests are cast to calls */
	void *args;
	bool is_done;
	int error;
	void *result; /* the operation's struct */
	struct buffer encoded;
	/* its stream */
	bool is_streaming, has_ended;
	int end_error;
	size_t credit;
	bool gives_credit;         /* at once for what came; else the test does */
	struct buffer channels[2]; /* what came on 0 and 1 */
	size_t n_bytes;            /* of both */
	unsigned n_notices;
	struct job_info notice; /* the last; its texts are gone */
	size_t notice_at;       /* n_bytes when the first came */
	bool is_discarding;     /* bytes are only counted */
	void (*ready)(void *arg, int error);
	void *ready_arg;
	struct jobs_fake_call *next;
	struct jobs_fake *fake;
};

struct jobs_fake {
	uv_loop_t loop;
	struct jobs *jobs;
	const struct service *service;
	void *sessions[JOBS_FAKE_SESSIONS];
	const void *peers[JOBS_FAKE_SESSIONS]; /* whose they are */
	struct jobs_fake_call *calls;
	struct jobs_options options;
	const char *dir;
	uint64_t next_number;
	unsigned n_told, n_refused, n_ended;
	int refused_error;
	struct job_info told; /* the last; its texts are gone */
	uint64_t noted[8];    /* numbers of jobs that would be lost; 0: free */
	unsigned n_notes;     /* calls of jobs_options.note */
};

/* Directories of programs are below `dir`, which spools are in, too. `options` (may be NULL)
 * changes what is not 0. Sessions 0 and 1 are of one peer, 2 of another. */
void jobs_fake_init_in(struct jobs_fake *fake, const char *dir, const struct jobs_options *options);

static inline void jobs_fake_init(struct jobs_fake *fake, const struct jobs_options *options)
{
	jobs_fake_init_in(fake, scratch_dir, options);
}

/* Stops, closes, frees; every call must have been answered, every stream ended. */
void jobs_fake_deinit(struct jobs_fake *fake);
void jobs_fake_open_session(struct jobs_fake *fake, unsigned session, const void *peer);
void jobs_fake_close_session(struct jobs_fake *fake, unsigned session);
/* Its link breaks: streams get ENOTCONN. */
void jobs_fake_cut(struct jobs_fake *fake, unsigned session);

struct jobs_fake_call *jobs_fake_start(struct jobs_fake *fake, unsigned session, uint16_t op,
				       const void *args);
/* Runs the loop until it is answered. Returns its error. */
int jobs_fake_wait(struct jobs_fake *fake, struct jobs_fake_call *call);
/* CANCEL. */
void jobs_fake_cancel(struct jobs_fake *fake, struct jobs_fake_call *call);
void jobs_fake_credit(struct jobs_fake_call *call, size_t size);

/* Start and wait, in session 0. */
int jobs_fake_call(struct jobs_fake *fake, uint16_t op, const void *args, void *ret_result);
#define JOBS_FAKE_CALL(fake, NAME, name, result, ...)                                              \
	jobs_fake_call(fake, OP_##NAME, &(struct args_##name){__VA_ARGS__}, result)

/* JOB_START of a line for the shell, with a number of its own if args->job is 0; the last argument
 * is changed so. */
struct jobs_fake_call *jobs_fake_line(struct jobs_fake *fake, unsigned session, const char *line,
				      struct args_job_start args);
/* JOB_START of words, which end with NULL. */
struct jobs_fake_call *jobs_fake_words(struct jobs_fake *fake, unsigned session,
				       const char *const *words, struct args_job_start args);
uint64_t jobs_fake_number(const struct jobs_fake_call *call);

/* What came on a channel so far, as text. */
const char *jobs_fake_output(struct jobs_fake_call *call, unsigned channel);

#define JOBS_FAKE_OWNED (JOB_ATTACH | JOB_OWNER)

/* Runs the loop until it holds. */
#define jobs_fake_until(fake, condition)                                                           \
	do {                                                                                       \
		uint64_t deadline_ = uv_hrtime() / 1000000 + JOBS_FAKE_DEADLINE_MS;                \
		while (!(condition))                                                               \
			loop_turn(&(fake)->loop, deadline_, #condition);                           \
	} while (0)

#endif
