/*
 * Jobs: programs that peers run here. The room for operations 60 to 72.
 */
#ifndef DAEMON_JOBS_JOBS_H
#define DAEMON_JOBS_JOBS_H

#include <sys/resource.h>

#include "daemon/net/request.h"
#include "proto/ops_peer.h"

struct jobs;

/* Strings are borrowed until jobs_free. */
struct jobs_options {
	uv_loop_t *loop;
	const char *spool_dir;    /* where output that is not in memory goes */
	uint64_t spool_limit;     /* bytes of each job on the disk */
	unsigned max_jobs;        /* of one peer that run at once */
	uint64_t grace_ms;        /* how long a job outlives the link to its client */
	uint64_t time_limit_ms;   /* of every job; 0: none */
	const char *allow, *deny; /* job_command.h */
	char *const *environment; /* of this process */
	mode_t umask;             /* of the programs */
	struct rlimit n_files;    /* likewise: RLIMIT_NOFILE */
	/* On a thread: a directory that peers see, as an O_PATH descriptor, or -errno. */
	int (*open_directory)(void *arg, struct bytes path);
	/* What the peer of a session is called now. */
	const char *(*peer_name)(void *arg, const void *peer);
	/* A job was started, refused (`error`) or has ended; for the audit log. May be NULL. */
	void (*told)(void *arg, const char *peer, const struct job_info *info, int error,
		     int64_t duration_ms);
	/* This job will be lost if we end before `note` is called for it once more, with false: it
	 * belongs to no client. May be NULL. */
	void (*note)(void *arg, const void *peer, const struct job_info *info, bool is_to_be_kept);
	void *arg;
};

/* Returns 0 or -errno. */
int jobs_new(const struct jobs_options *options, struct jobs **ret_jobs);

/* The room, for daemon/net; valid until jobs_free. */
const struct service *jobs_service(const struct jobs *jobs);

/* A job of a peer (session_peer) that a room before this one noted and did not see the end of: from
 * now on it is JOB_LOST. Its number, name, cmd, tty and start are taken. 0 or -errno. */
int jobs_add_lost(struct jobs *jobs, const void *peer, const struct job_info *info);

/* A peer (session_peer) is no peer any more, its sessions are closed: its jobs are killed. */
void jobs_peer_removed(struct jobs *jobs, const void *peer);

/* Ends all jobs and their streams (ESHUTDOWN): SIGHUP, and SIGKILL soon after. `done` is called
 * when all have ended. Nothing is started any more; requests are still answered. */
void jobs_stop(struct jobs *jobs, void (*done)(void *arg), void *arg);
/* After jobs_stop's done, with all sessions closed: `done` is called when it is gone. */
void jobs_free(struct jobs *jobs, void (*done)(void *arg), void *arg);

#endif
