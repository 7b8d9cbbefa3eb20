/* What tls.c says to peers that are not loopsy. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/ssl.h>

#include "proto/tls.h"
#include "tests/unit/proto/tls_ends.h"

/* A foreign peer, made with OpenSSL alone; changed by the test before it starts. */
struct foreign {
	SSL_CTX *context;
	SSL *ssl;
	BIO *in, *out;
};

static void foreign_init(struct foreign *foreign, bool client)
{
	foreign->context = SSL_CTX_new(client ? TLS_client_method() : TLS_server_method());
	SSL_CTX_set_alpn_protos(foreign->context, (const unsigned char *)"\010loopsy/1", 9);
	foreign->ssl = NULL;
}

static void foreign_use(struct foreign *foreign, EVP_PKEY *key)
{
	X509 *certificate = X509_new();

	X509_set_version(certificate, X509_VERSION_3);
	X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
	X509_set_pubkey(certificate, key);
	const EVP_MD *digest = EVP_PKEY_is_a(key, "ED25519") ? NULL : EVP_sha256();
	cr_assert_gt(X509_sign(certificate, key, digest), 0);
	cr_assert_eq(SSL_CTX_use_certificate(foreign->context, certificate), 1);
	cr_assert_eq(SSL_CTX_use_PrivateKey(foreign->context, key), 1);
	X509_free(certificate);
	EVP_PKEY_free(key);
}

static void foreign_run(struct foreign *foreign, bool client, struct end *end)
{
	uint8_t data[65536];

	foreign->ssl = SSL_new(foreign->context);
	foreign->in = BIO_new(BIO_s_mem());
	foreign->out = BIO_new(BIO_s_mem());
	SSL_set_bio(foreign->ssl, foreign->in, foreign->out);
	if (client)
		SSL_set_connect_state(foreign->ssl);
	else
		SSL_set_accept_state(foreign->ssl);
	end->result = tls_handshake(end->tls);
	for (int i = 0; i < 8; i++) {
		size_t size = take(end->tls, data, sizeof(data));
		if (size > 0)
			BIO_write(foreign->in, data, (int)size);
		SSL_do_handshake(foreign->ssl);
		int n = BIO_read(foreign->out, data, sizeof(data));
		for (int at = 0; at < n;) {
			ssize_t taken = tls_receive(end->tls, data + at, (size_t)(n - at));
			end->result = tls_handshake(end->tls);
			if (taken <= 0)
				break;
			at += (int)taken;
		}
	}
}

static void foreign_deinit(struct foreign *foreign)
{
	SSL_free(foreign->ssl);
	SSL_CTX_free(foreign->context);
	ERR_clear_error();
}

static EVP_PKEY *p256(void)
{
	return EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
}

Test(tls_foreign, foreign_client_with_a_p256_key_gets_in)
{
	struct foreign foreign;
	struct end server;

	end_init(&server, TLS_SERVER, TLS_PROTOCOL_LINK);
	foreign_init(&foreign, true);
	foreign_use(&foreign, p256());
	foreign_run(&foreign, true, &server);
	cr_assert_eq(server.result, 0, "%s", tls_error(server.tls));
	cr_assert_str_eq(SSL_get_cipher_name(foreign.ssl), "TLS_AES_128_GCM_SHA256");
	char byte;
	cr_assert_leq(SSL_read(foreign.ssl, &byte, 1), 0); /* takes a ticket, if there is one */
	cr_assert_eq(SSL_SESSION_is_resumable(SSL_get0_session(foreign.ssl)), 0);
	foreign_deinit(&foreign);
	end_deinit(&server);
}

Test(tls_foreign, version_1_2_is_refused_as_server)
{
	struct foreign foreign;
	struct end server;

	end_init(&server, TLS_SERVER, TLS_PROTOCOL_LINK);
	foreign_init(&foreign, true);
	SSL_CTX_set_max_proto_version(foreign.context, TLS1_2_VERSION);
	foreign_use(&foreign, p256());
	foreign_run(&foreign, true, &server);
	cr_assert_eq(server.result, -EPROTO);
	cr_assert_str_eq(tls_error(server.tls), "unsupported protocol");
	foreign_deinit(&foreign);
	end_deinit(&server);
}

