#include "proto/identity.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>

/* SEQUENCE { SEQUENCE { id-ecPublicKey, prime256v1 }, BIT STRING { 04 ... } } up to the point. */
static const uint8_t p256_header[] = {
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
    0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
};

static int fill_public_part(struct identity *identity)
{
	int r = identity_certificate_spki(identity->certificate, identity->spki);
	if (r < 0)
		return r;
	r = identity_spki_fingerprint(identity->spki, identity->fingerprint);
	if (r < 0)
		return r;
	identity_fingerprint_id(identity->fingerprint, identity->id);
	return 0;
}

/* The dates span all time: nobody looks at them, and a machine without a clock must work. */
static int make_certificate(struct identity *identity)
{
	X509 *certificate = identity->certificate = X509_new();
	uint64_t serial = 0;

	if (!certificate || RAND_bytes((unsigned char *)&serial, sizeof(serial)) != 1)
		return -EIO;
	serial >>= 1; /* a serial number is positive (RFC 5280 4.1.2.2) */
	X509_NAME *name = X509_get_subject_name(certificate);
	if (X509_set_version(certificate, X509_VERSION_3) != 1 ||
	    ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial | 1) != 1 ||
	    ASN1_TIME_set_string_X509(X509_getm_notBefore(certificate), "20000101000000Z") != 1 ||
	    ASN1_TIME_set_string_X509(X509_getm_notAfter(certificate), "99991231235959Z") != 1 ||
	    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"loopsy",
				       -1, -1, 0) != 1 ||
	    X509_set_issuer_name(certificate, name) != 1 ||
	    X509_set_pubkey(certificate, identity->key) != 1 ||
	    X509_sign(certificate, identity->key, EVP_sha256()) == 0)
		return -EIO;
	return 0;
}

int identity_generate(struct identity **ret_identity)
{
	__attribute__((cleanup(identity_freep))) struct identity *identity =
	    calloc(1, sizeof(*identity));
	if (!identity)
		return -ENOMEM;
	ERR_clear_error();
	identity->key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	if (!identity->key)
		return -EIO;
	int r = make_certificate(identity);
	if (r < 0)
		return r;
	r = fill_public_part(identity);
	if (r < 0)
		return r;
	*ret_identity = identity;
	identity = NULL;
	return 0;
}

/* Without it, OpenSSL would ask for a passphrase at the terminal. */
static int no_passphrase(char *buffer, int size, int writing, void *userdata)
{
	return -1;
}

static void free_bio(BIO **bio)
{
	BIO_free(*bio);
}

int identity_from_pem(struct identity **ret_identity, const void *pem, size_t size)
{
	if (size == 0 || size > IDENTITY_PEM_MAX)
		return -EINVAL;
	__attribute__((cleanup(identity_freep))) struct identity *identity =
	    calloc(1, sizeof(*identity));
	__attribute__((cleanup(free_bio))) BIO *bio = BIO_new_mem_buf(pem, (int)size);
	if (!identity || !bio)
		return -ENOMEM;
	ERR_clear_error();
	identity->key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	if (identity->key)
		identity->certificate = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
	if (!identity->certificate ||
	    X509_check_private_key(identity->certificate, identity->key) != 1 ||
	    fill_public_part(identity) < 0) {
		ERR_clear_error();
		return -EINVAL;
	}
	*ret_identity = identity;
	identity = NULL;
	return 0;
}

int identity_to_pem(const struct identity *identity, char **ret_pem, size_t *ret_size)
{
	__attribute__((cleanup(free_bio))) BIO *bio = BIO_new(BIO_s_secmem());
	if (!bio)
		return -ENOMEM;
	ERR_clear_error();
	if (PEM_write_bio_PKCS8PrivateKey(bio, identity->key, NULL, NULL, 0, NULL, NULL) != 1 ||
	    PEM_write_bio_X509(bio, identity->certificate) != 1)
		return -EIO;
	char *data;
	long size = BIO_get_mem_data(bio, &data);
	if (size <= 0 || size > IDENTITY_PEM_MAX)
		return -EIO;
	char *pem = malloc((size_t)size);
	if (!pem)
		return -ENOMEM;
	memcpy(pem, data, (size_t)size);
	*ret_pem = pem;
	*ret_size = (size_t)size;
	return 0;
}

void identity_pem_free(char *pem, size_t size)
{
	if (pem)
		OPENSSL_cleanse(pem, size);
	free(pem);
}

struct identity *identity_free(struct identity *identity)
{
	if (identity) {
		X509_free(identity->certificate);
		EVP_PKEY_free(identity->key);
		free(identity);
	}
	return NULL;
}

void identity_freep(struct identity **identity)
{
	identity_free(*identity);
}

int identity_certificate_spki(const X509 *certificate, uint8_t ret_spki[IDENTITY_SPKI_SIZE])
{
	const X509_PUBKEY *key = X509_get_X509_PUBKEY(certificate);
	uint8_t spki[IDENTITY_SPKI_SIZE], *end = spki;

	if (!key || i2d_X509_PUBKEY(key, NULL) != IDENTITY_SPKI_SIZE)
		return -EKEYREJECTED;
	if (i2d_X509_PUBKEY(key, &end) != IDENTITY_SPKI_SIZE ||
	    memcmp(spki, p256_header, sizeof(p256_header)) != 0)
		return -EKEYREJECTED;
	memcpy(ret_spki, spki, sizeof(spki));
	return 0;
}

int identity_spki_fingerprint(const uint8_t spki[IDENTITY_SPKI_SIZE],
			      uint8_t ret_fingerprint[IDENTITY_FINGERPRINT_SIZE])
{
	if (EVP_Digest(spki, IDENTITY_SPKI_SIZE, ret_fingerprint, NULL, EVP_sha256(), NULL) != 1)
		return -EIO;
	return 0;
}

void identity_fingerprint_id(const uint8_t fingerprint[IDENTITY_FINGERPRINT_SIZE],
			     char ret_id[IDENTITY_ID_SIZE])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < (IDENTITY_ID_SIZE - 1) / 2; i++) {
		ret_id[2 * i] = digits[fingerprint[i] >> 4];
		ret_id[2 * i + 1] = digits[fingerprint[i] & 15];
	}
	ret_id[IDENTITY_ID_SIZE - 1] = '\0';
}

void identity_fingerprint_text(const uint8_t fingerprint[IDENTITY_FINGERPRINT_SIZE],
			       char ret_text[IDENTITY_FINGERPRINT_TEXT])
{
	unsigned char base64[45]; /* 32 bytes are 44 characters, the last one padding; and NUL */

	EVP_EncodeBlock(base64, fingerprint, IDENTITY_FINGERPRINT_SIZE);
	memcpy(ret_text, "SHA256:", 7);
	memcpy(ret_text + 7, base64, 43);
	ret_text[IDENTITY_FINGERPRINT_TEXT - 1] = '\0';
}

bool identity_id_is_valid(const char *id)
{
	return strlen(id) == IDENTITY_ID_SIZE - 1 &&
	       strspn(id, "0123456789abcdef") == IDENTITY_ID_SIZE - 1;
}
