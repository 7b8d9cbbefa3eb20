/*
 * Each address is an attempt: WAITING, RESOLVING or CONNECTING, then DONE (failed, or handed over).
 * When one connects, those under way beside it go back to WAITING: at most one socket at a time is
 * given to the owner, so that the other end never sees two handshakes of one round.
 */
#include "daemon/net/dial.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/net/address.h"

#define ATTEMPTS_MAX 16

enum attempt_state { ATTEMPT_WAITING, ATTEMPT_RESOLVING, ATTEMPT_CONNECTING, ATTEMPT_DONE };

struct attempt {
	struct dial *dial;
	enum attempt_state state;
	char text[ADDRESS_MAX];
	uv_getaddrinfo_t resolve;
	bool is_stale;   /* the resolving goes on, but its outcome is not wanted */
	uv_poll_t *poll; /* owned; freed when closed */
	int fd;          /* while CONNECTING */
};

struct dial {
	struct conn_room *room;
	dial_fn done; /* NULL once freed */
	void *arg;
	uint64_t stagger_ms;
	uv_timer_t timer;  /* until the next attempt begins */
	int error;         /* of the last attempt that failed */
	bool is_last_wait; /* all have begun; those under way get handshake_ms */
	bool is_paused;    /* the owner tries a socket */
	unsigned n_open;   /* handles and look-ups that still refer to us */
	size_t n;
	struct attempt attempts[ATTEMPTS_MAX];
};

static void drop(struct dial *dial)
{
	struct conn_room *room = dial->room;

	if (--dial->n_open > 0)
		return;
	free(dial);
	conn_room_drop(room);
}

static void on_poll_closed(uv_handle_t *handle)
{
	free(handle);
}

static void stop_polling(struct attempt *attempt)
{
	uv_close((uv_handle_t *)attempt->poll, on_poll_closed);
	attempt->poll = NULL;
}

/* Stops what is under way. */
static void halt(struct attempt *attempt, enum attempt_state state)
{
	if (attempt->state == ATTEMPT_CONNECTING) {
		stop_polling(attempt);
		close(attempt->fd);
	} else if (attempt->state == ATTEMPT_RESOLVING) {
		attempt->is_stale = true;
		uv_cancel((uv_req_t *)&attempt->resolve);
		return; /* its slot is free again when the look-up has ended */
	}
	attempt->state = state;
}

static void on_timer(uv_timer_t *timer);

static void go_on_after(struct dial *dial, uint64_t ms)
{
	uv_timer_start(&dial->timer, on_timer, ms, 0);
}

static void fail(struct attempt *attempt, int error)
{
	attempt->state = ATTEMPT_DONE;
	attempt->dial->error = error;
	go_on_after(attempt->dial, 0);
}

static void succeed(struct attempt *attempt)
{
	struct dial *dial = attempt->dial;
	int fd = attempt->fd;

	stop_polling(attempt);
	attempt->state = ATTEMPT_DONE;
	for (size_t i = 0; i < dial->n; i++)
		if (dial->attempts[i].state != ATTEMPT_DONE)
			halt(&dial->attempts[i], ATTEMPT_WAITING);
	uv_timer_stop(&dial->timer);
	dial->is_paused = true;
	dial->done(dial->arg, fd, attempt->text);
}

