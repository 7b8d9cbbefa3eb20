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
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/log.h"
#include "daemon/net/net_private.h"
#include "proto/ops_peer.h"

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

static void on_link_timer_closed(uv_handle_t *handle)
{
	struct peer_link *link = handle->data;
	struct net_peer *peer = link->peer;

	free(link);
	net_peer_drop_handle(peer);
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

void net_link_close(struct peer_link *link)
{
	struct link *gone = link->link;

	forget_link(link);
	link_close(gone);
}

void net_link_fail(struct peer_link *link, int error, const char *why)
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
		net_dial_retry_later(peer); /* it was of no use: no hurry */
	if (error == -EACCES)
		give_up(peer);
	net_link_settle(peer);
}

static void take_granted(struct net_peer *peer, const struct frame *frame)
{
	struct bytes body = frame->body;
	const struct net_observer *observer = peer->net->observer;
	struct args_granted args;

	if (codec_decode(&args_granted_record, &body, &args, NULL) < 0)
		return;
	peer->granted = (uint16_t)args.permissions;
	if (observer && observer->granted)
		observer->granted(peer->net->arg, peer);
}

static void take_unpaired(struct net_peer *peer)
{
	const struct net_observer *observer = peer->net->observer;

	peer->is_unpaired = true;
	net_peer_note(peer, "unpaired by the other side");
	while (peer->n_links > 0)
		net_link_close(peer->links[0]);
	give_up(peer);
	net_link_settle(peer);
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
				net_link_settle(peer);
			return;
		}
		if (frame->id == 0) {
			net_link_fail(link, -EPROTO, "request number 0");
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
				net_link_settle(peer);
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
		net_link_fail(link, -EPROTO, "a request before hello");
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
		net_link_fail(link, -ETIMEDOUT, "no answer to hello");
		return;
	}
	if (!is_used(peer, link)) {
		net_link_close(link);
		net_link_settle(peer);
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
			net_link_close(link);
		else
			i++;
	}
}

void net_link_settle(struct net_peer *peer)
{
	choose_link(peer);
	tidy_links(peer);
	if (peer->n_links == 0 && !peer->dial && !uv_is_active((uv_handle_t *)&peer->retry))
		net_dial_peer(peer);
	else if (client_link(peer->client))
		net_dial_over(peer);
	net_peer_tell_state(peer);
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
	net_link_close(oldest);
}

void net_link_take_conn(struct net_peer *peer, struct conn *conn, bool is_dialled,
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
	net_link_settle(peer);
	if (find_link(peer, link->link))
		link_start(link->link);
}
