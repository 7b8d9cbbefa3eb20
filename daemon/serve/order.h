/*
 * Order: the calls of one node are never reordered. A node's calls form a queue; reads run beside
 * reads, everything else runs alone. Writes that follow each other go to a thread together
 * (work.h): beside each other they would only wait for the inode's lock. A call whose class is
 * ORDER_FREE is not held up. On the loop only.
 */
#ifndef DAEMON_SERVE_ORDER_H
#define DAEMON_SERVE_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct work;
struct order_queue;

enum order_class {
	ORDER_FREE,  /* names in a directory: the peer waits for one before it relies on it */
	ORDER_READ,  /* shares the node with other reads */
	ORDER_WRITE, /* may be taken along by the write before it */
	ORDER_ALONE,
};

/* A place in the queue of a node. */
struct order_place {
	struct work *work;
	struct order_queue *queue;
	struct order_place *next, *previous;
	bool ready; /* nothing ahead is in its way */
};

/* A work's places: in the queue of its node (the first field of its args); COPY_RANGE has two. */
struct order_link {
	bool entered;
	uint8_t n;         /* places */
	uint8_t n_waiting; /* of them not ready */
	struct order_place places[2];
};

struct order {
	size_t n; /* works in it */
	struct order_queue **buckets;
	size_t n_buckets;
};

int order_init(struct order *order);
void order_deinit(struct order *order);

/* Calls work_start, now or when the calls before it are done. 0 or -ENOMEM (then not). */
int order_enter(struct order *order, struct work *work);
/* It is done (or was cancelled before its turn): may start others. Only once per work; what has
 * not entered is ignored. */
void order_leave(struct order *order, struct work *work);

/* The ORDER_WRITE that comes right behind one that has started or was taken along, or NULL. */
struct work *order_next_write(const struct work *work);
/* Starts it out of turn, together with the one before it: work_start will not be called. */
void order_take_along(struct work *work);

#endif
