/*
 * A room that answers files, for the tests of daemon/net/: it counts what it was asked, keeps
 * requests until a test answers them, and answers READ and READDIR with bytes that can be checked.
 */
#ifndef TESTS_NET_ROOM_H
#define TESTS_NET_ROOM_H

#include "daemon/net/net.h"

#define ROOM_LOG       20000
#define ROOM_HELD      4096
#define ROOM_HOLD_NODE 999 /* GETATTR of it is held until the test answers */

struct served {
	uint16_t op;
	uint64_t node;
	uint64_t offset;
};

struct room {
	struct service service;
	int n_opened, n_closed;
	struct served log[ROOM_LOG]; /* what was asked, in that order */
	size_t n_log;
	unsigned n_mkdir, n_write, n_forget, n_cancelled;
	size_t written; /* bytes */
	bool holds_all; /* requests are kept until room_answer_all */
	struct request *held[ROOM_HELD];
	size_t n_held, n_held_most;
	unsigned n_borrowed, n_released; /* payloads of READ */
	unsigned n_broken, n_streamed;   /* streams of READDIR */
	unsigned n_lent;                 /* pieces of them that were not given back */
	bool has_lent;
	int broken_error;
};

/* Answers a held request as usual; all of them. */
void room_answer(struct room *room, struct request *request);
void room_answer_all(struct room *room);

/* Fills in its service; the rest of it is the test's to set. */
void room_init(struct room *room);

/* The bytes of all payloads, 2 * OPS_IO_MAX of them: of a READ and of a WRITE from the offset
 * modulo OPS_IO_MAX on, of a READDIR's pieces from the first on. */
const uint8_t *room_pattern(void);

#endif
