/*
 * Listener: the sockets that strangers come to, and the strangers until they have proved who they
 * are. At most NET_UNPROVED of them: one more, and somebody gives way. Whoever floods us should
 * meet himself, so it is one of those that share a source address with the most others, one who
 * has not said a word if there is such, and of these the oldest. A paired peer that starts its
 * handshake at once is the last to be hit.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/net/net_private.h"

#define SOCKETS      2
#define ACCEPT_BATCH 16 /* per turn of the loop */
#define BACKLOG      128

struct stranger {
	TAILQ_ENTRY(stranger) entry; /* listener->strangers, oldest first */
	struct listener *listener;
	struct conn *conn;
	char host[ADDRESS_HOST_MAX];
};

struct listening {
	struct listener *listener;
	uv_poll_t poll;
	int fd;
	char address[ADDRESS_MAX];
};

struct listener {
	struct net *net;
	struct listening sockets[SOCKETS];
	size_t n_sockets;
	size_t n_open; /* handles */
	uint16_t port;
	int spare_fd; /* to be able to turn somebody away when there are no descriptors left */
	TAILQ_HEAD(, stranger) strangers;
	size_t n_strangers;
};

/* --- strangers -------------------------------------------------------------------------------- */

static void stranger_free(struct stranger *stranger)
{
	TAILQ_REMOVE(&stranger->listener->strangers, stranger, entry);
	stranger->listener->n_strangers--;
	free(stranger);
}

static int verify(void *arg, enum tls_protocol protocol,
		  const uint8_t fingerprint[IDENTITY_FINGERPRINT_SIZE])
{
	struct stranger *stranger = arg;
	struct net *net = stranger->listener->net;

	if (protocol == TLS_PROTOCOL_PAIR || net_peer_find(net, fingerprint))
		return 0;
	net_stranger_refused(net, conn_address(stranger->conn), fingerprint);
	return -EKEYREJECTED;
}

static void on_opened(void *arg, struct conn *conn)
{
	struct stranger *stranger = arg;
	struct net *net = stranger->listener->net;
	struct net_peer *peer;

	stranger_free(stranger);
	if (tls_protocol(conn_tls(conn)) == TLS_PROTOCOL_PAIR) {
		net_stranger_pairs(net, conn);
		return;
	}
	peer = net_peer_find(net, tls_peer_fingerprint(conn_tls(conn)));
	if (peer)
		net_link_take_conn(peer, conn, false, conn_address(conn));
	else
		conn_close(conn); /* removed during the handshake */
}

static void on_nothing(void *arg, struct conn *conn)
{
}

static void on_closed(void *arg, struct conn *conn, int error, const char *why)
{
	stranger_free(arg);
}

static const struct conn_handler stranger_handler = {
    .opened = on_opened,
    .input = on_nothing,
    .space = on_nothing,
    .closed = on_closed,
};

static size_t count_of_host(const struct listener *listener, const char *host)
{
	const struct stranger *stranger;
	size_t n = 0;

	TAILQ_FOREACH(stranger, &listener->strangers, entry)
	n += strcmp(stranger->host, host) == 0;
	return n;
}

static void make_room(struct listener *listener)
{
	struct stranger *stranger, *victim = NULL;
	size_t n, most = 0;

	if (listener->n_strangers < NET_UNPROVED)
		return;
	TAILQ_FOREACH(stranger, &listener->strangers, entry)
	{
		n = count_of_host(listener, stranger->host);
		if (n > most || (n == most && conn_has_input(victim->conn) &&
				 !conn_has_input(stranger->conn))) {
			most = n;
			victim = stranger;
		}
	}
	conn_abort(victim->conn);
	stranger_free(victim);
}

static void take_in(struct listener *listener, int fd)
{
	unsigned protocols = TLS_PROTOCOL_LINK;
	struct stranger *stranger;
	char port[ADDRESS_PORT_MAX], text[ADDRESS_MAX];

	make_room(listener);
	stranger = calloc(1, sizeof(*stranger));
	if (!stranger) {
		close(fd);
		return;
	}
	stranger->listener = listener;
	address_of_socket(fd, true, text);
	if (address_split(text, stranger->host, port) < 0)
		stranger->host[0] = '\0';
	if (listener->net->is_pairing)
		protocols |= TLS_PROTOCOL_PAIR;
	if (conn_new(&listener->net->room, fd, TLS_SERVER, protocols, verify, stranger,
		     &stranger_handler, stranger, &stranger->conn) < 0) {
		free(stranger);
		return;
	}
	TAILQ_INSERT_TAIL(&listener->strangers, stranger, entry);
	listener->n_strangers++;
}

