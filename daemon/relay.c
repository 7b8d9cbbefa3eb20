/*
 * A relayed call is one call of the control socket and one of the transport. The latter ends first:
 * by its reply, by the end of its stream, or because it was abandoned when the caller gave up. Then
 * the former is answered and all is freed.
 *
 * Nothing is kept here. What a stream carries goes straight on to the caller's connection, and
 * credit comes back to the peer only as the caller gives it; the peer's window is not larger than
 * the caller's, so there is always room.
 */
#include "daemon/relay.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/net/limits.h"

static_assert(LIMITS_WINDOW_MAX <= OPS_CTL_WINDOW, "what a peer may send has room at the caller");

struct relayed {
	struct control_call *call;
	struct transport *transport;
	struct transport_call *asked;
	const struct op *op;
	const struct relay_guard *guard; /* NULL: none */
	uint64_t key;                    /* the caller's */
	bool streams;                    /* the caller has the reply, and data follows */
	char *why;
	char peer[]; /* its name, for people */
};

static void relayed_free(struct relayed *relayed)
{
	free(relayed->why);
	free(relayed);
}

/* --- why it failed ---------------------------------------------------------------------------- */

/* The errors of the way there, with one %s for the peer's name; NULL for those of the operation. */
static const char *way_error(int error)
{
	switch (error) {
	case -ETIMEDOUT:
		return "%s does not answer: 'loopsyctl status' shows how the link is";
	case -ESTALE:
		return "loopsyd on %s was started anew meanwhile";
	case -ECONNABORTED:
		return "%s was unpaired, or loopsyd stops";
	case -ENOSYS:
		return "the loopsyd on %s cannot do that: it is of an older version";
	default:
		return NULL;
	}
}

static void fail(struct relayed *relayed, int error)
{
	const char *format = way_error(error);
	char text[OPS_CTL_TEXT_MAX];
	const char *at;

	if (error == -EHOSTDOWN) {
		control_fail(relayed->call, error, "%s is offline%s%s: 'loopsyctl peers show %s'",
			     relayed->peer, relayed->why[0] ? ": " : "", relayed->why,
			     relayed->peer);
		relayed_free(relayed);
		return;
	}
	if (!format)
		format = ops_peer_error(relayed->op->number, error);
	at = format ? strstr(format, "%s") : NULL;
	if (at)
		snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - format), format, relayed->peer,
			 at + 2);
	else
		snprintf(text, sizeof(text), "%s on %s: %s", relayed->op->name, relayed->peer,
			 format ? format : strerror(-error));
	control_fail(relayed->call, error, "%s", text);
	relayed_free(relayed);
}

/* --- what comes back -------------------------------------------------------------------------- */

static void on_credit(void *arg, unsigned channel, size_t bytes)
{
	struct relayed *relayed = arg;

	relayed->transport->ops->consumed(relayed->asked, channel, bytes);
}

static void on_reply(void *arg, const struct transport_reply *reply)
{
	struct relayed *relayed = arg;
	struct buffer buffer = {.limit = OPS_CTL_CALL_MAX};
	struct result_ctl_call result = {0};
	int r = reply->error;

	if (r == 0 && relayed->guard)
		r = relayed->guard->reply(relayed->guard->arg, relayed->key, relayed->op,
					  reply->result);
	if (r == 0)
		r = codec_encode(relayed->op->result, reply->result, &buffer, NULL);
	result.result = (struct bytes){buffer.data, buffer.size};
	if (r == 0 && reply->more) {
		r = control_stream_begin(relayed->call, &result, on_credit, relayed);
		relayed->streams = r == 0;
	} else if (r == 0) {
		control_reply(relayed->call, &result);
		relayed_free(relayed);
	}
	buffer_deinit(&buffer);
	if (r == 0)
		return;
	if (reply->more)
		relayed->transport->ops->abandon(relayed->asked);
	fail(relayed, r);
}

