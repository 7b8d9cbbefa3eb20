/*
 * A daemon's identity: a P-256 key and its self-signed certificate.
 *
 * What identifies a peer is the SHA-256 of its public key as a DER SubjectPublicKeyInfo (RFC 5280
 * 4.1.2.7, RFC 5480), its fingerprint. Subject, serial number and dates of the certificate prove
 * nothing and are never looked at.
 */
#ifndef PROTO_IDENTITY_H
#define PROTO_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <openssl/types.h>

enum {
	IDENTITY_SPKI_SIZE = 91,        /* a P-256 SPKI, uncompressed point: always this long */
	IDENTITY_FINGERPRINT_SIZE = 32, /* SHA-256 of it */
	IDENTITY_ID_SIZE = 33,          /* 32 hex digits and NUL */
	IDENTITY_FINGERPRINT_TEXT = 51, /* "SHA256:", 43 of base64 and NUL, as ssh shows keys */
	IDENTITY_PEM_MAX = 16384,
};

struct identity {
	EVP_PKEY *key;     /* owned */
	X509 *certificate; /* owned */
	uint8_t spki[IDENTITY_SPKI_SIZE];
	uint8_t fingerprint[IDENTITY_FINGERPRINT_SIZE];
	char id[IDENTITY_ID_SIZE];
};

/* Makes a new key and certificate. Returns 0, -ENOMEM, or -EIO if OpenSSL fails. */
int identity_generate(struct identity **ret_identity);

/*
 * Reads what identity_to_pem wrote: an unencrypted PKCS#8 key, then the certificate. Returns 0,
 * -EINVAL if it is something else or the two do not belong together, -ENOMEM.
 */
int identity_from_pem(struct identity **ret_identity, const void *pem, size_t size);

/* The caller frees *ret_pem with identity_pem_free, which wipes it. Returns 0, -ENOMEM or -EIO. */
int identity_to_pem(const struct identity *identity, char **ret_pem, size_t *ret_size);
void identity_pem_free(char *pem, size_t size);

/* Returns NULL. NULL is fine. */
struct identity *identity_free(struct identity *identity);
void identity_freep(struct identity **identity);

/*
 * Copies the certificate's SPKI. Returns 0, or -EKEYREJECTED if the key is not a P-256 key in
 * named-curve, uncompressed form. The signature is not checked: TLS proves possession of the key.
 */
int identity_certificate_spki(const X509 *certificate, uint8_t ret_spki[IDENTITY_SPKI_SIZE]);

/* Returns 0, or -EIO if OpenSSL fails. */
int identity_spki_fingerprint(const uint8_t spki[IDENTITY_SPKI_SIZE],
			      uint8_t ret_fingerprint[IDENTITY_FINGERPRINT_SIZE]);

/* The peer id used in names, messages and mDNS: the first 16 bytes of the fingerprint in hex. */
void identity_fingerprint_id(const uint8_t fingerprint[IDENTITY_FINGERPRINT_SIZE],
			     char ret_id[IDENTITY_ID_SIZE]);

/* The fingerprint as people compare it: "SHA256:" and unpadded base64. */
void identity_fingerprint_text(const uint8_t fingerprint[IDENTITY_FINGERPRINT_SIZE],
			       char ret_text[IDENTITY_FINGERPRINT_TEXT]);

/* Whether it is 32 lower-case hex digits. */
bool identity_id_is_valid(const char *id);

#endif
