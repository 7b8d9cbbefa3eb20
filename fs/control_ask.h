/*
 * Control asks: calls to a peer, or to this machine, on behalf of control files. As peer.h's calls,
 * but without nodes, with streams of several channels, and for requests on control files: an
 * interrupt is answered at once.
 *
 * Whoever needs one allocates it with control_ask_new (a struct that begins with struct
 * control_ask), sends it once, and hears of it by `done`, and where a stream follows by `data` and
 * `end`; it is freed behind the last of them. Where a new session came between, and it is certain
 * that it was not done or it does no harm, it is sent again.
 */
#ifndef FS_CONTROL_ASK_H
#define FS_CONTROL_ASK_H

#include "fs/peer.h"

struct control_ask {
	struct fs_peer *peer;
	struct parked parked; /* the request that waits for it; or none */
	/* The answer, or -errno; perhaps before control_ask_send returns. */
	void (*done)(struct control_ask *ask, const struct transport_reply *reply);
	/* A stream; NULL: if one comes, it is given up. */
	void (*data)(struct control_ask *ask, unsigned channel, struct bytes data);
	void (*end)(struct control_ask *ask, int error);
	/* Frees what it holds. May be NULL. */
	void (*release)(struct control_ask *ask);

	/* control_ask.c's own */
	struct control_ask *prev, *next; /* peer->control.asks */
	struct transport_call *call;
	uint16_t op;
	uint8_t n_repeats;
	bool had_req, is_streaming, is_busy, is_abandoned;
	uint32_t session; /* in which it was sent */
	void *args;       /* a copy, to be sent again */
};

/* NULL: no memory (req is not answered). `req` may be NULL. */
void *control_ask_new(struct fs_peer *peer, size_t size, fuse_req_t req);

/* The same about a node, which it holds; `size` is that of a struct that begins with this one.
 * NULL: ENOMEM was answered. */
struct control_node_ask {
	struct control_ask ask;
	struct fs_node *node;
};
void *control_ask_new_about(struct fs_peer *peer, size_t size, fuse_req_t req, struct fs_node *node,
			    void (*done)(struct control_ask *ask,
					 const struct transport_reply *reply));
/* Its release. One of its own is to end with it. */
void control_ask_release_node(struct control_ask *ask);

void control_ask_send(struct control_ask *ask, uint16_t op, const void *args);

/* The request, to be answered right now; NULL if it was interrupted. */
fuse_req_t control_ask_take(struct control_ask *ask);

/* Stream bytes were used: more may come. */
void control_ask_consumed(struct control_ask *ask, unsigned channel, size_t bytes);

/* No interest any more: the peer hears it, nothing is called, it is freed. */
void control_ask_abandon(struct control_ask *ask);

/* The peer is removed: all of them end with -ESTALE. `transport` is its old one. */
void control_ask_end_all(struct fs_peer *peer, struct transport *transport);

#endif
