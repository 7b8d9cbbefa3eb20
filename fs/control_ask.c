#include "fs/control_ask.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "fs/peer_call_args.h"

#define ASK_REPEATS 4

static void gave_up(struct parked *parked)
{
	struct control_ask *ask =
	    (struct control_ask *)((char *)parked - offsetof(struct control_ask, parked));

	if (ask->call && !ask->is_streaming)
		ask->peer->transport->ops->cancel(ask->call);
}

void *control_ask_new(struct fs_peer *peer, size_t size, fuse_req_t req)
{
	struct control_ask *ask = calloc(1, size);

	assert(size >= sizeof(*ask));
	if (!ask)
		return NULL;
	ask->peer = peer;
	ask->next = peer->control.asks;
	if (ask->next)
		ask->next->prev = ask;
	peer->control.asks = ask;
	parked_start(&ask->parked, peer->fs, req, PARKED_CONTROL, gave_up);
	ask->had_req = req != NULL;
	return ask;
}

void control_ask_release_node(struct control_ask *ask)
{
	node_drop(ask->peer->fs, ((struct control_node_ask *)ask)->node);
}

void *control_ask_new_about(struct fs_peer *peer, size_t size, fuse_req_t req, struct fs_node *node,
			    void (*done)(struct control_ask *ask,
					 const struct transport_reply *reply))
{
	struct control_node_ask *ask = control_ask_new(peer, size, req);

	if (!ask) {
		if (req)
			fuse_reply_err(req, ENOMEM);
		return NULL;
	}
	ask->node = node;
	node_hold(node);
	ask->ask.done = done;
	ask->ask.release = control_ask_release_node;
	return ask;
}

static void free_ask(struct control_ask *ask)
{
	if (ask->release)
		ask->release(ask);
	/* Every request gets an answer: a `done` that forgot it is our bug. */
	assert(!ask->parked.req);
	if (ask->parked.req)
		fuse_reply_err(parked_take(&ask->parked), EIO);
	*(ask->prev ? &ask->prev->next : &ask->peer->control.asks) = ask->next;
	if (ask->next)
		ask->next->prev = ask->prev;
	free(ask->args);
	free(ask);
}

static void complete(struct control_ask *ask, const struct transport_reply *reply)
{
	bool streams = reply->more && !reply->error;

	ask->is_streaming = streams && ask->data;
	ask->is_busy = true;
	ask->done(ask, reply);
	ask->is_busy = false;
	if (ask->is_abandoned || !ask->is_streaming)
		free_ask(ask);
}

static void fail(struct control_ask *ask, int error)
{
	complete(ask, &(struct transport_reply){.error = error});
}

static void send(struct control_ask *ask);

static void on_reply(void *arg, const struct transport_reply *reply)
{
	struct control_ask *ask = arg;
	bool streams = reply->more && !reply->error;
	struct transport_call *call = ask->call;

	if (!streams || !ask->data)
		ask->call = NULL;
	/* What was not sent, or does no harm, fails so when the session is another. */
	if ((reply->error == -ESTALE || reply->error == -ENOTCONN) &&
	    ask->session != ask->peer->session && ask->n_repeats < ASK_REPEATS) {
		ask->n_repeats++;
		send(ask);
		return;
	}
	if (streams && !ask->data)
		ask->peer->transport->ops->abandon(call);
	complete(ask, reply);
}

static void on_data(void *arg, unsigned channel, struct bytes data)
{
	struct control_ask *ask = arg;

	ask->is_busy = true;
	ask->data(ask, channel, data);
	ask->is_busy = false;
	if (ask->is_abandoned)
		free_ask(ask);
}

static void on_end(void *arg, unsigned channel, int error)
{
	struct control_ask *ask = arg;

	ask->call = NULL;
	ask->is_busy = true;
	ask->end(ask, error);
	free_ask(ask);
}

static const struct transport_handler handler = {.reply = on_reply, .data = on_data, .end = on_end};

static void send(struct control_ask *ask)
{
	struct fs_peer *peer = ask->peer;
	int error = 0;

	if (!peer->transport)
		error = -ESTALE;
	else if (ask->had_req && !ask->parked.req)
		error = -EINTR;
	ask->session = peer->session;
	if (!error)
		error = peer->transport->ops->call(peer->transport, ask->op, ask->args, NULL,
						   &handler, ask, NULL, &ask->call);
	if (error)
		fail(ask, error);
}

void control_ask_send(struct control_ask *ask, uint16_t op, const void *args)
{
	ask->op = op;
	ask->args = peer_call_args_copy(op, args, false);
	if (ask->args)
		send(ask);
	else
		fail(ask, -ENOMEM);
}

fuse_req_t control_ask_take(struct control_ask *ask)
{
	return parked_take(&ask->parked);
}

void control_ask_consumed(struct control_ask *ask, unsigned channel, size_t bytes)
{
	if (ask->call && bytes)
		ask->peer->transport->ops->consumed(ask->call, channel, bytes);
}

void control_ask_abandon(struct control_ask *ask)
{
	struct transport_call *call = ask->call;

	ask->call = NULL;
	if (call && !ask->is_streaming)
		ask->peer->transport->ops->cancel(call);
	if (call)
		ask->peer->transport->ops->abandon(call);
	if (ask->parked.req)
		fuse_reply_err(parked_take(&ask->parked), EINTR);
	if (ask->is_busy)
		ask->is_abandoned = true; /* freed when what it is in ends */
	else
		free_ask(ask);
}

void control_ask_end_all(struct fs_peer *peer, struct transport *transport)
{
	struct control_ask *ask;

	assert(!peer->transport); /* nothing is sent again */
	while ((ask = peer->control.asks)) {
		if (ask->call)
			transport->ops->abandon(ask->call);
		ask->call = NULL;
		if (ask->is_streaming)
			on_end(ask, 0, -ESTALE);
		else
			fail(ask, -ESTALE);
	}
}
