/*
 * Jobs in the store: those that outlive their clients. What is found there when a daemon starts was
 * running when the one before it ended.
 */
#ifndef DAEMON_STORE_JOBS_H
#define DAEMON_STORE_JOBS_H

#include <time.h>

#include "daemon/store.h"
#include "proto/ops_jobs.h"

struct store_job {
	char peer[IDENTITY_ID_SIZE]; /* that started it */
	uint64_t number;
	char name[OPS_JOB_NAME_MAX + 1];
	char cmd[OPS_JOB_CMD_MAX + 1];
	bool tty;
	struct timespec started;
};

/* Changes, as those of store.h: 0 or -errno; a failure on the disk is logged. A job goes with its
 * peer. */
int store_put_job(struct store *store, const struct store_job *job);
/* None of that number is no error. */
int store_remove_job(struct store *store, const char *peer, uint64_t number);
/* All of a peer. */
int store_remove_jobs(struct store *store, const char *peer);

/* Reads all, oldest first: `found` is called for each from the loop, after what was submitted
 * before and before what is submitted later. A row that makes no sense is left out. 0 or -errno. */
int store_load_jobs(struct store *store, void (*found)(void *arg, const struct store_job *job),
		    void *arg);

#endif
