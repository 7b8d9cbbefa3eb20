/* Two TLS connections in memory, and bytes moved between them. */
#ifndef TESTS_UNIT_PROTO_TLS_ENDS_H
#define TESTS_UNIT_PROTO_TLS_ENDS_H

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "proto/tls.h"

/* What tls_verify_fn is told to accept, and what it was asked. */
struct judge {
	const struct identity *pinned; /* NULL: anybody */
	int asked;
	enum tls_protocol protocol;
};

struct end {
	struct identity *identity;
	struct tls_context *context;
	struct tls *tls;
	struct judge judge;
	int result; /* of the last tls_handshake */
};

static inline int verify(void *userdata, enum tls_protocol protocol,
			 const uint8_t fingerprint[IDENTITY_FINGERPRINT_SIZE])
{
	struct judge *judge = userdata;

	judge->asked++;
	judge->protocol = protocol;
	if (judge->pinned &&
	    memcmp(judge->pinned->fingerprint, fingerprint, IDENTITY_FINGERPRINT_SIZE) != 0)
		return -EKEYREJECTED;
	return 0;
}

static inline void end_init(struct end *end, enum tls_role role, unsigned int protocols)
{
	memset(end, 0, sizeof(*end));
	cr_assert_eq(identity_generate(&end->identity), 0);
	cr_assert_eq(tls_context_new(&end->context, end->identity), 0);
	cr_assert_eq(tls_new(&end->tls, end->context, role, protocols, verify, &end->judge), 0);
}

static inline void end_deinit(struct end *end)
{
	tls_free(end->tls);
	tls_context_free(end->context);
	identity_free(end->identity);
}

/* Takes up to size bytes of what a connection has to send. */
static inline size_t take(struct tls *tls, uint8_t *data, size_t size)
{
	struct iovec part;
	size_t done = 0;

	while (done < size && tls_output(tls, &part, 1) == 1) {
		size_t n = part.iov_len < size - done ? part.iov_len : size - done;
		memcpy(data + done, part.iov_base, n);
		tls_output_consume(tls, n);
		done += n;
	}
	return done;
}

/* Moves at most step bytes; says whether there were any. */
static inline bool move(struct tls *from, struct tls *to, size_t step)
{
	uint8_t data[4096];
	size_t n = take(from, data, step < sizeof(data) ? step : sizeof(data));

	if (n > 0)
		cr_assert_eq(tls_receive(to, data, n), (ssize_t)n);
	return n > 0;
}

/* Until neither has anything to say; the same bytes arrive whatever happened. */
static inline void run_handshake(struct end *client, struct end *server, size_t step)
{
	bool moved = true;

	client->result = tls_handshake(client->tls);
	while (moved) {
		moved = move(client->tls, server->tls, step);
		server->result = tls_handshake(server->tls);
		moved |= move(server->tls, client->tls, step);
		client->result = tls_handshake(client->tls);
	}
}

static inline void connect_ends(struct end *client, struct end *server)
{
	end_init(client, TLS_CLIENT, TLS_PROTOCOL_LINK);
	end_init(server, TLS_SERVER, TLS_PROTOCOL_LINK);
	run_handshake(client, server, SIZE_MAX);
	cr_assert_eq(client->result, 0);
	cr_assert_eq(server->result, 0);
}

#endif
