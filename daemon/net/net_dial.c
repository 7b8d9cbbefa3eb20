/* Dialling a peer: its addresses in turn, and again after a while (net_peer.c says when). */
#include <errno.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/net/net_private.h"

static void on_retry(uv_timer_t *timer);

void net_dial_forget(struct net_peer *peer)
{
	if (peer->dial)
		dial_free(peer->dial);
	peer->dial = NULL;
	if (peer->dial_conn)
		conn_abort(peer->dial_conn);
	peer->dial_conn = NULL;
}

/* There is a link, whoever dialled it. A handshake of ours that is under way goes on: the other
 * end may have seen it and wait for our hello. */
void net_dial_over(struct net_peer *peer)
{
	uv_timer_stop(&peer->retry);
	if (!peer->dial_conn)
		net_dial_forget(peer);
}

/* 50 % to 100 % of the pause, which doubles. */
void net_dial_retry_later(struct net_peer *peer)
{
	const struct net_times *times = &peer->net->times;
	uint64_t pause = peer->backoff_ms, now = net_now(peer->net);
	uint16_t random = 0;

	RAND_bytes((unsigned char *)&random, sizeof(random));
	pause = pause / 2 + pause / 2 * random / UINT16_MAX;
	if (now + pause < peer->not_before)
		pause = peer->not_before - now;
	peer->backoff_ms =
	    peer->backoff_ms * 2 < times->backoff_max ? peer->backoff_ms * 2 : times->backoff_max;
	uv_timer_start(&peer->retry, on_retry, pause, 0);
}

void net_dial_put_first(struct net_peer *peer, const char *address)
{
	char text[ADDRESS_MAX];
	size_t i = 0;

	snprintf(text, sizeof(text), "%s", address);
	while (i < peer->n_addresses && strcmp(peer->addresses[i], text) != 0)
		i++;
	if (i == peer->n_addresses) {
		if (i == NET_ADDRESSES_MAX)
			i--;
		else
			peer->n_addresses++;
	}
	memmove(peer->addresses[1], peer->addresses[0], i * sizeof(peer->addresses[0]));
	memcpy(peer->addresses[0], text, sizeof(text));
}

void net_dial_keep_address(struct net_peer *peer, const char *address)
{
	const struct net_observer *observer = peer->net->observer;

	net_dial_put_first(peer, address);
	if (observer && observer->address)
		observer->address(peer->net->arg, peer, address);
}

static int verify(void *arg, enum tls_protocol protocol,
		  const uint8_t fingerprint[IDENTITY_FINGERPRINT_SIZE])
{
	struct net_peer *peer = arg;

	return memcmp(fingerprint, peer->fingerprint, IDENTITY_FINGERPRINT_SIZE) == 0
		   ? 0
		   : -EKEYREJECTED;
}

static void on_dial_opened(void *arg, struct conn *conn)
{
	struct net_peer *peer = arg;

	peer->dial_conn = NULL;
	net_dial_forget(peer);
	net_link_take_conn(peer, conn, true, peer->dial_address);
}

static void on_dial_closed(void *arg, struct conn *conn, int error, const char *why)
{
	struct net_peer *peer = arg;
	char text[NET_ERROR_MAX];

	peer->dial_conn = NULL;
	snprintf(text, sizeof(text), "%s: %s", peer->dial_address,
		 error == -EKEYREJECTED
		     ? "another machine answers there (its key is not the peer's)"
		 : error == -EACCES ? "the peer does not know us; pair again"
				    : why);
	if (!client_link(peer->client))
		net_peer_note(peer, text);
	if (peer->n_links > 0)
		net_dial_forget(peer);
	else
		dial_next(peer->dial);
}

static void on_dial_unused(void *arg, struct conn *conn)
{
}

static const struct conn_handler dial_handler = {
    .opened = on_dial_opened,
    .input = on_dial_unused,
    .space = on_dial_unused,
    .closed = on_dial_closed,
};

static void on_dialled(void *arg, int fd, const char *address)
{
	struct net_peer *peer = arg;

	if (fd < 0) {
		if (peer->error[0] == '\0' || fd != -EHOSTUNREACH)
			net_peer_note(peer, strerror(-fd));
		net_dial_forget(peer);
		net_dial_retry_later(peer);
		return;
	}
	snprintf(peer->dial_address, sizeof(peer->dial_address), "%s", address);
	if (conn_new(&peer->net->room, fd, TLS_CLIENT, TLS_PROTOCOL_LINK, verify, peer,
		     &dial_handler, peer, &peer->dial_conn) < 0) {
		peer->dial_conn = NULL;
		dial_next(peer->dial);
	}
}

static void begin_dial(struct net_peer *peer)
{
	const char *addresses[NET_ADDRESSES_MAX];

	for (size_t i = 0; i < peer->n_addresses; i++)
		addresses[i] = peer->addresses[i];
	peer->dialled_at = net_now(peer->net);
	if (peer->n_addresses == 0) {
		if (peer->error[0] == '\0')
			net_peer_note(peer, "no address known");
		return; /* until one is announced, or the peer comes to us */
	}
	if (dial_new(&peer->dial, &peer->net->room, addresses, peer->n_addresses,
		     peer->net->times.stagger, on_dialled, peer) < 0) {
		peer->dial = NULL;
		net_dial_retry_later(peer);
	}
}

static void on_retry(uv_timer_t *timer)
{
	struct net_peer *peer = timer->data;

	if (peer->n_links == 0 && !peer->dial && !peer->is_unpaired)
		begin_dial(peer);
}

void net_dial_peer(struct net_peer *peer)
{
	uint64_t now = net_now(peer->net), at;

	if (peer->n_links > 0 || peer->dial || peer->is_unpaired || peer->is_removed)
		return;
	at = peer->dialled_at > 0 ? peer->dialled_at + peer->net->times.backoff_min : 0;
	if (at < peer->not_before)
		at = peer->not_before;
	uv_timer_start(&peer->retry, on_retry, at > now ? at - now : 0, 0);
}
