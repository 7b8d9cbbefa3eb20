/*
 * A man in the middle of a pairing, for tests: mitm relay|pair PORT CALLER CALLED listens on a
 * loopback port, takes one caller there, calls 127.0.0.1:PORT, and has an identity of its own for
 * each of the two TLS connections.
 *
 *   relay   what one says the other hears, word for word
 *   pair    is CALLED to the caller and CALLER to the called, and says yes to both at once
 *
 * Prints lines, and ends when both connections have ended:
 *
 *   port N   code caller|called NNNNNN   ended caller|called WHY
 *
 * It is one thread with blocking sockets: it is never far behind, and nobody else waits for it.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/pairing.h"
#include "proto/tls.h"

#define MESSAGE_MAX 8192
#define HEADER_SIZE 4

struct side {
	const char *label;
	struct side *other;
	int fd; /* -1 once it has ended */
	struct identity *identity;
	struct tls_context *context;
	struct tls *tls;
	struct pairing *pairing; /* NULL: its messages go to the other side */
	uint8_t data[HEADER_SIZE + MESSAGE_MAX];
	size_t size;
};

static void fail(const char *what, int error)
{
	fprintf(stderr, "mitm: %s: %s\n", what, strerror(error));
	exit(1);
}

static void say(const char *word, const struct side *side, const char *text)
{
	printf("%s %s %s\n", word, side->label, text);
	fflush(stdout);
}

/* Sends what waits. Returns 0 or -errno. */
static int side_flush(struct side *side)
{
	struct iovec parts[8];
	size_t n;

	while ((n = tls_output(side->tls, parts, 8)) > 0) {
		ssize_t sent = writev(side->fd, parts, (int)n);
		if (sent < 0)
			return -errno;
		tls_output_consume(side->tls, (size_t)sent);
	}
	return 0;
}

/* Waits for bytes, and takes them. */
static int side_receive(struct side *side)
{
	size_t space;
	void *data;
	ssize_t n;
	int r = tls_receive_space(side->tls, &data, &space);

	if (r < 0)
		return r;
	if (space == 0)
		return -ENOBUFS;
	n = recv(side->fd, data, space, 0);
	if (n < 0)
		return -errno;
	if (n == 0)
		tls_receive_end(side->tls);
	else
		tls_receive_commit(side->tls, (size_t)n);
	return 0;
}

static int accept_any(void *userdata, enum tls_protocol protocol,
		      const uint8_t fingerprint[IDENTITY_FINGERPRINT_SIZE])
{
	return 0;
}

static void side_open(struct side *side, int fd, enum tls_role role)
{
	int r = identity_generate(&side->identity);

	side->fd = fd;
	if (r == 0)
		r = tls_context_new(&side->context, side->identity);
	if (r == 0)
		r = tls_new(&side->tls, side->context, role, TLS_PROTOCOL_PAIR, accept_any, NULL);
	if (r < 0)
		fail(side->label, -r);
	while ((r = tls_handshake(side->tls)) == -EAGAIN)
		if ((r = side_flush(side)) < 0 || (r = side_receive(side)) < 0)
			fail(side->label, -r);
	if (r < 0)
		fail(tls_error(side->tls), -r);
	if ((r = side_flush(side)) < 0)
		fail(side->label, -r);
}

static void side_end(struct side *side, const char *why)
{
	if (side->fd < 0)
		return;
	tls_close(side->tls);
	side_flush(side); /* it may be gone already */
	close(side->fd);
	side->fd = -1;
	say("ended", side, why);
}

static void side_send(struct side *side, const void *data, size_t size)
{
	uint32_t header = htonl((uint32_t)size);
	struct iovec parts[] = {{&header, HEADER_SIZE}, {(void *)data, size}};

	if (side->fd < 0)
		return;
	if (tls_write(side->tls, parts, 2) < 0 || side_flush(side) < 0)
		side_end(side, "cannot be written to");
}

/* Plays our part towards this side as far as it goes. */
static void side_act(struct side *side, enum pairing_action action)
{
	const uint8_t *data;
	size_t size;

	for (;;) {
		if ((size = pairing_output(side->pairing, &data)) > 0)
			side_send(side, data, size);
		if (action == PAIRING_ASK) {
			say("code", side, pairing_code(side->pairing));
			action = pairing_answer(side->pairing, true);
		} else if (action == PAIRING_STORE) {
			action = pairing_stored(side->pairing, true);
		} else {
			break;
		}
	}
	if (action == PAIRING_FAILED)
		side_end(side, pairing_reason_text(pairing_reason(side->pairing, NULL)));
	else if (action == PAIRING_DONE)
		side_end(side, "paired");
}

