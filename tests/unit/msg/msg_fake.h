/*
 * Two machines' rooms of messages, each with a real store, without daemon/net: `lap` and `desk`,
 * paired. Between them is a link that can be down and that can lose an answer; each has a session
 * of its own user, through which the test asks.
 */
#ifndef TESTS_MSG_FAKE_H
#define TESTS_MSG_FAKE_H

#include <errno.h>

#include "daemon/failure.h"
#include "daemon/msg/msg.h"
#include "daemon/store.h"
#include "tests/unit/daemon/scratch.h"

#define MSG_FAKE_DEADLINE_MS 60000

struct msg_fake_call {
	struct request request; /* first: requests are cast to calls */
	struct buffer encoded;  /* its args */
	void *args;
	struct msg_fake_machine *machine; /* that is asked */
	void *state;                      /* of the session */
	bool is_done;
	int error;
	void *result; /* the operation's struct */
	struct buffer answer;
	/* a stream */
	bool is_streaming;
	struct buffer stream;
	void (*ready)(void *arg, int error);
	void *ready_arg;
	/* of a peer's call */
	const struct transport_handler *handler;
	void *handler_arg;
	bool is_told; /* the caller has its reply, or does not want it any more */
	struct msg_fake_call *next;
};

struct msg_fake_machine {
	struct transport transport; /* first: how the other one asks this one */
	struct msg_fake *fake;
	struct msg_fake_machine *other;
	const char *name;
	char path[1024], id[IDENTITY_ID_SIZE];
	struct store *store;
	struct msg *msg;
	const struct service *service;
	void *own, *peers; /* states of the two sessions */
	struct msg_options options;
	unsigned n_told;
	bool refuses; /* to take messages of the other one */
};

struct msg_fake {
	uv_loop_t loop;
	struct msg_fake_machine lap, desk;
	bool is_up;
	int lose;            /* answers on the link that are lost, the link with them */
	unsigned n_delivers; /* MSG_DELIVER calls that were made */
	struct msg_fake_call *calls;
};

/* With databases below `dir`. `options` (may be NULL) changes what is not 0. */
void msg_fake_init_in(struct msg_fake *fake, const char *dir, const struct msg_options *options);

static inline void msg_fake_init(struct msg_fake *fake, const struct msg_options *options)
{
	msg_fake_init_in(fake, scratch_dir, options);
}

void msg_fake_deinit(struct msg_fake *fake);
/* Ends the machine's rooms and opens them on the same database. */
void msg_fake_restart(struct msg_fake *fake, struct msg_fake_machine *machine);
/* The link goes, and what is under way on it; it comes back. */
void msg_fake_cut(struct msg_fake *fake);
void msg_fake_mend(struct msg_fake *fake);
/* Takes the other machine out of this one's table of peers, and back in. */
void msg_fake_unpair(struct msg_fake_machine *machine);
void msg_fake_pair(struct msg_fake_machine *machine);

/* Asks as the machine's own user. */
struct msg_fake_call *msg_fake_start(struct msg_fake_machine *machine, uint16_t op,
				     const void *args);
/* The same as the other machine. */
struct msg_fake_call *msg_fake_start_peer(struct msg_fake_machine *machine, uint16_t op,
					  const void *args);
int msg_fake_wait(struct msg_fake_call *call);
/* Start and wait. *ret_result is valid until the end. */
int msg_fake_ask(struct msg_fake_machine *machine, uint16_t op, const void *args,
		 const void **ret_result);

/* Sends a chat to the other machine; its id, in a buffer good for the next 16 calls. */
const char *msg_fake_send(struct msg_fake_machine *machine, const char *body);
/* The bodies in the inbox or outbox, each with a comma behind it; good for the next 16 calls. */
const char *msg_fake_bodies(struct msg_fake_machine *machine, enum msg_box box);
/* "queued" and so on. */
const char *msg_fake_state(struct msg_fake_machine *machine, const char *id);
int msg_fake_ack(struct msg_fake_machine *machine, const char *id);

void msg_fake_turn(struct msg_fake *fake, uint64_t deadline, const char *what);
/* Runs the loop until it holds. */
#define msg_fake_until(fake, condition)                                                            \
	do {                                                                                       \
		uint64_t deadline_ = uv_hrtime() / 1000000 + MSG_FAKE_DEADLINE_MS;                 \
		while (!(condition))                                                               \
			msg_fake_turn(fake, deadline_, #condition);                                \
	} while (0)

#endif
