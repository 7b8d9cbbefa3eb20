/*
 * Kept: the replies of a session that a client may ask for again, because it cannot know whether
 * they were on the link that broke. Oldest first out when there are too many.
 */
#ifndef DAEMON_NET_KEPT_H
#define DAEMON_NET_KEPT_H

#include "daemon/net/message.h"

#define KEPT_BUCKETS 256

struct kept_reply;
TAILQ_HEAD(kept_queue, kept_reply);
LIST_HEAD(kept_bucket, kept_reply);

struct kept {
	struct kept_queue replies; /* in the order of answering */
	struct kept_bucket buckets[KEPT_BUCKETS];
	unsigned n, max;
	size_t bytes;
	uint64_t sequence;      /* of the last one added */
	uint64_t pinged;        /* sequence when the last ping left */
	uint64_t dropped_below; /* replies of lower ids may have been dropped unasked */
};

/* Keeps `max` replies at most, but LIMITS_KEPT in any case. */
void kept_init(struct kept *kept, unsigned max);
void kept_deinit(struct kept *kept);

/* Keeps a reply, with a reference. Returns 0 or -ENOMEM (then it counts as dropped). */
int kept_add(struct kept *kept, uint64_t id, struct message *reply);
/* The reply to that request, borrowed, or NULL. */
struct message *kept_find(struct kept *kept, uint64_t id);
/* Might there have been a reply that is not kept any more? */
bool kept_may_have_dropped(const struct kept *kept, uint64_t id);

/* The client awaits nothing from `from` up to below `lowest`. */
void kept_free_below(struct kept *kept, uint64_t from, uint64_t lowest);
/* All replies up to kept->pinged have arrived. */
void kept_confirm(struct kept *kept);

#endif
