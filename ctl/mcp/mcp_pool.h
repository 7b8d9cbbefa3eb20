/*
 * The pool: calls that wait, each on a thread, so many at once; the others queue.
 *
 *     main thread:  mcp_pool_add ──▶ queue ──▶ a worker: method->run(call) ──▶ mcp_server_reply
 *                   mcp_pool_cancel: off the queue, or the worker's interrupt_fd becomes readable
 *
 * A worker without a call keeps its connection to loopsyd for the next one.
 */
#ifndef CTL_MCP_POOL_H
#define CTL_MCP_POOL_H

#include <pthread.h>

#include "ctl/mcp/mcp_call_private.h"

#define MCP_POOL_WORKERS_MAX 16
#define MCP_POOL_QUEUE_MAX   256

struct mcp_worker {
	struct mcp_pool *pool;
	pthread_t thread; /* joined by mcp_pool_stop */
	int interrupt_fd; /* an eventfd */
	struct mcp_call *call;
	struct remote *remote; /* the worker's own */
	struct mcp_worker *next;
};

struct mcp_pool {
	struct mcp_server *server;
	pthread_mutex_t lock; /* of all below, and of mcp_call.cancelled being set */
	pthread_cond_t work;  /* for workers: a call is queued, or it is over */
	pthread_cond_t idle;  /* for mcp_pool_wait */
	struct mcp_call *first, **last;
	unsigned n_queued;
	struct mcp_worker *workers;
	unsigned n_workers, n_idle;
	bool is_over;
};

int mcp_pool_init(struct mcp_pool *pool, struct mcp_server *server);
/* After mcp_pool_stop returned true. */
void mcp_pool_deinit(struct mcp_pool *pool);

/* Takes the call over. Returns 0, or -EAGAIN (too many; it is still the caller's then). */
int mcp_pool_add(struct mcp_pool *pool, struct mcp_call *call);
/* Whether a call with this id is under way. */
bool mcp_pool_has(struct mcp_pool *pool, const json_t *id);
/* Cancels that call, if it is under way; NULL: all of them. */
void mcp_pool_cancel(struct mcp_pool *pool, const json_t *id);
/* Waits so long until no call is under way. Returns whether none is. */
bool mcp_pool_wait(struct mcp_pool *pool, int timeout_ms);
/* Ends the threads, waiting so long at most. Returns whether all have ended; else the memory must
 * stay as it is until the program ends. */
bool mcp_pool_stop(struct mcp_pool *pool, int timeout_ms);

#endif
