/*
 * A guest: everything that one session holds with the serving side.
 *
 * It lives until the session is closed and the last of its works is finished, whichever is later:
 * a thread may still be in a system call. On the loop, but for what `nodes` says itself.
 */
#ifndef DAEMON_SERVE_GUEST_H
#define DAEMON_SERVE_GUEST_H

#include "daemon/serve/locks.h"
#include "daemon/serve/nodes.h"
#include "daemon/serve/opens.h"
#include "daemon/serve/order.h"
#include "daemon/serve/pool.h"

struct serve;
struct work;

struct guest {
	struct serve *serve;
	struct nodes nodes;
	struct order order;
	struct opens opens;
	struct locks locks;
	struct pool_queue queue;
	struct work *works; /* all that are not finished */
	size_t n_works;
	bool closing;
	bool sweeping;
	uv_work_t sweep;
	uv_work_t disposal;
	struct guest *next, *previous; /* of its serve */
};

/* `peer` is the same for all guests of one peer; NULL: it has no other. */
int guest_new(struct serve *serve, const void *peer, struct guest **ret_guest);
/* The session has gone. Frees the guest, now or when its works are finished. */
void guest_close(struct guest *guest);
/* Something that held the guest has ended: frees it if it was the last. */
void guest_settle(struct guest *guest);
/* Closes descriptors of objects that are gone (removed_sweep) on a thread. */
void guest_sweep(struct guest *guest);

#endif
