#include "daemon/serve/closings.h"

#include <assert.h>
#include <string.h>
#include <unistd.h>

#define DELAY_MS  10
#define URGENT_MS 1

void closings_init(struct closings *closings, uv_loop_t *loop, bool (*manned)(void *arg),
		   void (*settled)(void *arg), void *arg)
{
	*closings =
	    (struct closings){.loop = loop, .manned = manned, .settled = settled, .arg = arg};
	pthread_mutex_init(&closings->closing, NULL);
	pthread_mutex_init(&closings->lock, NULL);
	uv_timer_init(loop, &closings->timer);
	closings->timer.data = closings->work.data = closings;
	uv_unref((uv_handle_t *)&closings->timer);
}

void closings_close(struct closings *closings)
{
	int fds[CLOSINGS_MAX];
	unsigned n;

	pthread_mutex_lock(&closings->closing);
	pthread_mutex_lock(&closings->lock);
	n = closings->n;
	memcpy(fds, closings->fds, n * sizeof(fds[0]));
	closings->n = 0;
	closings->is_urgent = false;
	pthread_mutex_unlock(&closings->lock);
	for (unsigned i = 0; i < n; i++)
		close(fds[i]);
	pthread_mutex_unlock(&closings->closing);
}

void closings_pass(struct closings *closings)
{
	if (closings->is_urgent)
		closings_close(closings);
}

static unsigned count(struct closings *closings)
{
	unsigned n;

	pthread_mutex_lock(&closings->lock);
	n = closings->n;
	pthread_mutex_unlock(&closings->lock);
	return n;
}

static void on_thread(uv_work_t *work)
{
	closings_close(work->data);
}

static void start(struct closings *closings);

static void on_done(uv_work_t *work, int status)
{
	struct closings *closings = work->data;

	closings->working = false;
	if (count(closings) > 0 && !uv_is_active((uv_handle_t *)&closings->timer))
		start(closings);
	closings->settled(closings->arg);
}

static void start(struct closings *closings)
{
	int error;

	uv_timer_stop(&closings->timer);
	if (closings->working)
		return;
	closings->working = true;
	error = uv_queue_work(closings->loop, &closings->work, on_thread, on_done);
	assert(error == 0); /* only fails without a function */
	(void)error;
}

static void on_timer(uv_timer_t *timer)
{
	struct closings *closings = timer->data;

	if (count(closings) > 0)
		start(closings);
}

/* When all that came in this turn has been handed to threads. */
static void on_turn(uv_timer_t *timer)
{
	struct closings *closings = timer->data;

	if (count(closings) == 0)
		return;
	if (closings->manned(closings->arg))
		uv_timer_start(timer, on_timer, URGENT_MS, 0);
	else
		start(closings);
}

bool closings_add(struct closings *closings, int fd, bool is_urgent)
{
	unsigned n;

	pthread_mutex_lock(&closings->lock);
	n = closings->n;
	if (n < CLOSINGS_MAX)
		closings->fds[closings->n++] = fd;
	if (is_urgent)
		closings->is_urgent = true;
	pthread_mutex_unlock(&closings->lock);
	if (n + 1 >= CLOSINGS_MAX)
		start(closings);
	else if (is_urgent)
		uv_timer_start(&closings->timer, on_turn, 0, 0);
	else if (!uv_is_active((uv_handle_t *)&closings->timer))
		uv_timer_start(&closings->timer, on_timer, DELAY_MS, 0);
	return n < CLOSINGS_MAX;
}

bool closings_are_busy(struct closings *closings)
{
	if (count(closings) > 0)
		start(closings);
	return closings->working;
}

void closings_deinit(struct closings *closings, uv_close_cb closed, void *data)
{
	assert(!closings->working && closings->n == 0);
	pthread_mutex_destroy(&closings->lock);
	pthread_mutex_destroy(&closings->closing);
	closings->timer.data = data;
	uv_close((uv_handle_t *)&closings->timer, closed);
}
