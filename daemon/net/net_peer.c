/*
 * For the mount a peer is *up* while its client has a link, then *lost*, then after times.down, or
 * when the peer says that it does not know us any more, it is *down*. Without any link it is
 * dialled: at once when the last link broke, an address was announced or the machine woke, else
 * after a jittered, doubling pause.
 */
#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/log.h"
#include "daemon/net/net_private.h"
#include "proto/ops_peer.h"

static void on_down(uv_timer_t *timer);

/* --- state ------------------------------------------------------------------------------------ */

void net_peer_note(struct net_peer *peer, const char *why)
{
	if (strcmp(peer->error, why) == 0)
		return;
	snprintf(peer->error, sizeof(peer->error), "%s", why);
	log_info("net", "peer=%s error=%s", LOG_VALUE(peer->name), LOG_VALUE(why));
}

void net_peer_tell_state(struct net_peer *peer)
{
	const struct net_observer *observer = peer->net->observer;
	enum transport_state state = client_state(peer->client);

	if (state == peer->state)
		return;
	peer->state = state;
	if (state == TRANSPORT_LOST)
		uv_timer_start(&peer->down, on_down, peer->net->times.down, 0);
	else
		uv_timer_stop(&peer->down);
	if (observer && observer->state)
		observer->state(peer->net->arg, peer, state);
}

static void on_down(uv_timer_t *timer)
{
	struct net_peer *peer = timer->data;

	log_info("net", "peer=%s state=down", LOG_VALUE(peer->name));
	client_set_down(peer->client);
	net_peer_tell_state(peer);
}

void net_peer_prove(struct peer_link *link)
{
	const struct net_observer *observer = link->peer->net->observer;

	if (link->is_proved)
		return;
	link->is_proved = true;
	if (observer && observer->proved)
		observer->proved(link->peer->net->arg, link->peer);
}

/* One handle less refers to it; libuv closes the last opened first. */
void net_peer_drop_handle(struct net_peer *peer)
{
	struct conn_room *room = &peer->net->room;

	if (--peer->n_handles > 0)
		return;
	OPENSSL_cleanse(peer->session_secret, sizeof(peer->session_secret));
	free(peer);
	conn_room_drop(room);
}

/* --- the registry's ends ---------------------------------------------------------------------- */

static void set_addresses(struct net_peer *peer, const char *const *addresses, size_t n)
{
	peer->n_addresses = 0;
	for (size_t i = 0; i < n && peer->n_addresses < NET_ADDRESSES_MAX; i++) {
		char host[ADDRESS_HOST_MAX], port[ADDRESS_PORT_MAX];

		if (strlen(addresses[i]) < ADDRESS_MAX &&
		    address_split(addresses[i], host, port) == 0)
			snprintf(peer->addresses[peer->n_addresses++], ADDRESS_MAX, "%s",
				 addresses[i]);
	}
}

static void dial_anew(struct net_peer *peer)
{
	if (peer->n_links > 0)
		return;
	net_dial_forget(peer);
	peer->backoff_ms = peer->net->times.backoff_min;
	net_dial_peer(peer);
}

void net_peer_set_addresses(struct net_peer *peer, const char *const *addresses, size_t n)
{
	set_addresses(peer, addresses, n);
	dial_anew(peer);
}

void net_peer_announced(struct net_peer *peer, const char *address)
{
	char host[ADDRESS_HOST_MAX], port[ADDRESS_PORT_MAX];
	bool is_known = false;

	if (strlen(address) >= ADDRESS_MAX || address_split(address, host, port) < 0)
		return;
	for (size_t i = 0; i < peer->n_addresses; i++)
		is_known = is_known || strcmp(peer->addresses[i], address) == 0;
	if (!is_known) {
		char good[ADDRESS_MAX];

		snprintf(good, sizeof(good), "%s", peer->n_addresses ? peer->addresses[0] : "");
		net_dial_put_first(peer, address);
		if (good[0])
			net_dial_put_first(peer, good);
	}
	/* A round that is under way and knows the address is not disturbed. */
	if (!is_known || !peer->dial)
		dial_anew(peer);
}

