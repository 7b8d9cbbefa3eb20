/*
 * States: HANDSHAKE → OPEN → LINGER → DONE; from the first two also straight to DONE.
 *
 * HANDSHAKE and OPEN belong to the owner. LINGER has none: the rest of the output is sent, then
 * our direction is shut down, and what still comes is read and dropped until the other end closes
 * too, for LINGER_MS at most (closing a socket with unread bytes would reset it, and take back the
 * last words we sent). DONE waits for libuv to close the three handles.
 *
 * Output is not written to the socket where it is made but in a prepare handle, that is once per
 * turn of the loop and before it waits: what many completions of one turn have to say leaves as
 * full TLS records in one system call.
 */
#include "daemon/net/conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/net/address.h"

#define LINGER_MS    1000
#define READ_BUDGET  (256 * 1024) /* bytes per turn, so that one peer does not hold the loop */
#define WRITE_BUDGET (256 * 1024)
#define WRITE_PARTS  64
#define NOTSENT_MARK (128 * 1024)
#define NEAR_US      1000         /* a shorter round trip: a window that holds it is small */
#define NEAR_SIZE    (256 * 1024) /* of a socket's input; the kernel doubles it for its own needs */
/* While somebody types: */
#define TYPED_MS     1000
#define TYPED_MARK   (32 * 1024)
#define TYPED_WINDOW (48 * 1024)
#define WHY_MAX      160

static const char closed_text[] = "closed by the other end";

enum conn_state { CONN_HANDSHAKE, CONN_OPEN, CONN_LINGER, CONN_DONE };

struct conn {
	struct conn_room *room;
	const struct conn_handler *handler;
	void *arg;
	struct tls *tls; /* owned */
	int fd;          /* owned */
	enum conn_state state;
	bool has_input;
	bool is_shut; /* LINGER: our direction is shut down */
	bool in_flush;
	bool is_near;
	int window;     /* the most that the kernel would let a near peer send ahead */
	uint64_t typed; /* when a key passed, in ms; 0: not for a while */
	int events;     /* polled for now */
	int read_error; /* what conn_read met; ends the conn once the owner has returned */
	unsigned n_handles;
	uv_poll_t poll;
	uv_prepare_t prepare;
	uv_timer_t timer; /* of the handshake, of what is to be sent later, of LINGER */
	char address[ADDRESS_MAX];
	char why[WHY_MAX];
};

void conn_room_hold(struct conn_room *room)
{
	room->n_held++;
}

void conn_room_drop(struct conn_room *room)
{
	if (--room->n_held == 0 && room->emptied)
		room->emptied(room->arg);
}

static void conn_free(struct conn *conn)
{
	struct conn_room *room = conn->room;

	tls_free(conn->tls);
	if (conn->fd >= 0)
		close(conn->fd);
	free(conn);
	conn_room_drop(room);
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct conn *conn = handle->data;

	if (--conn->n_handles == 0)
		conn_free(conn);
}

static void finish(struct conn *conn)
{
	if (conn->state == CONN_DONE)
		return;
	conn->state = CONN_DONE;
	uv_close((uv_handle_t *)&conn->poll, on_handle_closed);
	uv_close((uv_handle_t *)&conn->prepare, on_handle_closed);
	uv_close((uv_handle_t *)&conn->timer, on_handle_closed);
}

/* Ends it on its own account and tells the owner. The alert, if there is one, is sent. */
static void fail(struct conn *conn, int error, const char *why)
{
	const struct conn_handler *handler = conn->handler;
	bool has_owner = conn->state == CONN_HANDSHAKE || conn->state == CONN_OPEN;

	if (conn->state == CONN_DONE)
		return;
	if (!has_owner) {
		finish(conn);
		return;
	}
	snprintf(conn->why, sizeof(conn->why), "%s", why);
	conn->handler = NULL;
	conn_close(conn);
	handler->closed(conn->arg, conn, error, conn->why);
}

static void on_poll(uv_poll_t *poll, int status, int events);

