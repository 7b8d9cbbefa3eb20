/*
 * Removed objects: files that have no name any more give their space back only when the last
 * descriptor is closed, and the ones that nodes keep would hold it until the peer forgets the node,
 * on a full disk too late. So those are closed as soon as a file is removed by a peer, in all
 * sessions, and a while later if somebody else removed it. A file that is open stays open: its
 * handle has a descriptor of its own.
 *
 * Directories, FIFOs, sockets and devices hold next to nothing. Their descriptors stay, so that
 * what is the current directory or open at the peer is still there, as on a local disk.
 */
#ifndef DAEMON_SERVE_REMOVED_H
#define DAEMON_SERVE_REMOVED_H

#include "daemon/serve/closings.h"
#include "daemon/serve/nodes.h"

/* The nodes of all sessions. */
struct removed {
	pthread_mutex_t lock; /* taken before a nodes->lock, never over what can block */
	struct nodes *first;
	struct closings *closings; /* may hold them as well */
};

void removed_init(struct removed *removed, struct closings *closings);
void removed_deinit(struct removed *removed);

void removed_add_nodes(struct removed *removed, struct nodes *nodes);
void removed_remove_nodes(struct removed *removed, struct nodes *nodes);

/* A name of what was looked at is gone. If it was the last, descriptors that are kept of it are
 * closed; the look's own is the caller's to close. Blocks. */
void removed_note(struct removed *removed, const struct look *look);

/* Closes what `nodes` keeps of objects that others have removed, and what nodes_forget left to be
 * closed. Blocks. */
void removed_sweep(struct nodes *nodes);

#endif