/* --- sockets ---------------------------------------------------------------------------------- */

/* Without a descriptor for it, who waits would wait for ever, and wake us for ever. */
static void turn_away(struct listening *listening)
{
	struct listener *listener = listening->listener;

	close(listener->spare_fd);
	close(accept4(listening->fd, NULL, NULL, SOCK_CLOEXEC));
	listener->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void on_connection(uv_poll_t *poll, int status, int events)
{
	struct listening *listening = poll->data;

	for (int i = 0; status == 0 && i < ACCEPT_BATCH; i++) {
		int fd = accept4(listening->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0)
			take_in(listening->listener, fd);
		else if (errno == EMFILE || errno == ENFILE)
			turn_away(listening);
		else
			return;
	}
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct listening *listening = handle->data;
	struct listener *listener = listening->listener;
	struct conn_room *room = &listener->net->room;

	close(listening->fd);
	if (--listener->n_open > 0)
		return;
	if (listener->spare_fd >= 0)
		close(listener->spare_fd);
	free(listener);
	conn_room_drop(room);
}

static int open_socket(int family, bool lan, uint16_t port)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr.s_addr = htonl(lan ? INADDR_ANY : INADDR_LOOPBACK)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	const int one = 1;
	int r;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	r = family == AF_INET6 ? bind(fd, (struct sockaddr *)&v6, sizeof(v6))
			       : bind(fd, (struct sockaddr *)&v4, sizeof(v4));
	if (r < 0 || listen(fd, BACKLOG) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

static uint16_t port_of(const char *address)
{
	char host[ADDRESS_HOST_MAX], port[ADDRESS_PORT_MAX];

	return address_split(address, host, port) == 0 ? (uint16_t)strtoul(port, NULL, 10) : 0;
}

static void add_socket(struct listener *listener, int fd)
{
	struct listening *listening = &listener->sockets[listener->n_sockets];

	if (uv_poll_init(listener->net->room.loop, &listening->poll, fd) < 0) {
		close(fd);
		return;
	}
	listening->listener = listener;
	listening->fd = fd;
	listening->poll.data = listening;
	address_of_socket(fd, false, listening->address);
	uv_poll_start(&listening->poll, UV_READABLE, on_connection);
	listener->n_sockets++;
	listener->n_open++;
}

int listener_new(struct listener **ret_listener, struct net *net, bool lan, uint16_t port)
{
	struct listener *listener;
	int fd;

	fd = open_socket(AF_INET, lan, port);
	if (fd < 0)
		return fd;
	listener = calloc(1, sizeof(*listener));
	if (!listener) {
		close(fd);
		return -ENOMEM;
	}
	listener->net = net;
	TAILQ_INIT(&listener->strangers);
	listener->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	add_socket(listener, fd);
	if (listener->n_sockets == 0) {
		if (listener->spare_fd >= 0)
			close(listener->spare_fd);
		free(listener);
		return -EIO;
	}
	listener->port = port_of(listener->sockets[0].address);
	/* Without IPv6 on this machine there is none; that is no error. */
	if (lan && (fd = open_socket(AF_INET6, lan, listener->port)) >= 0)
		add_socket(listener, fd);
	conn_room_hold(&net->room);
	*ret_listener = listener;
	return 0;
}

void listener_free(struct listener *listener)
{
	struct stranger *stranger;

	if (!listener)
		return;
	while ((stranger = TAILQ_FIRST(&listener->strangers))) {
		conn_abort(stranger->conn);
		stranger_free(stranger);
	}
	for (size_t i = 0; i < listener->n_sockets; i++)
		uv_close((uv_handle_t *)&listener->sockets[i].poll, on_handle_closed);
}

const char *listener_address(const struct listener *listener, size_t i)
{
	return i < listener->n_sockets ? listener->sockets[i].address : NULL;
}

uint16_t listener_port(const struct listener *listener)
{
	return listener->port;
}
