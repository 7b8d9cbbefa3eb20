/*
 * A long road for TCP: delay_proxy MICROSECONDS LISTEN=TARGET... takes connections at the address
 * LISTEN, makes one to TARGET for each, and hands on what comes in either direction so many
 * microseconds after it came. Addresses are IPv4:PORT. Prints "ready" when all ports are open, and
 * ends with its standard input.
 *
 * Each direction of a connection is a queue of pieces with the time at which they are due:
 *
 *     recv, as soon as there is something -> [piece, due][piece, due]... -> send, when due
 *
 * Like a road it takes only what fits on it: what comes in within the delay at 2 GB/s, and a few
 * MiB more, so that it is never what limits the bandwidth and yet a slow receiver is felt by the
 * sender. The making of a connection is not delayed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PIECE_SIZE     (128 * 1024)
#define SLACK          (8 * 1024 * 1024)
#define BYTES_PER_US   2000
#define PORTS_MAX      16
#define PIECES_AT_ONCE 2
#define EVENTS_AT_ONCE 64

struct piece {
	struct piece *next;
	int64_t due; /* ns of CLOCK_MONOTONIC */
	size_t start, size;
	bool is_end; /* nothing comes after it */
	uint8_t data[PIECE_SIZE];
};

/* What an epoll event points to. */
struct end {
	enum { END_PORT, END_CONNECTION, END_INPUT } kind;
	int fd;
	struct connection *connection;
	struct sockaddr_in target; /* of a port */
};

/* From `from` to `to`. */
struct direction {
	struct end *from, *to;
	struct piece *first, *last; /* in the order of their times */
	size_t n_bytes;
	bool is_readable; /* recv may have something */
	bool has_ended;   /* nothing more will come */
	bool is_done;     /* and all of it was handed on */
	bool is_full;     /* `to` takes no more for now */
};

struct connection {
	struct connection *next;
	struct end ends[2];             /* who called us, and whom we called */
	struct direction directions[2]; /* directions[i] is read from ends[i] */
	bool is_broken;
};

struct proxy {
	int epoll;
	int64_t delay; /* ns */
	size_t limit;  /* bytes on the road, of one direction */
	struct connection *connections;
	struct piece *spare; /* the last one used first: it is still in the processor's cache */
};

static void fail(const char *what, int error)
{
	fprintf(stderr, "delay_proxy: %s: %s\n", what, strerror(error));
	exit(1);
}

static int64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* ---- pieces ---- */

static struct piece *piece_take(struct proxy *proxy)
{
	struct piece *piece = proxy->spare;

	if (piece)
		proxy->spare = piece->next;
	else if (!(piece = malloc(sizeof(*piece))))
		fail("memory", ENOMEM);
	piece->next = NULL;
	piece->start = piece->size = 0;
	piece->is_end = false;
	return piece;
}

static void piece_give(struct proxy *proxy, struct piece *piece)
{
	piece->next = proxy->spare;
	proxy->spare = piece;
}

/* ---- one direction ---- */

static void direction_append(struct direction *direction, struct piece *piece)
{
	if (direction->last)
		direction->last->next = piece;
	else
		direction->first = piece;
	direction->last = piece;
	direction->n_bytes += piece->size;
}

static bool direction_can_receive(const struct proxy *proxy, const struct direction *direction)
{
	return direction->is_readable && !direction->has_ended && direction->n_bytes < proxy->limit;
}

/* Takes some of what is there: not all at once, as something may become due meanwhile. Returns
 * false if the connection is broken. */
static bool direction_receive(struct proxy *proxy, struct direction *direction)
{
	for (int i = 0; i < PIECES_AT_ONCE && direction_can_receive(proxy, direction); i++) {
		struct piece *piece = piece_take(proxy);
		ssize_t n = recv(direction->from->fd, piece->data, PIECE_SIZE, 0);

		if (n < 0) {
			piece_give(proxy, piece);
			direction->is_readable = errno != EAGAIN;
			return errno == EAGAIN || errno == EINTR;
		}
		piece->due = now() + proxy->delay;
		piece->size = (size_t)n;
		piece->is_end = direction->has_ended = n == 0;
		direction_append(direction, piece);
	}
	return true;
}

/* Hands on what is due. Returns false if the connection is broken. */
static bool direction_send(struct proxy *proxy, struct direction *direction, int64_t time)
{
	struct piece *piece;

	while (!direction->is_full && (piece = direction->first) && piece->due <= time) {
		if (piece->is_end) {
			direction->is_done = true;
			shutdown(direction->to->fd, SHUT_WR);
		} else {
			ssize_t n = send(direction->to->fd, piece->data + piece->start,
					 piece->size - piece->start, MSG_NOSIGNAL);
			if (n < 0) {
				direction->is_full = errno == EAGAIN;
				return direction->is_full || errno == EINTR;
			}
			piece->start += (size_t)n;
			direction->n_bytes -= (size_t)n;
			if (piece->start < piece->size)
				continue;
		}
		direction->first = piece->next;
		if (!direction->first)
			direction->last = NULL;
		piece_give(proxy, piece);
	}
	return true;
}

/* ---- connections ---- */

static void watch(struct proxy *proxy, struct end *end, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = end};

	if (epoll_ctl(proxy->epoll, EPOLL_CTL_ADD, end->fd, &event) < 0)
		fail("epoll", errno);
}

