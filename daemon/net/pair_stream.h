/*
 * Pair stream: messages between two machines that do not know each other yet, over a TLS
 * connection of their two keys with ALPN loopsy-pair/1. What they mean is daemon/pair's.
 *
 * On the wire each message is a u32 big-endian length and that many bytes, at most
 * PAIR_STREAM_MESSAGE_MAX.
 */
#ifndef DAEMON_NET_PAIR_STREAM_H
#define DAEMON_NET_PAIR_STREAM_H

#include "proto/record.h"
#include "proto/tls.h"

struct net;
struct pair_stream;

#define PAIR_STREAM_MESSAGE_MAX 8192

struct pair_stream_handler {
	/* A dialled stream has its handshake done; not called for accepted ones. */
	void (*opened)(void *arg, struct pair_stream *stream);
	/* A message; its bytes are valid until this returns. */
	void (*message)(void *arg, struct pair_stream *stream, struct bytes message);
	/* It ended by itself: -ECONNRESET for the other end's close, -ETIMEDOUT, -EPROTO, … with
	 * words for a person. `stream` is gone. Not called after pair_stream_close. */
	void (*closed)(void *arg, int error, const char *why);
};

/*
 * Dials "host:port" to pair. `closed` tells of every failure, never from within this call. Returns
 * 0, -EINVAL (no such form of address) or -ENOMEM.
 */
int pair_stream_dial(struct net *net, const char *address,
		     const struct pair_stream_handler *handler, void *arg,
		     struct pair_stream **ret_stream);

/* Takes over an accepted stream. `handler` is borrowed as long as the stream lives. */
void pair_stream_listen(struct pair_stream *stream, const struct pair_stream_handler *handler,
			void *arg);

/* Sends a copy. Returns 0, -EMSGSIZE, -ENOTCONN before `opened`, -ENOBUFS when the other end does
 * not read. */
int pair_stream_send(struct pair_stream *stream, struct bytes message);

/* Sends what is queued, for a second at most, and closes. `stream` is gone; nothing is called. */
void pair_stream_close(struct pair_stream *stream);

/* For the transcript: both keys (tls_peer_spki) and the exporter value (tls_export). */
struct tls *pair_stream_tls(struct pair_stream *stream);
/* Where the other end is, "192.0.2.7:19532". */
const char *pair_stream_address(const struct pair_stream *stream);

#endif
