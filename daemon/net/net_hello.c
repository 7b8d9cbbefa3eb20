/*
 * Hello, the first request of each end on each link. It opens or resumes the session of the end
 * that asks, and moves it to the link that it comes on.
 *
 * Two links may be made at once, and a hello may be answered on a link that is given up before the
 * answer is read. So the server gives the same new session again as long as nothing was asked in
 * it, if the asking daemon is still the same instance; and the client takes a session for resumed
 * only if it is the very one it had, from the same instance of the server.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/net/message.h"
#include "daemon/net/net_private.h"
#include "proto/errors.h"
#include "proto/ops_peer.h"

#define HELLOS_MAX 64 /* replies queued, when a hello comes: it may come again after a detour */

static const char software[] = "loopsy " LOOPSY_VERSION;

static void copy_text(char *to, size_t size, struct bytes from)
{
	size_t n = from.size < size ? from.size : size - 1;

	memcpy(to, from.data, n);
	to[n] = '\0';
}

/* --- as the client ---------------------------------------------------------------------------- */

void net_hello_ask(struct peer_link *link)
{
	struct net_peer *peer = link->peer;
	struct args_hello args = {
	    .version_min = NET_VERSION,
	    .version_max = NET_VERSION,
	    .instance = peer->net->instance,
	    .name = bytes_of_text(peer->net->name),
	    .software = bytes_of_text(software),
	};
	struct frame frame = {
	    .kind = FRAME_REQUEST, .op = OP_HELLO, .lowest = client_lowest(peer->client)};
	struct message *message;

	if (peer->has_session) {
		args.session = (struct bytes){peer->session_id, SESSION_ID_SIZE};
		args.secret = (struct bytes){peer->session_secret, SESSION_SECRET_SIZE};
	}
	link->is_asked = true;
	link->is_answered = false;
	if (message_new(&message, &frame, &args_hello_record, &args, NULL, NULL) < 0)
		return; /* the link ends when no hello was answered in time */
	link_push(link->link, message);
	message_unref(message);
}

static bool is_resumed(const struct net_peer *peer, const struct result_hello *result)
{
	return peer->has_session && peer->instance == result->instance &&
	       memcmp(peer->session_id, result->session.data, SESSION_ID_SIZE) == 0;
}

static void remember(struct net_peer *peer, const struct result_hello *result)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	memcpy(peer->session_id, result->session.data, SESSION_ID_SIZE);
	memcpy(peer->session_secret, result->secret.data, SESSION_SECRET_SIZE);
	peer->has_session = true;
	peer->instance = result->instance;
	peer->granted = (uint16_t)result->permissions;
	copy_text(peer->own_name, sizeof(peer->own_name), result->name);
	copy_text(peer->software, sizeof(peer->software), result->software);
	/* Clocks that differ by centuries are not worth an overflow. */
	if (result->clock.tv_sec > 0 && result->clock.tv_sec < INT32_MAX * 16L)
		peer->clock_skew_ms = (int64_t)(result->clock.tv_sec - now.tv_sec) * 1000 +
				      (result->clock.tv_nsec - now.tv_nsec) / 1000000;
}

void net_hello_take_reply(struct peer_link *link, const struct frame *frame)
{
	struct net_peer *peer = link->peer;
	struct bytes body = frame->body;
	const char *why = "a second answer to hello";
	struct result_hello result;
	char text_why[NET_ERROR_MAX];
	bool resumed;
	int error = error_to_errno(frame->status);

	if (!link->is_asked || link->is_answered) {
		net_link_fail(link, -EPROTO, why);
		return;
	}
	if (error < 0) {
		snprintf(text_why, sizeof(text_why), "the peer refused our hello: %s",
			 error == -EPROTO
			     ? "its protocol version is another one; update the older daemon"
			     : strerror(-error));
		peer->backoff_ms = peer->net->times.backoff_max;
		net_link_fail(link, error, text_why);
		return;
	}
	why = "malformed answer to hello";
	if (codec_decode(&result_hello_record, &body, &result, &why) < 0 ||
	    result.version != NET_VERSION || result.session.size != SESSION_ID_SIZE ||
	    result.secret.size != SESSION_SECRET_SIZE) {
		net_link_fail(link, -EBADMSG, why);
		return;
	}
	link->is_answered = true;
	resumed = is_resumed(peer, &result);
	remember(peer, &result);
	peer->backoff_ms = peer->net->times.backoff_min;
	peer->error[0] = '\0';
	log_info("net", "peer=%s state=up address=%s session=%s", LOG_VALUE(peer->name),
		 link->address, resumed ? "resumed" : "new");
	client_set_limits(peer->client, (struct limits){.calls = result.max_calls,
							.streams = result.max_streams,
							.write_bytes = result.max_write_bytes});
	client_attach(peer->client, link->link, resumed, (uint32_t)result.uid,
		      (uint32_t)result.gid);
	net_peer_prove(link);
	if (link->is_dialled && !peer->is_removed)
		net_dial_keep_address(peer, link->address);
}

