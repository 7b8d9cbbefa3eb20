/*
 * Ephemeral: a P-256 key that lives for one pairing, and the ECDH secret made with it.
 */
#ifndef PROTO_EPHEMERAL_H
#define PROTO_EPHEMERAL_H

#include <stdint.h>
#include <openssl/types.h>

enum {
	EPHEMERAL_POINT_SIZE = 65, /* uncompressed: 04, x, y (SEC 1, 2.3.3) */
	EPHEMERAL_SECRET_SIZE = 32,
};

struct ephemeral {
	EVP_PKEY *key; /* owned */
	uint8_t point[EPHEMERAL_POINT_SIZE];
};

/* Returns 0, or -EIO if OpenSSL fails. */
int ephemeral_init(struct ephemeral *ephemeral);
void ephemeral_deinit(struct ephemeral *ephemeral);

/*
 * The x coordinate of the product (SEC 1, 3.3.1). Returns 0, -EBADMSG if the other point is not
 * one of the curve other than infinity, -EIO if OpenSSL fails.
 */
int ephemeral_agree(const struct ephemeral *ephemeral, const uint8_t point[EPHEMERAL_POINT_SIZE],
		    uint8_t ret_secret[EPHEMERAL_SECRET_SIZE]);

#endif
