#include "daemon/serve/guest.h"

#include <assert.h>
#include <stdlib.h>

#include "daemon/serve/serve_private.h"

int guest_new(struct serve *serve, struct guest **ret_guest)
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
	pool_queue_init(&guest->queue, &serve->pool);
	guest->next = serve->guests;
	if (serve->guests)
		serve->guests->previous = guest;
	serve->guests = guest;
	*ret_guest = guest;
	return 0;
}

static void guest_free(struct guest *guest)
{
	struct serve *serve = guest->serve;

	if (guest->next)
		guest->next->previous = guest->previous;
	if (guest->previous)
		guest->previous->next = guest->next;
	else
		serve->guests = guest->next;
	pool_queue_deinit(&guest->queue);
	order_deinit(&guest->order);
	nodes_deinit(&guest->nodes);
	free(guest);
	serve_settle(serve);
}

void guest_settle(struct guest *guest)
{
	if (guest->closing && guest->n_works == 0)
		guest_free(guest);
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
