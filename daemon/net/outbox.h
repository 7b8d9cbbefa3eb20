/*
 * Outbox: what is queued for a link, in the order in which it is to be sent.
 */
#ifndef DAEMON_NET_OUTBOX_H
#define DAEMON_NET_OUTBOX_H

#include "daemon/net/message.h"

#define OUTBOX_BULK_MIN (8 * 1024) /* bytes from which on a message is bulk */
#define OUTBOX_BUCKETS  256
#define OUTBOX_URGENT                                                                              \
	(64 * 1024) /* bytes of urgent messages that may come on top of a full queue */

TAILQ_HEAD(message_queue, message);

struct outbox {
	struct message_queue urgent, bulk;
	size_t size; /* bytes of all messages */
	size_t urgent_size;
	size_t n_replies;
	uint16_t n_bulk[OUTBOX_BUCKETS]; /* messages in bulk, by the hash of each of their keys */
};

void outbox_init(struct outbox *outbox);
/* Drops all that is queued. */
void outbox_clear(struct outbox *outbox);

/* Queues; holds a reference of its own. The message must not be queued anywhere. */
void outbox_push(struct outbox *outbox, struct message *message);
/* The next one to be sent, with the outbox's reference, or NULL. */
struct message *outbox_pop(struct outbox *outbox);
/* The same, without taking it. */
struct message *outbox_next(struct outbox *outbox);
/* Takes out a queued message. */
void outbox_remove(struct outbox *outbox, struct message *message);
bool outbox_is_empty(const struct outbox *outbox);
/* Would a small message with that key go before all that is bulk, and are there few such? */
bool outbox_is_passable(const struct outbox *outbox, uint64_t key);

#endif
