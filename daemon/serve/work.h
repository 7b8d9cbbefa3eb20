/*
 * Work: one request on its way through the serving side.
 *
 *     handle ─→ order (per node) ─→ attempt (loop) ─→ pool queue ─→ run (thread) ─→ finish (loop)
 *                                       └────── done ───────────────────────────────┘
 *
 * Each work is answered exactly once, by work_finish, on the loop. Its request, and so its args,
 * live until then, also when the session has gone.
 */
#ifndef DAEMON_SERVE_WORK_H
#define DAEMON_SERVE_WORK_H

#include <stdatomic.h>

#include "daemon/net/request.h"
#include "daemon/serve/acting.h"
#include "daemon/serve/order.h"
#include "daemon/serve/threads.h"
#include "proto/ops_peer.h"

#define WORK_BATCH_MAX 32 /* works that go to a thread together: 4 MiB of WRITEs at most */

struct guest;
struct work;

/* What attempt and run return besides 0 and -errno. */
enum work_verdict {
	WORK_BLOCKS = 1,  /* attempt: it would block; run it in the pool */
	WORK_PENDING = 2, /* it is not done: the room calls work_finish or work_again later */
};

/* A row per operation; the rooms' tables are collected in serve.c. */
struct work_handler {
	uint16_t op;
	enum order_class order;
	/* On the loop, must not block. NULL: straight to the pool. */
	int (*attempt)(struct work *work);
	/* On a pool thread: does it and fills work->result. NULL if attempt always decides. */
	int (*run)(struct work *work);
	/* On a pool thread: `works` (linked by `next`) came right behind each other for one node,
	 * and are done in this order; sets the `error` of each. NULL: they run one at a time. */
	void (*run_batch)(struct work *works);
	/* On the loop, in place of the usual answer, with what run returned: it must lead to
	 * work_finish. NULL: work_finish. */
	void (*settle)(struct work *work, int error);
	/* On the loop: the peer gave up, or the session is closing. work->cancelled is set already;
	 * needed only by those that return WORK_PENDING. */
	void (*cancel)(struct work *work);
};

enum work_state {
	WORK_ORDERED, /* waits for earlier calls of its node */
	WORK_QUEUED,  /* waits for a thread */
	WORK_RUNNING, /* on a thread */
	WORK_PARKED,  /* WORK_PENDING was returned, or it is in attempt or settle */
};

struct work {
	struct guest *guest;
	struct request *request;
	const struct work_handler *handler;
	const void *args;    /* struct args_x */
	enum acting_how how; /* as whom it is done */
	bool may_write;      /* the peer holds fs:rw */
	union {
		struct result_lookup lookup;
		struct result_getattr getattr;
		struct result_setattr setattr;
		struct result_readdir readdir;
		struct result_readlink readlink;
		struct result_symlink symlink;
		struct result_link link;
		struct result_mknod mknod;
		struct result_mkdir mkdir;
		struct result_open open;
		struct result_create create;
		struct result_read read;
		struct result_write write;
		struct result_fallocate fallocate;
		struct result_lseek lseek;
		struct result_copy_range copy_range;
		struct result_getxattr getxattr;
		struct result_listxattr listxattr;
		struct result_statfs statfs;
		struct result_lock lock;
		struct result_exports exports;
	} result;      /* zeroed at first */
	void *payload; /* malloc'd bytes that result points into; freed after the answer */
	void *room;    /* the handler's own; set: settle is called also for a cancelled one */
	atomic_bool cancelled; /* run may look at it between steps, and return -EINTR */
	/* work.c's and order.c's from here on */
	enum work_state state;
	int error; /* what run returned */
	struct task task;
	struct work *next; /* in its guest's pool queue, then of its batch */
	struct work *previous_of_guest, *next_of_guest;
	struct order_link order;
};

/* In run: from here to acting_end, as the one on whose behalf the request is made. 0 or -errno. */
int work_act(const struct work *work, struct acting *ret_acting);
/* The same where contents are changed, which clears set-id bits. */
int work_act_to_write(const struct work *work, struct acting *ret_acting);

/* A request came in. Answers it at once if there is no handler or no memory. */
void work_begin(struct guest *guest, const struct work_handler *handler, struct request *request);
/* order.c: its turn has come. */
void work_start(struct work *work);
/* Runs (again) in the pool. On the loop. */
void work_again(struct work *work);
/* Answers: `error` is 0 (with work->result) or negative. The work is gone after it. On the loop. */
void work_finish(struct work *work, int error);
/* The same where the answer was given already (request_reply_stream). */
void work_finish_answered(struct work *work);
/* Later calls of the same node may go ahead before this one is finished (a lock that waits). */
void work_leave_order(struct work *work);
/* The pool's ends of it: on the loop, where it takes along what follows it and is done best in one
 * go; on a thread; and on the loop again. */
void work_go(struct work *work);
void work_run(struct work *work);
void work_done(struct work *work);
/* The peer gave up, or the session has gone. A work that waits ends with -EINTR now (through settle
 * if it has been under way: `room` is set), one that runs when it comes back. */
void work_cancel(struct work *work);

#endif
