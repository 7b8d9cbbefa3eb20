/*
 * What TLS alone can do, as the limit for everything that is built on it: one connection, TLS 1.3
 * with AES-128-GCM, blocking sockets, no file anywhere.
 *
 *     tls_rate serve ADDRESS:PORT                     until its standard input ends; says "ready"
 *     tls_rate read|write ADDRESS:PORT MIB SECONDS    so much from there, or to there
 *     tls_rate ping ADDRESS:PORT N SECONDS            a small message there and back, so often
 *
 * What is not done after SECONDS is left out. Prints an amount (bytes or round trips), the seconds
 * that it took and the CPU seconds of both sides. A client sends one letter and a number of units;
 * in the end the server sends its CPU seconds.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "proto/identity.h"

#define UNIT        (256 * 1024)
#define PING_SIZE   100
#define READ_BUFFER (256 * 1024)

enum { MORE = 1, LAST = 2 }; /* first byte of a unit: so the receiver knows when it is over */

struct order {
	char what; /* 'r', 'w' or 'p', as the client sees it */
	int64_t n;
	double seconds;
};

static void fail(const char *what)
{
	fprintf(stderr, "tls_rate: %s: %s\n", what, strerror(errno));
	ERR_print_errors_fp(stderr);
	exit(1);
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double cpu_seconds(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void send_all(SSL *ssl, const void *data, size_t size)
{
	size_t n;

	if (SSL_write_ex(ssl, data, size, &n) != 1 || n != size)
		fail("send");
}

static void receive_all(SSL *ssl, void *data, size_t size)
{
	size_t done = 0, n;

	while (done < size) {
		if (SSL_read_ex(ssl, (uint8_t *)data + done, size - done, &n) != 1)
			fail("receive");
		done += n;
	}
}

/* Up to n units. Returns how many it were. */
static int64_t send_units(SSL *ssl, uint8_t *unit, int64_t n, double seconds)
{
	double began = now();
	int64_t i = 0;

	do {
		unit[0] = ++i < n && now() - began < seconds ? MORE : LAST;
		send_all(ssl, unit, UNIT);
	} while (unit[0] == MORE);
	return i;
}

static int64_t receive_units(SSL *ssl, uint8_t *unit)
{
	int64_t i = 0;

	do {
		receive_all(ssl, unit, UNIT);
		i++;
	} while (unit[0] == MORE);
	return i;
}

static int64_t ping(SSL *ssl, uint8_t *message, int64_t n, double seconds)
{
	double began = now();
	int64_t i = 0;

	do {
		message[0] = ++i < n && now() - began < seconds ? MORE : LAST;
		send_all(ssl, message, PING_SIZE);
		receive_all(ssl, message, PING_SIZE);
	} while (message[0] == MORE);
	return i;
}

static void pong(SSL *ssl, uint8_t *message)
{
	do {
		receive_all(ssl, message, PING_SIZE);
		send_all(ssl, message, PING_SIZE);
	} while (message[0] == MORE);
}

static struct sockaddr_in parse_address(char *text)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	char *colon = strrchr(text, ':');

	errno = EINVAL;
	if (!colon)
		fail(text);
	*colon = '\0';
	address.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
	if (inet_pton(AF_INET, text, &address.sin_addr) != 1)
		fail(text);
	return address;
}

static SSL *new_connection(SSL_CTX *context, int fd)
{
	SSL *ssl = SSL_new(context);
	int yes = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	if (!ssl || SSL_set_fd(ssl, fd) != 1)
		fail("connection");
	return ssl;
}

static SSL_CTX *new_context(const SSL_METHOD *method)
{
	SSL_CTX *context = SSL_CTX_new(method);

	if (!context || SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256") != 1 ||
	    SSL_CTX_set_num_tickets(context, 0) != 1)
		fail("context");
	SSL_CTX_set_read_ahead(context, 1);
	SSL_CTX_set_default_read_buffer_len(context, READ_BUFFER);
	return context;
}

static void serve_one(SSL_CTX *context, int fd, uint8_t *unit)
{
	SSL *ssl = new_connection(context, fd);
	struct order order;
	double cpu;

	if (SSL_accept(ssl) != 1)
		fail("accept");
	receive_all(ssl, &order, sizeof(order));
	cpu = cpu_seconds();
	if (order.what == 'r')
		send_units(ssl, unit, order.n, order.seconds);
	else if (order.what == 'w')
		receive_units(ssl, unit);
	else
		pong(ssl, unit);
	cpu = cpu_seconds() - cpu;
	send_all(ssl, &cpu, sizeof(cpu));
	SSL_free(ssl);
	close(fd);
}

static int serve(struct sockaddr_in address, uint8_t *unit)
{
	SSL_CTX *context = new_context(TLS_server_method());
	struct pollfd sources[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.events = POLLIN}};
	struct identity *identity;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;

	if (identity_generate(&identity) < 0 ||
	    SSL_CTX_use_certificate(context, identity->certificate) != 1 ||
	    SSL_CTX_use_PrivateKey(context, identity->key) != 1)
		fail("identity");
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) < 0 ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 8) < 0)
		fail("listen");
	sources[1].fd = fd;
	printf("ready\n");
	fflush(stdout);
	while (poll(sources, 2, -1) > 0 && !sources[0].revents) {
		int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		if (client < 0)
			fail("accept");
		serve_one(context, client, unit);
	}
	identity_free(identity);
	SSL_CTX_free(context);
	return 0;
}

static int run(struct sockaddr_in address, struct order order, uint8_t *unit)
{
	SSL_CTX *context = new_context(TLS_client_method());
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	double began, cpu, server_cpu, seconds;
	int64_t amount;
	SSL *ssl;

	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		fail("connect");
	ssl = new_connection(context, fd);
	if (SSL_connect(ssl) != 1)
		fail("handshake");
	cpu = cpu_seconds();
	began = now();
	send_all(ssl, &order, sizeof(order));
	if (order.what == 'r')
		amount = receive_units(ssl, unit) * UNIT;
	else if (order.what == 'w')
		amount = send_units(ssl, unit, order.n, order.seconds) * UNIT;
	else
		amount = ping(ssl, unit, order.n, order.seconds);
	receive_all(ssl, &server_cpu, sizeof(server_cpu)); /* it has all of it now */
	seconds = now() - began;
	printf("%lld %.6f %.3f\n", (long long)amount, seconds, cpu_seconds() - cpu + server_cpu);
	SSL_free(ssl);
	SSL_CTX_free(context);
	return 0;
}

int main(int argc, char **argv)
{
	uint8_t *unit = calloc(1, UNIT);
	struct order order = {0};

	signal(SIGPIPE, SIG_IGN);
	if (!unit)
		fail("memory");
	if (argc == 3 && strcmp(argv[1], "serve") == 0)
		return serve(parse_address(argv[2]), unit);
	if (argc != 5 || !strchr("rwp", argv[1][0])) {
		fprintf(stderr, "usage: tls_rate serve ADDRESS:PORT\n"
				"       tls_rate read|write|ping ADDRESS:PORT AMOUNT SECONDS\n");
		return 2;
	}
	order.what = argv[1][0];
	order.n = strtoll(argv[3], NULL, 10) * (order.what == 'p' ? 1 : (1024 * 1024 / UNIT));
	order.seconds = strtod(argv[4], NULL);
	return run(parse_address(argv[2]), order, unit);
}
