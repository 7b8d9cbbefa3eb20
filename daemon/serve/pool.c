#include "daemon/serve/pool.h"

#include <assert.h>

#include "daemon/serve/guest.h"
#include "daemon/serve/work.h"

void pool_init(struct pool *pool, uv_loop_t *loop, unsigned threads,
	       void (*start)(struct work *work), void (*run)(struct work *work),
	       void (*done)(struct work *work))
{
	*pool = (struct pool){
	    .loop = loop, .threads = threads, .start = start, .run = run, .done = done};
}

void pool_queue_init(struct pool_queue *queue, struct pool *pool, const void *peer)
{
	*queue = (struct pool_queue){
	    .pool = pool, .peer = peer ? peer : queue, .next_of_pool = pool->queues};
	pool->queues = queue;
}

/* Half of all threads, also when fewer than all of them are ours. */
static unsigned share(const struct pool *pool)
{
	return (pool->threads + 1) / 2;
}

/* Guests are few: those of peers, and of theirs that are gone as many as have a thread still. */
static bool has_its_share(const struct pool *pool, const struct pool_queue *queue)
{
	unsigned running = 0;

	for (const struct pool_queue *q = pool->queues; q; q = q->next_of_pool)
		running += q->peer == queue->peer ? q->running : 0;
	return running >= share(pool);
}

static void ring_append(struct pool *pool, struct pool_queue *queue)
{
	if (queue->in_ring || !queue->first || has_its_share(pool, queue))
		return;
	queue->in_ring = true;
	queue->next = NULL;
	if (pool->ring_last)
		pool->ring_last->next = queue;
	else
		pool->ring_first = queue;
	pool->ring_last = queue;
}

static struct pool_queue *ring_take(struct pool *pool)
{
	struct pool_queue *queue = pool->ring_first;

	if (!queue)
		return NULL;
	pool->ring_first = queue->next;
	if (!pool->ring_first)
		pool->ring_last = NULL;
	queue->in_ring = false;
	return queue;
}

static void on_thread(uv_work_t *uv)
{
	struct work *work = uv->data;

	work->guest->queue.pool->run(work);
}

static void pump(struct pool *pool);

static void after(uv_work_t *uv, int status)
{
	struct work *work = uv->data;
	struct pool_queue *queue = &work->guest->queue;
	struct pool *pool = queue->pool;

	pool->running--;
	queue->running--;
	for (struct pool_queue *q = pool->queues; q; q = q->next_of_pool) {
		if (q->peer == queue->peer)
			ring_append(pool, q);
	}
	pool->done(work); /* the guest, and so the queue, may be gone after it */
	pump(pool);
}

static void pump(struct pool *pool)
{
	while (pool->running < pool->threads) {
		struct pool_queue *queue = ring_take(pool);
		struct work *work;
		int error;

		if (!queue)
			return;
		work = queue->first;
		if (!work ||
		    has_its_share(pool, queue)) /* withdrawn, or another of its peer's began */
			continue;
		queue->first = work->next;
		if (!queue->first)
			queue->last = NULL;
		work->next = NULL;
		queue->running++;
		pool->running++;
		ring_append(pool, queue);
		pool->start(work);
		work->uv.data = work;
		error = uv_queue_work(pool->loop, &work->uv, on_thread, after);
		assert(error == 0); /* only fails without a function */
		(void)error;
	}
}

void pool_submit(struct pool_queue *queue, struct work *work)
{
	work->state = WORK_QUEUED;
	work->next = NULL;
	if (queue->last)
		queue->last->next = work;
	else
		queue->first = work;
	queue->last = work;
	ring_append(queue->pool, queue);
	pump(queue->pool);
}

bool pool_withdraw(struct pool_queue *queue, struct work *work)
{
	struct work *previous = NULL;

	for (struct work *w = queue->first; w; previous = w, w = w->next) {
		if (w != work)
			continue;
		if (previous)
			previous->next = work->next;
		else
			queue->first = work->next;
		if (queue->last == work)
			queue->last = previous;
		return true;
	}
	return false;
}

void pool_queue_deinit(struct pool_queue *queue)
{
	struct pool *pool = queue->pool;
	struct pool_queue *previous = NULL;

	assert(!queue->first && !queue->running);
	for (struct pool_queue **at = &pool->queues; *at; at = &(*at)->next_of_pool) {
		if (*at == queue) {
			*at = queue->next_of_pool;
			break;
		}
	}
	if (!queue->in_ring)
		return;
	for (struct pool_queue *q = pool->ring_first; q; previous = q, q = q->next) {
		if (q != queue)
			continue;
		if (previous)
			previous->next = queue->next;
		else
			pool->ring_first = queue->next;
		if (pool->ring_last == queue)
			pool->ring_last = previous;
		break;
	}
	queue->in_ring = false;
}