static int take_any_alpn(SSL *ssl, const unsigned char **ret_name, unsigned char *ret_size,
			 const unsigned char *offered, unsigned int size, void *userdata)
{
	*ret_name = offered + 1;
	*ret_size = offered[0];
	return SSL_TLSEXT_ERR_OK;
}

Test(tls_foreign, version_1_2_is_refused_as_client)
{
	struct foreign foreign;
	struct end client;

	end_init(&client, TLS_CLIENT, TLS_PROTOCOL_LINK);
	foreign_init(&foreign, false);
	SSL_CTX_set_max_proto_version(foreign.context, TLS1_2_VERSION);
	SSL_CTX_set_alpn_select_cb(foreign.context, take_any_alpn, NULL);
	foreign_use(&foreign, p256());
	foreign_run(&foreign, false, &client);
	cr_assert_eq(client.result, -EPROTO);
	foreign_deinit(&foreign);
	end_deinit(&client);
}

Test(tls_foreign, server_that_chooses_no_protocol_is_refused)
{
	struct foreign foreign;
	struct end client;

	end_init(&client, TLS_CLIENT, TLS_PROTOCOL_LINK);
	foreign_init(&foreign, false);
	foreign_use(&foreign, p256());
	foreign_run(&foreign, false, &client);
	cr_assert_eq(client.result, -EKEYREJECTED);
	cr_assert_eq(client.judge.asked, 0);
	foreign_deinit(&foreign);
	end_deinit(&client);
}

Test(tls_foreign, client_that_offers_no_protocol_is_refused)
{
	struct foreign foreign;
	struct end server;

	end_init(&server, TLS_SERVER, TLS_PROTOCOL_LINK);
	foreign_init(&foreign, true);
	SSL_CTX_set_alpn_protos(foreign.context, NULL, 0);
	foreign_use(&foreign, p256());
	foreign_run(&foreign, true, &server);
	cr_assert_eq(server.result, -EPROTONOSUPPORT, "%s", tls_error(server.tls));
	cr_assert_eq(server.judge.asked, 0);
	foreign_deinit(&foreign);
	end_deinit(&server);
}

Test(tls_foreign, client_without_certificate_is_refused)
{
	struct foreign foreign;
	struct end server;

	end_init(&server, TLS_SERVER, TLS_PROTOCOL_LINK);
	foreign_init(&foreign, true);
	foreign_run(&foreign, true, &server);
	cr_assert_eq(server.result, -EPROTO);
	cr_assert_str_eq(tls_error(server.tls), "peer did not return a certificate");
	cr_assert_eq(server.judge.asked, 0);
	foreign_deinit(&foreign);
	end_deinit(&server);
}

static void other_key_is_refused_as_client(EVP_PKEY *key)
{
	struct foreign foreign;
	struct end server;

	end_init(&server, TLS_SERVER, TLS_PROTOCOL_LINK);
	foreign_init(&foreign, true);
	foreign_use(&foreign, key);
	foreign_run(&foreign, true, &server);
	cr_assert(server.result == -EPROTO || server.result == -EKEYREJECTED);
	cr_assert_eq(server.judge.asked, 0);
	foreign_deinit(&foreign);
	end_deinit(&server);
}

static void other_key_is_refused_as_server(EVP_PKEY *key)
{
	struct foreign foreign;
	struct end client;

	end_init(&client, TLS_CLIENT, TLS_PROTOCOL_LINK);
	foreign_init(&foreign, false);
	SSL_CTX_set_alpn_select_cb(foreign.context, take_any_alpn, NULL);
	foreign_use(&foreign, key);
	foreign_run(&foreign, false, &client);
	cr_assert(client.result == -EPROTO || client.result == -EACCES ||
		  client.result == -EKEYREJECTED);
	cr_assert_eq(client.judge.asked, 0);
	foreign_deinit(&foreign);
	end_deinit(&client);
}

