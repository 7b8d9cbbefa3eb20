/*
 * Detached jobs and terminals are in the store while they run, so that the daemon which comes after
 * this one can say that they are lost.
 */
#ifndef DAEMON_LOST_JOBS_H
#define DAEMON_LOST_JOBS_H

#include "daemon/daemon.h"

/* For jobs_options: `arg` is the daemon, `peer` a net_peer. */
void lost_jobs_note(void *arg, const void *peer, const struct job_info *info, bool is_to_be_kept);

/* Gives the jobs' room those of the daemon before this; before the first is noted. */
void lost_jobs_load(struct daemon *daemon);

#endif
