/* The room, for the files of this folder. */
#ifndef DAEMON_JOBS_JOBS_PRIVATE_H
#define DAEMON_JOBS_JOBS_PRIVATE_H

#include "daemon/jobs/job.h"

TAILQ_HEAD(job_list, job);
TAILQ_HEAD(jobs_watcher_list, jobs_watcher);

/* Who asks for JOB_EVENTS. */
struct jobs_watcher {
	struct jobs_peer *peer;
	struct request_stream *stream;
	TAILQ_ENTRY(jobs_watcher) entry;
	struct buffer queued; /* encoded job_infos that there was no credit for */
	bool is_over;         /* too many */
};

/* A session. */
struct jobs_guest {
	struct jobs_peer *peer;
	bool is_local; /* this machine's own user, who sees the jobs of all */
	struct job_pending_list pending;
};

struct jobs_peer {
	struct jobs *jobs;
	const void *key;           /* session_peer; NULL once it is removed */
	struct job_list jobs_list; /* oldest first */
	unsigned n_active;         /* starting or active */
	unsigned n_guests;
	unsigned n_jobs; /* that are not freed */
	struct jobs_watcher_list watchers;
	struct jobs_peer *next;
};

struct jobs {
	struct service service;
	struct jobs_options options;
	struct job_env env;
	struct job_rules rules;
	struct jobs_peer *peers;
	bool is_stopping;
	unsigned n_active; /* starting or active, of all */
	void (*stopped)(void *arg);
	void *stopped_arg;
	void (*freed)(void *arg);
	void *freed_arg;
	bool is_freeing;
};

/* jobs.c */
/* A job has ended, or was not started: counts, and forgets what is too old. */
void jobs_ended(struct job *job);
/* Job or peer has gone. */
void jobs_settle(struct jobs *jobs);
void jobs_peer_settle(struct jobs_peer *peer);
void jobs_keep_few(struct jobs_peer *peer);
/* A request that is answered later. NULL: out of memory. */
struct job_pending *jobs_pending_new(enum job_pending_kind kind, struct request *request,
				     struct job *job, struct jobs_guest *guest);
/* Out of its guest's list, and freed: it is about to be answered. Returns its request. */
struct request *jobs_pending_take(struct job_pending *pending);
void jobs_tell(struct job *job, int error);
/* Has it become one that would be lost with us, or is it none any more? */
void jobs_note(struct job *job);
bool jobs_name_is_taken(const struct jobs_peer *peer, const char *name, bool only_active);

/* jobs_watch.c */
void jobs_watch(struct jobs_peer *peer, struct request *request);
void jobs_watch_tell(struct jobs_peer *peer, const struct job_info *info);
void jobs_watch_end(struct jobs_peer *peer, int error);

/* jobs_screen.c */
/* JOB_SCREEN, and JOB_ATTACH with JOB_SCREEN. */
void jobs_screen_ask(struct job *job, struct jobs_guest *guest, struct request *request);
/* It is not wanted any more. */
void jobs_screen_withdraw(struct job_pending *pending);

/* jobs_ops.c */
void jobs_ops_handle(struct jobs_guest *guest, struct request *request);
/* A job has started, or could not be. */
void jobs_ops_started(struct job *job, int error);
void jobs_ops_ended(struct job *job);

#endif
