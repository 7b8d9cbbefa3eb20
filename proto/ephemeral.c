#include "proto/ephemeral.h"

#include <errno.h>
#include <string.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

static void free_key(EVP_PKEY **key)
{
	EVP_PKEY_free(*key);
}

static void free_context(EVP_PKEY_CTX **context)
{
	EVP_PKEY_CTX_free(*context);
}

int ephemeral_init(struct ephemeral *ephemeral)
{
	uint8_t point[EPHEMERAL_POINT_SIZE];
	size_t size = 0;

	ERR_clear_error();
	__attribute__((cleanup(free_key))) EVP_PKEY *key =
	    EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	if (!key ||
	    EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point),
					    &size) != 1 ||
	    size != sizeof(point) || point[0] != 4)
		return -EIO;
	memcpy(ephemeral->point, point, sizeof(point));
	ephemeral->key = key;
	key = NULL;
	return 0;
}

void ephemeral_deinit(struct ephemeral *ephemeral)
{
	EVP_PKEY_free(ephemeral->key);
	ephemeral->key = NULL;
}

/* Infinity has another encoding, a single 00, and so never gets here (SEC 1, 2.3.4). */
static EVP_PKEY *import_point(const uint8_t point[EPHEMERAL_POINT_SIZE])
{
	OSSL_PARAM parameters[] = {
	    OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)"P-256", 0),
	    OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)point,
					      EPHEMERAL_POINT_SIZE),
	    OSSL_PARAM_construct_end(),
	};
	EVP_PKEY *key = NULL;

	if (point[0] != 4)
		return NULL;
	__attribute__((cleanup(free_context))) EVP_PKEY_CTX *import =
	    EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	if (!import || EVP_PKEY_fromdata_init(import) != 1 ||
	    EVP_PKEY_fromdata(import, &key, EVP_PKEY_PUBLIC_KEY, parameters) != 1)
		return NULL;
	__attribute__((cleanup(free_context))) EVP_PKEY_CTX *check =
	    EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	if (!check || EVP_PKEY_public_check(check) != 1) {
		EVP_PKEY_free(key);
		return NULL;
	}
	return key;
}

int ephemeral_agree(const struct ephemeral *ephemeral, const uint8_t point[EPHEMERAL_POINT_SIZE],
		    uint8_t ret_secret[EPHEMERAL_SECRET_SIZE])
{
	uint8_t secret[EPHEMERAL_SECRET_SIZE];
	size_t size = sizeof(secret);

	ERR_clear_error();
	__attribute__((cleanup(free_key))) EVP_PKEY *peer = import_point(point);
	if (!peer) {
		ERR_clear_error();
		return -EBADMSG;
	}
	__attribute__((cleanup(free_context))) EVP_PKEY_CTX *derive =
	    EVP_PKEY_CTX_new_from_pkey(NULL, ephemeral->key, NULL);
	if (!derive || EVP_PKEY_derive_init(derive) != 1 ||
	    EVP_PKEY_derive_set_peer(derive, peer) != 1 ||
	    EVP_PKEY_derive(derive, secret, &size) != 1 || size != sizeof(secret)) {
		OPENSSL_cleanse(secret, sizeof(secret));
		return -EIO;
	}
	memcpy(ret_secret, secret, sizeof(secret));
	OPENSSL_cleanse(secret, sizeof(secret));
	return 0;
}
