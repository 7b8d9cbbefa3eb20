/*
 * The messages of a pairing: small msgpack arrays, each the payload of a frame (32 bits of length
 * before it, as everywhere). They come from anybody who can connect, so they are strict: exactly
 * these fields, nothing after them. What is new needs a new version.
 *
 *     hello    [0, version, name, capabilities]               initiator
 *     commit   [1, version, name, capabilities, commitment]   responder
 *     key      [2, point, nonce]                              initiator
 *     open     [3, point, nonce]                              responder
 *     confirm  [4, confirmation]                              both, initiator first
 *     stored   [5]                                            initiator
 *     refuse   [6, reason]                                    both, at any time
 */
#ifndef PROTO_PAIRING_MESSAGE_H
#define PROTO_PAIRING_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include "proto/transcript.h"

enum {
	PAIRING_MESSAGE_VERSION = 1,
	PAIRING_MESSAGE_MAX = 256, /* no message that decodes is longer */
};

enum pairing_message_kind {
	PAIRING_MESSAGE_HELLO,
	PAIRING_MESSAGE_COMMIT,
	PAIRING_MESSAGE_KEY,
	PAIRING_MESSAGE_OPEN,
	PAIRING_MESSAGE_CONFIRM,
	PAIRING_MESSAGE_STORED,
	PAIRING_MESSAGE_REFUSE,
};

struct pairing_message {
	enum pairing_message_kind kind;
	char name[TRANSCRIPT_NAME_MAX + 1]; /* HELLO, COMMIT: UTF-8, 1 to 63 bytes */
	uint64_t capabilities;
	uint8_t commitment[TRANSCRIPT_HASH_SIZE];   /* COMMIT */
	struct transcript_share share;              /* KEY, OPEN; the point is not checked */
	uint8_t confirmation[TRANSCRIPT_HASH_SIZE]; /* CONFIRM */
	uint32_t reason;                            /* REFUSE: any number */
};

/* Returns 0, -EPROTONOSUPPORT for another version than ours, -EBADMSG. */
int pairing_message_decode(const void *data, size_t size, struct pairing_message *ret_message);

/* Returns the size. The message must be one that decodes. */
size_t pairing_message_encode(const struct pairing_message *message,
			      uint8_t ret_data[PAIRING_MESSAGE_MAX]);

#endif
