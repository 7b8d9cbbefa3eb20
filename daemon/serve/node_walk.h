/*
 * The walk to a node: opens its descriptor from the nearest ancestor whose own is fresh, and proves
 * on the way that everything is where the session saw it. Part of nodes.c, which holds the cache.
 */
#ifndef DAEMON_SERVE_NODE_WALK_H
#define DAEMON_SERVE_NODE_WALK_H

#include "daemon/serve/nodes.h"

/* A kept descriptor. Fields are under nodes->lock; `fd` stays open while refs > 0. */
struct node_fd {
	int fd;
	uint32_t refs;                 /* the cache's, and each held's */
	int64_t verified_ms;           /* CLOCK_MONOTONIC_COARSE */
	struct node *node;             /* NULL when it is out of the cache */
	struct node_fd *newer, *older; /* in the cache; `older` also among the doomed */
};

/* Fills fd (and kept) of a held that has a node only. Blocks, without the lock. 0 or -errno; the
 * node stays pinned in any case. */
int node_walk(struct nodes *nodes, struct held *held);

/* Looks at an export's root, by its path. */
int node_walk_export(struct mounts *mounts, const struct export *export, struct look *ret_look);

/* With the lock held: */

/* Takes `fd` over as the node's, found through `parent`: it is not believed for longer than that
 * one is, or a chain of lookups would keep what has left the export. NULL as parent: it was proved
 * just now. Returns NULL when out of memory; fd is closed then. */
struct node_fd *node_walk_keep(struct nodes *nodes, struct node *node, int fd,
			       const struct node_fd *parent);
/* The node's descriptor if it may be believed, else NULL. */
struct node_fd *node_walk_fresh(struct nodes *nodes, struct node *node);
void node_walk_verified(struct node_fd *kept);
void node_walk_drop(struct nodes *nodes, struct node *node);
/* The last reference does not close it, which can take long if its object is gone: it is `doomed`
 * then, to be closed without the lock. */
void node_walk_unref(struct nodes *nodes, struct node_fd *kept);
/* Moves what is doomed to *doomed. */
void node_walk_take_doomed(struct nodes *nodes, struct node_fd **doomed);
/* Gives back one reference of a node. */
void node_walk_put(struct nodes *nodes, struct node *node);

/* Without the lock. Blocks. */
void node_walk_close_doomed(struct node_fd *doomed);

#endif
