/*
 * The loop's side. The worker keeps the latest picture in the shared table and wakes us; we take
 * what changed and tell it. So what strangers do, however fast, is bounded by the table.
 *
 * Stop: ask the worker to end, and wait for it or for the timer, whichever is first; then nothing
 * of the loop's is shared any more, and the last of the two sides frees the shared struct.
 */
#include "daemon/discovery/discovery.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/discovery/discovery_worker.h"
#include "daemon/peer_name.h"

#define STOP_TIMEOUT 2000 /* ms; a D-Bus call takes up to 25 s */

struct discovery {
	uv_async_t async;
	uv_timer_t timer;
	unsigned n_handles; /* not closed yet */
	pthread_t thread;
	struct discovery_shared *shared;
	struct discovery_callbacks callbacks;
	void *arg;
	bool stopping;
	bool closing;
	void (*done)(void *arg);
	void *done_arg;
};

static void on_closed(uv_handle_t *handle)
{
	struct discovery *discovery = handle->data;

	if (--discovery->n_handles > 0)
		return;
	if (discovery->done != NULL)
		discovery->done(discovery->done_arg);
	free(discovery);
}

static void finish(struct discovery *discovery)
{
	struct discovery_shared *shared = discovery->shared;

	if (discovery->closing)
		return;
	discovery->closing = true;
	pthread_mutex_lock(&shared->mutex);
	shared->async = NULL;
	bool ended = shared->ended;
	pthread_mutex_unlock(&shared->mutex);
	if (ended)
		pthread_join(discovery->thread, NULL); /* it only has to return */
	else
		pthread_detach(discovery->thread);
	discovery_shared_unref(shared);
	discovery->shared = NULL;
	uv_close((uv_handle_t *)&discovery->async, on_closed);
	uv_close((uv_handle_t *)&discovery->timer, on_closed);
}

static void on_stop_timer(uv_timer_t *timer)
{
	finish(timer->data);
}

static void on_async(uv_async_t *async)
{
	struct discovery *discovery = async->data;
	struct discovery_shared *shared = discovery->shared;

	while (!discovery->stopping) {
		struct discovery_service service;
		pthread_mutex_lock(&shared->mutex);
		enum discovery_change change = discovery_table_take(&shared->table, &service);
		pthread_mutex_unlock(&shared->mutex);
		if (change == DISCOVERY_CHANGE_NONE)
			return;
		if (change == DISCOVERY_CHANGE_FOUND)
			discovery->callbacks.found(discovery->arg, &service);
		else
			discovery->callbacks.gone(discovery->arg, service.id);
	}
	if (discovery->closing)
		return;
	pthread_mutex_lock(&shared->mutex);
	bool ended = shared->ended;
	pthread_mutex_unlock(&shared->mutex);
	if (ended)
		finish(discovery);
}

static int start_thread(struct discovery *discovery)
{
	struct discovery_shared *shared = discovery->shared;
	int r;

	shared->async = &discovery->async;
	shared->n_refs++;
	r = pthread_create(&discovery->thread, NULL, discovery_worker_run, shared);
	if (r != 0)
		shared->n_refs--;
	return -r;
}

int discovery_start(uv_loop_t *loop, const struct discovery_config *config,
		    const struct discovery_callbacks *callbacks, void *arg, struct discovery **ret)
{
	struct discovery *discovery;
	int r;

	if (!peer_name_is_valid(config->name) || !discovery_service_id_is_valid(config->id))
		return -EINVAL;
	discovery = calloc(1, sizeof(*discovery));
	if (discovery == NULL)
		return -ENOMEM;
	discovery->callbacks = *callbacks;
	discovery->arg = arg;
	discovery->shared = discovery_shared_new(config);
	if (discovery->shared == NULL) {
		free(discovery);
		return -ENOMEM;
	}
	r = uv_async_init(loop, &discovery->async, on_async);
	if (r < 0) {
		discovery_shared_unref(discovery->shared);
		free(discovery);
		return r;
	}
	uv_timer_init(loop, &discovery->timer);
	discovery->async.data = discovery->timer.data = discovery;
	discovery->n_handles = 2;

	r = start_thread(discovery);
	if (r < 0) {
		discovery_shared_unref(discovery->shared);
		uv_close((uv_handle_t *)&discovery->async, on_closed);
		uv_close((uv_handle_t *)&discovery->timer, on_closed);
		return r;
	}
	*ret = discovery;
	return 0;
}

void discovery_stop(struct discovery *discovery, void (*done)(void *arg), void *arg)
{
	struct discovery_shared *shared = discovery->shared;

	discovery->stopping = true;
	discovery->done = done;
	discovery->done_arg = arg;
	pthread_mutex_lock(&shared->mutex);
	shared->stop = true;
	pthread_mutex_unlock(&shared->mutex);
	discovery_shared_wake_worker(shared);
	uv_timer_start(&discovery->timer, on_stop_timer, STOP_TIMEOUT, 0);
	uv_async_send(&discovery->async); /* the thread may have ended before */
}

void discovery_set_publish(struct discovery *discovery, bool publish, uint16_t port)
{
	struct discovery_shared *shared = discovery->shared;

	pthread_mutex_lock(&shared->mutex);
	shared->publish = publish;
	shared->port = port;
	pthread_mutex_unlock(&shared->mutex);
	discovery_shared_wake_worker(shared);
}

void discovery_state(struct discovery *discovery, struct discovery_state *ret)
{
	pthread_mutex_lock(&discovery->shared->mutex);
	*ret = discovery->shared->state;
	pthread_mutex_unlock(&discovery->shared->mutex);
}

void discovery_list(struct discovery *discovery,
		    void (*each)(void *arg, const struct discovery_service *service), void *arg)
{
	struct discovery_shared *shared = discovery->shared;
	struct discovery_service service;

	for (size_t i = 0; i < DISCOVERY_SERVICES_MAX; i++) {
		pthread_mutex_lock(&shared->mutex);
		bool is_one =
		    i < shared->table.n_rows && discovery_table_get(&shared->table, i, &service);
		pthread_mutex_unlock(&shared->mutex);
		if (is_one)
			each(arg, &service);
	}
}
