/*
 * Transport: how the mount asks a peer. daemon/net implements it, tests fake it; it is all that
 * fs/ knows of other machines.
 *
 * Every call completes exactly once, by its `reply`, never from within transport_call itself.
 * All functions and callbacks run on the loop's thread.
 */
#ifndef FS_TRANSPORT_H
#define FS_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/frame.h"
#include "proto/ops_peer.h"

struct transport;      /* one peer's */
struct transport_call; /* one request under way */

struct transport_reply {
	int error;          /* 0, or a negative errno; then result is NULL */
	const void *result; /* struct result_x of the operation; valid during the callback */
	void *frame;        /* what result's bytes point into: transport_frame_ref keeps it */
	bool more;          /* stream data follows through `data` and ends with `end` */
};

struct transport_handler {
	/* The answer. After it, unless `more`, the call is gone. */
	void (*reply)(void *arg, const struct transport_reply *reply);
	/* Stream data, in order; credit for it is given back by transport_consumed. May be NULL
	 * for operations without streams, as may `end`. */
	void (*data)(void *arg, unsigned channel, struct bytes data);
	/* The stream is over: 0, or why it broke (-ENOTCONN with its link). The call is gone. */
	void (*end)(void *arg, unsigned channel, int error);
};

/* What fs/ is told about a peer. */
struct transport_listener {
	/* A session was opened anew (not resumed): nodes and handles of the old one mean nothing
	 * now. `uid`, `gid`: as whom the peer's daemon works. */
	void (*session_new)(void *arg, uint32_t uid, uint32_t gid);
	/* The session is gone for good, or the peer counts as down. */
	void (*session_lost)(void *arg);
	/* The peer counted as down, and the session was not gone: it goes on. May be NULL. */
	void (*session_back)(void *arg);
};

enum transport_state { TRANSPORT_DOWN, TRANSPORT_LOST, TRANSPORT_UP };

struct transport_ops {
	/*
	 * Sends a request. `args` is the operation's struct, whose bytes are copied before this
	 * returns; payload bytes too, unless `payload_done` is given: then they stay the caller's,
	 * unchanged, until it is called (once; also before a failing reply). `caller` may be NULL.
	 * Calls with the same `node` argument arrive in the order in which they were made.
	 * Returns 0, -ENOMEM, or -EHOSTDOWN when the peer is down (nothing is called then).
	 */
	int (*call)(struct transport *transport, uint16_t op, const void *args,
		    const struct caller *caller, const struct transport_handler *handler, void *arg,
		    void (*payload_done)(void *arg), struct transport_call **ret_call);
	/* Asks the server to give up; the reply (normally -EINTR) still comes. */
	void (*cancel)(struct transport_call *call);
	/* No interest any more: no callback is made after this (payload_done has been). */
	void (*abandon)(struct transport_call *call);
	/* Sends an event (FORGET, which survives a lost link: it is queued). */
	int (*event)(struct transport *transport, uint16_t op, const void *args);
	/* What may wait for others to go with (OP_LAZY) leaves now. */
	void (*hurry)(struct transport *transport);
	void (*consumed)(struct transport_call *call, unsigned channel, size_t bytes);
	/* Keeps what a reply's bytes point into beyond the callback. */
	void (*frame_ref)(void *frame);
	void (*frame_unref)(void *frame);
	enum transport_state (*state)(struct transport *transport);
	/* The smoothed round trip in microseconds, and bytes per second seen lately; 0: unknown. */
	void (*measure)(struct transport *transport, uint64_t *ret_rtt_us, uint64_t *ret_rate);
	/* Sets who is told; NULL to end. If a session is open already, session_new follows soon. */
	void (*listen)(struct transport *transport, const struct transport_listener *listener,
		       void *arg);
};

struct transport {
	const struct transport_ops *ops;
};

#endif
