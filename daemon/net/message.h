/*
 * Message: a frame on its way out. Counted, because a request is kept until it is answered and a
 * reply until the other end has it, beyond the link that they were first sent on.
 */
#ifndef DAEMON_NET_MESSAGE_H
#define DAEMON_NET_MESSAGE_H

#include <sys/queue.h>

#include "proto/frame.h"

#define MESSAGE_KEYS 2

struct message {
	unsigned n_refs;
	bool is_queued; /* in an outbox, which holds a reference */
	bool is_bulk;   /* in its bulk queue */
	bool is_sent;   /* was encrypted for a link, at least once */
	bool is_reply;
	bool is_lazy; /* may wait a little for others to go with */
	bool is_last; /* goes behind everything that is queued */
	uint8_t n_keys;
	/* Messages with a key in common are never reordered (message_key_…). */
	uint64_t keys[MESSAGE_KEYS];
	TAILQ_ENTRY(message) entry; /* outbox, while is_queued */
	struct bytes payload;       /* sent after the head */
	void (*release)(void *arg); /* payload is borrowed until it is called; NULL: it is ours */
	void *release_arg;
	size_t n_payload; /* bytes of payload, also where they were copied: then behind the head */
	size_t head_size;
	uint8_t head[];
};

/*
 * Encodes a frame. Its payload stays the caller's until `release` is called; without `release` it
 * is copied. On an error nothing is called. Returns 0, -ENOMEM, -EMSGSIZE or -EINVAL.
 */
int message_new(struct message **ret_message, const struct frame *frame,
		const struct record *record, const void *value, void (*release)(void *arg),
		void *release_arg);
struct message *message_ref(struct message *message);
/* The last one releases the payload. NULL is fine. Returns NULL. */
struct message *message_unref(struct message *message);

/* Releases a borrowed payload, having copied it (`copy`) or for good. Returns 0 or -ENOMEM. */
int message_release_payload(struct message *message, bool copy);

static inline size_t message_size(const struct message *message)
{
	return message->head_size + message->payload.size;
}

static inline void message_add_key(struct message *message, uint64_t key)
{
	if (message->n_keys < MESSAGE_KEYS)
		message->keys[message->n_keys++] = key;
}

/* The nodes that a request is about: at most MESSAGE_KEYS. Returns how many. */
unsigned message_nodes(const struct record *args, const void *value, uint64_t ret_nodes[]);
/* Adds them as keys. */
void message_add_nodes(struct message *message, const struct record *args, const void *value);

static inline uint64_t message_key_node(uint64_t node)
{
	return node * 2;
}

/* Of a reply and its stream. */
static inline uint64_t message_key_stream(uint64_t request_id)
{
	return request_id * 2 + 1;
}

#endif
