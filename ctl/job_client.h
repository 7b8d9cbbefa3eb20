/*
 * Job client: follows one job on a peer, from its start or from later on, over links that break.
 *
 * The job's output is told piece by piece; where the link is lost, it goes on at the byte where it
 * stopped, as long as the peer keeps the job (JOB_CLIENT_PATIENCE_MS). Standard input goes the
 * other way (job_input.c), and is sent again likewise. Nothing here waits; handlers are called from
 * remote_turn and job_client_turn only.
 */
#ifndef CTL_JOB_CLIENT_H
#define CTL_JOB_CLIENT_H

#include "ctl/remote.h"

/* How long a link may be lost: the peer gives the job up about then (job_grace). */
#define JOB_CLIENT_PATIENCE_MS (10 * 60 * 1000)

struct job_client;

/* None but link may be NULL. */
struct job_client_handler {
	/* It runs (or is found, when attached to). Once. */
	void (*started)(void *arg, const struct job_info *info);
	/* Output; each byte is to be given back with job_client_consumed. */
	void (*output)(void *arg, unsigned channel, struct bytes data);
	/* It has ended; what it had written by then was told before. What comes after it was
	 * written by what it left behind. */
	void (*ended)(void *arg, const struct job_info *info);
	/* Nothing is told any more: with 0 after the end of the output, else with a negative errno
	 * and a line for people (unescaped). */
	void (*closed)(void *arg, int error, const char *why);
	/* The link was lost, or is back. */
	void (*link)(void *arg, bool lost);
};

/* `remote`, `peer` and `handler` are borrowed. Returns 0 or -ENOMEM. */
int job_client_new(struct remote *remote, const char *peer,
		   const struct job_client_handler *handler, void *arg,
		   struct job_client **ret_job);
/* Gives up what is under way: a job that belongs to this client ends with it. NULL is fine. */
struct job_client *job_client_free(struct job_client *job);

/* One of them, once. JOB_ATTACH is set in the flags of a start. Return 0 or -errno. */
int job_client_start(struct job_client *job, const struct args_job_start *args);
int job_client_attach(struct job_client *job, const struct args_job_attach *args);

void job_client_consumed(struct job_client *job, unsigned channel, size_t bytes);
/* Milliseconds until job_client_turn is due; -1: not until something comes. */
int job_client_timeout(const struct job_client *job);
void job_client_turn(struct job_client *job);

/* Behind what was asked before; nobody hears whether it did. */
void job_client_signal(struct job_client *job, unsigned signal);
void job_client_resize(struct job_client *job, unsigned rows, unsigned cols);

/* The job's number; 0 before an attach by name has been answered. */
uint64_t job_client_number(const struct job_client *job);

/* --- standard input (job_input.c) ------------------------------------------------------------- */

/* Bytes that are taken now, at most OPS_IO_MAX; 0: later, or never if it is closed. */
size_t job_client_input_room(const struct job_client *job);
/* Takes at most that many bytes (copied); with `eof` they are the last. Returns 0 or -errno. */
int job_client_input(struct job_client *job, struct bytes data, bool eof);
/* Nobody reads it any more, or it was ended. */
bool job_client_input_is_closed(const struct job_client *job);

#endif
