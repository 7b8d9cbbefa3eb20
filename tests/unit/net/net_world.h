/*
 * A world of two daemons' nets on one loop, over real sockets on loopback: `a` and `b`, paired,
 * with a room on each side that answers files, and a relay between them that can be cut, stopped
 * and counted.
 */
#ifndef TESTS_NET_WORLD_H
#define TESTS_NET_WORLD_H

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "net_relay.h"
#include "net_room.h"

#define WORLD_DEADLINE 60000 /* ms: for what must happen, on a machine however slow */

struct end {
	struct net *net;
	struct identity *identity;
	struct net_peer *peer; /* the other one */
	struct transport *transport;
	struct room room;
	struct net_observer observer;
	unsigned n_states, n_up, n_lost, n_down, n_proved, n_unpaired, n_strangers, n_addresses;
	unsigned n_session_new, n_session_lost;
	unsigned n_answered, n_failed, n_denied; /* requests of the other one */
	void *data;                              /* the test's */
};

struct world {
	uv_loop_t loop;
	uv_timer_t tick;
	uint64_t deadline;
	struct end a, b;
	struct relay relay; /* from a to b, unless is_direct */
	struct net_times times;
	bool is_direct;
	bool both_dial;
	bool is_apart;        /* not yet paired: world_pair does it */
	uint16_t permissions; /* both ways */
	struct limits limits; /* of both */
	unsigned n_closed;
};

/* Zero-initialise, set what is to be otherwise, open. */
void world_open(struct world *world);
void world_pair(struct world *world);
void world_close(struct world *world);
/* Opens one end's net anew, as after a restart of its daemon, at the same port. */
void world_restart(struct world *world, struct end *end);

/* Runs the loop until it holds; fails the test after WORLD_DEADLINE. */
#define world_until(world, condition)                                                              \
	do {                                                                                       \
		(world)->deadline = uv_hrtime() / 1000000 + WORLD_DEADLINE;                        \
		while (!(condition)) {                                                             \
			cr_assert(uv_hrtime() / 1000000 < (world)->deadline, "never: %s",          \
				  #condition);                                                     \
			uv_run(&(world)->loop, UV_RUN_ONCE);                                       \
		}                                                                                  \
	} while (0)
void world_until_up(struct world *world);
/* Some turns of the loop: what is about to happen has its chance, to show what must not happen. */
void world_turns(struct world *world, unsigned n);

void world_listen(struct end *end); /* to its transport, as at the start */

bool is_up(const struct end *end);

#endif
