/*
 * A peer has up to NET_LINKS_MAX links, normally one; each of its two halves uses one of them: our
 * client the one on which its hello was answered, the peer's session the one on which the peer's
 * hello came last. Both ends dial, so two links may be made at the same time.
 *
 *   - A client says hello on its first link, and again on a better one: of two, the one dialled by
 *     the smaller id is better; of two dialled by the same end, the newer one, because nobody dials
 *     who has a link. Sessions follow the hello, so both halves end up on the same link.
 *   - A link that neither half uses is closed by the end that dialled it, once its client has
 *     another one. The other end closes it only after a while, because the dialling end may have
 *     noticed before us that the link we use is dead. That one is pinged at once.
 *
 * For the mount a peer is *up* while its client has a link, then *lost*, then after times.down, or
 * when the peer says that it does not know us any more, it is *down*. Without any link it is
 * dialled: at once when the last link broke, an address was announced or the machine woke, else
 * after a jittered, doubling pause.
 */
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/net/net_private.h"
#include "proto/ops_peer.h"

static void on_retry(uv_timer_t *timer);
static void on_down(uv_timer_t *timer);
static void dial_over(struct net_peer *peer);
static void retry_later(struct net_peer *peer);

/* --- state ------------------------------------------------------------------------------------ */

void net_peer_note(struct net_peer *peer, const char *why)
{
	if (strcmp(peer->error, why) == 0)
		return;
	snprintf(peer->error, sizeof(peer->error), "%s", why);
	log_info("net", "peer=%s error=%s", LOG_VALUE(peer->name), LOG_VALUE(why));
}

static void tell_state(struct net_peer *peer)
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
	tell_state(peer);
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

/* --- links ------------------------------------------------------------------------------------ */

static struct peer_link *find_link(struct net_peer *peer, const struct link *link)
{
	for (size_t i = 0; link && i < peer->n_links; i++)
		if (peer->links[i]->link == link)
			return peer->links[i];
	return NULL;
}

static bool is_better(const struct net_peer *peer, const struct peer_link *a,
		      const struct peer_link *b)
{
	bool we_are_smaller = memcmp(peer->net->identity->fingerprint, peer->fingerprint,
				     IDENTITY_FINGERPRINT_SIZE) < 0;

	if (a->is_dialled != b->is_dialled)
		return a->is_dialled == we_are_smaller;
	return a->number > b->number;
}

static bool is_used(const struct net_peer *peer, const struct peer_link *link)
{
	return link->link == client_link(peer->client) ||
	       (peer->session && session_link(peer->session) == link->link);
}

/* One handle less refers to it; libuv closes the last opened first. */
static void drop_handle(struct net_peer *peer)
{
	struct conn_room *room = &peer->net->room;

	if (--peer->n_handles > 0)
		return;
	OPENSSL_cleanse(peer->session_secret, sizeof(peer->session_secret));
	free(peer);
	conn_room_drop(room);
}

static void on_link_timer_closed(uv_handle_t *handle)
{
	struct peer_link *link = handle->data;
	struct net_peer *peer = link->peer;

	free(link);
	drop_handle(peer);
}

/* The link that the peer's session was on is gone. If the peer thinks that it is on one that it had
 * been on before (a late hello may have moved it), it would wait for ever for the answers to what
 * it asked there: so that one ends too, and the peer comes again. */
static void fail_left_links(struct net_peer *peer)
{
	size_t i = 0;

	while (i < peer->n_links)
		if (peer->links[i]->has_greeted) {
			link_fail(peer->links[i]->link, -ECONNRESET, "left for another link");
			i = 0;
		} else {
			i++;
		}
}

/* The link has gone, or is about to: nothing uses it any more. */
static void forget_link(struct peer_link *link)
{
	struct net_peer *peer = link->peer;

	for (size_t i = 0; i < peer->n_links; i++)
		if (peer->links[i] == link) {
			peer->links[i] = peer->links[--peer->n_links];
			break;
		}
	if (client_link(peer->client) == link->link)
		client_detach(peer->client);
	uv_close((uv_handle_t *)&link->timer, on_link_timer_closed);
	if (peer->session && session_link(peer->session) == link->link) {
		session_detach(peer->session);
		fail_left_links(peer);
	}
}

static void close_link(struct peer_link *link)
{
	struct link *gone = link->link;

	forget_link(link);
	link_close(gone);
}

void net_peer_fail_link(struct peer_link *link, int error, const char *why)
{
	link_fail(link->link, error, why);
}

static void count_bad_frame(struct net_peer *peer)
{
	uint64_t now = net_now(peer->net);

	peer->bad_frames[peer->n_bad_frames++ % NET_BAD_FRAMES] = now;
	if (peer->n_bad_frames < NET_BAD_FRAMES ||
	    now - peer->bad_frames[peer->n_bad_frames % NET_BAD_FRAMES] >= 60000)
		return;
	peer->not_before = now + peer->net->times.backoff_max;
	log_warning("net", "peer=%s text=\"%d links ended for bad frames in a minute, waiting\"",
		    LOG_VALUE(peer->name), NET_BAD_FRAMES);
}

