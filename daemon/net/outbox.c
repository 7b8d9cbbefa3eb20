/*
 * Two queues. Urgent ones, all small, go first: a `stat` does not wait behind a copy. Big ones are
 * bulk, and so is a small one that has a key (a node, a stream) in common with a message still in
 * bulk: the calls of one node are never reordered. Which keys are in bulk is counted by hash; a
 * collision only makes a message slower than it had to be.
 */
#include "daemon/net/outbox.h"

#include <assert.h>

static unsigned bucket(uint64_t key)
{
	return (unsigned)((key * 0x9E3779B97F4A7C15u) >> 56) % OUTBOX_BUCKETS;
}

void outbox_init(struct outbox *outbox)
{
	*outbox = (struct outbox){0};
	TAILQ_INIT(&outbox->urgent);
	TAILQ_INIT(&outbox->bulk);
}

bool outbox_is_empty(const struct outbox *outbox)
{
	return TAILQ_EMPTY(&outbox->urgent) && TAILQ_EMPTY(&outbox->bulk);
}

bool outbox_is_passable(const struct outbox *outbox, uint64_t key)
{
	return outbox->urgent_size < OUTBOX_URGENT && outbox->n_bulk[bucket(key)] == 0;
}

static bool is_bulk(const struct outbox *outbox, const struct message *message)
{
	if (TAILQ_EMPTY(&outbox->bulk))
		return message_size(message) >= OUTBOX_BULK_MIN;
	if (message->is_last || message_size(message) >= OUTBOX_BULK_MIN)
		return true;
	for (unsigned i = 0; i < message->n_keys; i++)
		if (outbox->n_bulk[bucket(message->keys[i])] > 0)
			return true;
	return false;
}

void outbox_push(struct outbox *outbox, struct message *message)
{
	assert(!message->is_queued);
	message->is_queued = true;
	message->is_bulk = is_bulk(outbox, message);
	message_ref(message);
	outbox->size += message_size(message);
	outbox->n_replies += message->is_reply;
	if (!message->is_bulk) {
		TAILQ_INSERT_TAIL(&outbox->urgent, message, entry);
		outbox->urgent_size += message_size(message);
		return;
	}
	TAILQ_INSERT_TAIL(&outbox->bulk, message, entry);
	for (unsigned i = 0; i < message->n_keys; i++)
		outbox->n_bulk[bucket(message->keys[i])]++;
}

static void take(struct outbox *outbox, struct message *message)
{
	assert(message->is_queued);
	message->is_queued = false;
	outbox->size -= message_size(message);
	outbox->n_replies -= message->is_reply;
	if (!message->is_bulk) {
		TAILQ_REMOVE(&outbox->urgent, message, entry);
		outbox->urgent_size -= message_size(message);
		return;
	}
	TAILQ_REMOVE(&outbox->bulk, message, entry);
	for (unsigned i = 0; i < message->n_keys; i++)
		outbox->n_bulk[bucket(message->keys[i])]--;
}

struct message *outbox_next(struct outbox *outbox)
{
	struct message *message = TAILQ_FIRST(&outbox->urgent);

	return message ? message : TAILQ_FIRST(&outbox->bulk);
}

struct message *outbox_pop(struct outbox *outbox)
{
	struct message *message = outbox_next(outbox);

	if (message)
		take(outbox, message);
	return message;
}

void outbox_remove(struct outbox *outbox, struct message *message)
{
	take(outbox, message);
	message_unref(message);
}

void outbox_clear(struct outbox *outbox)
{
	struct message *message;

	while ((message = outbox_pop(outbox)))
		message_unref(message);
}
