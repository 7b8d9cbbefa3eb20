/*
 * Calls from one end of the world to the other's room (net_room.h), and what became of each.
 */
#ifndef TESTS_NET_ASKS_H
#define TESTS_NET_ASKS_H

#include "net_world.h"

struct answer {
	struct transport_call *call;
	struct end *end;
	unsigned n_replies, n_done, n_ends;
	int error, end_error;
	size_t size;   /* of a READ's or READDIR's payload */
	bool is_right; /* its bytes are what they should be */
	bool more;
	size_t streamed;   /* bytes of stream data */
	bool holds_credit; /* does not say that it consumed */
	size_t unconsumed;
	uint64_t order; /* the how-many-th reply of all */
};

/* What call says; the answer is zero-initialised, but for holds_credit, and stays until it came. */
int ask_getattr(struct end *end, uint64_t node, struct answer *answer);
int ask_release(struct end *end, uint64_t node, struct answer *answer);
int ask_read(struct end *end, uint64_t node, uint64_t offset, size_t size, struct answer *answer);
/* With `borrows`, the bytes are the answer's until payload_done. */
int ask_write(struct end *end, uint64_t node, uint64_t offset, size_t size, bool borrows,
	      struct answer *answer);
int ask_mkdir(struct end *end, const char *name, struct answer *answer);
int ask_readdir(struct end *end, uint64_t size, struct answer *answer);
int ask_lock(struct end *end, uint64_t node, struct answer *answer);
void forget(struct end *end, uint64_t node);

#endif
