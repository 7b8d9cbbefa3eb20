#include "daemon/serve/pool.h"

#include <assert.h>

#include "daemon/serve/guest.h"
#include "daemon/serve/work.h"

static void pump(struct pool *pool);

static void between(void *arg)
{
	const struct pool *pool = arg;

	if (pool->between)
		pool->between(pool->arg);
}

static void on_freed(void *arg)
{
	pump(arg);
}

int pool_init(struct pool *pool, uv_loop_t *loop, unsigned threads,
	      void (*start)(struct work *work), void (*run)(struct work *work),
	      void (*done)(struct work *work))
{
	*pool = (struct pool){.threads = threads, .start = start, .run = run, .done = done};
	return threads_init(&pool->crew, loop, threads, between, on_freed, pool);
}

void pool_deinit(struct pool *pool, uv_close_cb closed, void *data)
{
	assert(!pool->queues && !pool->running);
	threads_deinit(&pool->crew, closed, data);
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

static struct work *work_of(struct task *task)
{
	return (struct work *)((char *)task - offsetof(struct work, task));
}

static void on_thread(struct task *task)
{
	struct work *work = work_of(task);

	work->guest->queue.pool->run(work);
}

static void after(struct task *task)
{
	struct work *work = work_of(task);
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

/* The next work whose turn it is, or NULL; not taken out yet. */
static struct pool_queue *next_queue(struct pool *pool)
{
	struct pool_queue *queue;

	while ((queue = ring_take(pool))) {
		/* Else it was withdrawn, or another of its peer's began. */
		if (queue->first && !has_its_share(pool, queue))
			return queue;
	}
	return NULL;
}

static void pump(struct pool *pool)
{
	while (pool->running < pool->threads && pool->ring_first && threads_have_one(&pool->crew)) {
		struct pool_queue *queue = next_queue(pool);
		struct work *work;

		if (!queue)
			return;
		work = queue->first;
		queue->first = work->next;
		if (!queue->first)
			queue->last = NULL;
		work->next = NULL;
		queue->running++;
		pool->running++;
		ring_append(pool, queue);
		pool->start(work);
		work->task.run = on_thread;
		work->task.done = after;
		threads_run(&pool->crew, &work->task);
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
