/*
 * Notify: tells the kernel to drop what it caches, on a thread per peer: such a call can wait for a
 * lock that is held by a request which we have yet to answer (DESIGN 2). The queue is bounded and
 * coalesces; what is dropped from it would have been believed for a second at most.
 *
 * The new state is in place before a notification is queued.
 */
#ifndef FS_NOTIFY_H
#define FS_NOTIFY_H

#include "fs/fs_private.h"

#define NOTIFY_QUEUE_MAX 4096

struct notify_done {
	void (*fn)(struct notify_done *done); /* on the loop */
	struct notify_done *next;
};

/* The name in that directory is to be asked for again. */
void notify_entry(struct fs_peer *peer, struct fs_node *parent, struct bytes name);
/* The attributes of the node are to be asked for again. */
void notify_attr(struct fs_peer *peer, struct fs_node *node);
/*
 * `done` (may be NULL) is called on the loop afterwards, always and once, but never from within
 * these functions; it belongs to the caller until then.
 */
void notify_attr_then(struct fs_peer *peer, struct fs_node *node, struct notify_done *done);
/* Its attributes and cached pages go. */
void notify_pages(struct fs_peer *peer, struct fs_node *node, struct notify_done *done);

/*
 * All names of the mount are to be asked for again when they are next used. Unlike the others it is
 * done at once and on the loop, as it waits for no lock: so it may come before the answer to a
 * request that holds one. Kernels before 6.16 cannot do that; there a name is believed as long as
 * it was said to be.
 */
void notify_names(struct fs *fs);

/* On the loop: calls back for what was done (fs_process). */
void notify_collect(struct fs *fs);
/* Ends the thread: what is queued is dropped (done is called from within). Before that, the
 * kernel's requests must be answered until notify_is_idle. */
bool notify_is_idle(const struct fs_peer *peer);
void notify_stop(struct fs_peer *peer);

#endif
