/*
 * Nodes of one session: from the number that a peer names to a descriptor of the object.
 *
 * A node is (parent, name, identity). Its O_PATH descriptor is kept in a cache, least recently used
 * ones are closed; it is opened anew by walking from the nearest ancestor that has one, and what is
 * found must have the node's identity, else ESTALE. A descriptor is believed for 2 s at most, then
 * the walk is made again: what its owner has moved out of the export (or into a denied place) does
 * not stay reachable. If the name leads elsewhere but the descriptor is still good (moved within
 * the export by someone else; unlinked, but for what removed.h says), the descriptor is used.
 *
 * All functions that take `struct nodes` are safe on any thread; those marked "blocks" are for pool
 * threads.
 */
#ifndef DAEMON_SERVE_NODES_H
#define DAEMON_SERVE_NODES_H

#include <pthread.h>

#include "daemon/serve/exports.h"
#include "daemon/serve/mounts.h"
#include "daemon/serve/node_index.h"
#include "proto/ops_peer.h"

#define NODES_TRIM 50000 /* so many forgotten nodes are worth a malloc_trim */

struct node_fd;

struct nodes {
	pthread_mutex_t lock;  /* all of the following but the constants; never held over a call
				  that can block */
	pthread_rwlock_t tree; /* written by renames, read by walks that failed at first */
	struct node_index index;
	struct node_fd *newest, *oldest; /* the cache of descriptors */
	size_t n_kept;
	struct node_fd *doomed; /* descriptors out of use, to be closed without the lock */
	uint64_t n_places;      /* how often a node's (parent, name) has changed */
	uint64_t n_forgotten;   /* since memory was trimmed */
	struct nodes *next;     /* of the same serving side; under removed->lock */
	/* constants */
	const struct exports *exports;
	struct mounts *mounts;
	size_t max_nodes, max_kept;
	int64_t verify_ms;
	/* Another descriptor of this node, to be closed by the caller, or -1: that of an open
	 * file, for a node whose name is gone. May be NULL. Called without the lock. */
	int (*spare)(void *arg, uint64_t number);
	void *spare_arg;
};

/* A node in use: it stays, and so does its descriptor. */
struct held {
	struct nodes *nodes;
	struct node *node; /* NULL: nothing is held */
	struct node_fd *kept;
	int fd; /* O_PATH (or an open file's); -1 for the kinds that have none */
	uint64_t number;
	enum node_kind kind;
	bool is_dir;
	bool on_loop; /* it was to be quick */
	struct identity identity;
	const struct export *export; /* NULL for NODE_TOP */
};

#define HELD_NULL ((struct held){.fd = -1})
#define HELD      __attribute__((cleanup(nodes_release))) struct held

/* Makes node 1. 0 or -ENOMEM. Afterwards verify_ms, spare may be set. */
int nodes_init(struct nodes *nodes, const struct exports *exports, struct mounts *mounts,
	       size_t max_nodes, size_t max_kept);
/* Nothing is held any more. */
void nodes_deinit(struct nodes *nodes);

/* Holds a node of a real object. Blocks. -ESTALE: no such node, or not that object any more;
 * -EACCES for one that has no object (NODE_TOP, NODE_HOLLOW). */
int nodes_hold(struct nodes *nodes, uint64_t number, struct held *ret_held);
/* The same, also for nodes without an object (fd is -1 then). */
int nodes_hold_any(struct nodes *nodes, uint64_t number, struct held *ret_held);
/* The same as nodes_hold without blocking: -EAGAIN if the disk would have to be asked. */
int nodes_hold_quick(struct nodes *nodes, uint64_t number, struct held *ret_held);
/*
 * Looks at a node without blocking, for the loop: -EAGAIN if that cannot be done. What was seen is
 * all that a look in the pool would have seen, `plain` included. Held is the node, and ret_look->fd
 * is -1; or its directory, and ret_look->fd is the node's. */
int nodes_look_quick(struct nodes *nodes, uint64_t number, struct held *ret_held,
		     struct look *ret_look);
/* The same by name, for an entry that was sent before: the node has one more reference then. Held
 * is the directory. */
int nodes_enter_quick(struct nodes *nodes, uint64_t parent, const char *name,
		      struct held *ret_parent, struct look *ret_look, uint64_t *ret_number);
/* A held node was looked at. */
void nodes_saw(const struct held *held, const struct look *look);
void nodes_release(struct held *held);

/*
 * An entry is about to be sent: `look` was found as `name` in `parent` (name may be NULL: it was
 * found through its own descriptor). Returns the node's number with one more reference, or -ENFILE,
 * -ENOMEM. With `keep` the look's descriptor goes into the cache. */
int nodes_enter(struct nodes *nodes, const struct held *parent, const char *name, struct look *look,
		bool keep, uint64_t *ret_number);
/* An export was looked up in NODE_TOP: its node. */
int nodes_enter_export(struct nodes *nodes, const struct export *export, struct look *look,
		       uint64_t *ret_number);
/* What was found as `name` in `parent` after a rename: its node, if there is one, follows. */
void nodes_moved(struct nodes *nodes, const struct held *parent, const char *name,
		 const struct identity *identity);
/* The peer gives back references. */
void nodes_forget(struct nodes *nodes, uint64_t number, uint64_t count);
/* Many nodes were forgotten since the last time that this returned true: memory can be trimmed. */
bool nodes_want_trim(struct nodes *nodes);

size_t nodes_count(struct nodes *nodes);
/* Descriptors wait to be looked after by removed_sweep: some are kept, or (`only_doomed`) are to be
 * closed. */
bool nodes_want_sweep(struct nodes *nodes, bool only_doomed);

#endif