static void on_writable(uv_poll_t *poll, int status, int events)
{
	struct attempt *attempt = poll->data;
	socklen_t size = sizeof(int);
	int error = 0;

	/* libuv calls any error of the socket EBADF; the socket knows which it was. */
	if (getsockopt(attempt->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
		error = errno;
	else if (error == 0 && status < 0)
		error = -status;
	if (error == 0) {
		succeed(attempt);
		return;
	}
	stop_polling(attempt);
	close(attempt->fd);
	fail(attempt, -error);
}

static void begin_connect(struct attempt *attempt, const struct sockaddr *address, socklen_t size)
{
	struct dial *dial = attempt->dial;
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), r;

	if (fd < 0) {
		fail(attempt, -errno);
		return;
	}
	r = connect(fd, address, size);
	if (r < 0 && errno != EINPROGRESS) {
		fail(attempt, -errno);
		close(fd);
		return;
	}
	attempt->poll = malloc(sizeof(*attempt->poll));
	if (!attempt->poll || uv_poll_init(dial->room->loop, attempt->poll, fd) < 0) {
		free(attempt->poll);
		attempt->poll = NULL;
		close(fd);
		fail(attempt, -ENOMEM);
		return;
	}
	attempt->state = ATTEMPT_CONNECTING;
	attempt->fd = fd;
	attempt->poll->data = attempt;
	uv_poll_start(attempt->poll, UV_WRITABLE, on_writable);
}

static void on_resolved(uv_getaddrinfo_t *resolve, int status, struct addrinfo *info)
{
	struct attempt *attempt = resolve->data;
	struct dial *dial = attempt->dial;

	if (!dial->done) { /* freed */
	} else if (attempt->is_stale) {
		attempt->state = ATTEMPT_WAITING;
		if (!dial->is_paused)
			go_on_after(dial, 0);
	} else if (status < 0) {
		fail(attempt, status == UV_ENOMEM ? -ENOMEM : -EADDRNOTAVAIL);
	} else {
		begin_connect(attempt, info->ai_addr, info->ai_addrlen);
	}
	attempt->is_stale = false;
	if (info)
		uv_freeaddrinfo(info);
	drop(dial);
}

static void begin(struct attempt *attempt)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
	char host[ADDRESS_HOST_MAX], port[ADDRESS_PORT_MAX];
	struct dial *dial = attempt->dial;
	struct address address;
	int r;

	if (address_parse(attempt->text, &address) == 0) {
		begin_connect(attempt, (const struct sockaddr *)&address.socket, address.size);
		return;
	}
	if (address_split(attempt->text, host, port) < 0) {
		fail(attempt, -EINVAL);
		return;
	}
	attempt->resolve.data = attempt;
	r = uv_getaddrinfo(dial->room->loop, &attempt->resolve, on_resolved, host, port, &hints);
	if (r < 0) {
		fail(attempt, r);
		return;
	}
	attempt->state = ATTEMPT_RESOLVING;
	dial->n_open++;
}

/* Begins the next attempt, or finds that there is none. */
static void on_timer(uv_timer_t *timer)
{
	struct dial *dial = timer->data;
	bool is_under_way = false;

	for (size_t i = 0; i < dial->n; i++) {
		struct attempt *attempt = &dial->attempts[i];

		if (attempt->state == ATTEMPT_WAITING) {
			dial->is_last_wait = false;
			go_on_after(dial, dial->stagger_ms);
			begin(attempt);
			return;
		}
		is_under_way = is_under_way || attempt->state != ATTEMPT_DONE;
	}
	if (is_under_way && !dial->is_last_wait) {
		dial->is_last_wait = true; /* a host that is off does not answer at all */
		go_on_after(dial, dial->room->handshake_ms);
	} else {
		for (size_t i = 0; i < dial->n; i++)
			halt(&dial->attempts[i], ATTEMPT_DONE);
		dial->is_paused = true;
		dial->done(dial->arg,
			   is_under_way      ? -ETIMEDOUT
			   : dial->error < 0 ? dial->error
					     : -EHOSTUNREACH,
			   "");
	}
}

int dial_new(struct dial **ret_dial, struct conn_room *room, const char *const *addresses, size_t n,
	     uint64_t stagger_ms, dial_fn done, void *arg)
{
	char host[ADDRESS_HOST_MAX], port[ADDRESS_PORT_MAX];
	struct dial *dial;

	if (n == 0 || n > ATTEMPTS_MAX)
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		if (strlen(addresses[i]) >= ADDRESS_MAX ||
		    address_split(addresses[i], host, port) < 0)
			return -EINVAL;
	dial = calloc(1, sizeof(*dial));
	if (!dial)
		return -ENOMEM;
	dial->room = room;
	dial->done = done;
	dial->arg = arg;
	dial->stagger_ms = stagger_ms;
	dial->n = n;
	dial->n_open = 1;
	for (size_t i = 0; i < n; i++) {
		dial->attempts[i].dial = dial;
		snprintf(dial->attempts[i].text, ADDRESS_MAX, "%s", addresses[i]);
	}
	uv_timer_init(room->loop, &dial->timer);
	dial->timer.data = dial;
	conn_room_hold(room);
	go_on_after(dial, 0);
	*ret_dial = dial;
	return 0;
}

void dial_next(struct dial *dial)
{
	dial->is_paused = false;
	go_on_after(dial, 0);
}

static void on_timer_closed(uv_handle_t *handle)
{
	drop(handle->data);
}

void dial_free(struct dial *dial)
{
	if (!dial)
		return;
	dial->done = NULL;
	for (size_t i = 0; i < dial->n; i++)
		halt(&dial->attempts[i], ATTEMPT_DONE);
	uv_close((uv_handle_t *)&dial->timer, on_timer_closed);
}
