/*
 * Link: frames over one conn with an authenticated peer (or within this process), both ways, and
 * the pings that tell whether the other end is there. What the frames mean is net_peer's, client's
 * and session's.
 */
#ifndef DAEMON_NET_LINK_H
#define DAEMON_NET_LINK_H

#include "daemon/net/chunk.h"
#include "daemon/net/conn.h"
#include "daemon/net/message.h"

struct link;

struct link_times {
	uint64_t ping_ms;
	uint64_t pong_ms;
};

struct link_handler {
	/* A frame, neither ping nor pong; its body points into `chunk`. */
	void (*frame)(void *arg, struct link *link, const struct frame *frame, struct chunk *chunk);
	/* Less than LINK_QUEUE_MARK is queued again. */
	void (*drained)(void *arg, struct link *link);
	/* A ping left when nothing else was queued; its pong came: the other end has read all that
	 * was sent before the ping. */
	void (*pinged)(void *arg, struct link *link);
	void (*confirmed)(void *arg, struct link *link);
	/* The link broke and is gone. Not called for link_close. */
	void (*closed)(void *arg, struct link *link, int error, const char *why);
};

/* Above so many queued bytes, those who answer requests wait for `drained`. What is queued was read
 * too early: it has left the processor's caches by the time that it is encrypted. */
#define LINK_QUEUE_MARK (1024 * 1024)

/* Takes over an open conn. `handler` is borrowed. Returns 0 or -ENOMEM (conn is not touched). */
int link_new(struct conn_room *room, struct conn *conn, const struct link_times *times,
	     const struct link_handler *handler, void *arg, struct link **ret_link);
/* Takes in what the conn has read already; to be called once all is ready for frames. The link may
 * be gone after it. */
void link_start(struct link *link);

/*
 * Two links, each the other's other end: what is pushed to one comes to the handler of the other,
 * later, through the codec as from a socket. They need no link_start and are always there: `closed`
 * is called only for link_fail, and who fails one closes both. Returns 0 or -ENOMEM.
 */
int link_new_twins(struct conn_room *room, const struct link_handler *handler, void *arg,
		   const struct link_handler *other_handler, void *other_arg,
		   struct link **ret_link, struct link **ret_other);

/* Queues; the link holds a reference of its own until it is sent or the link is gone. A lazy one
 * leaves with the next that is not, or within CONN_LATER_MS, or with link_hurry. */
void link_push(struct link *link, struct message *message);
void link_hurry(struct link *link);
/* A message of an operation with OP_TYPED that is small has come or leaves (conn_note_key). */
void link_note_key(struct link *link);
/* Encodes and queues a frame without a record. Returns 0 or -ENOMEM. */
int link_push_frame(struct link *link, const struct frame *frame);
/* Takes back a message that is queued here. */
void link_take_back(struct link *link, struct message *message);

/* Above the mark too, a little may be pushed that overtakes what is queued (outbox.h). */
bool link_is_passable(const struct link *link, uint64_t key);

/* Asks for `drained`, although the mark is not reached. */
void link_want_drained(struct link *link);

/* Pings now. */
void link_ping(struct link *link);

/* Closes; what was queued is still sent, if the other end takes it within a second. `link` is gone,
 * nothing is called. */
void link_close(struct link *link);
/* Ends it for a fault of the other end: closes and calls `closed`. May be called from `frame`. */
void link_fail(struct link *link, int error, const char *why);

size_t link_queue_size(const struct link *link); /* bytes */
size_t link_n_replies(const struct link *link);  /* messages that are replies, queued */
uint64_t link_rtt_us(const struct link *link);   /* smoothed; 0: unknown */
uint64_t link_rate(const struct link *link);     /* bytes per second received lately */
const char *link_address(const struct link *link);

#endif
