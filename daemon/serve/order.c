#include "daemon/serve/order.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "daemon/serve/work.h"

#define BUCKETS 256

/* The calls of one node, oldest first. */
struct order_queue {
	uint64_t node;
	struct order_place *first, *last;
	struct order_queue *next; /* in its bucket */
};

int order_init(struct order *order)
{
	*order = (struct order){.n_buckets = BUCKETS};
	order->buckets = calloc(BUCKETS, sizeof(*order->buckets));
	return order->buckets ? 0 : -ENOMEM;
}

void order_deinit(struct order *order)
{
	assert(order->n == 0);
	free(order->buckets);
}

static struct order_queue **bucket(struct order *order, uint64_t node)
{
	return &order->buckets[(node * 0x9e3779b97f4a7c15u) >> 32 & (order->n_buckets - 1)];
}

static struct order_queue *queue_of(struct order *order, uint64_t node)
{
	struct order_queue **head = bucket(order, node);
	struct order_queue *queue = *head;

	while (queue && queue->node != node)
		queue = queue->next;
	if (queue)
		return queue;
	queue = calloc(1, sizeof(*queue));
	if (!queue)
		return NULL;
	queue->node = node;
	queue->next = *head;
	*head = queue;
	return queue;
}

static void queue_free(struct order *order, struct order_queue *queue)
{
	struct order_queue **at = bucket(order, queue->node);

	while (*at != queue)
		at = &(*at)->next;
	*at = queue->next;
	free(queue);
}

/* May both run at the same time? */
static bool compatible(const struct work *a, const struct work *b)
{
	return a->handler->order == ORDER_READ && b->handler->order == ORDER_READ;
}

static bool is_free(const struct order_place *place)
{
	for (const struct order_place *p = place->previous; p; p = p->previous) {
		if (!compatible(p->work, place->work))
			return false;
	}
	return true;
}

static void append(struct order_queue *queue, struct order_place *place, struct work *work)
{
	*place = (struct order_place){.work = work, .queue = queue, .previous = queue->last};
	if (queue->last)
		queue->last->next = place;
	else
		queue->first = place;
	queue->last = place;
	place->ready = is_free(place);
}

static void take_out(struct order_place *place)
{
	struct order_queue *queue = place->queue;

	if (place->previous)
		place->previous->next = place->next;
	else
		queue->first = place->next;
	if (place->next)
		place->next->previous = place->previous;
	else
		queue->last = place->previous;
}

int order_enter(struct order *order, struct work *work)
{
	struct order_link *link = &work->order;
	struct order_queue *queues[2];
	uint64_t nodes[2];
	unsigned n = 1;

	if (work->handler->order == ORDER_FREE) {
		work_start(work);
		return 0;
	}
	nodes[0] = *(const uint64_t *)work->args;
	if (work->handler->op == OP_COPY_RANGE) {
		nodes[1] = ((const struct args_copy_range *)work->args)->to_node;
		if (nodes[1] != nodes[0])
			n = 2;
	}
	for (unsigned i = 0; i < n; i++) {
		queues[i] = queue_of(order, nodes[i]);
		if (!queues[i]) {
			if (i == 1 && !queues[0]->first)
				queue_free(order, queues[0]);
			return -ENOMEM;
		}
	}
	link->entered = true;
	order->n++;
	for (unsigned i = 0; i < n; i++) {
		append(queues[i], &link->places[i], work);
		link->n++;
		link->n_waiting += !link->places[i].ready;
	}
	if (link->n_waiting == 0)
		work_start(work);
	return 0;
}

/* The first place in the queue that has just become free and whose work is thereby, or NULL. */
static struct work *next_ready(struct order_queue *queue)
{
	for (struct order_place *place = queue->first; place; place = place->next) {
		if (place->ready)
			continue;
		if (!is_free(place)) {
			if (place->work->handler->order != ORDER_READ)
				return NULL; /* all behind it wait for it */
			continue;
		}
		place->ready = true;
		if (--place->work->order.n_waiting == 0)
			return place->work;
	}
	return NULL;
}

void order_leave(struct order *order, struct work *work)
{
	struct order_link *link = &work->order;
	struct work *next;
	uint64_t nodes[2];

	if (!link->entered)
		return;
	link->entered = false;
	for (unsigned i = 0; i < link->n; i++) {
		nodes[i] = link->places[i].queue->node;
		take_out(&link->places[i]);
	}
	/* A work that starts may end at once, and start others by itself: so the queues are looked
	 * up anew after each. */
	for (unsigned i = 0; i < link->n; i++) {
		for (;;) {
			struct order_queue *queue = *bucket(order, nodes[i]);

			while (queue && queue->node != nodes[i])
				queue = queue->next;
			if (!queue)
				break;
			if (!queue->first) {
				queue_free(order, queue);
				break;
			}
			next = next_ready(queue);
			if (!next)
				break;
			work_start(next);
		}
	}
	order->n--;
}

struct work *order_next_write(const struct work *work)
{
	const struct order_place *place = &work->order.places[0];

	if (!work->order.entered || work->handler->order != ORDER_WRITE || !place->next ||
	    place->next->work->handler->order != ORDER_WRITE)
		return NULL;
	return place->next->work;
}

void order_take_along(struct work *work)
{
	assert(work->order.n == 1 && !work->order.places[0].ready);
	work->order.places[0].ready = true;
	work->order.n_waiting = 0;
}