void net_peer_set_name(struct net_peer *peer, const char *name)
{
	snprintf(peer->name, sizeof(peer->name), "%s", name);
}

void net_peer_set_permissions(struct net_peer *peer, uint16_t permissions)
{
	struct args_granted args = {.permissions = permissions};

	if (peer->permissions == permissions)
		return;
	peer->permissions = permissions;
	if (peer->session)
		session_event(peer->session, OP_GRANTED, &args);
}

static void on_handle_closed(uv_handle_t *handle)
{
	net_peer_drop_handle(handle->data);
}

static void tell_unpaired(struct net_peer *peer)
{
	struct frame frame = {.kind = FRAME_EVENT, .op = OP_UNPAIRED};
	struct args_unpaired args = {0};
	struct message *message;

	if (message_new(&message, &frame, &args_unpaired_record, &args, NULL, NULL) < 0)
		return;
	for (size_t i = 0; i < peer->n_links; i++)
		if (!message->is_queued)
			link_push(peer->links[i]->link, message);
	message_unref(message);
}

void net_peer_remove(struct net_peer *peer, bool unpaired)
{
	struct session *session = peer->session;

	peer->is_removed = true;
	TAILQ_REMOVE(&peer->net->peers, peer, entry);
	net_dial_forget(peer);
	if (unpaired)
		tell_unpaired(peer);
	while (peer->n_links > 0)
		net_link_close(peer->links[0]);
	peer->session = NULL;
	if (session)
		session_close(session);
	client_free(peer->client);
	uv_close((uv_handle_t *)&peer->retry, on_handle_closed);
	uv_close((uv_handle_t *)&peer->down, on_handle_closed);
}

int net_peer_add(struct net *net, const struct net_peer_options *options,
		 struct net_peer **ret_peer)
{
	struct net_peer *peer;
	int r;

	if (net_peer_find(net, options->fingerprint))
		return -EEXIST;
	if (options->n_addresses > NET_ADDRESSES_MAX)
		return -EINVAL;
	peer = calloc(1, sizeof(*peer));
	if (!peer)
		return -ENOMEM;
	r = client_new(&peer->client, &net->room, net->ops, net->times.io_timeout);
	if (r < 0) {
		free(peer);
		return r;
	}
	peer->net = net;
	memcpy(peer->fingerprint, options->fingerprint, IDENTITY_FINGERPRINT_SIZE);
	net_peer_set_name(peer, options->name);
	peer->permissions = options->permissions;
	peer->data = options->data;
	peer->backoff_ms = net->times.backoff_min;
	peer->state = TRANSPORT_DOWN;
	set_addresses(peer, options->addresses, options->n_addresses);
	uv_timer_init(net->room.loop, &peer->retry);
	uv_timer_init(net->room.loop, &peer->down);
	peer->retry.data = peer->down.data = peer;
	peer->n_handles = 2;
	conn_room_hold(&net->room);
	TAILQ_INSERT_TAIL(&net->peers, peer, entry);
	net_dial_peer(peer);
	*ret_peer = peer;
	return 0;
}

void net_peer_get_status(struct net_peer *peer, struct net_peer_status *ret_status)
{
	*ret_status = (struct net_peer_status){
	    .state = client_state(peer->client),
	    .connecting = peer->dial != NULL ||
			  (peer->n_links > 0 && client_state(peer->client) != TRANSPORT_UP),
	    .rtt_us = client_rtt_us(peer->client),
	    .address = peer->address,
	    .name = peer->own_name,
	    .software = peer->software,
	    .granted = peer->granted,
	    .clock_skew_ms = peer->clock_skew_ms,
	    .error = client_state(peer->client) == TRANSPORT_UP ? "" : peer->error,
	};
}

const char *net_peer_name(const struct net_peer *peer)
{
	return peer->name;
}

const uint8_t *net_peer_fingerprint(const struct net_peer *peer)
{
	return peer->fingerprint;
}

uint16_t net_peer_permissions(const struct net_peer *peer)
{
	return peer->permissions;
}

void *net_peer_data(const struct net_peer *peer)
{
	return peer->data;
}

struct transport *net_peer_transport(struct net_peer *peer)
{
	return client_transport(peer->client);
}
