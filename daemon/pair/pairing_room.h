/*
 * The pairing room: while someone runs `loopsyctl pair` here, the one place where a machine that
 * nobody knows is listened to.
 *
 *                        accepted stream ─┐
 *     CTL_PAIR ─→ waiting ─→ attempt ─────┴→ code shown ─→ stored pending ─→ done ─→ first hello
 *                   ↑           │ failed before the code (garbage, a scanner)
 *                   └───────────┘                  └ failed: the window ends, with the reason
 *
 * One window at a time, one attempt at a time: whoever guesses the code has one guess.
 */
#ifndef DAEMON_PAIR_PAIRING_ROOM_H
#define DAEMON_PAIR_PAIRING_ROOM_H

#include <uv.h>

#include "daemon/control/control.h"
#include "daemon/net/pair_stream.h"
#include "daemon/store.h"

struct pairing_room;

/* What the room needs of the house. */
struct pairing_room_host {
	/* A peer that is paired here and calls itself so, but has another key; NULL: none. */
	const struct store_peer *(*namesake)(void *arg, const char *remote_name,
					     const uint8_t fingerprint[IDENTITY_FINGERPRINT_SIZE]);
	/* The peer of that key, paired or pending; NULL: none. */
	const struct store_peer *(*known)(void *arg,
					  const uint8_t fingerprint[IDENTITY_FINGERPRINT_SIZE]);
	/* A valid name for it that no other peer has. */
	void (*choose_name)(void *arg, const char *wanted,
			    const uint8_t fingerprint[IDENTITY_FINGERPRINT_SIZE],
			    char ret_name[PEER_NAME_MAX + 1]);
	/* Stores it as pending (one that is paired stays so until its hello). `stored` comes once,
	 * later, unless an error is returned. */
	int (*store)(void *arg, const struct store_peer *peer, store_done_fn stored, void *data);
	/* The pairing is done on both sides: lets the peer in, dials it if it has addresses. */
	void (*admit)(void *arg, const struct store_peer *peer);
	/* It came to nothing: deletes what is pending. */
	void (*forget)(void *arg, const struct store_peer *peer);
	/* Lets strangers reach us, or not. */
	void (*open)(void *arg, bool open);
	/* The address for what the user typed ("desk" as discovered, "host", "host:port"). 0 or
	 * -EINVAL. */
	int (*resolve)(void *arg, const char *text, char ret_address[STORE_ADDRESS_TEXT_MAX + 1]);
	/* Where we listen, for CTL_PAIR_WAITING: the i-th address or NULL. */
	const char *(*listening)(void *arg, size_t i);
	/* For the audit log. */
	void (*audit)(void *arg, const char *peer, const char *outcome, const char *detail);
};

struct pairing_room_config {
	uv_loop_t *loop;
	struct net *net;
	const struct identity *identity; /* borrowed */
	const char *name;                /* what we call ourselves; borrowed */
	uint16_t allow;                  /* permissions when the user says nothing */
	const struct pairing_room_host *host;
	void *arg;
};

int pairing_room_new(const struct pairing_room_config *config, struct pairing_room **ret_room);
/* Ends what is going on; calls `closed` when it is freed. */
void pairing_room_close(struct pairing_room *room, void (*closed)(void *arg), void *arg);

/* The requests of the control socket. */
void pairing_room_pair(struct pairing_room *room, struct control_call *call,
		       const struct args_ctl_pair *args);
void pairing_room_answer(struct pairing_room *room, struct control_call *call,
			 const struct args_ctl_pair_answer *args);

/* Somebody has connected to pair: takes the stream over. */
void pairing_room_accept(struct pairing_room *room, struct pair_stream *stream);

/* The first hello of a peer that was admitted: tells the user who waits for it. */
void pairing_room_proved(struct pairing_room *room, const char *id);

#endif