static void side_play(struct side *side, enum transcript_role role, const char *name)
{
	struct pairing_config config = {.role = role};
	int r = tls_export(side->tls, PAIRING_EXPORTER_LABEL, config.exporter);

	memcpy(config.own.spki, side->identity->spki, IDENTITY_SPKI_SIZE);
	memcpy(config.peer_spki, tls_peer_spki(side->tls), IDENTITY_SPKI_SIZE);
	snprintf(config.own.name, sizeof(config.own.name), "%s", name);
	if (r == 0)
		r = pairing_new(&side->pairing, &config);
	if (r < 0)
		fail(side->label, -r);
	side_act(side, pairing_start(side->pairing));
}

static void side_take_message(struct side *side, const uint8_t *data, size_t size)
{
	if (side->pairing)
		side_act(side, pairing_receive(side->pairing, data, size));
	else
		side_send(side->other, data, size);
}

/* Takes the messages that have come. */
static void side_take(struct side *side)
{
	ssize_t n = 0;

	while (side->fd >= 0) {
		uint32_t length = 0;

		if (side->size >= HEADER_SIZE) {
			memcpy(&length, side->data, HEADER_SIZE);
			length = ntohl(length);
			if (length > MESSAGE_MAX) {
				side_end(side, "too long a message");
				return;
			}
			if (side->size >= HEADER_SIZE + length) {
				side_take_message(side, side->data + HEADER_SIZE, length);
				side->size -= HEADER_SIZE + length;
				memmove(side->data, side->data + HEADER_SIZE + length, side->size);
				continue;
			}
		}
		n = tls_read(side->tls, side->data + side->size, sizeof(side->data) - side->size);
		if (n <= 0)
			break;
		side->size += (size_t)n;
	}
	if (side->fd < 0 || n == -EAGAIN)
		return;
	side_end(side, n == 0 ? "closed" : tls_error(side->tls));
	if (!side->pairing)
		side_end(side->other, "the other one ended");
}

static int listen_here(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, 1) < 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &size) < 0)
		fail("listen", errno);
	printf("port %u\n", ntohs(address.sin_port));
	fflush(stdout);
	return fd;
}

static int call(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_port = htons(port),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		fail("connect", errno);
	return fd;
}

int main(int argc, char **argv)
{
	struct side caller = {.label = "caller"}, called = {.label = "called", .other = &caller};
	struct side *sides[] = {&caller, &called};
	int fd, listener;

	if (argc != 5 || (strcmp(argv[1], "relay") != 0 && strcmp(argv[1], "pair") != 0)) {
		fprintf(stderr, "usage: mitm relay|pair PORT CALLER CALLED\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	caller.other = &called;
	listener = listen_here();
	if ((fd = accept(listener, NULL, NULL)) < 0)
		fail("accept", errno);
	close(listener);
	side_open(&caller, fd, TLS_SERVER);
	side_open(&called, call((uint16_t)atoi(argv[2])), TLS_CLIENT);
	if (strcmp(argv[1], "pair") == 0) {
		side_play(&caller, TRANSCRIPT_RESPONDER, argv[4]);
		side_play(&called, TRANSCRIPT_INITIATOR, argv[3]);
	}
	for (;;) {
		struct pollfd polled[2];

		side_take(&caller); /* before poll: the handshake may have read more than its own */
		side_take(&called);
		if (caller.fd < 0 && called.fd < 0)
			break;
		for (size_t i = 0; i < 2; i++)
			polled[i] = (struct pollfd){.fd = sides[i]->fd, .events = POLLIN};
		if (poll(polled, 2, -1) < 0 && errno != EINTR)
			fail("poll", errno);
		for (size_t i = 0; i < 2; i++)
			if (polled[i].fd >= 0 && polled[i].revents && side_receive(sides[i]) < 0)
				side_end(sides[i], "connection lost");
	}
	for (size_t i = 0; i < 2; i++) {
		pairing_free(sides[i]->pairing);
		tls_free(sides[i]->tls);
		tls_context_free(sides[i]->context);
		identity_free(sides[i]->identity);
	}
	return 0;
}
