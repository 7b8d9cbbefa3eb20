/*
 * Looking at a node without blocking, from the loop: by its kept descriptor, or by its name where
 * the directory's is kept, with what the kernel has in memory. Part of nodes.c.
 *
 * One thing may take a disk to tell: whether a file has extended attributes. But whoever sets or
 * removes one changes its ctime. So a node remembers at which ctime it had none; until then, and
 * after every change, it is looked at in the pool.
 */
#ifndef DAEMON_SERVE_NODE_QUICK_H
#define DAEMON_SERVE_NODE_QUICK_H

#include "daemon/serve/nodes.h"

/* With the lock held: the node was looked at. */
void node_quick_saw(struct node *node, const struct look *look);

/* nodes.c's, with the lock held. The first lets go of it for a walk, unless it is to be quick. */
int nodes_hold_node(struct nodes *nodes, struct node *node, bool quick, struct held *ret_held);
int nodes_enter_node(struct nodes *nodes, struct node *parent, uint8_t export, enum node_kind kind,
		     const char *name, struct look *look, const struct node_fd *through, bool keep,
		     uint64_t *ret_number);

#endif