/* It does not know us any more, as the owner of its key says: nothing waits for it to come back. */
static void give_up(struct net_peer *peer)
{
	if (peer->n_links == 0)
		client_set_down(peer->client);
}

static void on_link_closed(void *arg, struct link *gone, int error, const char *why)
{
	struct peer_link *link = arg;
	struct net_peer *peer = link->peer;

	forget_link(link);
	if (error == -EBADMSG || error == -EPROTO || error == -EMSGSIZE) {
		count_bad_frame(peer);
		log_warning("net", "peer=%s address=%s text=\"link ended\" error=%s",
			    LOG_VALUE(peer->name), link->address, LOG_VALUE(why));
	}
	net_peer_note(peer, error == -EACCES ? "the peer does not know us; pair again" : why);
	if (!link->is_answered && peer->n_links == 0 && !peer->is_removed)
		retry_later(peer); /* it was of no use: no hurry */
	if (error == -EACCES)
		give_up(peer);
	net_peer_settle(peer);
}

static void take_granted(struct net_peer *peer, const struct frame *frame)
{
	struct bytes body = frame->body;
	struct args_granted args;

	if (codec_decode(&args_granted_record, &body, &args, NULL) == 0)
		peer->granted = (uint16_t)args.permissions;
}

static void take_unpaired(struct net_peer *peer)
{
	const struct net_observer *observer = peer->net->observer;

	peer->is_unpaired = true;
	net_peer_note(peer, "unpaired by the other side");
	while (peer->n_links > 0)
		close_link(peer->links[0]);
	give_up(peer);
	net_peer_settle(peer);
	if (observer && observer->unpaired)
		observer->unpaired(peer->net->arg, peer);
}

static void on_frame(void *arg, struct link *from, const struct frame *frame, struct chunk *chunk)
{
	struct peer_link *link = arg;
	struct net_peer *peer = link->peer;
	const char *why = "";
	int r = 0;

	switch (frame->kind) {
	case FRAME_REQUEST:
		if (frame->op == OP_HELLO) {
			net_hello_take_request(link, frame);
			if (!peer->is_removed)
				net_peer_settle(peer);
			return;
		}
		if (frame->id == 0) {
			net_peer_fail_link(link, -EPROTO, "request number 0");
			return;
		}
		break;
	case FRAME_EVENT:
		if (frame->op == OP_GRANTED) {
			take_granted(peer, frame);
			return;
		}
		if (frame->op == OP_UNPAIRED) {
			take_unpaired(peer);
			return;
		}
		break;
	case FRAME_REPLY:
		if (frame->id == 0) {
			net_hello_take_reply(link, frame);
			if (!peer->is_removed)
				net_peer_settle(peer);
			return;
		}
		/* fall through */
	case FRAME_DATA:
	case FRAME_END:
		/* What an abandoned link still brings has been asked for again. */
		if (from == client_link(peer->client))
			r = client_frame(peer->client, frame, chunk, &why);
		if (r < 0)
			link_fail(from, r, why);
		return;
	default:
		break;
	}
	if (!link->has_greeted) {
		net_peer_fail_link(link, -EPROTO, "a request before hello");
		return;
	}
	if (peer->session && session_link(peer->session) == from)
		r = session_frame(peer->session, frame, chunk, &why);
	if (r < 0)
		link_fail(from, r, why);
}

static struct session *session_on(struct peer_link *link)
{
	struct session *session = link->peer->session;

	return session && session_link(session) == link->link ? session : NULL;
}

static void on_drained(void *arg, struct link *link)
{
	if (session_on(arg))
		session_drained(session_on(arg));
}

static void on_pinged(void *arg, struct link *link)
{
	if (session_on(arg))
		session_pinged(session_on(arg));
}

static void on_confirmed(void *arg, struct link *link)
{
	if (session_on(arg))
		session_confirmed(session_on(arg));
}

static const struct link_handler link_handler = {
    .frame = on_frame,
    .drained = on_drained,
    .pinged = on_pinged,
    .confirmed = on_confirmed,
    .closed = on_link_closed,
};

/* Hello has had its time; after it, a link that nobody uses is not kept either. */
static void on_link_timer(uv_timer_t *timer)
{
	struct peer_link *link = timer->data;
	struct net_peer *peer = link->peer;

	if (link->is_asked && !link->is_answered) {
		net_peer_fail_link(link, -ETIMEDOUT, "no answer to hello");
		return;
	}
	if (!is_used(peer, link)) {
		close_link(link);
		net_peer_settle(peer);
		return;
	}
	uv_timer_start(timer, on_link_timer, peer->net->times.handshake, 0);
}

/* Says hello on the best link, if our client is not there. One hello at a time: which of two the
 * server took last, and so where our session is, could not be told from the order of the answers.
 */
