/*
 * Remote: calls to peers through loopsyd (CTL_CALL), several and their streams under way at once.
 *
 * Nothing here waits, but for remote_ask: remote_turn takes in and sends what can be taken in and
 * sent now, and everything is told through the handlers, from within remote_turn only. So it goes
 * into a poll loop beside a terminal, pipes and signals:
 *
 *     poll_fd = remote_poll(remote);  poll(…);  r = remote_turn(remote);
 */
#ifndef CTL_REMOTE_H
#define CTL_REMOTE_H

#include <poll.h>

#include "ctl/local_client.h"
#include "proto/ops_peer.h"

struct remote;
struct remote_call;

struct remote_reply {
	int error;          /* 0 or a negative errno */
	const char *reason; /* of an error: a line for people, unescaped; may be empty */
	const void *result; /* the operation's result; NULL with an error. Valid during the call */
	struct bytes encoded; /* the same, as it came */
};

struct remote_handler {
	/* The answer. After it the call is gone, unless op_reply_streams. */
	void (*reply)(void *arg, const struct remote_reply *reply);
	/* Stream data, valid during the call; remote_consumed gives credit for it. */
	void (*data)(void *arg, unsigned channel, struct bytes data);
	/* The stream is over, 0 or why it broke; the call is gone. */
	void (*end)(void *arg, int error);
};

/* What a peer is called where people read it. */
static inline const char *remote_place(const char *peer)
{
	return peer[0] ? peer : "this machine";
}

/* Connects, as local_client_new. */
int remote_new(const char *path, struct remote **ret_remote);
/* Closes: what is under way is given up, nothing is called. NULL is fine. Returns NULL. */
struct remote *remote_free(struct remote *remote);

/* For requests to loopsyd itself, while no call is under way. */
struct local_client *remote_client(struct remote *remote);

/*
 * Presents an API key, while no call is under way: from now on loopsyd allows what the key does.
 * Returns 0, -EKEYREJECTED if there is no such key, or another -errno; `ret_reason` as of
 * remote_ask. When the key is revoked or replaced, loopsyd ends the connection: whatever waits then
 * returns -EKEYREVOKED, and the reason says so.
 */
int remote_present_key(struct remote *remote, const char *key, const char **ret_reason);
/* Whether that key allows `permissions` ("fs:ro") at the peer ("": this machine): for what is done
 * without asking loopsyd, as through the mount. Returns 0, -EACCES or another -errno. Without a
 * key, everything is allowed. While no call is under way. */
int remote_may(struct remote *remote, const char *peer, const char *permissions,
	       const char **ret_reason);

/* From now on everything that waits for this remote (remote_wait, remote_ask, the functions of
 * kv_client.h and msg_client.h, and its local_client) returns -ECANCELED when `fd` (an eventfd;
 * borrowed; -1: none) is readable. The remote is then to be freed, which gives up what is under
 * way on the peers, too. */
void remote_set_interrupt(struct remote *remote, int fd);

/* Asks a peer ("": this machine itself); `args` is the operation's struct and copied. `handler` may
 * be NULL, if nobody wants to know. Returns 0 or -errno (nothing is called then). `ret_call` may be
 * NULL. */
int remote_call(struct remote *remote, const char *peer, uint16_t op, const void *args,
		const struct remote_handler *handler, void *arg, struct remote_call **ret_call);
/* Calls that are made between the two leave together, in one write. */
void remote_hold(struct remote *remote);
void remote_let_go(struct remote *remote);
/* So many bytes of a stream are dealt with. */
void remote_consumed(struct remote_call *call, unsigned channel, size_t bytes);
/* Gives it up, also on the peer; nothing is called any more, `call` is gone. */
void remote_cancel(struct remote_call *call);

/* Calls that may still be made before loopsyd would refuse. */
unsigned remote_room(const struct remote *remote);

/* The descriptor and what to wait for. */
struct pollfd remote_poll(const struct remote *remote);
/* Sends and takes in what it can without waiting. Returns 0, -ECONNRESET when loopsyd has gone,
 * -EKEYREVOKED, -EBADMSG or another -errno: it is of no use any more then. */
int remote_turn(struct remote *remote);
/* Waits for something to come, and turns. Returns as remote_turn, or -ECANCELED. */
int remote_wait(struct remote *remote);
/* What loopsyd said when it ended the connection (-EKEYREVOKED); empty, if nothing. */
const char *remote_end_reason(const struct remote *remote);

/*
 * Asks a peer and waits for the answer, turning meanwhile. The result's bytes are valid until the
 * next remote_ask. Not for operations that stream. Returns 0 or -errno; `ret_reason` then is what
 * was said about it (may be empty, valid as long).
 */
int remote_ask(struct remote *remote, const char *peer, uint16_t op, const void *args, void *result,
	       const char **ret_reason);

#endif
