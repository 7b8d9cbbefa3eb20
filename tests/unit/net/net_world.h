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

#include "daemon/net/net.h"

#define WORLD_LOG       20000
#define WORLD_HELD      4096
#define WORLD_DEADLINE  60000 /* ms: for what must happen, on a machine however slow */
#define WORLD_HOLD_NODE 999   /* GETATTR of it is held until the test answers */

/* --- the relay -------------------------------------------------------------------------------- */

struct relay {
	uv_loop_t *loop;
	uv_tcp_t listener;
	int to_port;
	int port;
	bool is_stopped; /* takes nothing and gives nothing: a cable that was pulled */
	int64_t budget;  /* bytes until all connections are cut; negative: without end */
	uint64_t n_bytes;
	unsigned n_accepted;
	struct relay_pipe *pipes;
};

void relay_open(struct relay *relay, uv_loop_t *loop, int to_port);
void relay_cut(struct relay *relay);
void relay_stop(struct relay *relay);
void relay_go_on(struct relay *relay);
void relay_close(struct relay *relay);

/* --- the room that serves --------------------------------------------------------------------- */

struct served {
	uint16_t op;
	uint64_t node;
	uint64_t offset;
};

struct room {
	struct service service;
	int n_opened, n_closed;
	struct served log[WORLD_LOG]; /* what was asked, in that order */
	size_t n_log;
	unsigned n_mkdir, n_write, n_forget, n_cancelled;
	size_t written; /* bytes */
	bool holds_all; /* requests are kept until room_answer_all */
	struct request *held[WORLD_HELD];
	size_t n_held, n_held_most;
	unsigned n_borrowed, n_released; /* payloads of READ */
	unsigned n_broken, n_streamed;   /* streams of READDIR */
	unsigned n_lent;                 /* pieces of them that were not given back */
	bool has_lent;
	int broken_error;
	bool is_slow_stream; /* does not write until told */
};

/* Answers a held request as usual; all of them. */
void room_answer(struct room *room, struct request *request);
void room_answer_all(struct room *room);

/* --- the two ---------------------------------------------------------------------------------- */

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

/* --- calls ------------------------------------------------------------------------------------ */

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
