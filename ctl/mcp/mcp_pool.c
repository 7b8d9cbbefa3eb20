#include "ctl/mcp/mcp_pool.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "ctl/mcp/mcp_method.h"
#include "ctl/mcp/mcp_server.h"
#include "ctl/mcp/rpc.h"
#include "ctl/remote.h"

#define STACK_SIZE (1024 * 1024)

int mcp_pool_init(struct mcp_pool *pool, struct mcp_server *server)
{
	pthread_condattr_t attributes;

	*pool = (struct mcp_pool){.server = server};
	pool->last = &pool->first;
	if (pthread_condattr_init(&attributes) != 0)
		return -ENOMEM;
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work, NULL);
	pthread_cond_init(&pool->idle, &attributes);
	pthread_condattr_destroy(&attributes);
	return 0;
}

void mcp_pool_deinit(struct mcp_pool *pool)
{
	pthread_cond_destroy(&pool->idle);
	pthread_cond_destroy(&pool->work);
	pthread_mutex_destroy(&pool->lock);
}

/* --- a worker --------------------------------------------------------------------------------- */

/* The next call, or NULL when it is over. Locked. */
static struct mcp_call *take_call(struct mcp_worker *worker)
{
	struct mcp_pool *pool = worker->pool;
	struct mcp_call *call;

	while (!pool->first && !pool->is_over) {
		pool->n_idle++;
		pthread_cond_broadcast(&pool->idle);
		pthread_cond_wait(&pool->work, &pool->lock);
		pool->n_idle--;
	}
	call = pool->first;
	if (pool->is_over || !call)
		return NULL;
	pool->first = call->next;
	if (!pool->first)
		pool->last = &pool->first;
	pool->n_queued--;
	call->worker = worker;
	worker->call = call;
	return call;
}

/* Nobody writes to the eventfd without the lock and a call: it is clean for the next. Locked. */
static void leave_call(struct mcp_worker *worker)
{
	uint64_t count;

	worker->call = NULL;
	while (read(worker->interrupt_fd, &count, sizeof(count)) < 0 && errno == EINTR)
		;
}

static void worker_free(struct mcp_worker *worker)
{
	remote_free(worker->remote);
	if (worker->interrupt_fd >= 0)
		close(worker->interrupt_fd);
	free(worker);
}

