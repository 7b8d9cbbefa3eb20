#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include "proto/ephemeral.h"
#include "tests/unit/proto/hex.h"

Test(ephemeral, both_sides_agree)
{
	struct ephemeral a, b, c;
	uint8_t ab[EPHEMERAL_SECRET_SIZE], ba[EPHEMERAL_SECRET_SIZE], cb[EPHEMERAL_SECRET_SIZE];

	cr_assert_eq(ephemeral_init(&a), 0);
	cr_assert_eq(ephemeral_init(&b), 0);
	cr_assert_eq(ephemeral_init(&c), 0);
	cr_assert_eq(ephemeral_agree(&a, b.point, ab), 0);
	cr_assert_eq(ephemeral_agree(&b, a.point, ba), 0);
	cr_assert_eq(ephemeral_agree(&c, b.point, cb), 0);
	cr_assert_arr_eq(ab, ba, sizeof(ab));
	cr_assert_neq(memcmp(ab, cb, sizeof(ab)), 0);
	ephemeral_deinit(&a);
	ephemeral_deinit(&b);
	ephemeral_deinit(&c);
}

/* NIST CAVP, SP 800-56A ECC CDH primitive, P-256, count 0 */
Test(ephemeral, agrees_as_nist_says)
{
	uint8_t point[EPHEMERAL_POINT_SIZE], other[EPHEMERAL_POINT_SIZE], private_key[32];
	uint8_t secret[EPHEMERAL_SECRET_SIZE], expected[EPHEMERAL_SECRET_SIZE];
	struct ephemeral own = {.key = NULL};

	hex_decode("04ead218590119e8876b29146ff89ca61770c4edbbf97d38ce385ed281d8a6b230"
		   "28af61281fd35e2fa7002523acc85a429cb06ee6648325389f59edfce1405141",
		   point, sizeof(point));
	hex_decode("7d7dc5f71eb29ddaf80d6214632eeae03d9058af1fb6d22ed80badb62bc1a534", private_key,
		   sizeof(private_key));
	hex_decode("04700c48f77f56584c5cc632ca65640db91b6bacce3a4df6b42ce7cc838833d287"
		   "db71e509e3fd9b060ddb20ba5c51dcc5948d46fbf640dfe0441782cab85fa4ac",
		   other, sizeof(other));
	hex_decode("46fc62106420ff012e54a434fbdd2d25ccc5852060561e68040dd7778997bd7b", expected,
		   sizeof(expected));
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	BIGNUM *number = BN_bin2bn(private_key, sizeof(private_key), NULL);
	OSSL_PARAM_BLD_push_utf8_string(builder, "group", "P-256", 0);
	OSSL_PARAM_BLD_push_octet_string(builder, "pub", point, sizeof(point));
	OSSL_PARAM_BLD_push_BN(builder, "priv", number);
	OSSL_PARAM *parameters = OSSL_PARAM_BLD_to_param(builder);
	cr_assert_eq(EVP_PKEY_fromdata_init(context), 1);
	cr_assert_eq(EVP_PKEY_fromdata(context, &own.key, EVP_PKEY_KEYPAIR, parameters), 1);
	cr_assert_eq(ephemeral_agree(&own, other, secret), 0);
	cr_assert_arr_eq(secret, expected, sizeof(secret));
	OSSL_PARAM_free(parameters);
	OSSL_PARAM_BLD_free(builder);
	BN_free(number);
	EVP_PKEY_CTX_free(context);
	ephemeral_deinit(&own);
}

Test(ephemeral, what_is_no_point_is_refused)
{
	struct ephemeral own, other;
	uint8_t point[EPHEMERAL_POINT_SIZE], secret[EPHEMERAL_SECRET_SIZE];

	cr_assert_eq(ephemeral_init(&own), 0);
	cr_assert_eq(ephemeral_init(&other), 0);
	for (size_t i = 1; i < sizeof(point); i++) { /* off the curve */
		memcpy(point, other.point, sizeof(point));
		point[i] ^= 1;
		cr_assert_eq(ephemeral_agree(&own, point, secret), -EBADMSG, "byte %zu", i);
	}
	for (int first = 0; first < 256; first++) { /* infinity, compressed, hybrid, and no form */
		memcpy(point, other.point, sizeof(point));
		point[0] = (uint8_t)first;
		cr_assert_eq(ephemeral_agree(&own, point, secret), first == 4 ? 0 : -EBADMSG,
			     "form %d", first);
	}
	memset(point, 0, sizeof(point));
	cr_assert_eq(ephemeral_agree(&own, point, secret), -EBADMSG);
	point[0] = 4;
	cr_assert_eq(ephemeral_agree(&own, point, secret), -EBADMSG);
	memset(point + 1, 0xff, sizeof(point) - 1); /* coordinates not below p */
	cr_assert_eq(ephemeral_agree(&own, point, secret), -EBADMSG);
	/* (p, y) for the curve's point (0, sqrt(b)): right modulo p, but not a canonical form */
	hex_decode("04ffffffff00000001000000000000000000000000ffffffffffffffffffffffff"
		   "66485c780e2f83d72433bd5d84a06bb6541c2af31dae871728bf856a174f93f4",
		   point, sizeof(point));
	cr_assert_eq(ephemeral_agree(&own, point, secret), -EBADMSG);
	memset(point + 1, 0, 32);
	cr_assert_eq(ephemeral_agree(&own, point, secret), 0);
	ephemeral_deinit(&own);
	ephemeral_deinit(&other);
}
