/*
 * TLS 1.3 as bytes in, bytes out: no sockets, no loop.
 *
 * The owner of a connection moves bytes in a fixed round, after anything arrived:
 *
 *     tls_receive_space, recv(2), tls_receive_commit      ciphertext in
 *     tls_handshake until it returns 0, once              then protocol and peer are known
 *     tls_read until -EAGAIN                              plaintext out
 *     tls_write                                           plaintext in
 *     tls_output, writev(2) or uv_write, tls_output_consume    ciphertext out; also after an error,
 *                                                         because it holds the alert
 *
 * Both sides present a self-signed P-256 certificate. TLS proves that the peer has the key; whether
 * that key is welcome is decided by tls_verify_fn, within the handshake.
 */
#ifndef PROTO_TLS_H
#define PROTO_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "proto/identity.h"

struct tls_context;
struct tls;

enum tls_role { TLS_CLIENT, TLS_SERVER };

/* Bits, so that a server can say which ones it accepts. */
enum tls_protocol {
	TLS_PROTOCOL_NONE = 0,
	TLS_PROTOCOL_LINK = 1, /* ALPN loopsy/1 */
	TLS_PROTOCOL_PAIR = 2, /* ALPN loopsy-pair/1 */
};

enum {
	TLS_HANDSHAKE_MAX = 8192,     /* bytes that a peer may send until the handshake is done */
	TLS_INPUT_SIZE = 256 * 1024,  /* ciphertext held on an established loopsy/1 connection */
	TLS_OUTPUT_MARK = 256 * 1024, /* with so much ciphertext waiting, tls_write says -EAGAIN */
	TLS_WRITE_MAX = 1024 * 1024,  /* plaintext in one tls_write */
	TLS_EXPORT_SIZE = 32,
};

/*
 * Decides on the peer's key during the handshake: returns 0 to go on, or a negative errno to end it
 * with a bad_certificate alert. Possession of the key is proven only when tls_handshake returns 0,
 * so this must not change anything on the word of the fingerprint.
 */
typedef int (*tls_verify_fn)(void *userdata, enum tls_protocol protocol,
			     const uint8_t fingerprint[IDENTITY_FINGERPRINT_SIZE]);

/* One per identity, used by all connections in both roles; it keeps what it needs of identity. */
int tls_context_new(struct tls_context **ret_context, const struct identity *identity);
struct tls_context *tls_context_free(struct tls_context *context);

/*
 * A client names one protocol, a server the set that it accepts now; anything else ends in a
 * no_application_protocol alert. The context must outlive the connection. Returns 0, -EINVAL or
 * -ENOMEM.
 */
int tls_new(struct tls **ret_tls, struct tls_context *context, enum tls_role role,
	    unsigned int protocols, tls_verify_fn verify, void *userdata);
struct tls *tls_free(struct tls *tls);
void tls_freep(struct tls **tls);

/*
 * Where the next ciphertext may be put: valid until the next call with this tls. *ret_size is 0
 * while the plaintext of what is there has not been read: stop reading from the socket. Returns 0
 * or -ENOMEM.
 */
int tls_receive_space(struct tls *tls, void **ret_data, size_t *ret_size);
void tls_receive_commit(struct tls *tls, size_t size);
/* The same with a copy. Returns the bytes taken, which may be fewer than size, or -ENOMEM. */
ssize_t tls_receive(struct tls *tls, const void *data, size_t size);
/* The transport has ended; without a close_notify before it, that is an error. */
void tls_receive_end(struct tls *tls);

/*
 * Goes on with the handshake. Returns 0 once it is done, -EAGAIN to wait for input, or:
 *   -EKEYREJECTED     the peer's key is not P-256, or tls_verify_fn refused it
 *   -EACCES           the peer refused our key (a client may learn so only from tls_read)
 *   -EPROTONOSUPPORT  no protocol in common
 *   -ECONNRESET       the connection ended without close_notify
 *   -EMSGSIZE         more than TLS_HANDSHAKE_MAX
 *   -EPROTO           any other violation
 *   -ENOBUFS          the peer made us answer more than it read
 * An error is final: every later call returns it again. tls_error has words for it.
 */
int tls_handshake(struct tls *tls);

/* Known once tls_handshake has returned 0; before that, NONE and NULL. */
enum tls_protocol tls_protocol(const struct tls *tls);
const uint8_t *tls_peer_fingerprint(const struct tls *tls);
const uint8_t *tls_peer_spki(const struct tls *tls);

/*
 * Plaintext, as much as there is and fits. Returns the count, 0 after the peer's close_notify,
 * -EAGAIN to wait for input, or an error as tls_handshake.
 */
ssize_t tls_read(struct tls *tls, void *data, size_t size);

/*
 * Encrypts all of the n parts, packed into full records. Returns 0; -EAGAIN, with nothing taken,
 * before the handshake is done and while TLS_OUTPUT_MARK or more waits to be sent; -EMSGSIZE above
 * TLS_WRITE_MAX; -EPIPE after tls_close; or an error as tls_handshake.
 */
int tls_write(struct tls *tls, const struct iovec *parts, size_t n);

/*
 * The ciphertext to be sent: fills up to n parts and returns how many. The bytes stay where they
 * are until they are consumed or tls is freed, whatever is called in between, so an asynchronous
 * write may refer to them.
 */
size_t tls_output(const struct tls *tls, struct iovec *ret_parts, size_t n);
size_t tls_output_size(const struct tls *tls);
void tls_output_consume(struct tls *tls, size_t size);

/* Sends close_notify; reading may go on. Idempotent. Returns 0 or an error as tls_handshake. */
int tls_close(struct tls *tls);

/* RFC 8446 7.5, with an empty context. Returns 0, -ENOTCONN before the handshake is done, -EIO. */
int tls_export(struct tls *tls, const char *label, uint8_t ret_value[TLS_EXPORT_SIZE]);

/* Why it failed, for a log line: lower-case, never NULL, valid as long as tls. */
const char *tls_error(const struct tls *tls);

#endif
