/* The inside of links: shared by link.c and link_twin.c. */
#ifndef DAEMON_NET_LINK_PRIVATE_H
#define DAEMON_NET_LINK_PRIVATE_H

#include "daemon/net/link.h"
#include "daemon/net/outbox.h"

enum ping_state { PING_NONE, PING_WANTED, PING_SENT, PING_DOUBTED };

struct link {
	struct conn_room *room;
	struct conn *conn; /* no more ours once is_dead; NULL: the other end is twin */
	struct link *twin; /* link_twin.c; NULL once either has gone */
	const struct link_handler *handler;
	void *arg;
	struct link_times times;
	unsigned n_busy; /* calls of ours on the stack: freed by the last */
	bool is_dead;
	bool is_over_mark;

	struct outbox outbox;
	bool owes_pong;
	uint64_t pong_token;

	struct chunk *chunk; /* owned */
	size_t start, end;   /* what is in it and not parsed yet */

	uv_timer_t timer;
	uv_idle_t turn; /* of a twin with something to deliver */
	unsigned n_handles;
	enum ping_state ping;
	uint64_t ping_token;
	uint64_t ping_at_us;
	bool ping_was_alone; /* nothing was queued when it left */
	bool ping_saw_bulk;
	bool has_received; /* since the ping */
	uint64_t received; /* bytes, likewise */
	uint64_t rtt_us;

	uint64_t rate, rate_bytes, rate_since_us;
	size_t moved;  /* bytes both ways since the last ping */
	bool was_loud; /* more than QUIET_SIZE, and memory was not given back since */
};

/* Makes one that has neither conn nor twin yet, and is its owner's. */
struct link *link_alloc(struct conn_room *room, const struct link_handler *handler, void *arg);
/* Between link->n_busy++ and this, the link is not freed. */
void link_release(struct link *link);
/* Decodes a frame that came and hands it on; its body points into `chunk`. */
void link_take_frame(struct link *link, struct bytes bytes, struct chunk *chunk);
/* Tells that the queue is short again, if it was not. */
void link_tell_drained(struct link *link);

/* Something is queued, or `drained` is wanted. */
void link_twin_wake(struct link *link);
/* Nothing goes from one to the other any more. */
void link_twin_part(struct link *link);

#endif
