#include "daemon/serve/guest.h"

#include <assert.h>
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#include "daemon/serve/serve_private.h"

int guest_new(struct serve *serve, const void *peer, struct guest **ret_guest)
{
	struct guest *guest = calloc(1, sizeof(*guest));
	int error;

	if (!guest)
		return -ENOMEM;
	guest->serve = serve;
	error = nodes_init(&guest->nodes, &serve->exports, serve->mounts, serve->max_nodes,
			   serve->max_kept);
	if (error < 0) {
		free(guest);
		return error;
	}
	guest->nodes.verify_ms = serve->verify_ms;
	error = order_init(&guest->order);
	if (error < 0) {
		nodes_deinit(&guest->nodes);
		free(guest);
		return error;
	}
	error = opens_init(&guest->opens, serve->max_open_files);
	if (error < 0) {
		order_deinit(&guest->order);
		nodes_deinit(&guest->nodes);
		free(guest);
		return error;
	}
	locks_init(&guest->locks, serve, serve->max_open_files);
	guest->nodes.spare = opens_spare;
	guest->nodes.spare_arg = &guest->opens;
	pool_queue_init(&guest->queue, &serve->pool, peer);
	removed_add_nodes(&serve->removed, &guest->nodes);
	guest->next = serve->guests;
	if (serve->guests)
		serve->guests->previous = guest;
	serve->guests = guest;
	*ret_guest = guest;
	return 0;
}

/* Closing files may block, and a million nodes take a while: a thread does it. */
static void dispose(uv_work_t *uv)
{
	struct guest *guest = uv->data;
	bool large = nodes_count(&guest->nodes) >= NODES_TRIM;

	nodes_deinit(&guest->nodes);
	opens_deinit(&guest->opens);
	if (large)
		malloc_trim(0);
}

static void disposed(uv_work_t *uv, int status)
{
	struct guest *guest = uv->data;
	struct serve *serve = guest->serve;

	free(guest);
	serve->n_closing--;
	serve_settle(serve);
}

static void guest_free(struct guest *guest)
{
	struct serve *serve = guest->serve;
	int error;

	if (guest->next)
		guest->next->previous = guest->previous;
	if (guest->previous)
		guest->previous->next = guest->next;
	else
		serve->guests = guest->next;
	pool_queue_deinit(&guest->queue);
	order_deinit(&guest->order);
	locks_deinit(&guest->locks);
	removed_remove_nodes(&serve->removed, &guest->nodes);
	serve->n_closing++;
	guest->disposal.data = guest;
	error = uv_queue_work(serve->loop, &guest->disposal, dispose, disposed);
	assert(error == 0); /* only fails without a function */
	(void)error;
}

void guest_settle(struct guest *guest)
{
	if (guest->closing && guest->n_works == 0 && !guest->sweeping)
		guest_free(guest);
}

static void sweep(uv_work_t *uv)
{
	struct guest *guest = uv->data;

	removed_sweep(&guest->nodes);
}

static void swept(uv_work_t *uv, int status)
{
	struct guest *guest = uv->data;

	guest->sweeping = false;
	guest_settle(guest);
}

void guest_sweep(struct guest *guest)
{
	if (guest->sweeping || guest->closing)
		return;
	guest->sweep.data = guest;
	guest->sweeping = uv_queue_work(guest->serve->loop, &guest->sweep, sweep, swept) == 0;
}

void guest_close(struct guest *guest)
{
	struct work *work;

	assert(!guest->closing);
	guest->closing = true;
	guest->n_works++; /* held until the end of this function */
	/* Finishing one may finish others, so begin anew after each. */
	do {
		for (work = guest->works; work; work = work->next_of_guest) {
			if (!work->cancelled) {
				work_cancel(work);
				break;
			}
		}
	} while (work);
	guest->n_works--;
	guest_settle(guest);
}
