/*
 * A connection handshakes, is established, and ends in one of two ways: by close_notify, or with an
 * error that stays.
 *
 *     handshake ──0──▶ established ──close_notify──▶ tls_read returns 0
 *         └──────────────────┴──── anything else ──▶ error
 *
 * Verification replaces OpenSSL's: chains, names and dates prove nothing here. The peer's key is
 * taken from its certificate and the owner of the connection is asked. A server asks before it has
 * answered, so an unknown client gets nowhere; a client's handshake is done before the server has
 * judged it, so it hears a refusal from its first tls_read.
 */
#include "proto/tls.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "proto/tls_bio.h"

enum { RECORD_SIZE = 16384 }; /* RFC 8446 5.1 */

static const struct {
	enum tls_protocol protocol;
	uint8_t size;
	char name[16];
} protocols_table[] = {
    {TLS_PROTOCOL_LINK, 8, "loopsy/1"},
    {TLS_PROTOCOL_PAIR, 13, "loopsy-pair/1"},
};

enum { N_PROTOCOLS = sizeof(protocols_table) / sizeof(protocols_table[0]) };

struct tls_context {
	SSL_CTX *ssl;
	BIO_METHOD *bio_method;
};

struct tls {
	SSL *ssl;
	struct tls_bio buffers;
	enum tls_role role;
	unsigned int protocols; /* that may be chosen */
	enum tls_protocol protocol;
	bool established;
	bool closed;      /* we have sent close_notify */
	bool peer_closed; /* the peer has */
	bool refused;     /* by us: tls_verify_fn, or not a P-256 key */
	int error;        /* what every later call returns */
	const char *reason;
	tls_verify_fn verify;
	void *userdata;
	uint8_t peer_spki[IDENTITY_SPKI_SIZE];
	uint8_t peer_fingerprint[IDENTITY_FINGERPRINT_SIZE];
	uint8_t record[RECORD_SIZE]; /* where small parts are joined */
};

static enum tls_protocol find_protocol(const unsigned char *name, size_t size)
{
	for (size_t i = 0; i < N_PROTOCOLS; i++)
		if (size == protocols_table[i].size &&
		    memcmp(name, protocols_table[i].name, size) == 0)
			return protocols_table[i].protocol;
	return TLS_PROTOCOL_NONE;
}

/* OpenSSL calls choose_protocol only if the client names any, so that is asked here. */
static int require_alpn(SSL *ssl, int *ret_alert, void *userdata)
{
	const unsigned char *data;
	size_t size;

	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation,
				      &data, &size) == 1)
		return SSL_CLIENT_HELLO_SUCCESS;
	*ret_alert = SSL_AD_NO_APPLICATION_PROTOCOL;
	return SSL_CLIENT_HELLO_ERROR;
}

static int choose_protocol(SSL *ssl, const unsigned char **ret_name, unsigned char *ret_size,
			   const unsigned char *offered, unsigned int size, void *userdata)
{
	struct tls *tls = SSL_get_app_data(ssl);

	for (unsigned int i = 0; i < size && offered[i] < size - i; i += 1 + offered[i]) {
		if ((find_protocol(offered + i + 1, offered[i]) & tls->protocols) != 0) {
			*ret_name = offered + i + 1;
			*ret_size = offered[i];
			return SSL_TLSEXT_ERR_OK;
		}
	}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int verify_peer(X509_STORE_CTX *store, void *userdata)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls *tls = SSL_get_app_data(ssl);
	const X509 *certificate = X509_STORE_CTX_get0_cert(store);
	const unsigned char *name;
	unsigned int size;

	SSL_get0_alpn_selected(ssl, &name, &size);
	tls->protocol = find_protocol(name, size);
	if ((tls->protocol & tls->protocols) == 0 || !certificate ||
	    identity_certificate_spki(certificate, tls->peer_spki) < 0 ||
	    identity_spki_fingerprint(tls->peer_spki, tls->peer_fingerprint) < 0 ||
	    tls->verify(tls->userdata, tls->protocol, tls->peer_fingerprint) < 0) {
		tls->refused = true;
		X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
		return 0;
	}
	X509_STORE_CTX_set_error(store, X509_V_OK);
	return 1;
}

