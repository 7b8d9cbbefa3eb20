#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "proto/identity.h"

static struct identity *generate(void)
{
	struct identity *identity = NULL;

	cr_assert_eq(identity_generate(&identity), 0);
	return identity;
}

Test(identity, survives_pem)
{
	struct identity *identity = generate(), *again = NULL;
	char *pem = NULL;
	size_t size = 0;

	cr_assert_eq(identity_to_pem(identity, &pem, &size), 0);
	cr_assert(size > 300 && size < IDENTITY_PEM_MAX);
	cr_assert_eq(identity_from_pem(&again, pem, size), 0);
	cr_assert_arr_eq(again->fingerprint, identity->fingerprint, IDENTITY_FINGERPRINT_SIZE);
	cr_assert_str_eq(again->id, identity->id);
	cr_assert_eq(EVP_PKEY_eq(again->key, identity->key), 1);
	cr_assert_eq(X509_cmp(again->certificate, identity->certificate), 0);
	identity_pem_free(pem, size);
	identity_free(identity);
	identity_free(again);
}

Test(identity, two_are_different)
{
	struct identity *a = generate(), *b = generate();

	cr_assert_neq(memcmp(a->fingerprint, b->fingerprint, IDENTITY_FINGERPRINT_SIZE), 0);
	cr_assert(identity_id_is_valid(a->id));
	cr_assert(identity_id_is_valid(b->id));
	cr_assert_str_neq(a->id, b->id);
	identity_free(a);
	identity_free(b);
}

Test(identity, certificate_is_self_signed_p256)
{
	struct identity *identity = generate();
	uint8_t spki[IDENTITY_SPKI_SIZE], digest[32];
	char group[32];

	cr_assert_eq(X509_verify(identity->certificate, identity->key), 1);
	cr_assert_eq(EVP_PKEY_get_group_name(identity->key, group, sizeof(group), NULL), 1);
	cr_assert_str_eq(group, "prime256v1");
	cr_assert_eq(identity_certificate_spki(identity->certificate, spki), 0);
	cr_assert_arr_eq(spki, identity->spki, sizeof(spki));
	EVP_Digest(spki, sizeof(spki), digest, NULL, EVP_sha256(), NULL);
	cr_assert_arr_eq(digest, identity->fingerprint, sizeof(digest));
	identity_free(identity);
}

/* python3 -c 'import hashlib,base64; d=hashlib.sha256(bytes(range(91))).digest();
 *             print(d.hex()[:32], base64.b64encode(d).decode().rstrip("="))' */
Test(identity, fingerprint_has_fixed_forms)
{
	uint8_t spki[IDENTITY_SPKI_SIZE], fingerprint[IDENTITY_FINGERPRINT_SIZE];
	char id[IDENTITY_ID_SIZE], text[IDENTITY_FINGERPRINT_TEXT];

	for (size_t i = 0; i < sizeof(spki); i++)
		spki[i] = (uint8_t)i;
	cr_assert_eq(identity_spki_fingerprint(spki, fingerprint), 0);
	identity_fingerprint_id(fingerprint, id);
	identity_fingerprint_text(fingerprint, text);
	cr_assert_str_eq(id, "58d29459b2130a2e151252d408b95e6d");
	cr_assert_str_eq(text, "SHA256:WNKUWbITCi4VElLUCLlebaxCTFZAYuuRHMdkQMuSbKA");
}

Test(identity, ids_are_32_lower_case_hex_digits)
{
	cr_assert(identity_id_is_valid("0123456789abcdef0123456789abcdef"));
	cr_assert_not(identity_id_is_valid("0123456789abcdef0123456789abcde"));
	cr_assert_not(identity_id_is_valid("0123456789abcdef0123456789abcdef0"));
	cr_assert_not(identity_id_is_valid("0123456789ABCDEF0123456789abcdef"));
	cr_assert_not(identity_id_is_valid("0123456789abcdef/123456789abcdef"));
	cr_assert_not(identity_id_is_valid(""));
}

static void refuses(const char *pem, size_t size)
{
	struct identity *identity = NULL;

	cr_assert_eq(identity_from_pem(&identity, pem, size), -EINVAL);
	cr_assert_null(identity);
}

Test(identity, damaged_pem_is_refused)
{
	struct identity *identity = generate();
	char *pem = NULL;
	size_t size = 0;

	cr_assert_eq(identity_to_pem(identity, &pem, &size), 0);
	refuses(pem, 0);
	refuses("", 0);
	refuses("hello", 5);
	/* the last line is -----END CERTIFICATE----- and a newline */
	for (size_t i = 0; i < size - 6; i += 3)
		refuses(pem, i);
	identity_pem_free(pem, size);
	identity_free(identity);
}

Test(identity, key_of_another_certificate_is_refused)
{
	struct identity *a = generate(), *b = generate();
	char *pem_a, *pem_b, mixed[IDENTITY_PEM_MAX];
	size_t size_a, size_b;

	cr_assert_eq(identity_to_pem(a, &pem_a, &size_a), 0);
	cr_assert_eq(identity_to_pem(b, &pem_b, &size_b), 0);
	const char *key_end = memmem(pem_a, size_a, "-----BEGIN CERT", 15);
	const char *certificate = memmem(pem_b, size_b, "-----BEGIN CERT", 15);
	size_t key_size = (size_t)(key_end - pem_a);
	size_t certificate_size = size_b - (size_t)(certificate - pem_b);
	memcpy(mixed, pem_a, key_size);
	memcpy(mixed + key_size, certificate, certificate_size);
	refuses(mixed, key_size + certificate_size);
	identity_pem_free(pem_a, size_a);
	identity_pem_free(pem_b, size_b);
	identity_free(a);
	identity_free(b);
}

static void other_key_is_refused(EVP_PKEY *key, bool encrypted)
{
	X509 *certificate = X509_new();
	BIO *bio = BIO_new(BIO_s_mem());
	uint8_t spki[IDENTITY_SPKI_SIZE];
	char *pem;

	cr_assert_not_null(key);
	X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
	X509_set_pubkey(certificate, key);
	cr_assert_gt(X509_sign(certificate, key, EVP_sha256()), 0);
	if (!encrypted)
		cr_assert_eq(identity_certificate_spki(certificate, spki), -EKEYREJECTED);
	PEM_write_bio_PKCS8PrivateKey(bio, key, encrypted ? EVP_aes_128_cbc() : NULL,
				      encrypted ? "secret" : NULL, encrypted ? 6 : 0, NULL, NULL);
	PEM_write_bio_X509(bio, certificate);
	long size = BIO_get_mem_data(bio, &pem);
	refuses(pem, (size_t)size);
	BIO_free(bio);
	X509_free(certificate);
	EVP_PKEY_free(key);
}

Test(identity, rsa_key_is_refused)
{
	other_key_is_refused(EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048), false);
}

Test(identity, other_curves_are_refused)
{
	other_key_is_refused(EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384"), false);
	other_key_is_refused(EVP_PKEY_Q_keygen(NULL, NULL, "EC", "secp256k1"), false);
}

Test(identity, key_with_passphrase_is_refused_without_asking)
{
	other_key_is_refused(EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256"), true);
}
