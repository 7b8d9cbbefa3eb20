#include "daemon/net/net.h"

#include <assert.h>
#include <errno.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/net/net_private.h"
#include "proto/ops_peer.h"

#define OR(value, otherwise) ((value) ? (value) : (otherwise))

static struct net_times with_defaults(const struct net_times *times)
{
	return (struct net_times){
	    .ping = OR(times->ping, 5000),
	    .pong = OR(times->pong, 5000),
	    .down = OR(times->down, 15000),
	    .session = OR(times->session, 60000),
	    .io_timeout = OR(times->io_timeout, 30000),
	    .handshake = OR(times->handshake, 5000),
	    .backoff_min = OR(times->backoff_min, 100),
	    .backoff_max = OR(times->backoff_max, 30000),
	    .stagger = OR(times->stagger, 250),
	    .strangers = OR(times->strangers, 1000),
	};
}

/* --- the clock -------------------------------------------------------------------------------- */

/* A timer of the real-time clock, far away, that is cancelled when that clock is set, which it also
 * is when the machine wakes: the only such notice that needs no privileges (timerfd_create(2)). */
static int arm_clock(int fd)
{
	struct itimerspec far = {.it_value.tv_sec = INT32_MAX};
	int r;

	/* Its first setting may already tell of an older change. */
	for (int i = 0; i < 2; i++) {
		r = timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &far, NULL);
		if (r == 0 || errno != ECANCELED)
			break;
	}
	return r < 0 ? -errno : 0;
}

static void on_clock(uv_poll_t *poll, int status, int events)
{
	struct net *net = poll->data;
	uint64_t n;

	if (read(net->clock_fd, &n, sizeof(n)) < 0 && errno == EAGAIN)
		return;
	if (arm_clock(net->clock_fd) < 0)
		uv_poll_stop(poll);
	net_wake(net);
}

static void on_clock_closed(uv_handle_t *handle)
{
	struct net *net = handle->data;

	close(net->clock_fd);
	conn_room_drop(&net->room);
}

static int watch_clock(struct net *net)
{
	int r;

	net->clock_fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	if (net->clock_fd < 0)
		return -errno;
	r = arm_clock(net->clock_fd);
	if (r == 0)
		r = uv_poll_init(net->room.loop, &net->clock, net->clock_fd);
	if (r < 0) {
		close(net->clock_fd);
		return r;
	}
	net->clock.data = net;
	conn_room_hold(&net->room);
	return uv_poll_start(&net->clock, UV_READABLE, on_clock);
}

/* --- birth and death -------------------------------------------------------------------------- */

static void on_emptied(void *arg)
{
	struct net *net = arg;
	void (*closed)(void *closed_arg) = net->closed;
	void *closed_arg = net->closed_arg;

	if (!closed)
		return; /* not asked to close */
	tls_context_free(net->room.tls);
	free(net);
	closed(closed_arg);
}

int net_new(struct net **ret_net, const struct net_options *options)
{
	struct net *net = calloc(1, sizeof(*net));
	int r;

	if (!net)
		return -ENOMEM;
	r = tls_context_new(&net->room.tls, options->identity);
	if (r < 0)
		goto fail;
	net->identity = options->identity;
	net->ops = options->ops ? options->ops : &ops_peer;
	net->services = options->services;
	net->n_services = options->n_services;
	net->times = with_defaults(&options->times);
	net->limits = limits_with_defaults(options->limits);
	net->observer = options->observer;
	net->arg = options->arg;
	snprintf(net->name, sizeof(net->name), "%s", options->name);
	TAILQ_INIT(&net->peers);
	net->room.loop = options->loop;
	net->room.emptied = on_emptied;
	net->room.arg = net;
	net->room.handshake_ms = net->times.handshake;
	r = -EIO;
	if (RAND_bytes((unsigned char *)&net->instance, sizeof(net->instance)) != 1)
		goto fail;
	r = watch_clock(net);
	if (r < 0)
		goto fail;
	*ret_net = net;
	return 0;
fail:
	tls_context_free(net->room.tls);
	free(net);
	return r;
}

void net_close(struct net *net, void (*closed)(void *arg), void *arg)
{
	net->closed = closed;
	net->closed_arg = arg;
	listener_free(net->listener);
	net->listener = NULL;
	while (!TAILQ_EMPTY(&net->peers))
		net_peer_remove(TAILQ_FIRST(&net->peers), false);
	if (net->self)
		self_close(net->self);
	net->self = NULL;
	uv_close((uv_handle_t *)&net->clock, on_clock_closed);
}

/* --- strangers -------------------------------------------------------------------------------- */

void net_stranger_refused(struct net *net, const char *address, const uint8_t *fingerprint)
{
	char text[IDENTITY_FINGERPRINT_TEXT];
	uint64_t now = net_now(net);

	if (net->stranger_at > 0 && now - net->stranger_at < net->times.strangers)
		return;
	net->stranger_at = now > 0 ? now : 1;
	identity_fingerprint_text(fingerprint, text);
	log_info("net", "text=\"refused an unknown key\" address=%s key=%s", address, text);
	if (net->observer && net->observer->stranger)
		net->observer->stranger(net->arg, address, fingerprint);
}

/* --- net.h ------------------------------------------------------------------------------------ */

int net_listen(struct net *net, bool lan, uint16_t port)
{
	struct listener *listener;
	int r = listener_new(&listener, net, lan, port);

	if (r < 0)
		return r;
	listener_free(net->listener);
	net->listener = listener;
	return 0;
}

int net_open_self(struct net *net)
{
	struct self_options options = {
	    .room = &net->room,
	    .ops = net->ops,
	    .services = net->services,
	    .n_services = net->n_services,
	    .io_timeout_ms = net->times.io_timeout,
	};

	return self_new(&net->self, &options);
}

struct transport *net_self_transport(struct net *net)
{
	return net->self ? self_transport(net->self) : NULL;
}

bool net_is_self(const struct net *net, const void *peer)
{
	return net->self == peer;
}

const char *net_listen_address(const struct net *net, size_t i)
{
	return net->listener ? listener_address(net->listener, i) : NULL;
}

uint16_t net_listen_port(const struct net *net)
{
	return net->listener ? listener_port(net->listener) : 0;
}

void net_set_pairing(struct net *net, bool open)
{
	net->is_pairing = open;
}

void net_wake(struct net *net)
{
	struct net_peer *peer;

	TAILQ_FOREACH(peer, &net->peers, entry)
	{
		for (size_t i = 0; i < peer->n_links; i++)
			link_ping(peer->links[i]->link);
		peer->backoff_ms = net->times.backoff_min;
		net_dial_peer(peer);
	}
}

struct net_peer *net_peer_find(struct net *net,
			       const uint8_t fingerprint[IDENTITY_FINGERPRINT_SIZE])
{
	struct net_peer *peer;

	TAILQ_FOREACH(peer, &net->peers, entry)
	if (memcmp(peer->fingerprint, fingerprint, IDENTITY_FINGERPRINT_SIZE) == 0)
		return peer;
	return NULL;
}

struct net_peer *net_peer_next(struct net *net, struct net_peer *peer)
{
	return peer ? TAILQ_NEXT(peer, entry) : TAILQ_FIRST(&net->peers);
}