static bool configure(SSL_CTX *ssl, const struct identity *identity)
{
	SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION |
				     SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
	/* A write reports all or nothing; that the buffer may move is true of tls->record. */
	SSL_CTX_set_mode(ssl, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_AUTO_RETRY);
	SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_max_cert_list(ssl, TLS_HANDSHAKE_MAX);
	SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_cert_verify_callback(ssl, verify_peer, NULL);
	SSL_CTX_set_client_hello_cb(ssl, require_alpn, NULL);
	SSL_CTX_set_alpn_select_cb(ssl, choose_protocol, NULL);
	return SSL_CTX_set_min_proto_version(ssl, TLS1_3_VERSION) == 1 &&
	       SSL_CTX_set_max_proto_version(ssl, TLS1_3_VERSION) == 1 &&
	       SSL_CTX_set_num_tickets(ssl, 0) == 1 && SSL_CTX_set_max_early_data(ssl, 0) == 1 &&
	       SSL_CTX_set_ciphersuites(ssl, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
					     "TLS_CHACHA20_POLY1305_SHA256") == 1 &&
	       SSL_CTX_set1_groups_list(ssl, "P-256") == 1 &&
	       SSL_CTX_set1_sigalgs_list(ssl, "ECDSA+SHA256") == 1 &&
	       SSL_CTX_use_certificate(ssl, identity->certificate) == 1 &&
	       SSL_CTX_use_PrivateKey(ssl, identity->key) == 1;
}

int tls_context_new(struct tls_context **ret_context, const struct identity *identity)
{
	struct tls_context *context = calloc(1, sizeof(*context));

	if (!context)
		return -ENOMEM;
	ERR_clear_error();
	context->ssl = SSL_CTX_new(TLS_method());
	context->bio_method = tls_bio_method_new();
	if (!context->ssl || !context->bio_method || !configure(context->ssl, identity)) {
		ERR_clear_error();
		tls_context_free(context);
		return -EIO;
	}
	*ret_context = context;
	return 0;
}

struct tls_context *tls_context_free(struct tls_context *context)
{
	if (context) {
		SSL_CTX_free(context->ssl);
		BIO_meth_free(context->bio_method);
		free(context);
	}
	return NULL;
}

static bool offer_protocol(SSL *ssl, unsigned int protocols)
{
	for (size_t i = 0; i < N_PROTOCOLS; i++) {
		if (protocols_table[i].protocol != protocols)
			continue;
		uint8_t list[1 + sizeof(protocols_table[i].name)];
		list[0] = protocols_table[i].size;
		memcpy(list + 1, protocols_table[i].name, list[0]);
		return SSL_set_alpn_protos(ssl, list, 1u + list[0]) == 0; /* 0 is success here */
	}
	return false;
}

int tls_new(struct tls **ret_tls, struct tls_context *context, enum tls_role role,
	    unsigned int protocols, tls_verify_fn verify, void *userdata)
{
	__attribute__((cleanup(tls_freep))) struct tls *tls = calloc(1, sizeof(*tls));
	if (!tls)
		return -ENOMEM;
	ERR_clear_error();
	tls->role = role;
	tls->protocols = protocols;
	tls->verify = verify;
	tls->userdata = userdata;
	tls->reason = "no error";
	tls->buffers.limited = true;
	tls->buffers.input_budget = TLS_HANDSHAKE_MAX;
	tls->ssl = SSL_new(context->ssl);
	BIO *bio = tls->ssl ? tls_bio_attach(context->bio_method, &tls->buffers) : NULL;
	if (!bio)
		return -ENOMEM;
	SSL_set_bio(tls->ssl, bio, bio);
	SSL_set_app_data(tls->ssl, tls);
	if (role == TLS_CLIENT) {
		if (!offer_protocol(tls->ssl, protocols))
			return -EINVAL;
		SSL_set_connect_state(tls->ssl);
	} else {
		SSL_set_accept_state(tls->ssl);
	}
	*ret_tls = tls;
	tls = NULL;
	return 0;
}

struct tls *tls_free(struct tls *tls)
{
	if (tls) {
		SSL_free(tls->ssl);
		tls_bio_deinit(&tls->buffers);
		OPENSSL_cleanse(tls->record, sizeof(tls->record));
		free(tls);
	}
	return NULL;
}

