/*
 * Opens: the open files of one session, by handle.
 *
 * The table is changed on the loop only; pool threads use a file through a work that holds it
 * (opens_hold), which keeps the descriptor open. `opens_spare` alone is called by threads, so the
 * table has a lock.
 */
#ifndef DAEMON_SERVE_OPENS_H
#define DAEMON_SERVE_OPENS_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/serve/acting.h"

struct guest;
struct work;

struct open_file {
	uint64_t handle;
	uint64_t node;
	int fd;
	uint32_t flags;        /* O_ACCMODE of OPEN */
	bool is_local;         /* its file system is, as far as is known */
	uint32_t refs;         /* the table's, and each work's */
	enum acting_how how;   /* as whom it was opened, and is written */
	struct caller *caller; /* owned; NULL unless how is ACTING_CALLER */
	struct open_file *next_by_handle;
	struct open_file *next_by_node;
};

struct opens {
	pthread_mutex_t lock;
	struct open_file **by_handle, **by_node; /* buckets, a power of two of each */
	size_t n_buckets;
	size_t n;
	size_t max;
	uint64_t last_handle;
};

/* Returns 0 or -ENOMEM. `max`: files open at once. */
int opens_init(struct opens *opens, size_t max);
/* Closes what is open still (nothing is held any more). Blocks as close(2) does. */
void opens_deinit(struct opens *opens);

/* What a thread has opened, on its way to the table. */
struct opening {
	int fd;
	uint64_t node;
	uint32_t flags;
	bool is_local; /* its file system is */
	bool entered;  /* CREATE: the node was counted */
};

/* Takes its descriptor over as an open file, opened by that work. Returns 0, -ENFILE or -ENOMEM; fd
 * stays the caller's then. */
int opens_add(struct opens *opens, const struct work *work, const struct opening *opening,
	      uint64_t *ret_handle);
/* On a pool thread: from here to acting_end, as the one who opened it. What a write may keep
 * (set-id bits, reserved blocks) is decided so. 0 or -errno. */
int opens_act(const struct work *work, const struct open_file *file, struct acting *ret_acting);

/* The open file `handle` of `node`, held for the work in work->room until opens_settle. Returns
 * NULL if there is none. */
struct open_file *opens_hold(struct opens *opens, struct work *work, uint64_t node,
			     uint64_t handle);
/* Without a work. Give back with opens_put. */
struct open_file *opens_find(struct opens *opens, uint64_t node, uint64_t handle);
void opens_put(struct opens *opens, struct open_file *file);
/* Takes it out of the table; the table's reference becomes the caller's. */
void opens_remove(struct opens *opens, struct open_file *file);

/* A work's settle: gives back the file in work->room and finishes the work. */
void opens_settle(struct work *work, int error);

/* A copy of a descriptor of that node, or -1. Any thread. `arg` is the struct opens. */
int opens_spare(void *arg, uint64_t node);

#endif
