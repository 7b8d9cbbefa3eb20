/*
 * Conn: one TLS connection over one socket, on the loop; what its bytes mean is its owner's.
 *
 * The owner hears through a handler. After `closed`, or after conn_close, the conn is gone for the
 * owner; it is freed later, when its handles are closed.
 */
#ifndef DAEMON_NET_CONN_H
#define DAEMON_NET_CONN_H

#include <uv.h>

#include "proto/tls.h"

struct conn;

/* What the conns of a daemon share. */
struct conn_room {
	uv_loop_t *loop;
	struct tls_context *tls;
	unsigned n_held;            /* conns and others with open handles */
	void (*emptied)(void *arg); /* n_held became 0; may be NULL */
	void *arg;
	uint64_t handshake_ms;
};

/* Count what has to be closed before the room may go. */
void conn_room_hold(struct conn_room *room);
void conn_room_drop(struct conn_room *room);

struct conn_handler {
	/* The handshake is done: tls_protocol and tls_peer_fingerprint are known and proven. */
	void (*opened)(void *arg, struct conn *conn);
	/* Plaintext came: conn_read until -EAGAIN. */
	void (*input)(void *arg, struct conn *conn);
	/* Little ciphertext waits to be sent: conn_write, if there is something. */
	void (*space)(void *arg, struct conn *conn);
	/* It ended, not by conn_close. Never called from within conn_write or conn_read. */
	void (*closed)(void *arg, struct conn *conn, int error, const char *why);
};

/* `space` is called below it. With a frame on top it is still below TLS_OUTPUT_MARK. */
#define CONN_OUTPUT_LOW (64 * 1024)
#define CONN_LATER_MS   2

/*
 * Takes over `fd`, a connected non-blocking stream socket (also on error). `handler` is borrowed
 * until the conn is gone. The handshake has to be done within room->handshake_ms. Returns 0,
 * -ENOMEM or -errno.
 */
int conn_new(struct conn_room *room, int fd, enum tls_role role, unsigned protocols,
	     tls_verify_fn verify, void *verify_arg, const struct conn_handler *handler, void *arg,
	     struct conn **ret_conn);

/* Gives the conn to another owner; what was read already is to be asked for with conn_read. */
void conn_set_handler(struct conn *conn, const struct conn_handler *handler, void *arg);

/* As tls_read; an error other than -EAGAIN will end the conn by itself afterwards. */
ssize_t conn_read(struct conn *conn, void *data, size_t size);

/* As tls_write; sent before the loop waits again. -EAGAIN: wait for `space`. */
int conn_write(struct conn *conn, const struct iovec *parts, size_t n);

/* Makes sure that `space` is called soon (if the conn is open and not full). */
void conn_want_space(struct conn *conn);

/* The same within CONN_LATER_MS, with what is sent meanwhile. */
void conn_want_space_later(struct conn *conn);

/*
 * Somebody types (a key has just come or left): for a second, little is let wait in the sockets of
 * a near peer, where nothing overtakes it. What is copied meanwhile is slower by a fifth.
 */
void conn_note_key(struct conn *conn);

/* Ciphertext not yet taken by the socket. */
size_t conn_output_size(const struct conn *conn);

/* Sends what was written, for a second at most, says goodbye and closes. Nothing is called any
 * more. */
void conn_close(struct conn *conn);
/* The same at once, whatever is still to be sent. */
void conn_abort(struct conn *conn);

bool conn_is_open(const struct conn *conn);   /* the handshake is done */
bool conn_has_input(const struct conn *conn); /* any bytes came at all */
struct tls *conn_tls(struct conn *conn);
/* The other end's address, "192.0.2.7:4711" or "[fe80::1%eth0]:4711". */
const char *conn_address(const struct conn *conn);

#endif