static void on_data(void *arg, unsigned channel, struct bytes data)
{
	struct relayed *relayed = arg;
	int r = control_stream_write(relayed->call, channel, data);

	if (r == 0)
		return;
	relayed->transport->ops->abandon(relayed->asked);
	control_stream_end(relayed->call, r);
	relayed_free(relayed);
}

static void on_end(void *arg, unsigned channel, int error)
{
	struct relayed *relayed = arg;

	control_stream_end(relayed->call, error);
	relayed_free(relayed);
}

static const struct transport_handler handler = {on_reply, on_data, on_end};

/* The caller gave up or has gone: the peer is told, whether it has answered or not. */
static void on_cancelled(void *arg)
{
	struct relayed *relayed = arg;

	if (!relayed->streams)
		relayed->transport->ops->cancel(relayed->asked);
	relayed->transport->ops->abandon(relayed->asked);
	if (relayed->streams)
		control_stream_end(relayed->call, -EINTR);
	else
		control_fail(relayed->call, -EINTR, "%s", "");
	relayed_free(relayed);
}

/* --- asking ----------------------------------------------------------------------------------- */

/* What loopsyctl may ask: files are the mount's, and what is local is asked of nobody else. */
static bool is_relayed(const struct op *op, bool is_self)
{
	const uint16_t asked = PERMISSION_EXEC | PERMISSION_KV | PERMISSION_MSG;

	if (!op || (op->flags & OP_EVENT))
		return false;
	return (op->permission & asked) || op->number == OP_WATCH ||
	       (is_self && op->permission == PERMISSION_LOCAL);
}

/* The args, decoded; their bytes point into `bytes`. Returns 0 or -errno. */
static int decode_args(const struct op *op, struct bytes bytes, void **ret_args,
		       const char **ret_error)
{
	void *args = malloc(op->args->size ? op->args->size : 1);
	int r;

	*ret_error = "out of memory";
	if (!args)
		return -ENOMEM;
	r = codec_decode(op->args, &bytes, args, ret_error);
	if (r == 0 && bytes.size > 0) {
		*ret_error = "bytes after the arguments";
		r = -EBADMSG;
	}
	if (r < 0) {
		free(args);
		return -EINVAL;
	}
	*ret_args = args;
	return 0;
}

static struct relayed *relayed_new(struct transport *transport, const char *peer, const char *why,
				   struct control_call *call, const struct op *op)
{
	struct relayed *relayed = calloc(1, sizeof(*relayed) + strlen(peer) + 1);

	if (!relayed)
		return NULL;
	relayed->call = call;
	relayed->transport = transport;
	relayed->op = op;
	relayed->why = strdup(why);
	strcpy(relayed->peer, peer);
	if (!relayed->why) {
		free(relayed);
		return NULL;
	}
	return relayed;
}

void relay_call(struct transport *transport, const char *peer, const char *why,
		struct control_call *call, const struct args_ctl_call *args,
		const struct relay_guard *guard)
{
	const struct op *op = op_find(&ops_peer, args->op);
	bool is_self = peer[0] == '\0';
	struct relayed *relayed;
	const char *error;
	void *decoded;
	int r;

	if (!is_relayed(op, is_self)) {
		control_fail(call, -EINVAL, "operation %u is not one to ask of a peer from here",
			     (unsigned)args->op);
		return;
	}
	r = decode_args(op, args->args, &decoded, &error);
	if (r < 0) {
		control_fail(call, r, "arguments of %s: %s", op->name, error);
		return;
	}
	if (guard && !guard->request(guard->arg, call, peer, op, decoded)) {
		free(decoded);
		return;
	}
	relayed = relayed_new(transport, is_self ? "this machine" : peer, why, call, op);
	if (!relayed) {
		control_fail(call, -ENOMEM, "out of memory");
		free(decoded);
		return;
	}
	relayed->guard = guard;
	relayed->key = control_key(call);
	r = transport->ops->call(transport, op->number, decoded, NULL, &handler, relayed, NULL,
				 &relayed->asked);
	free(decoded);
	if (r < 0)
		fail(relayed, r);
	else
		control_on_cancel(call, on_cancelled, relayed);
}
