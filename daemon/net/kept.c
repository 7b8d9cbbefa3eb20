/*
 * A reply leaves when the client says that it has it (`lowest` in each request), when a pong proves
 * that all that was sent before the ping has been read, or when there are too many. Of the last
 * kind only the highest id is remembered: a repeated request below it, whose reply is not here, may
 * have been done already, and if it changes something it must not be done again.
 */
#include "daemon/net/kept.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/net/limits.h"

struct kept_reply {
	TAILQ_ENTRY(kept_reply) entry;
	LIST_ENTRY(kept_reply) bucket;
	uint64_t id;
	uint64_t sequence;
	struct message *message;
};

void kept_init(struct kept *kept, unsigned max)
{
	*kept = (struct kept){.max = max > LIMITS_KEPT ? max : LIMITS_KEPT};
	TAILQ_INIT(&kept->replies);
}

static void drop(struct kept *kept, struct kept_reply *reply)
{
	TAILQ_REMOVE(&kept->replies, reply, entry);
	LIST_REMOVE(reply, bucket);
	kept->n--;
	kept->bytes -= message_size(reply->message);
	message_unref(reply->message);
	free(reply);
}

void kept_deinit(struct kept *kept)
{
	while (!TAILQ_EMPTY(&kept->replies))
		drop(kept, TAILQ_FIRST(&kept->replies));
}

static void forget(struct kept *kept, uint64_t id)
{
	if (id >= kept->dropped_below)
		kept->dropped_below = id + 1;
}

int kept_add(struct kept *kept, uint64_t id, struct message *message)
{
	struct kept_reply *reply = malloc(sizeof(*reply));

	if (!reply) {
		forget(kept, id);
		return -ENOMEM;
	}
	*reply = (struct kept_reply){
	    .id = id, .sequence = ++kept->sequence, .message = message_ref(message)};
	TAILQ_INSERT_TAIL(&kept->replies, reply, entry);
	LIST_INSERT_HEAD(&kept->buckets[id % KEPT_BUCKETS], reply, bucket);
	kept->n++;
	kept->bytes += message_size(message);
	while (kept->n > kept->max || kept->bytes > LIMITS_KEPT_BYTES) {
		struct kept_reply *oldest = TAILQ_FIRST(&kept->replies);

		forget(kept, oldest->id);
		drop(kept, oldest);
	}
	return 0;
}

static struct kept_reply *find(struct kept *kept, uint64_t id)
{
	struct kept_reply *reply;

	LIST_FOREACH(reply, &kept->buckets[id % KEPT_BUCKETS], bucket)
	if (reply->id == id)
		return reply;
	return NULL;
}

struct message *kept_find(struct kept *kept, uint64_t id)
{
	struct kept_reply *reply = find(kept, id);

	return reply ? reply->message : NULL;
}

bool kept_may_have_dropped(const struct kept *kept, uint64_t id)
{
	return id < kept->dropped_below;
}

void kept_free_below(struct kept *kept, uint64_t from, uint64_t lowest)
{
	struct kept_reply *reply, *next;

	if (lowest - from < kept->n) { /* the common case: a few steps */
		for (uint64_t id = from; id < lowest; id++)
			if ((reply = find(kept, id)))
				drop(kept, reply);
		return;
	}
	for (reply = TAILQ_FIRST(&kept->replies); reply; reply = next) {
		next = TAILQ_NEXT(reply, entry);
		if (reply->id < lowest)
			drop(kept, reply);
	}
}

void kept_confirm(struct kept *kept)
{
	struct kept_reply *reply;

	/* What is confirmed is not asked for again, so it need not be remembered as dropped. */
	while ((reply = TAILQ_FIRST(&kept->replies)) && reply->sequence <= kept->pinged)
		drop(kept, reply);
}
