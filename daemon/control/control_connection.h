/*
 * One caller of the control socket, without the socket: frames in, calls out to the actions, and
 * frames back through `send`. What the socket and the fuzzer share.
 */
#ifndef DAEMON_CONTROL_CONTROL_CONNECTION_H
#define DAEMON_CONTROL_CONTROL_CONNECTION_H

#include "daemon/control/control.h"

/* Unanswered and streaming at once; one more is answered with EBUSY. As many writes of 128 KiB as
 * keep a program's standard input flowing at a round trip of 20 ms. */
#define CONTROL_CALLS_MAX 64

struct control_connection {
	uint64_t number; /* of control_connection() */
	const struct control_actions *actions;
	void *actions_arg;
	/* Takes over the buffer's bytes (data is malloc'ed). May not call back into here. */
	void (*send)(void *arg, struct buffer *frame);
	void *arg;

	uint64_t key; /* that was presented; 0: none */
	bool is_limited;
	struct control_call *calls; /* not answered yet, or streaming */
	unsigned n_calls;
};

/* Everything but the key and the calls is filled in by the caller beforehand. */

/* One whole frame, without its length. Returns 0 or -EBADMSG with a static text in ret_error: the
 * connection is then to be ended. */
int control_connection_frame(struct control_connection *connection, struct bytes frame,
			     const char **ret_error);

/* Tells the caller why its connection is to be ended. */
void control_connection_tell_end(struct control_connection *connection, const char *why);

/* The caller has gone: cancels its calls. `connection` is not touched by their answers. */
void control_connection_end(struct control_connection *connection);

#endif
