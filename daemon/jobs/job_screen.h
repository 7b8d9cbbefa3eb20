/*
 * A job's terminal as it is shown (screen.h), fed from the spool by threads, at a position of its
 * own.
 */
#ifndef DAEMON_JOBS_JOB_SCREEN_H
#define DAEMON_JOBS_JOB_SCREEN_H

#include <sys/queue.h>

#include "daemon/jobs/spool.h"
#include "proto/ops_peer.h"
#include "proto/codec.h"

struct job;
struct job_screen;

/* Who waits for what is shown when all output up to now is in it. Zero but for the first. */
struct job_screen_wait {
	void (*done)(struct job_screen_wait *wait, int error);
	void *arg;
	bool as_text; /* else as bytes that make a terminal show it */
	unsigned n_history;
	/* the answer */
	uint64_t offset;   /* what comes from there on is not in it */
	struct buffer out; /* the waiter's, to be freed */
	unsigned rows, cols, cursor_row, cursor_col;
	char title[OPS_JOB_TITLE_MAX + 1];
	/* job_screen's */
	TAILQ_ENTRY(job_screen_wait) entry;
};

/* 0 or -ENOMEM. */
int job_screen_new(struct job *job, unsigned rows, unsigned cols, struct job_screen **ret_screen);
/* No thread is at it (job_screen_is_busy), nobody waits. */
void job_screen_free(struct job_screen *screen);
bool job_screen_is_busy(const struct job_screen *screen);

/* There is new output. */
void job_screen_feed(struct job_screen *screen);
/* From here on. */
void job_screen_resize(struct job_screen *screen, unsigned rows, unsigned cols);
/* `done` is called later. */
void job_screen_ask(struct job_screen *screen, struct job_screen_wait *wait);
/* Bytes from there on are still needed. */
uint64_t job_screen_position(const struct job_screen *screen);

#endif
