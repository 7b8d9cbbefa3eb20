/*
 * Requests: what a peer asks of us, decoded and permitted, on the way to the room that answers.
 *
 * A room is a `struct service`: a range of operation numbers and what to do with them. daemon/net
 * checks the frame, the operation, the permission and the limits; a handler sees only the typed
 * args. Each request is answered exactly once, by request_reply or request_fail, at any later
 * time, on the loop's thread.
 */
#ifndef DAEMON_NET_REQUEST_H
#define DAEMON_NET_REQUEST_H

#include <uv.h>

#include "proto/frame.h"
#include "proto/ops.h"

struct session; /* daemon/net/session.h: what a peer holds with us; outlives its links */
struct request;

struct service {
	const char *name;
	uint16_t first_op, last_op;
	/* A new session: what the room keeps for it goes to *ret_state. Returns 0 or -errno. */
	int (*session_open)(void *service_arg, struct session *session, void **ret_state);
	/* It is gone for good: everything it held is released. May finish asynchronously. Its
	 * streams were broken before (ready with an error). Requests not yet answered live on as
	 * orphans, with their args, because a thread may be reading them: the room still answers
	 * each exactly once, at any later time, and nobody hears it. The session itself is not to
	 * be touched after this returns. `state` is the room's to free. */
	void (*session_close)(void *service_arg, void *state);
	void (*handle)(void *service_arg, void *state, struct request *request);
	/* An event (no request, no answer). */
	void (*event)(void *service_arg, void *state, uint16_t op, const void *args);
	/* The peer gave up on it: answer soon, normally with -EINTR. May be NULL. */
	void (*cancel)(void *service_arg, void *state, struct request *request);
	void *arg;
};

/* The first fields are for handlers to read; the rest is daemon/net's (request_private.h). */
struct request {
	const struct op *op;
	const void *args;            /* struct args_x; its bytes point into the frame, which the
					request keeps until it is answered */
	const struct caller *caller; /* NULL: as the daemon itself */
	struct session *session;
	void *room; /* for the room's own use while the request lives */
};

/* Permissions that the peer holds now (enum permission). */
uint16_t request_permissions(const struct request *request);

/*
 * Answers; `request` is gone after it. `result` is the operation's struct: its bytes are copied
 * before this returns, but for a payload when `release` is given: it stays the room's until
 * release(release_arg), which is called exactly once.
 */
void request_reply(struct request *request, const void *result, void (*release)(void *arg),
		   void *release_arg);
/* Nobody waits for the answer: before it is given, for one that may wait a little for what else
 * there will be to say. */
void request_be_lazy(struct request *request);
/* Answers with an errno (negative). */
void request_fail(struct request *request, int error);

/* Is it this machine's own user's session (net_open_self), and no peer's? */
bool session_is_local(const struct session *session);

/* Whose session it is: the same for all sessions of one peer, and only to be compared. */
const void *session_peer(const struct session *session);

/* The session has gone and nobody waits for the answer: the room may save itself the work. */
bool request_is_orphan(const struct request *request);

/*
 * Streams to the caller. request_reply_stream answers like request_reply, but the request lives on
 * as a stream until stream_end. `ready` is called whenever more may be written (credit came), and
 * once with error != 0 when the stream broke (link gone, caller gave up): the room then calls
 * nothing more on it.
 */
struct request_stream;
struct request_stream *request_reply_stream(struct request *request, const void *result,
					    void (*ready)(void *arg, int error), void *arg);
/* Bytes that may be written now; 0: wait for ready. */
size_t request_stream_room(const struct request_stream *stream);
/* Without room, so few bytes may still be written, if that is all there is to say: they overtake
 * the bulk that others have queued. */
#define REQUEST_STREAM_LITTLE 4096
bool request_stream_takes_little(const struct request_stream *stream);
/* Sends at most that many (copied), on `channel`. */
int request_stream_write(struct request_stream *stream, unsigned channel, struct bytes data);
/* The same without a copy: the bytes stay the room's, unchanged, until release(release_arg), which
 * is called exactly once, also when the stream ends before; but not if this fails. */
int request_stream_lend(struct request_stream *stream, unsigned channel, struct bytes data,
			void (*release)(void *arg), void *release_arg);
/* How much of what was sent the other end may not have used yet, at most. */
size_t request_stream_unused(const struct request_stream *stream);
/* Ends it; `stream` is gone. */
void request_stream_end(struct request_stream *stream, int error);

#endif
