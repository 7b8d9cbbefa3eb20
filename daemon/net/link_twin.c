/*
 * Twins: two links whose other ends they are, within this process. What is pushed to one arrives at
 * the other in a later turn of the loop, as the bytes that it would be on a wire. There is nothing
 * to encrypt, to ping or to lose; when one ends, what is queued on either is dropped.
 *
 * A push may come from anywhere, so deliveries have a turn of their own, once in each round of the
 * loop (a timer of 0 ms could come again in the same round, and sockets never).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/net/link_private.h"

#define TURN_SIZE  (512 * 1024)
#define CHUNK_KEPT (16 * 1024) /* a receiver's, from one small frame to the next */

/* Where a frame of that size is received. */
static struct chunk *chunk_for(struct link *link, size_t size)
{
	struct chunk *chunk = link->chunk;

	if (size > CHUNK_KEPT)
		return chunk_new(size);
	if (!chunk || chunk->n_refs > 1) {
		chunk_unref(chunk);
		link->chunk = chunk = chunk_new(CHUNK_KEPT);
	}
	return chunk ? chunk_ref(chunk) : NULL;
}

static void deliver(struct link *link, const struct message *message)
{
	size_t size = message_size(message), n_head = message->head_size;
	struct chunk *chunk = chunk_for(link, size);

	if (!chunk) {
		link_fail(link, -ENOMEM, "out of memory");
		return;
	}
	memcpy(chunk->data, message->head, n_head);
	if (message->payload.size > 0)
		memcpy(chunk->data + n_head, message->payload.data, message->payload.size);
	link_take_frame(
	    link, (struct bytes){chunk->data + FRAME_LENGTH_SIZE, size - FRAME_LENGTH_SIZE}, chunk);
	chunk_unref(chunk);
}

static void on_turn(uv_idle_t *turn)
{
	struct link *link = turn->data;
	struct message *message;
	size_t size = 0;

	link->n_busy++;
	while (link->twin && size < TURN_SIZE && (message = outbox_pop(&link->outbox))) {
		message->is_sent = true;
		size += message_size(message);
		deliver(link->twin, message);
		message_unref(message);
	}
	if (link->twin && outbox_is_empty(&link->outbox)) {
		uv_idle_stop(turn);
		/* All that was sent has arrived. */
		link->handler->pinged(link->arg, link);
		link->handler->confirmed(link->arg, link);
	}
	link_tell_drained(link);
	link_release(link);
}

void link_twin_wake(struct link *link)
{
	if (link->twin)
		uv_idle_start(&link->turn, on_turn);
}

void link_twin_part(struct link *link)
{
	if (!link->twin)
		return;
	link->twin->twin = NULL;
	link->twin = NULL;
}

int link_new_twins(struct conn_room *room, const struct link_handler *handler, void *arg,
		   const struct link_handler *other_handler, void *other_arg,
		   struct link **ret_link, struct link **ret_other)
{
	struct link *link = link_alloc(room, handler, arg);
	struct link *other = link_alloc(room, other_handler, other_arg);

	if (!link || !other) {
		if (link)
			link_close(link);
		if (other)
			link_close(other);
		return -ENOMEM;
	}
	link->twin = other;
	other->twin = link;
	*ret_link = link;
	*ret_other = other;
	return 0;
}
