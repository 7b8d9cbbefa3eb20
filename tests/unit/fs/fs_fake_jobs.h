/*
 * Jobs of the peer in memory (fs_fake.h): nothing is run; a test says what a job writes and how it
 * ends.
 */
#ifndef TESTS_FS_FAKE_JOBS_H
#define TESTS_FS_FAKE_JOBS_H

#include "fs_fake.h"

struct fs_fake_job {
	struct fs_fake_job *next;
	uint64_t number, flags;
	char *name, *line, *cwd, *env; /* env: NAME=VALUE; behind each other */
	unsigned state, exit, signal;  /* as in job_info */
	unsigned rows, cols;
	uint8_t *output, *channels; /* a byte each */
	uint64_t kept, end;
	bool is_over; /* its output is */
	char *input;
	size_t n_input;
	bool has_eof, takes_input; /* it does not read before a test says so */
	unsigned last_signal;
};

/* A stream, or a call that waits. */
struct fs_fake_job_call {
	struct fs_fake_job *job;
	uint64_t at;
	bool is_stream, is_owner, was_told;
};

/* The last one started with that name (NULL: with any), or NULL. */
struct fs_fake_job *fs_fake_job_find(struct fs_fake *fake, const char *name);
void fs_fake_job_write(struct fs_fake_job *job, unsigned channel, const void *data, size_t size);
/* It ends, and with it its output. */
void fs_fake_job_exit(struct fs_fake_job *job, unsigned status);
/* Something that `events` tells. */
void fs_fake_job_event(struct fs_fake *fake, const char *name, bool is_removed);

/* For fs_fake.c: answers; -EINPROGRESS: not yet. */
int fs_fake_job_answer(struct fs_fake *fake, uint16_t op, const void *args, void *result,
		       struct fs_fake_job_call *call, struct buffer *scratch);
/* What comes next in a stream: 1 and its bytes; 0: nothing now; -1: its end. */
int fs_fake_job_next(struct fs_fake *fake, struct fs_fake_job_call *call, size_t room,
		     unsigned *ret_channel, struct buffer *ret_data);
/* A stream was given up. */
void fs_fake_job_gone(struct fs_fake_job_call *call);
void fs_fake_jobs_free(struct fs_fake *fake);

#endif