static void choose_link(struct net_peer *peer)
{
	struct peer_link *best = NULL, *now = find_link(peer, client_link(peer->client));

	for (size_t i = 0; i < peer->n_links; i++) {
		struct peer_link *link = peer->links[i];

		if (link->is_asked && !link->is_answered)
			return;
		if (!best || is_better(peer, link, best))
			best = link;
	}
	if (best && best != now)
		net_hello_ask(best);
	if (now && peer->n_links > 1)
		link_ping(now->link); /* is it dead, that the peer dials? */
}

/* Closes the links that we dialled and nobody uses. */
static void tidy_links(struct net_peer *peer)
{
	if (!client_link(peer->client))
		return;
	for (size_t i = 0; i < peer->n_links;) {
		struct peer_link *link = peer->links[i];

		if (link->is_dialled && !is_used(peer, link) &&
		    (!link->is_asked || link->is_answered))
			close_link(link);
		else
			i++;
	}
}

void net_peer_settle(struct net_peer *peer)
{
	choose_link(peer);
	tidy_links(peer);
	if (peer->n_links == 0 && !peer->dial && !uv_is_active((uv_handle_t *)&peer->retry))
		net_peer_dial(peer);
	else if (client_link(peer->client))
		dial_over(peer);
	tell_state(peer);
}

/* More than a few links come only from a peer that does not keep to the rules, or flaps. */
static void make_room(struct net_peer *peer)
{
	struct peer_link *oldest = NULL;

	if (peer->n_links < NET_LINKS_MAX)
		return;
	for (size_t i = 0; i < peer->n_links; i++)
		if (!oldest || peer->links[i]->number < oldest->number)
			oldest = peer->links[i];
	close_link(oldest);
}

void net_peer_take_conn(struct net_peer *peer, struct conn *conn, bool is_dialled,
			const char *address)
{
	struct net *net = peer->net;
	struct link_times times = {.ping_ms = net->times.ping, .pong_ms = net->times.pong};
	struct peer_link *link;

	if (net_now(net) < peer->not_before) {
		conn_close(conn);
		return;
	}
	link = calloc(1, sizeof(*link));
	if (!link || link_new(&net->room, conn, &times, &link_handler, link, &link->link) < 0) {
		free(link);
		conn_close(conn);
		return;
	}
	make_room(peer);
	link->peer = peer;
	link->is_dialled = is_dialled;
	link->number = ++peer->n_links_ever;
	snprintf(link->address, sizeof(link->address), "%s", address);
	snprintf(peer->address, sizeof(peer->address), "%s", address);
	uv_timer_init(net->room.loop, &link->timer);
	link->timer.data = link;
	peer->n_handles++;
	uv_timer_start(&link->timer, on_link_timer, net->times.handshake, 0);
	peer->links[peer->n_links++] = link;
	net_peer_settle(peer);
	if (find_link(peer, link->link))
		link_start(link->link);
}

/* --- dialling --------------------------------------------------------------------------------- */

static void forget_dial(struct net_peer *peer)
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
static void dial_over(struct net_peer *peer)
{
	uv_timer_stop(&peer->retry);
	if (!peer->dial_conn)
		forget_dial(peer);
}

/* 50 % to 100 % of the pause, which doubles. */
static void retry_later(struct net_peer *peer)
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

static void put_first(struct net_peer *peer, const char *address)
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

void net_peer_keep_address(struct net_peer *peer, const char *address)
{
	const struct net_observer *observer = peer->net->observer;

	put_first(peer, address);
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
	forget_dial(peer);
	net_peer_take_conn(peer, conn, true, peer->dial_address);
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
		forget_dial(peer);
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
		forget_dial(peer);
		retry_later(peer);
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
		retry_later(peer);
	}
}

static void on_retry(uv_timer_t *timer)
{
	struct net_peer *peer = timer->data;

	if (peer->n_links == 0 && !peer->dial && !peer->is_unpaired)
		begin_dial(peer);
}

void net_peer_dial(struct net_peer *peer)
{
	uint64_t now = net_now(peer->net), at;

	if (peer->n_links > 0 || peer->dial || peer->is_unpaired || peer->is_removed)
		return;
	at = peer->dialled_at > 0 ? peer->dialled_at + peer->net->times.backoff_min : 0;
	if (at < peer->not_before)
		at = peer->not_before;
	uv_timer_start(&peer->retry, on_retry, at > now ? at - now : 0, 0);
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
	forget_dial(peer);
	peer->backoff_ms = peer->net->times.backoff_min;
	net_peer_dial(peer);
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
		put_first(peer, address);
		if (good[0])
			put_first(peer, good);
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
	drop_handle(handle->data);
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
	forget_dial(peer);
	if (unpaired)
		tell_unpaired(peer);
	while (peer->n_links > 0)
		close_link(peer->links[0]);
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
	net_peer_dial(peer);
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
