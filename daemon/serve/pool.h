/*
 * The pool: threads that are shared fairly. Each guest has a queue; queues take turns, and the
 * guests of one peer occupy at most half of the threads, so that a peer whose disk hangs delays
 * nobody else. (A peer has several: what a session that is gone began, goes on.) On the loop only.
 */
#ifndef DAEMON_SERVE_POOL_H
#define DAEMON_SERVE_POOL_H

#include "daemon/serve/threads.h"

struct work;
struct pool;

struct pool_queue {
	struct pool *pool;
	struct work *first, *last;
	unsigned running;
	const void *peer; /* whose: only compared */
	struct pool_queue *next_of_pool;
	struct pool_queue *next; /* in the ring of those with work to start */
	bool in_ring;
};

struct pool {
	struct threads crew;
	unsigned threads, running;
	struct pool_queue *queues; /* all */
	struct pool_queue *ring_first, *ring_last;
	void (*start)(struct work *work); /* on the loop, right before it goes to a thread */
	void (*run)(struct work *work);   /* on a thread */
	void (*done)(struct work *work);  /* on the loop */
	void (*between)(void *arg);       /* on a thread, that has ended a work; may be NULL */
	void *arg;
};

/* `threads`: how many may be busy at once. Afterwards `between` may be set. 0 or -errno. */
int pool_init(struct pool *pool, uv_loop_t *loop, unsigned threads,
	      void (*start)(struct work *work), void (*run)(struct work *work),
	      void (*done)(struct work *work));
/* No queue is left. The memory is free once `closed` is called, with a handle whose data is `data`.
 */
void pool_deinit(struct pool *pool, uv_close_cb closed, void *data);

/* `peer` is the same for all queues that share their half; NULL: it is alone. */
void pool_queue_init(struct pool_queue *queue, struct pool *pool, const void *peer);
/* Nothing of it is queued or runs. */
void pool_queue_deinit(struct pool_queue *queue);
void pool_submit(struct pool_queue *queue, struct work *work);
/* Takes out one that has not started. Returns false if it is not in the queue. */
bool pool_withdraw(struct pool_queue *queue, struct work *work);

#endif