void tls_freep(struct tls **tls)
{
	tls_free(*tls);
}

/* Input is kept small until the peer is known to be a paired one. */
int tls_receive_space(struct tls *tls, void **ret_data, size_t *ret_size)
{
	bool trusted = tls->established && tls->protocol == TLS_PROTOCOL_LINK;

	return tls_bio_input_space(&tls->buffers, trusted ? TLS_INPUT_SIZE : TLS_HANDSHAKE_MAX,
				   ret_data, ret_size);
}

void tls_receive_commit(struct tls *tls, size_t size)
{
	tls_bio_input_commit(&tls->buffers, size);
}

ssize_t tls_receive(struct tls *tls, const void *data, size_t size)
{
	void *space;
	size_t room;
	int r = tls_receive_space(tls, &space, &room);

	if (r < 0)
		return r;
	if (size > room)
		size = room;
	if (size > 0)
		memcpy(space, data, size);
	tls_receive_commit(tls, size);
	return (ssize_t)size;
}

void tls_receive_end(struct tls *tls)
{
	tls->buffers.input_ended = true;
}

/* An alert from the peer arrives as an error whose reason is 1000 plus its number. */
static int alert_to_errno(int reason)
{
	switch (reason - SSL_AD_REASON_OFFSET) {
	case SSL_AD_BAD_CERTIFICATE:
	case SSL_AD_UNSUPPORTED_CERTIFICATE:
	case SSL_AD_CERTIFICATE_UNKNOWN:
	case SSL_AD_CERTIFICATE_REQUIRED:
	case SSL_AD_UNKNOWN_CA:
	case SSL_AD_ACCESS_DENIED:
		return -EACCES;
	case SSL_AD_NO_APPLICATION_PROTOCOL:
		return -EPROTONOSUPPORT;
	default:
		return -EPROTO;
	}
}

static int fail_with(struct tls *tls, int error, const char *reason)
{
	tls->error = error;
	tls->reason = reason;
	ERR_clear_error();
	return error;
}

/* OpenSSL has failed: finds out why. */
static int fail(struct tls *tls)
{
	unsigned long code = ERR_peek_error();
	const char *text = code ? ERR_reason_error_string(code) : NULL;
	int reason = ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) : 0;

	if (tls->refused)
		return fail_with(tls, -EKEYREJECTED, "the peer's key is not accepted here");
	if (tls->buffers.input_over)
		return fail_with(tls, -EMSGSIZE, "the peer's handshake is too long");
	if (tls->buffers.output_over)
		return fail_with(tls, -ENOBUFS, "the peer does not read our answers");
	if (reason == SSL_R_UNEXPECTED_EOF_WHILE_READING)
		return fail_with(tls, -ECONNRESET, "the connection ended without close_notify");
	if (reason == SSL_R_NO_APPLICATION_PROTOCOL || reason == SSL_R_CALLBACK_FAILED)
		return fail_with(tls, -EPROTONOSUPPORT, "the peer asks for another protocol");
	if (alert_to_errno(reason) == -EACCES)
		return fail_with(tls, -EACCES, "the peer does not accept our key");
	if (alert_to_errno(reason) == -EPROTONOSUPPORT)
		return fail_with(tls, -EPROTONOSUPPORT, "the peer does not accept this now");
	return fail_with(tls, -EPROTO, text ? text : "TLS failed");
}

int tls_handshake(struct tls *tls)
{
	if (tls->error)
		return tls->error;
	if (tls->established)
		return 0;
	ERR_clear_error();
	int r = SSL_do_handshake(tls->ssl);
	if (r != 1) {
		if (SSL_get_error(tls->ssl, r) == SSL_ERROR_WANT_READ)
			return -EAGAIN;
		return fail(tls);
	}
	/* Not reached without verify_peer, as there is no resumption; but if it were: */
	if (tls->protocol == TLS_PROTOCOL_NONE)
		return fail_with(tls, -EPROTO, "the peer was not verified");
	tls->established = true;
	tls->buffers.limited = false;
	return 0;
}

enum tls_protocol tls_protocol(const struct tls *tls)
{
	return tls->established ? tls->protocol : TLS_PROTOCOL_NONE;
}

