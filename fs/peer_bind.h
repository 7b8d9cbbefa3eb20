/*
 * Peer bind: finds nodes again after a new session of their peer, by their names from the top down.
 */
#ifndef FS_PEER_BIND_H
#define FS_PEER_BIND_H

#include "fs/peer.h"

/* A node being found: peer->binds. */
struct peer_bind {
	struct fs_peer *peer;
	struct fs_node *node; /* held */
	struct peer_bind *prev, *next;
	struct peer_call *waiting, **waiting_end; /* for `node`, in the order they were sent */
};

/* Whether calls about the node can be sent in this session. */
bool peer_bind_is_bound(const struct fs_peer *peer, const struct fs_node *node);

/* Lets `call` wait until `node` is bound; then peer_call_bound(call, 0 or -errno). 0 or -ENOMEM. */
int peer_bind_wait(struct fs_peer *peer, struct fs_node *node, struct peer_call *call);

#endif