/* --- as the server ---------------------------------------------------------------------------- */

static void on_expired(void *arg)
{
	struct net_peer *peer = arg;
	struct session *session = peer->session;

	peer->session = NULL;
	session_close(session);
}

static void on_answered(void *arg, const struct op *op, int error, bool denied)
{
	struct net_peer *peer = arg;
	const struct net_observer *observer = peer->net->observer;

	if (observer && observer->answered)
		observer->answered(peer->net->arg, peer, op, error, denied);
}

static int open_session(struct net_peer *peer, uint64_t instance)
{
	struct session_options options = {
	    .room = &peer->net->room,
	    .ops = peer->net->ops,
	    .services = peer->net->services,
	    .n_services = peer->net->n_services,
	    .limits = peer->net->limits,
	    .permissions = &peer->permissions,
	    .name = peer->name,
	    .grace_ms = peer->net->times.session,
	    .instance = instance,
	    .expired = on_expired,
	    .answered = on_answered,
	    .arg = peer,
	};

	if (peer->session)
		on_expired(peer);
	return session_new(&peer->session, &options);
}

/* Finds or makes the session that is asked for. Returns 1 if it is resumed, 0 or -errno. */
static int choose_session(struct net_peer *peer, const struct args_hello *args)
{
	struct session *session = peer->session;

	if (session && session_instance(session) == args->instance) {
		if (session_matches(session, args->session, args->secret))
			return 1;
		if (args->session.size == 0 && session_is_unused(session))
			return 0;
	}
	return open_session(peer, args->instance);
}

static void refuse(struct peer_link *link, int error)
{
	struct frame frame = {.kind = FRAME_REPLY, .status = error_from_errno(error)};

	link_push_frame(link->link, &frame);
}

static void reply(struct peer_link *link, bool resumed)
{
	struct net_peer *peer = link->peer;
	struct result_hello result = {
	    .version = NET_VERSION,
	    .instance = peer->net->instance,
	    .session = {session_id(peer->session), SESSION_ID_SIZE},
	    .secret = {session_secret(peer->session), SESSION_SECRET_SIZE},
	    .resumed = resumed,
	    .name = bytes_of_text(peer->net->name),
	    .software = bytes_of_text(software),
	    .uid = geteuid(),
	    .gid = getegid(),
	    .permissions = peer->permissions,
	    .max_calls = peer->net->limits.calls,
	    .max_streams = peer->net->limits.streams,
	    .max_write_bytes = peer->net->limits.write_bytes,
	};
	struct frame frame = {.kind = FRAME_REPLY};
	struct message *message;

	clock_gettime(CLOCK_REALTIME, &result.clock);
	if (message_new(&message, &frame, &result_hello_record, &result, NULL, NULL) < 0)
		return;
	link_push(link->link, message);
	message_unref(message);
}

void net_hello_take_request(struct peer_link *link, const struct frame *frame)
{
	struct net_peer *peer = link->peer;
	struct bytes body = frame->body;
	const char *why = "too many hellos";
	struct args_hello args;
	char text_why[NET_ERROR_MAX];
	int r = -EBADMSG;

	if (link_n_replies(link->link) < HELLOS_MAX)
		r = codec_decode(&args_hello_record, &body, &args, &why);
	if (r < 0 || frame->id != 0) {
		net_link_fail(link, -EBADMSG, why);
		return;
	}
	if (args.version_min > NET_VERSION || args.version_max < NET_VERSION) {
		snprintf(
		    text_why, sizeof(text_why),
		    "it speaks protocol versions %u to %u, this daemon %d; update the older one",
		    (unsigned)args.version_min, (unsigned)args.version_max, NET_VERSION);
		refuse(link, -EPROTO);
		peer->backoff_ms = peer->net->times.backoff_max;
		net_link_fail(link, -EPROTONOSUPPORT, text_why);
		return;
	}
	link->has_greeted = true;
	net_peer_prove(link); /* it may grant something from now on */
	if (peer->is_removed)
		return;
	r = choose_session(peer, &args);
	if (r < 0) {
		refuse(link, r);
		net_link_fail(link, r, "no room for its session");
		return;
	}
	copy_text(peer->own_name, sizeof(peer->own_name), args.name);
	copy_text(peer->software, sizeof(peer->software), args.software);
	reply(link, r > 0);
	session_attach(peer->session, link->link);
}