static void set_tcp(const struct conn *conn, int option, int value)
{
	setsockopt(conn->fd, IPPROTO_TCP, option, &value, sizeof(value));
}

void conn_note_key(struct conn *conn)
{
	bool is_first = !conn->typed;

	if (!conn->is_near || conn->state != CONN_OPEN)
		return;
	conn->typed = uv_now(conn->room->loop);
	if (!is_first)
		return;
	set_tcp(conn, TCP_NOTSENT_LOWAT, TYPED_MARK);
	if (conn->window > TYPED_WINDOW)
		set_tcp(conn, TCP_WINDOW_CLAMP, TYPED_WINDOW);
}

/* Nobody types any more. */
static void forget_keys(struct conn *conn)
{
	if (!conn->typed || uv_now(conn->room->loop) - conn->typed < TYPED_MS)
		return;
	conn->typed = 0;
	set_tcp(conn, TCP_NOTSENT_LOWAT, NOTSENT_MARK);
	if (conn->window > TYPED_WINDOW)
		set_tcp(conn, TCP_WINDOW_CLAMP, conn->window);
}

static void poll_for(struct conn *conn, int events)
{
	if (conn->events == events || conn->state == CONN_DONE)
		return;
	conn->events = events;
	uv_poll_start(&conn->poll, events, on_poll);
}

/* Writes ciphertext until the socket is full, or others are to have their turn: who reads as fast
 * as we write would hold the loop until all that is queued has left. Returns 0 when all is written,
 * -EAGAIN or -errno. */
