/*
 * Transcript: everything that two machines said and know when they pair, and what is computed of
 * it. All functions are pure: the same input gives the same output.
 *
 *     field(x)   = length of x as 32 bits, big-endian, then x
 *     party      = field(SPKI) field(id) field(name) field(capabilities, 64 bits big-endian)
 *     T          = field("loopsy pairing") field(version, 32 bits big-endian)
 *                  field("initiator") party field("responder") party field(TLS exporter)
 *     commitment = SHA-256(field("commit") T field(responder's point) field(responder's nonce))
 *     W          = T field(commitment) field(initiator's point) field(initiator's nonce)
 *                  field(responder's point) field(responder's nonce)
 *     K          = HKDF-SHA-256(salt SHA-256(W), secret ECDH, info "key"), 32 bytes (RFC 5869)
 *     code       = HKDF-SHA-256(no salt, secret K, info "sas"), 16 bytes as a number, mod 10^6
 *     confirmation of a role = HMAC-SHA-256(K, field("confirm") field(role) W)
 *
 * All return 0, -EIO if OpenSSL fails, or what is said there.
 */
#ifndef PROTO_TRANSCRIPT_H
#define PROTO_TRANSCRIPT_H

#include <stddef.h>
#include <stdint.h>

#include "proto/ephemeral.h"
#include "proto/identity.h"

enum {
	TRANSCRIPT_MAX = 1024,
	TRANSCRIPT_NAME_MAX = 63,
	TRANSCRIPT_EXPORTER_SIZE = 32,
	TRANSCRIPT_NONCE_SIZE = 32,
	TRANSCRIPT_HASH_SIZE = 32,
	TRANSCRIPT_CODE_SIZE = 7, /* six digits and NUL */
};

enum transcript_role { TRANSCRIPT_INITIATOR, TRANSCRIPT_RESPONDER };

struct transcript_party {
	uint8_t spki[IDENTITY_SPKI_SIZE];
	char name[TRANSCRIPT_NAME_MAX + 1];
	uint64_t capabilities;
};

struct transcript_share {
	uint8_t point[EPHEMERAL_POINT_SIZE];
	uint8_t nonce[TRANSCRIPT_NONCE_SIZE];
};

struct transcript {
	uint8_t data[TRANSCRIPT_MAX];
	size_t size;
};

/* T. */
int transcript_begin(struct transcript *ret_transcript, uint32_t version,
		     const struct transcript_party *initiator,
		     const struct transcript_party *responder,
		     const uint8_t exporter[TRANSCRIPT_EXPORTER_SIZE]);

/* What the responder is bound to before it has seen the initiator's share; of T. */
int transcript_commitment(const struct transcript *transcript,
			  const struct transcript_share *responder,
			  uint8_t ret_commitment[TRANSCRIPT_HASH_SIZE]);

/* Makes W of T. */
void transcript_complete(struct transcript *transcript,
			 const uint8_t commitment[TRANSCRIPT_HASH_SIZE],
			 const struct transcript_share *initiator,
			 const struct transcript_share *responder);

/* K, of W. */
int transcript_key(const struct transcript *transcript, const uint8_t secret[EPHEMERAL_SECRET_SIZE],
		   uint8_t ret_key[TRANSCRIPT_HASH_SIZE]);

int transcript_code(const uint8_t key[TRANSCRIPT_HASH_SIZE], char ret_code[TRANSCRIPT_CODE_SIZE]);

/* Of W. */
int transcript_confirmation(const struct transcript *transcript,
			    const uint8_t key[TRANSCRIPT_HASH_SIZE], enum transcript_role role,
			    uint8_t ret_confirmation[TRANSCRIPT_HASH_SIZE]);

#endif
