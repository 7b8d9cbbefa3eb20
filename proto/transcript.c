#include "proto/transcript.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>

static const char *const role_names[] = {
    [TRANSCRIPT_INITIATOR] = "initiator",
    [TRANSCRIPT_RESPONDER] = "responder",
};

/* The sizes of all fields are fixed or bounded before, so that it always fits. */
static void add_field(struct transcript *transcript, const void *data, size_t size)
{
	uint8_t length[4] = {0, 0, (uint8_t)(size >> 8), (uint8_t)size};

	assert(size <= UINT16_MAX && size + 4 <= sizeof(transcript->data) - transcript->size);
	memcpy(transcript->data + transcript->size, length, sizeof(length));
	memcpy(transcript->data + transcript->size + sizeof(length), data, size);
	transcript->size += sizeof(length) + size;
}

static void add_text(struct transcript *transcript, const char *text)
{
	add_field(transcript, text, strlen(text));
}

static void add_number(struct transcript *transcript, uint64_t number, size_t width)
{
	uint8_t data[8];

	for (size_t i = 0; i < width; i++)
		data[i] = (uint8_t)(number >> 8 * (width - 1 - i));
	add_field(transcript, data, width);
}

static int add_party(struct transcript *transcript, enum transcript_role role,
		     const struct transcript_party *party)
{
	uint8_t fingerprint[IDENTITY_FINGERPRINT_SIZE];
	char id[IDENTITY_ID_SIZE];
	int r = identity_spki_fingerprint(party->spki, fingerprint);

	if (r < 0)
		return r;
	identity_fingerprint_id(fingerprint, id);
	add_text(transcript, role_names[role]);
	add_field(transcript, party->spki, sizeof(party->spki));
	add_text(transcript, id);
	add_text(transcript, party->name);
	add_number(transcript, party->capabilities, 8);
	return 0;
}

static void add_share(struct transcript *transcript, const struct transcript_share *share)
{
	add_field(transcript, share->point, sizeof(share->point));
	add_field(transcript, share->nonce, sizeof(share->nonce));
}

int transcript_begin(struct transcript *ret_transcript, uint32_t version,
		     const struct transcript_party *initiator,
		     const struct transcript_party *responder,
		     const uint8_t exporter[TRANSCRIPT_EXPORTER_SIZE])
{
	struct transcript transcript = {.size = 0};
	int r;

	add_text(&transcript, "loopsy pairing");
	add_number(&transcript, version, 4);
	r = add_party(&transcript, TRANSCRIPT_INITIATOR, initiator);
	if (r == 0)
		r = add_party(&transcript, TRANSCRIPT_RESPONDER, responder);
	if (r < 0)
		return r;
	add_field(&transcript, exporter, TRANSCRIPT_EXPORTER_SIZE);
	*ret_transcript = transcript;
	return 0;
}

static int hash(const struct transcript *transcript, uint8_t ret_hash[TRANSCRIPT_HASH_SIZE])
{
	if (EVP_Digest(transcript->data, transcript->size, ret_hash, NULL, EVP_sha256(), NULL) != 1)
		return -EIO;
	return 0;
}

int transcript_commitment(const struct transcript *transcript,
			  const struct transcript_share *responder,
			  uint8_t ret_commitment[TRANSCRIPT_HASH_SIZE])
{
	struct transcript input = {.size = 0};

	add_text(&input, "commit");
	assert(transcript->size <= sizeof(input.data) - input.size);
	memcpy(input.data + input.size, transcript->data, transcript->size);
	input.size += transcript->size;
	add_share(&input, responder);
	return hash(&input, ret_commitment);
}

void transcript_complete(struct transcript *transcript,
			 const uint8_t commitment[TRANSCRIPT_HASH_SIZE],
			 const struct transcript_share *initiator,
			 const struct transcript_share *responder)
{
	add_field(transcript, commitment, TRANSCRIPT_HASH_SIZE);
	add_share(transcript, initiator);
	add_share(transcript, responder);
}

static int hkdf(const uint8_t *salt, size_t salt_size, const uint8_t secret[32], const char *info,
		uint8_t *ret_data, size_t size)
{
	OSSL_PARAM parameters[] = {
	    OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0),
	    OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)secret, 32),
	    OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)info, strlen(info)),
	    OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)salt, salt_size),
	    OSSL_PARAM_construct_end(),
	};
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *context = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	int r = context && EVP_KDF_derive(context, ret_data, size, parameters) == 1 ? 0 : -EIO;

	EVP_KDF_CTX_free(context);
	EVP_KDF_free(kdf);
	return r;
}

int transcript_key(const struct transcript *transcript, const uint8_t secret[EPHEMERAL_SECRET_SIZE],
		   uint8_t ret_key[TRANSCRIPT_HASH_SIZE])
{
	uint8_t salt[TRANSCRIPT_HASH_SIZE];
	int r = hash(transcript, salt);

	if (r < 0)
		return r;
	return hkdf(salt, sizeof(salt), secret, "key", ret_key, TRANSCRIPT_HASH_SIZE);
}

/* Of 128 bits, so that no code is more likely than another by more than 2^-108. */
int transcript_code(const uint8_t key[TRANSCRIPT_HASH_SIZE], char ret_code[TRANSCRIPT_CODE_SIZE])
{
	static const uint8_t no_salt[TRANSCRIPT_HASH_SIZE]; /* RFC 5869 2.2: the same as none */
	uint8_t number[16];
	uint32_t code = 0;
	int r = hkdf(no_salt, sizeof(no_salt), key, "sas", number, sizeof(number));

	if (r < 0)
		return r;
	for (size_t i = 0; i < sizeof(number); i++)
		code = (code << 8 | number[i]) % 1000000;
	for (int i = TRANSCRIPT_CODE_SIZE - 2; i >= 0; i--, code /= 10)
		ret_code[i] = (char)('0' + code % 10);
	ret_code[TRANSCRIPT_CODE_SIZE - 1] = '\0';
	OPENSSL_cleanse(number, sizeof(number));
	return 0;
}

int transcript_confirmation(const struct transcript *transcript,
			    const uint8_t key[TRANSCRIPT_HASH_SIZE], enum transcript_role role,
			    uint8_t ret_confirmation[TRANSCRIPT_HASH_SIZE])
{
	struct transcript input = {.size = 0};

	add_text(&input, "confirm");
	add_text(&input, role_names[role]);
	assert(transcript->size <= sizeof(input.data) - input.size);
	memcpy(input.data + input.size, transcript->data, transcript->size);
	input.size += transcript->size;
	if (!HMAC(EVP_sha256(), key, TRANSCRIPT_HASH_SIZE, input.data, input.size, ret_confirmation,
		  NULL))
		return -EIO;
	return 0;
}