static void *worker_run(void *arg)
{
	struct mcp_worker *worker = arg;
	struct mcp_pool *pool = worker->pool;
	struct mcp_call *call;

	pthread_mutex_lock(&pool->lock);
	while ((call = take_call(worker))) {
		pthread_mutex_unlock(&pool->lock);
		call->method->run(call);
		/* What it asked for may still be under way: that ends with the connection. */
		if (atomic_load(&call->cancelled))
			worker->remote = remote_free(worker->remote);
		pthread_mutex_lock(&pool->lock);
		leave_call(worker);
		mcp_call_free(call);
	}
	worker->remote = remote_free(worker->remote);
	pool->n_workers--;
	pthread_cond_broadcast(&pool->idle);
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

/* Locked. */
static int start_worker(struct mcp_pool *pool)
{
	struct mcp_worker *worker = calloc(1, sizeof(*worker));
	pthread_attr_t attributes;
	int r = -ENOMEM;

	if (!worker)
		return -ENOMEM;
	worker->pool = pool;
	worker->interrupt_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (worker->interrupt_fd >= 0 && pthread_attr_init(&attributes) == 0) {
		pthread_attr_setstacksize(&attributes, STACK_SIZE);
		r = -pthread_create(&worker->thread, &attributes, worker_run, worker);
		pthread_attr_destroy(&attributes);
	}
	if (r < 0) {
		worker_free(worker);
		return -ENOMEM;
	}
	worker->next = pool->workers;
	pool->workers = worker;
	pool->n_workers++;
	return 0;
}

/* --- the main thread's ------------------------------------------------------------------------ */

int mcp_pool_add(struct mcp_pool *pool, struct mcp_call *call)
{
	int r = 0;

	pthread_mutex_lock(&pool->lock);
	if (pool->is_over || pool->n_queued >= MCP_POOL_QUEUE_MAX)
		r = -EAGAIN;
	/* Those idle are counted until they wake: one more thread than needed does no harm. */
	else if (pool->n_queued >= pool->n_idle && pool->n_workers < MCP_POOL_WORKERS_MAX)
		r = start_worker(pool);
	if (r < 0 && r != -EAGAIN && pool->n_workers > 0)
		r = 0; /* the others will come to it */
	if (r == 0) {
		call->next = NULL;
		*pool->last = call;
		pool->last = &call->next;
		pool->n_queued++;
		pthread_cond_signal(&pool->work);
	}
	pthread_mutex_unlock(&pool->lock);
	return r < 0 ? -EAGAIN : 0;
}

bool mcp_pool_has(struct mcp_pool *pool, const json_t *id)
{
	bool found = false;

	pthread_mutex_lock(&pool->lock);
	for (struct mcp_call *call = pool->first; call; call = call->next)
		found |= rpc_same_id(call->id, id);
	for (struct mcp_worker *worker = pool->workers; worker; worker = worker->next)
		found |= worker->call && rpc_same_id(worker->call->id, id);
	pthread_mutex_unlock(&pool->lock);
	return found;
}

static void cancel_queued(struct mcp_pool *pool, const json_t *id)
{
	struct mcp_call **at = &pool->first, *call;

	while ((call = *at)) {
		if (id && !rpc_same_id(call->id, id)) {
			at = &call->next;
			continue;
		}
		*at = call->next;
		pool->n_queued--;
		atomic_store(&call->cancelled, true);
		mcp_server_reply(call, NULL);
		mcp_call_free(call);
	}
	pool->last = at;
}

void mcp_pool_cancel(struct mcp_pool *pool, const json_t *id)
{
	const uint64_t one = 1;

	pthread_mutex_lock(&pool->lock);
	cancel_queued(pool, id);
	for (struct mcp_worker *worker = pool->workers; worker; worker = worker->next) {
		if (!worker->call || (id && !rpc_same_id(worker->call->id, id)))
			continue;
		atomic_store(&worker->call->cancelled, true);
		while (write(worker->interrupt_fd, &one, sizeof(one)) < 0 && errno == EINTR)
			;
	}
	pthread_mutex_unlock(&pool->lock);
}

static struct timespec deadline_in(int ms)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	time.tv_sec += ms / 1000;
	time.tv_nsec += ms % 1000 * 1000000L;
	if (time.tv_nsec >= 1000000000L) {
		time.tv_sec++;
		time.tv_nsec -= 1000000000L;
	}
	return time;
}

bool mcp_pool_wait(struct mcp_pool *pool, int timeout_ms)
{
	struct timespec deadline = deadline_in(timeout_ms);
	int r = 0;

	pthread_mutex_lock(&pool->lock);
	while (r == 0 && (pool->first || pool->n_idle < pool->n_workers))
		r = pthread_cond_timedwait(&pool->idle, &pool->lock, &deadline);
	pthread_mutex_unlock(&pool->lock);
	return r == 0;
}

/* All of them have left or are about to; what libraries keep for a thread goes when it is gone. */
static void join_workers(struct mcp_pool *pool)
{
	struct mcp_worker *worker;

	while ((worker = pool->workers)) {
		pool->workers = worker->next;
		pthread_join(worker->thread, NULL);
		worker_free(worker);
	}
}

bool mcp_pool_stop(struct mcp_pool *pool, int timeout_ms)
{
	struct timespec deadline = deadline_in(timeout_ms);
	bool all;
	int r = 0;

	mcp_pool_cancel(pool, NULL);
	pthread_mutex_lock(&pool->lock);
	pool->is_over = true;
	pthread_cond_broadcast(&pool->work);
	while (r == 0 && pool->n_workers > 0)
		r = pthread_cond_timedwait(&pool->idle, &pool->lock, &deadline);
	all = pool->n_workers == 0;
	pthread_mutex_unlock(&pool->lock);
	if (all)
		join_workers(pool);
	return all;
}
