/*
 * A stream is DIALLING, then SHAKING hands, then OPEN; an accepted one is OPEN from the start. The
 * loop hears of failures: an error that is found within a call of the room is told from a timer.
 */
#include "daemon/net/pair_stream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/net/net_private.h"

#define LENGTH_SIZE 4
#define OUTPUT_MAX  (64 * 1024) /* of bytes that the other end does not take */

struct pair_stream {
	struct net *net;
	const struct pair_stream_handler *handler; /* NULL: nobody listens */
	void *arg;
	struct dial *dial;
	struct conn *conn;
	unsigned n_busy; /* calls of ours on the stack, and the owner: freed by the last */
	bool is_gone;
	char address[ADDRESS_MAX];
	size_t size; /* of input */
	uint8_t input[LENGTH_SIZE + PAIR_STREAM_MESSAGE_MAX];
};

static void release(struct pair_stream *stream)
{
	if (--stream->n_busy == 0)
		free(stream);
}

/* It is gone for its owner. */
static void leave(struct pair_stream *stream)
{
	stream->is_gone = true;
	if (stream->dial)
		dial_free(stream->dial);
	stream->dial = NULL;
	release(stream);
}

static void fail(struct pair_stream *stream, int error, const char *why)
{
	const struct pair_stream_handler *handler = stream->handler;
	void *arg = stream->arg;

	if (stream->is_gone)
		return;
	if (stream->conn)
		conn_close(stream->conn);
	stream->conn = NULL;
	leave(stream);
	if (handler)
		handler->closed(arg, error, why);
}

/* Takes whole messages from the input. */
static void take_messages(struct pair_stream *stream)
{
	size_t length, start = 0;

	while (!stream->is_gone && stream->size - start >= LENGTH_SIZE) {
		const uint8_t *at = stream->input + start;

		length = (size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3];
		if (length > PAIR_STREAM_MESSAGE_MAX) {
			fail(stream, -EMSGSIZE, "a pairing message that is too long");
			return;
		}
		if (stream->size - start < LENGTH_SIZE + length)
			break;
		start += LENGTH_SIZE + length;
		stream->handler->message(stream->arg, stream,
					 (struct bytes){at + LENGTH_SIZE, length});
	}
	if (stream->is_gone)
		return;
	stream->size -= start;
	memmove(stream->input, stream->input + start, stream->size);
}

static void on_input(void *arg, struct conn *conn)
{
	struct pair_stream *stream = arg;
	ssize_t n;

	stream->n_busy++;
	while (!stream->is_gone && stream->handler) {
		n = conn_read(conn, stream->input + stream->size,
			      sizeof(stream->input) - stream->size);
		if (n <= 0)
			break;
		stream->size += (size_t)n;
		take_messages(stream);
	}
	release(stream);
}

static void on_opened(void *arg, struct conn *conn)
{
	struct pair_stream *stream = arg;

	stream->n_busy++;
	if (stream->dial)
		dial_free(stream->dial);
	stream->dial = NULL;
	stream->handler->opened(stream->arg, stream);
	release(stream);
}

static void on_space(void *arg, struct conn *conn)
{
}

static void on_closed(void *arg, struct conn *conn, int error, const char *why)
{
	struct pair_stream *stream = arg;
	bool is_dialling = stream->dial != NULL;

	stream->conn = NULL;
	/* A client hears the alert as what it is: nobody pairs there now. */
	if (error == -EPROTONOSUPPORT && is_dialling)
		why = "that machine is not waiting to be paired";
	fail(stream, error, why);
}

static const struct conn_handler conn_handler = {
    .opened = on_opened,
    .input = on_input,
    .space = on_space,
    .closed = on_closed,
};

/* Any key will do: trust is what is being made. */
static int verify(void *arg, enum tls_protocol protocol,
		  const uint8_t fingerprint[IDENTITY_FINGERPRINT_SIZE])
{
	return 0;
}

static void on_dialled(void *arg, int fd, const char *address)
{
	struct pair_stream *stream = arg;
	int r;

	if (fd < 0) {
		fail(stream, fd, strerror(-fd));
		return;
	}
	address_of_socket(fd, true, stream->address);
	r = conn_new(&stream->net->room, fd, TLS_CLIENT, TLS_PROTOCOL_PAIR, verify, NULL,
		     &conn_handler, stream, &stream->conn);
	if (r < 0) {
		stream->conn = NULL;
		fail(stream, r, strerror(-r));
	}
}

int pair_stream_dial(struct net *net, const char *address,
		     const struct pair_stream_handler *handler, void *arg,
		     struct pair_stream **ret_stream)
{
	struct pair_stream *stream = calloc(1, sizeof(*stream));
	int r;

	if (!stream)
		return -ENOMEM;
	stream->net = net;
	stream->handler = handler;
	stream->arg = arg;
	stream->n_busy = 1;
	snprintf(stream->address, sizeof(stream->address), "%s", address);
	r = dial_new(&stream->dial, &net->room, &address, 1, net->times.stagger, on_dialled,
		     stream);
	if (r < 0) {
		free(stream);
		return r;
	}
	*ret_stream = stream;
	return 0;
}

void net_stranger_pairs(struct net *net, struct conn *conn)
{
	struct pair_stream *stream;

	if (!net->is_pairing || !net->observer || !net->observer->pairing) {
		conn_close(conn);
		return;
	}
	stream = calloc(1, sizeof(*stream));
	if (!stream) {
		conn_close(conn);
		return;
	}
	stream->net = net;
	stream->conn = conn;
	stream->n_busy = 1;
	snprintf(stream->address, sizeof(stream->address), "%s", conn_address(conn));
	conn_set_handler(conn, &conn_handler, stream);
	/* What was read with the handshake is given after this: conn_handler.input follows. */
	net->observer->pairing(net->arg, stream);
}

void pair_stream_listen(struct pair_stream *stream, const struct pair_stream_handler *handler,
			void *arg)
{
	stream->handler = handler;
	stream->arg = arg;
}

int pair_stream_send(struct pair_stream *stream, struct bytes message)
{
	uint8_t length[LENGTH_SIZE] = {0, 0, (uint8_t)(message.size >> 8), (uint8_t)message.size};
	struct iovec parts[] = {{length, sizeof(length)}, {(void *)message.data, message.size}};
	int r;

	if (message.size > PAIR_STREAM_MESSAGE_MAX)
		return -EMSGSIZE;
	if (!stream->conn || !conn_is_open(stream->conn))
		return -ENOTCONN;
	if (conn_output_size(stream->conn) + message.size > OUTPUT_MAX)
		return -ENOBUFS;
	r = conn_write(stream->conn, parts, 2);
	return r == -EAGAIN ? -ENOBUFS : r;
}

void pair_stream_close(struct pair_stream *stream)
{
	if (stream->conn)
		conn_close(stream->conn);
	stream->conn = NULL;
	leave(stream);
}

struct tls *pair_stream_tls(struct pair_stream *stream)
{
	return stream->conn ? conn_tls(stream->conn) : NULL;
}

const char *pair_stream_address(const struct pair_stream *stream)
{
	return stream->address;
}
