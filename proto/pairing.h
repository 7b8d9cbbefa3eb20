/*
 * Pairing: one attempt of two machines to know each other, without sockets, timers or storage.
 *
 * The owner feeds what happens (a message, the user's answer, a stored record, the end of the
 * connection), then sends pairing_output as one frame if there is any, then does what the returned
 * action says. Time-outs are the owner's: it calls pairing_cancel.
 */
#ifndef PROTO_PAIRING_H
#define PROTO_PAIRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/pairing_message.h"
#include "proto/transcript.h"

/* The label that the exporter value of a pairing's TLS connection is made with. */
#define PAIRING_EXPORTER_LABEL "EXPORTER-loopsy-pairing"

/*
 * Why a pairing failed. X(symbol, number on the wire, text of what went wrong). The texts read the
 * same whichever side found out.
 */
#define PAIRING_REASONS(X)                                                                         \
	X(OTHER, 0, "it failed for a reason that this version does not know")                      \
	X(REJECTED, 1, "the code was not confirmed")                                               \
	X(TIMEOUT, 2, "nobody answered in time")                                                   \
	X(CANCELLED, 3, "it was cancelled")                                                        \
	X(CLOSED, 4, "nobody is pairing there now")                                                \
	X(BUSY, 5, "another pairing is going on")                                                  \
	X(KNOWN, 6, "that machine is paired already with another key")                             \
	X(VERSION, 7, "the two versions of loopsy do not fit together")                            \
	X(MALFORMED, 8, "a message could not be decoded")                                          \
	X(UNEXPECTED, 9, "a message came out of turn")                                             \
	X(POINT, 10, "a key was not a point of the curve")                                         \
	X(REFLECTED, 11, "a machine was sent its own key")                                         \
	X(NONCE, 12, "a nonce was repeated")                                                       \
	X(OPENING, 13, "a key was not the one committed to")                                       \
	X(CONFIRMATION, 14, "a confirmation was wrong")                                            \
	X(STORE, 15, "the peer could not be stored")                                               \
	X(LOST, 16, "the connection was lost")                                                     \
	X(INTERNAL, 17, "a computation failed")

enum pairing_reason {
#define PAIRING_REASON_MEMBER(symbol, number, text) PAIRING_REASON_##symbol = number,
	PAIRING_REASONS(PAIRING_REASON_MEMBER)
#undef PAIRING_REASON_MEMBER
};

/* What the owner does next, after sending pairing_output. */
enum pairing_action {
	PAIRING_WAIT, /* for the next message, or the user */
	/* Show pairing_code and pairing_peer, and call pairing_answer with what the user says. This
	 * is also the last moment to pairing_cancel for what the peer is. */
	PAIRING_ASK,
	/* Store the peer as pending, durably, then call pairing_stored. */
	PAIRING_STORE,
	/* Both have stored it. The first authenticated hello over loopsy/1 makes it paired: the
	 * initiator dials, the responder awaits it. */
	PAIRING_DONE,
	/* pairing_reason says why. If pairing_has_stored, delete what is *pending* (a store that is
	 * still under way included; never what a hello has made paired). */
	PAIRING_FAILED,
};

struct pairing;

struct pairing_config {
	enum transcript_role role; /* the initiator is the TLS client */
	struct transcript_party own;
	uint8_t peer_spki[IDENTITY_SPKI_SIZE]; /* tls_peer_spki */
	uint8_t exporter[TRANSCRIPT_EXPORTER_SIZE];
};

/* Makes the ephemeral key. Returns 0, -EINVAL if own.name is empty or not UTF-8, -ENOMEM, -EIO. */
int pairing_new(struct pairing **ret_pairing, const struct pairing_config *config);
struct pairing *pairing_free(struct pairing *pairing);
void pairing_freep(struct pairing **pairing);

/* Once, before anything else. */
enum pairing_action pairing_start(struct pairing *pairing);

/* One message: the content of a frame. */
enum pairing_action pairing_receive(struct pairing *pairing, const void *data, size_t size);

/* A yes when nothing was asked counts for nothing; a no ends it at any time. */
enum pairing_action pairing_answer(struct pairing *pairing, bool yes);

/* The answer to PAIRING_STORE: whether it is stored. Otherwise it counts for nothing. */
enum pairing_action pairing_stored(struct pairing *pairing, bool stored);

/* The owner ends it: time is up, the user is gone, the peer's name is another's. */
enum pairing_action pairing_cancel(struct pairing *pairing, enum pairing_reason reason);

/*
 * The connection has ended. Still DONE for a responder that has sent its confirmation: the
 * initiator may have stored it, and then there will be a hello.
 */
enum pairing_action pairing_lost(struct pairing *pairing);

/* What the last call wants sent: a message, or 0 bytes. Valid until the next call. */
size_t pairing_output(const struct pairing *pairing, const uint8_t **ret_data);

/* Six digits from PAIRING_ASK on, NULL before and after a failure. */
const char *pairing_code(const struct pairing *pairing);

/*
 * The peer as it introduced itself; NULL until it has. The name is 1 to 63 bytes of UTF-8 and not
 * to be trusted: map it.
 */
const struct transcript_party *pairing_peer(const struct pairing *pairing);

/* Whether PAIRING_STORE was ever returned. */
bool pairing_has_stored(const struct pairing *pairing);

/* Of PAIRING_FAILED. *ret_by_peer (may be NULL): the peer refused, else we did. */
enum pairing_reason pairing_reason(const struct pairing *pairing, bool *ret_by_peer);

/* Never NULL. */
const char *pairing_reason_text(enum pairing_reason reason);

/* A refuse message for a connection that gets no struct pairing (CLOSED, BUSY). Returns its size.
 */
size_t pairing_encode_refusal(enum pairing_reason reason, uint8_t ret_data[PAIRING_MESSAGE_MAX]);

#endif