static int write_output(struct conn *conn)
{
	struct iovec parts[WRITE_PARTS];
	struct msghdr message = {.msg_iov = parts};
	size_t written = 0;
	ssize_t n;

	while (tls_output_size(conn->tls) > 0) {
		if (written >= WRITE_BUDGET)
			return -EAGAIN;
		message.msg_iovlen = tls_output(conn->tls, parts, WRITE_PARTS);
		n = sendmsg(conn->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EWOULDBLOCK ? -EAGAIN : -errno;
		written += (size_t)n;
		tls_output_consume(conn->tls, (size_t)n);
		if (conn->state == CONN_OPEN && tls_output_size(conn->tls) < CONN_OUTPUT_LOW)
			conn->handler->space(conn->arg, conn);
	}
	return 0;
}

static void linger_step(struct conn *conn)
{
	if (!conn->is_shut) {
		conn->is_shut = true;
		if (shutdown(conn->fd, SHUT_WR) < 0)
			finish(conn);
	}
}

static void flush(struct conn *conn)
{
	int r;

	if (conn->in_flush || conn->state == CONN_DONE)
		return;
	conn->in_flush = true;
	uv_prepare_stop(&conn->prepare);
	forget_keys(conn);
	if (conn->state == CONN_OPEN)
		uv_timer_stop(&conn->timer); /* later is now */
	if (conn->state == CONN_OPEN && tls_output_size(conn->tls) < CONN_OUTPUT_LOW)
		conn->handler->space(conn->arg, conn);
	r = write_output(conn);
	conn->in_flush = false;
	if (conn->state == CONN_DONE)
		return;
	if (r < 0 && r != -EAGAIN) {
		fail(conn, r, strerror(-r));
		return;
	}
	poll_for(conn, UV_READABLE | (r == -EAGAIN ? UV_WRITABLE : 0));
	if (r == 0 && conn->state == CONN_LINGER)
		linger_step(conn);
}

static void on_prepare(uv_prepare_t *prepare)
{
	flush(prepare->data);
}

static void want_flush(struct conn *conn)
{
	if (conn->state != CONN_DONE && !conn->in_flush)
		uv_prepare_start(&conn->prepare, on_prepare);
}

/* Hands plaintext to the owner. */
static void give_input(struct conn *conn)
{
	if (conn->state == CONN_OPEN)
		conn->handler->input(conn->arg, conn);
	if (conn->state == CONN_OPEN && conn->read_error)
		fail(conn, conn->read_error,
		     conn->read_error == -ECONNRESET ? closed_text : tls_error(conn->tls));
}

/* What a near peer sends is to wait at its side, where something urgent overtakes it, and not in
 * our socket. Before much comes: what is under way when the buffer shrinks is dropped. On a longer
 * way the kernel finds out how much that holds. */
static void limit_input(struct conn *conn)
{
	const int size = NEAR_SIZE;
	struct tcp_info info = {0};
	socklen_t n = sizeof(info);

	if (getsockopt(conn->fd, IPPROTO_TCP, TCP_INFO, &info, &n) < 0 || info.tcpi_rtt == 0 ||
	    info.tcpi_rtt >= NEAR_US)
		return;
	setsockopt(conn->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	n = sizeof(conn->window);
	if (getsockopt(conn->fd, IPPROTO_TCP, TCP_WINDOW_CLAMP, &conn->window, &n) < 0)
		conn->window = 0;
	conn->is_near = true;
}

static void go_on(struct conn *conn)
{
	int r;

	if (conn->state == CONN_HANDSHAKE) {
		r = tls_handshake(conn->tls);
		if (tls_output_size(conn->tls) > 0)
			want_flush(conn);
		if (r == -EAGAIN)
			return;
		if (r < 0) {
			fail(conn, r, tls_error(conn->tls));
			return;
		}
		uv_timer_stop(&conn->timer);
		limit_input(conn);
		conn->state = CONN_OPEN;
		conn->handler->opened(conn->arg, conn);
	}
	give_input(conn);
}

/* Reads and drops; the end ends us. */
static void drop_input(struct conn *conn)
{
	char scrap[16384];
	ssize_t n;

	for (int i = 0; i < 16; i++) {
		n = recv(conn->fd, scrap, sizeof(scrap), MSG_DONTWAIT);
		if (n < 0 && (errno == EINTR || errno == EWOULDBLOCK))
			return;
		if (n <= 0) {
			finish(conn);
			return;
		}
	}
}

/* Returns -EAGAIN if the socket is empty, else 0. */
static int read_input(struct conn *conn)
{
	size_t budget = READ_BUDGET, size;
	void *space;
	ssize_t n;
	int r;

	while (budget > 0 && (conn->state == CONN_HANDSHAKE || conn->state == CONN_OPEN)) {
		r = tls_receive_space(conn->tls, &space, &size);
		if (r < 0) {
			fail(conn, r, strerror(-r));
			return 0;
		}
		if (size == 0) { /* the owner did not read all: it must have an error to meet */
			go_on(conn);
			return 0;
		}
		n = recv(conn->fd, space, size, MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EWOULDBLOCK)
			return -EAGAIN;
		if (n < 0) {
			fail(conn, -errno, strerror(errno));
			return 0;
		}
		if (n == 0) {
			tls_receive_end(conn->tls);
			go_on(conn);
			if (conn->state == CONN_HANDSHAKE || conn->state == CONN_OPEN)
				fail(conn, -ECONNRESET, closed_text);
			return 0;
		}
		conn->has_input = true;
		tls_receive_commit(conn->tls, (size_t)n);
		go_on(conn);
		if ((size_t)n < size)
			return -EAGAIN; /* the socket is empty: spares one call */
		budget -= (size_t)n < budget ? (size_t)n : budget;
	}
	return 0;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct conn *conn = poll->data;

	if (conn->state == CONN_DONE)
		return;
	if (status < 0) {
		/* libuv polls no more. What has arrived is read yet, up to the error itself. */
		conn->events = 0;
		while (conn->state == CONN_HANDSHAKE || conn->state == CONN_OPEN)
			if (read_input(conn) == -EAGAIN)
				break;
		fail(conn, -ECONNRESET, closed_text);
		return;
	}
	forget_keys(conn);
	if (conn->state == CONN_LINGER) {
		if (events & UV_READABLE)
			drop_input(conn);
	} else if (events & UV_READABLE) {
		read_input(conn);
	}
	if (events & UV_WRITABLE)
		flush(conn);
}

static void on_timer(uv_timer_t *timer)
{
	struct conn *conn = timer->data;

	switch (conn->state) {
	case CONN_HANDSHAKE:
		fail(conn, -ETIMEDOUT, "no handshake in time");
		break;
	case CONN_OPEN:
		conn_want_space(conn);
		break;
	default:
		finish(conn);
	}
}

int conn_new(struct conn_room *room, int fd, enum tls_role role, unsigned protocols,
	     tls_verify_fn verify, void *verify_arg, const struct conn_handler *handler, void *arg,
	     struct conn **ret_conn)
{
	const int one = 1, mark = NOTSENT_MARK;
	struct conn *conn = calloc(1, sizeof(*conn));
	int r = -ENOMEM;

	if (!conn)
		goto out;
	r = tls_new(&conn->tls, room->tls, role, protocols, verify, verify_arg);
	if (r < 0)
		goto out;
	r = uv_poll_init(room->loop, &conn->poll, fd);
	if (r < 0)
		goto out;
	/* On a socket that is not TCP's (tests) these fail, and do not matter. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &mark, sizeof(mark));
	conn->room = room;
	conn->fd = fd;
	conn->handler = handler;
	conn->arg = arg;
	address_of_socket(fd, true, conn->address);
	uv_prepare_init(room->loop, &conn->prepare);
	uv_timer_init(room->loop, &conn->timer);
	conn->poll.data = conn->prepare.data = conn->timer.data = conn;
	conn->n_handles = 3;
	conn_room_hold(room);
	poll_for(conn, UV_READABLE);
	uv_timer_start(&conn->timer, on_timer, room->handshake_ms, 0);
	tls_handshake(conn->tls); /* a client has the first word; errors come again */
	want_flush(conn);
	*ret_conn = conn;
	return 0;
out:
	if (conn)
		tls_free(conn->tls);
	free(conn);
	close(fd);
	return r;
}

void conn_set_handler(struct conn *conn, const struct conn_handler *handler, void *arg)
{
	conn->handler = handler;
	conn->arg = arg;
}

ssize_t conn_read(struct conn *conn, void *data, size_t size)
{
	ssize_t n = tls_read(conn->tls, data, size);

	if (tls_output_size(conn->tls) > 0)
		want_flush(conn); /* an alert, a key update */
	if (n == 0)
		n = -ECONNRESET;
	if (n < 0 && n != -EAGAIN)
		conn->read_error = (int)n;
	return n;
}

int conn_write(struct conn *conn, const struct iovec *parts, size_t n)
{
	int r = tls_write(conn->tls, parts, n);

	if (r == 0)
		want_flush(conn);
	return r;
}

void conn_want_space(struct conn *conn)
{
	if (conn->state == CONN_OPEN && !(conn->events & UV_WRITABLE))
		want_flush(conn);
}

void conn_want_space_later(struct conn *conn)
{
	if (conn->state == CONN_OPEN && !uv_is_active((uv_handle_t *)&conn->timer))
		uv_timer_start(&conn->timer, on_timer, CONN_LATER_MS, 0);
}

size_t conn_output_size(const struct conn *conn)
{
	return tls_output_size(conn->tls);
}

void conn_close(struct conn *conn)
{
	if (conn->state == CONN_LINGER || conn->state == CONN_DONE)
		return;
	tls_close(conn->tls);
	conn->state = CONN_LINGER;
	conn->handler = NULL;
	uv_timer_start(&conn->timer, on_timer, LINGER_MS, 0);
	want_flush(conn);
}

void conn_abort(struct conn *conn)
{
	conn->handler = NULL;
	if (conn->state == CONN_HANDSHAKE || conn->state == CONN_OPEN)
		conn->state = CONN_LINGER;
	finish(conn);
}

bool conn_is_open(const struct conn *conn)
{
	return conn->state == CONN_OPEN;
}

bool conn_has_input(const struct conn *conn)
{
	return conn->has_input;
}

struct tls *conn_tls(struct conn *conn)
{
	return conn->tls;
}

const char *conn_address(const struct conn *conn)
{
	return conn->address;
}
