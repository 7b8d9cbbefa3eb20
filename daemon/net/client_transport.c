/* What fs/transport.h asks of a client. */
#include "daemon/net/client_private.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/net/limits.h"

static int transport_call(struct transport *transport, uint16_t op, const void *args,
			  const struct caller *caller, const struct transport_handler *handler,
			  void *arg, void (*payload_done)(void *arg),
			  struct transport_call **ret_call)
{
	struct client *client = client_of(transport);
	struct frame frame = {.kind = FRAME_REQUEST, .op = op, .id = client->next_id};
	struct transport_call *call;
	int r;

	if (client->state == TRANSPORT_DOWN)
		return -EHOSTDOWN;
	call = calloc(1, sizeof(*call));
	if (!call)
		return -ENOMEM;
	call->op = op_find(client->ops, op);
	assert(call->op && !(call->op->flags & OP_EVENT));
	frame.lowest = client_lowest(client);
	if (caller) {
		frame.has_caller = true;
		frame.caller = *caller;
	}
	r = message_new(&call->message, &frame, call->op->args, args, payload_done, arg);
	if (r < 0) {
		free(call);
		return r;
	}
	message_add_nodes(call->message, call->op->args, args);
	call->message->is_lazy = call->op->flags & OP_LAZY;
	call->client = client;
	call->id = client->next_id++;
	call->handler = handler;
	call->arg = arg;
	call->made_at = client_now_ms(client);
	call->state = CALL_WAITING;
	TAILQ_INSERT_TAIL(&client->waiting, call, entry);
	LIST_INSERT_HEAD(&client->buckets[call->id % CLIENT_BUCKETS], call, bucket);
	if (client->link)
		client_call_pump(client);
	else if (!uv_is_active((uv_handle_t *)&client->deadline))
		client_call_arm_deadline(client);
	if (ret_call)
		*ret_call = call;
	return 0;
}

static void transport_cancel(struct transport_call *call)
{
	bool is_unsent =
	    call->state == CALL_WAITING || (call->state == CALL_SENT && !call->message->is_sent);

	if (call->state == CALL_FINISHED || call->is_cancelled)
		return;
	call->is_cancelled = true;
	if (is_unsent)
		client_call_finish_soon(call, -EINTR);
	else
		client_call_send_cancel(call);
}

static void transport_abandon(struct transport_call *call)
{
	struct client *client = call->client;

	call->handler = NULL;
	if (call->state == CALL_FINISHED) {
		client_call_unlist(call);
		client_call_free(call);
	} else if (call->state == CALL_STREAMING) {
		client_call_send_cancel(call);
	} else if (message_release_payload(call->message, true) < 0) {
		/* Without its bytes it cannot be sent; if it was, its reply is not looked for. */
		client_call_unlist(call);
		client_call_free(call);
		client_call_pump(client);
	}
}

static int transport_event(struct transport *transport, uint16_t op, const void *args)
{
	struct client *client = client_of(transport);
	struct frame frame = {.kind = FRAME_EVENT, .op = op};
	const struct op *info = op_find(client->ops, op);
	struct event *event;
	int r;

	assert(info && (info->flags & OP_EVENT));
	if (!client->has_session)
		return 0; /* it would mean nothing to the next one */
	client_call_drop_events(client, true);
	if (client->n_events >= LIMITS_EVENTS)
		return -ENOBUFS;
	event = malloc(sizeof(*event));
	if (!event)
		return -ENOMEM;
	r = message_new(&event->message, &frame, info->args, args, NULL, NULL);
	if (r < 0) {
		free(event);
		return r;
	}
	event->message->is_last = true;
	STAILQ_INSERT_TAIL(&client->events, event, entry);
	client->n_events++;
	if (client->link)
		link_push(client->link, event->message);
	return 0;
}

static void transport_hurry(struct transport *transport)
{
	struct client *client = client_of(transport);

	if (client->link)
		link_hurry(client->link);
}

static void transport_consumed(struct transport_call *call, unsigned channel, size_t bytes)
{
	struct frame frame = {.kind = FRAME_CREDIT, .id = frame_stream(call->id, channel, true)};
	struct client *client = call->client;
	size_t size = call->window.size;

	assert(bytes <= call->unconsumed);
	call->unconsumed -= bytes;
	if (call->state != CALL_STREAMING || !client->link)
		return;
	frame.status =
	    stream_window_used(&call->window, bytes, LIMITS_WINDOW_MORE - client->window_more,
			       uv_hrtime() / 1000, client_rtt_us(client));
	client->window_more += call->window.size - size;
	if (frame.status > 0 && link_push_frame(client->link, &frame) < 0)
		call->window.owed += frame.status;
}

static void transport_frame_ref(void *frame)
{
	chunk_ref(frame);
}

static void transport_frame_unref(void *frame)
{
	chunk_unref(frame);
}

static enum transport_state transport_state(struct transport *transport)
{
	return client_of(transport)->state;
}

static void transport_measure(struct transport *transport, uint64_t *ret_rtt_us, uint64_t *ret_rate)
{
	struct client *client = client_of(transport);

	*ret_rtt_us = client_rtt_us(client);
	*ret_rate = client->link ? link_rate(client->link) : client->rate;
}

static void transport_listen(struct transport *transport, const struct transport_listener *listener,
			     void *arg)
{
	struct client *client = client_of(transport);

	client->listener = listener;
	client->listener_arg = arg;
	client->owes_session_new = listener && client->has_session && client->state == TRANSPORT_UP;
	if (client->owes_session_new)
		uv_timer_start(&client->soon, client_call_on_soon, 0, 0);
}

const struct transport_ops client_transport_ops = {
    .call = transport_call,
    .cancel = transport_cancel,
    .abandon = transport_abandon,
    .event = transport_event,
    .hurry = transport_hurry,
    .consumed = transport_consumed,
    .frame_ref = transport_frame_ref,
    .frame_unref = transport_frame_unref,
    .state = transport_state,
    .measure = transport_measure,
    .listen = transport_listen,
};