const uint8_t *tls_peer_fingerprint(const struct tls *tls)
{
	return tls->established ? tls->peer_fingerprint : NULL;
}

const uint8_t *tls_peer_spki(const struct tls *tls)
{
	return tls->established ? tls->peer_spki : NULL;
}

ssize_t tls_read(struct tls *tls, void *data, size_t size)
{
	size_t done = 0;
	int r = tls_handshake(tls);

	if (r < 0)
		return r;
	if (tls->peer_closed)
		return 0;
	while (done < size) {
		size_t n;
		ERR_clear_error();
		r = SSL_read_ex(tls->ssl, (uint8_t *)data + done, size - done, &n);
		if (r == 1) {
			done += n;
			continue;
		}
		int why = SSL_get_error(tls->ssl, r);
		if (why == SSL_ERROR_ZERO_RETURN)
			tls->peer_closed = true;
		else if (why == SSL_ERROR_WANT_READ)
			r = -EAGAIN;
		else
			r = fail(tls);
		break;
	}
	return done > 0 ? (ssize_t)done : r;
}

static int write_record(struct tls *tls, const void *data, size_t size)
{
	size_t n;

	ERR_clear_error();
	if (SSL_write_ex(tls->ssl, data, size, &n) != 1)
		return fail(tls);
	assert(n == size);
	return 0;
}

/*
 * Long parts are encrypted from where they are; only what does not fill a record by itself is
 * joined with its neighbours in tls->record first.
 */
static int write_parts(struct tls *tls, const struct iovec *parts, size_t n)
{
	size_t joined = 0;
	int r;

	for (size_t i = 0; i < n; i++) {
		const uint8_t *data = parts[i].iov_base;
		size_t left = parts[i].iov_len;
		while (left > 0) {
			if (joined == 0 && left >= RECORD_SIZE) {
				size_t whole = left - left % RECORD_SIZE;
				r = write_record(tls, data, whole);
				if (r < 0)
					return r;
				data += whole;
				left -= whole;
				continue;
			}
			size_t part = RECORD_SIZE - joined < left ? RECORD_SIZE - joined : left;
			memcpy(tls->record + joined, data, part);
			joined += part;
			data += part;
			left -= part;
			if (joined == RECORD_SIZE) {
				r = write_record(tls, tls->record, joined);
				if (r < 0)
					return r;
				joined = 0;
			}
		}
	}
	return joined > 0 ? write_record(tls, tls->record, joined) : 0;
}

int tls_write(struct tls *tls, const struct iovec *parts, size_t n)
{
	size_t size = 0;

	if (tls->error)
		return tls->error;
	if (tls->closed)
		return -EPIPE;
	for (size_t i = 0; i < n; i++) {
		if (parts[i].iov_len > TLS_WRITE_MAX - size)
			return -EMSGSIZE;
		size += parts[i].iov_len;
	}
	if (!tls->established || tls->buffers.output_size >= TLS_OUTPUT_MARK)
		return -EAGAIN;
	return write_parts(tls, parts, n);
}

size_t tls_output(const struct tls *tls, struct iovec *ret_parts, size_t n)
{
	return tls_bio_output(&tls->buffers, ret_parts, n);
}

size_t tls_output_size(const struct tls *tls)
{
	return tls->buffers.output_size;
}

void tls_output_consume(struct tls *tls, size_t size)
{
	tls_bio_output_consume(&tls->buffers, size);
}

int tls_close(struct tls *tls)
{
	if (tls->error)
		return tls->error;
	if (tls->closed)
		return 0;
	tls->closed = true;
	if (!tls->established)
		return 0; /* nothing that could be truncated */
	ERR_clear_error();
	return SSL_shutdown(tls->ssl) < 0 ? fail(tls) : 0;
}

int tls_export(struct tls *tls, const char *label, uint8_t ret_value[TLS_EXPORT_SIZE])
{
	if (!tls->established)
		return -ENOTCONN;
	ERR_clear_error();
	if (SSL_export_keying_material(tls->ssl, ret_value, TLS_EXPORT_SIZE, label, strlen(label),
				       NULL, 0, 0) != 1)
		return -EIO;
	return 0;
}

const char *tls_error(const struct tls *tls)
{
	return tls->reason;
}