static void connection_take(struct proxy *proxy, struct end *port)
{
	int fd = accept4(port->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), yes = 1;
	struct connection *connection = calloc(1, sizeof(*connection));

	if (fd < 0 || !connection)
		fail("accept", fd < 0 ? errno : ENOMEM);
	connection->ends[0].fd = fd;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || (connect(fd, (struct sockaddr *)&port->target, sizeof(port->target)) < 0 &&
		       errno != EINPROGRESS))
		fail("connect", errno);
	connection->ends[1].fd = fd;
	connection->next = proxy->connections;
	proxy->connections = connection;
	for (int i = 0; i < 2; i++) {
		struct end *end = &connection->ends[i];
		end->kind = END_CONNECTION;
		end->connection = connection;
		connection->directions[i].from = end;
		connection->directions[i].to = &connection->ends[1 - i];
		setsockopt(end->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
		watch(proxy, end, EPOLLIN | EPOLLOUT | EPOLLET);
	}
}

/* Sends what is due and takes some of what is there. Returns when it is to be called again. */
static int64_t connection_serve(struct proxy *proxy, struct connection *connection)
{
	int64_t next = INT64_MAX;

	for (int i = 0; i < 2 && !connection->is_broken; i++) {
		struct direction *direction = &connection->directions[i];

		connection->is_broken = !direction_send(proxy, direction, now()) ||
					!direction_receive(proxy, direction);
		if (direction_can_receive(proxy, direction))
			next = 0;
		else if (direction->first && !direction->is_full && direction->first->due < next)
			next = direction->first->due;
	}
	return next;
}

static void connection_free(struct proxy *proxy, struct connection *connection)
{
	for (int i = 0; i < 2; i++) {
		struct piece *piece, *next;
		for (piece = connection->directions[i].first; piece; piece = next) {
			next = piece->next;
			piece_give(proxy, piece);
		}
		close(connection->ends[i].fd);
	}
	free(connection);
}

/* Serves all, takes away those that have ended, and returns when it is to be called again. */
static int64_t serve_all(struct proxy *proxy)
{
	struct connection **place = &proxy->connections, *connection;
	int64_t next = INT64_MAX, due;

	while ((connection = *place)) {
		due = connection_serve(proxy, connection);
		if (connection->is_broken ||
		    (connection->directions[0].is_done && connection->directions[1].is_done)) {
			*place = connection->next;
			connection_free(proxy, connection);
			continue;
		}
		if (due < next)
			next = due;
		place = &connection->next;
	}
	return next;
}

static void on_event(struct proxy *proxy, struct end *end, uint32_t events)
{
	struct connection *connection = end->connection;
	int i;

	if (end->kind == END_INPUT)
		exit(0);
	if (end->kind == END_PORT) {
		connection_take(proxy, end);
		return;
	}
	i = end == &connection->ends[1];
	if (events & EPOLLOUT)
		connection->directions[1 - i].is_full = false;
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		connection->directions[i].is_readable = true;
}

/* ---- start ---- */

static struct sockaddr_in parse_address(char *text)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	char *colon = strrchr(text, ':');

	if (!colon)
		fail(text, EINVAL);
	*colon = '\0';
	address.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
	if (inet_pton(AF_INET, text, &address.sin_addr) != 1)
		fail(text, EINVAL);
	return address;
}

static void port_open(struct proxy *proxy, struct end *port, char *text)
{
	char *equals = strchr(text, '=');
	struct sockaddr_in address;
	int yes = 1;

	if (!equals)
		fail(text, EINVAL);
	*equals = '\0';
	address = parse_address(text);
	port->kind = END_PORT;
	port->target = parse_address(equals + 1);
	port->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (port->fd < 0 || setsockopt(port->fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) < 0 ||
	    bind(port->fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(port->fd, 128) < 0)
		fail(text, errno);
	watch(proxy, port, EPOLLIN);
}

int main(int argc, char **argv)
{
	struct end ports[PORTS_MAX] = {0}, input = {.kind = END_INPUT, .fd = STDIN_FILENO};
	struct epoll_event events[EVENTS_AT_ONCE];
	struct proxy proxy = {.epoll = epoll_create1(EPOLL_CLOEXEC)};
	int64_t next = INT64_MAX;
	int n;

	if (argc < 3 || argc - 2 > PORTS_MAX) {
		fprintf(stderr, "usage: delay_proxy MICROSECONDS LISTEN=TARGET...\n");
		return 2;
	}
	proxy.delay = strtoll(argv[1], NULL, 10) * 1000;
	proxy.limit = SLACK + (size_t)(proxy.delay / 1000) * BYTES_PER_US;
	prctl(PR_SET_TIMERSLACK, 1); /* ns; a sleep is otherwise up to 50 us too long */
	for (int i = 2; i < argc; i++)
		port_open(&proxy, &ports[i - 2], argv[i]);
	watch(&proxy, &input, EPOLLIN);
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		int64_t left = next == INT64_MAX ? INT64_MAX : next - now();
		struct timespec timeout = {.tv_sec = left / 1000000000,
					   .tv_nsec = left % 1000000000};
		struct timespec none = {0};

		n = epoll_pwait2(proxy.epoll, events, EVENTS_AT_ONCE,
				 left == INT64_MAX ? NULL
				 : left > 0        ? &timeout
						   : &none,
				 NULL);
		if (n < 0 && errno != EINTR)
			fail("epoll", errno);
		for (int i = 0; i < n; i++)
			on_event(&proxy, events[i].data.ptr, events[i].events);
		next = serve_all(&proxy);
	}
}
