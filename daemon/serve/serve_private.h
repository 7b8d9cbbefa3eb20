/* Serve, for the files of this folder. */
#ifndef DAEMON_SERVE_SERVE_PRIVATE_H
#define DAEMON_SERVE_SERVE_PRIVATE_H

#include "daemon/serve/acting.h"
#include "daemon/serve/closings.h"
#include "daemon/serve/guest.h"
#include "daemon/serve/locks.h"
#include "daemon/serve/removed.h"
#include "daemon/serve/serve.h"
#include "daemon/serve/work.h"

struct serve {
	struct service service;
	uv_loop_t *loop;
	struct acting_self self;
	struct exports exports;
	struct mounts *mounts;
	struct pool pool;
	struct closings closings;
	struct removed removed;
	uv_timer_t sweep; /* objects that others have removed */
	size_t max_nodes, max_open_files, max_kept;
	int64_t verify_ms;
	struct guest *guests;
	bool trimming;
	uv_work_t trim;
	struct lock_waiters lock_waiters;
	void (*lock_waiters_closed)(struct serve *serve);
	unsigned n_closing; /* guests whose files are being closed */
	bool stopping;
	void (*stopped)(void *arg);
	void *stopped_arg;
};

/* A guest, a trim or a closing of files has ended. */
void serve_settle(struct serve *serve);

/* The rooms' handlers, each ended by a row with op 0. */
extern const struct work_handler attrs_handlers[];
extern const struct work_handler dirs_handlers[];
extern const struct work_handler files_handlers[];
extern const struct work_handler locks_handlers[];
extern const struct work_handler names_handlers[];
extern const struct work_handler opens_handlers[];
extern const struct work_handler xattrs_handlers[];

#endif
