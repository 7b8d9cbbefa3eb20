/*
 * Session: what a peer, as our client, holds with us. It outlives the links that its requests come
 * over, and keeps the replies that might be asked for again.
 */
#ifndef DAEMON_NET_SESSION_H
#define DAEMON_NET_SESSION_H

#include "daemon/net/limits.h"
#include "daemon/net/link.h"
#include "daemon/net/request.h"

#define SESSION_ID_SIZE     16
#define SESSION_SECRET_SIZE 32

struct session;

struct session_options {
	struct conn_room *room;
	const struct op_table *ops;
	const struct service *services;
	size_t n_services;
	struct limits limits;        /* none is 0 */
	const uint16_t *permissions; /* of the peer, now; borrowed */
	const char *name;            /* of the peer, for logs; must be valid now only */
	uint64_t grace_ms;           /* how long it outlives its link */
	uint64_t instance;           /* of the peer's daemon */
	/* The grace is over: the owner calls session_close. */
	void (*expired)(void *arg);
	/* A request was answered, with 0 or a negative errno; `denied`: for want of a permission,
	 * no room has seen it. Not for those that are answered once more. May be NULL. */
	void (*answered)(void *arg, const struct op *op, int error, bool denied);
	void *arg;
};

/* Opens the rooms to it, too. Returns 0, -ENOMEM or what a room said. */
int session_new(struct session **ret_session, const struct session_options *options);
/* Breaks its streams, leaves its requests to their rooms as orphans, and tells the rooms. Freed
 * later. */
void session_close(struct session *session);

const uint8_t *session_id(const struct session *session);
const uint8_t *session_secret(const struct session *session);
/* Does the other end know id and secret? In constant time. */
bool session_matches(const struct session *session, struct bytes id, struct bytes secret);
uint64_t session_instance(const struct session *session);
/* No request has come yet. */
bool session_is_unused(const struct session *session);

/* Replies go there from now on; leaves the link before. */
void session_attach(struct session *session, struct link *link);
/* The link has gone: streams break, and the grace begins. */
void session_detach(struct session *session);
struct link *session_link(const struct session *session);

/* A request, event, cancel or credit. Returns 0, or a negative errno and a text if the peer broke
 * a rule. */
int session_frame(struct session *session, const struct frame *frame, struct chunk *chunk,
		  const char **ret_why);
/* From the link: requests that wait may go on. */
void session_drained(struct session *session);
/* From the link: all replies handed to it before `pinged` have arrived at `confirmed`. */
void session_pinged(struct session *session);
void session_confirmed(struct session *session);

/* Tells the peer's side something (an event of the table); lost if there is no link. */
int session_event(struct session *session, uint16_t op, const void *args);

#endif