Test(tls_foreign, rsa_certificate_is_refused)
{
	other_key_is_refused_as_client(EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048));
	other_key_is_refused_as_server(EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048));
}

Test(tls_foreign, certificate_on_another_curve_is_refused)
{
	other_key_is_refused_as_client(EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384"));
	other_key_is_refused_as_server(EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384"));
	other_key_is_refused_as_client(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"));
}

/* OpenSSL compares public keys only, so a thief can load his private key beside the stolen one. */
static EVP_PKEY *make_thief(const struct identity *victim, const struct identity *thief)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	BIGNUM *private_key = NULL;
	EVP_PKEY *key = NULL;

	cr_assert_eq(EVP_PKEY_get_bn_param(thief->key, "priv", &private_key), 1);
	OSSL_PARAM_BLD_push_utf8_string(builder, "group", "P-256", 0);
	OSSL_PARAM_BLD_push_octet_string(builder, "pub", victim->spki + 26, 65);
	OSSL_PARAM_BLD_push_BN(builder, "priv", private_key);
	OSSL_PARAM *parameters = OSSL_PARAM_BLD_to_param(builder);
	cr_assert_eq(EVP_PKEY_fromdata_init(context), 1);
	cr_assert_eq(EVP_PKEY_fromdata(context, &key, EVP_PKEY_KEYPAIR, parameters), 1);
	OSSL_PARAM_free(parameters);
	OSSL_PARAM_BLD_free(builder);
	EVP_PKEY_CTX_free(context);
	BN_free(private_key);
	return key;
}

Test(tls_foreign, stolen_certificate_without_its_key_is_refused)
{
	struct foreign foreign;
	struct end victim, thief, server;

	end_init(&victim, TLS_CLIENT, TLS_PROTOCOL_LINK);
	end_init(&thief, TLS_CLIENT, TLS_PROTOCOL_LINK);
	end_init(&server, TLS_SERVER, TLS_PROTOCOL_LINK);
	server.judge.pinned = victim.identity;
	foreign_init(&foreign, true);
	EVP_PKEY *key = make_thief(victim.identity, thief.identity);
	cr_assert_eq(SSL_CTX_use_certificate(foreign.context, victim.identity->certificate), 1);
	cr_assert_eq(SSL_CTX_use_PrivateKey(foreign.context, key), 1);
	foreign_run(&foreign, true, &server);
	cr_assert_eq(server.result, -EPROTO);
	cr_assert_eq(server.judge.asked, 1);
	cr_assert_null(tls_peer_fingerprint(server.tls));
	EVP_PKEY_free(key);
	foreign_deinit(&foreign);
	end_deinit(&victim);
	end_deinit(&thief);
	end_deinit(&server);
}

/* A peer that asks for new keys all the time and never reads must not make us hold our answers. */
Test(tls_foreign, flood_of_key_updates_ends_the_connection)
{
	struct foreign foreign;
	struct end server;
	uint8_t data[4096];
	ssize_t r = -EAGAIN;
	char byte;

	end_init(&server, TLS_SERVER, TLS_PROTOCOL_LINK);
	foreign_init(&foreign, true);
	foreign_use(&foreign, p256());
	foreign_run(&foreign, true, &server);
	cr_assert_eq(server.result, 0);
	for (int i = 0; i < 300000 && r == -EAGAIN; i++) {
		cr_assert_eq(SSL_key_update(foreign.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
		cr_assert_eq(SSL_do_handshake(foreign.ssl), 1);
		int n = BIO_read(foreign.out, data, sizeof(data));
		if (n > 0)
			cr_assert_eq(tls_receive(server.tls, data, (size_t)n), n);
		r = tls_read(server.tls, &byte, 1);
	}
	cr_assert(r < 0 && r != -EAGAIN);
	cr_assert_leq(tls_output_size(server.tls), 2u * 1024 * 1024);
	foreign_deinit(&foreign);
	end_deinit(&server);
}
