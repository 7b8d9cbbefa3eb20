/*
 * A client's links and sessions, its birth and its death. The calls themselves are client_call.c's,
 * where their states are explained.
 */
#include "daemon/net/client_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/net/limits.h"

void client_detach(struct client *client)
{
	struct transport_call *call;
	struct event *event;
	uint64_t before = client->next_id;

	if (!client->link)
		return;
	TAILQ_FOREACH(call, &client->sent, entry)
	if (call->message->is_queued)
		link_take_back(client->link, call->message);
	STAILQ_FOREACH(event, &client->events, entry)
	if (event->message->is_queued)
		link_take_back(client->link, event->message);
	client->rtt_us = link_rtt_us(client->link);
	client->rate = link_rate(client->link);
	client->link = NULL;
	client->lost_at = client_now_ms(client);
	client->state = TRANSPORT_LOST;
	while ((call = TAILQ_FIRST(&client->streaming)) && call->id < before)
		client_call_end_stream(call, 0, -ENOTCONN);
	client_call_arm_deadline(client);
}

static void resume(struct client *client)
{
	struct transport_call *call;
	struct event *event;

	TAILQ_FOREACH(call, &client->sent, entry)
	{
		link_push(client->link, call->message);
		if (call->is_cancelled)
			client_call_send_cancel(call);
	}
	client_call_drop_events(client, true);
	STAILQ_FOREACH(event, &client->events, entry)
	if (!event->message->is_sent)
		link_push(client->link, event->message);
}

static uint64_t at_most(uint64_t n, uint64_t most)
{
	return n < most ? n : most;
}

void client_set_limits(struct client *client, struct limits limits)
{
	limits = limits_with_defaults(limits);
	client->limits = (struct limits){
	    .calls = at_most(limits.calls, LIMITS_CALLS_MOST),
	    .streams = at_most(limits.streams, LIMITS_CALLS_MOST),
	    .write_bytes = at_most(limits.write_bytes, LIMITS_WRITE_BYTES_MOST),
	};
}

void client_attach(struct client *client, struct link *link, bool resumed, uint32_t uid,
		   uint32_t gid)
{
	uint64_t before = client->next_id;
	bool was_down = client->state == TRANSPORT_DOWN;

	client_detach(client);
	client->link = link;
	client->state = TRANSPORT_UP;
	uv_timer_stop(&client->deadline);
	if (resumed && client->has_session) {
		resume(client);
		if (was_down && client->listener && client->listener->session_back)
			client->listener->session_back(client->listener_arg);
	} else {
		client->has_session = true;
		client->uid = uid;
		client->gid = gid;
		client_call_drop_events(client, false);
		client->owes_session_new = false;
		if (client->listener)
			client->listener->session_new(client->listener_arg, uid, gid);
		client_call_fail_before(client, before, -ESTALE, -EIO, -ESTALE);
	}
	client_call_pump(client);
}

void client_set_down(struct client *client)
{
	bool was_down = client->state == TRANSPORT_DOWN;

	client_detach(client);
	client->state = TRANSPORT_DOWN;
	uv_timer_stop(&client->deadline);
	if (!was_down && client->listener)
		client->listener->session_lost(client->listener_arg);
	client_call_fail_before(client, client->next_id, -EHOSTDOWN, -EHOSTDOWN, -EHOSTDOWN);
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct client *client = handle->data;
	struct conn_room *room = client->room;

	if (--client->n_handles > 0)
		return;
	free(client->result);
	free(client);
	conn_room_drop(room);
}

void client_free(struct client *client)
{
	struct transport_call *call;

	client_detach(client);
	client->state = TRANSPORT_DOWN;
	if (client->has_session && client->listener)
		client->listener->session_lost(client->listener_arg);
	client->listener = NULL;
	client_call_fail_before(client, client->next_id, -ECONNABORTED, -ECONNABORTED,
				-ECONNABORTED);
	while ((call = TAILQ_FIRST(&client->finished)))
		client_call_fail(call, call->error);
	client_call_drop_events(client, false);
	uv_close((uv_handle_t *)&client->soon, on_handle_closed);
	uv_close((uv_handle_t *)&client->deadline, on_handle_closed);
}

int client_new(struct client **ret_client, struct conn_room *room, const struct op_table *ops,
	       uint64_t io_timeout_ms)
{
	struct client *client = calloc(1, sizeof(*client));
	size_t size = 1;

	if (!client)
		return -ENOMEM;
	for (size_t i = 0; i < ops->n_ops; i++)
		if (ops->ops[i].result->size > size)
			size = ops->ops[i].result->size;
	client->result = malloc(size);
	if (!client->result) {
		free(client);
		return -ENOMEM;
	}
	client->transport.ops = &client_transport_ops;
	client->room = room;
	client->ops = ops;
	client->io_timeout_ms = io_timeout_ms;
	client->limits = limits_with_defaults((struct limits){0});
	client->state = TRANSPORT_DOWN;
	client->next_id = 1; /* 0 is the hello's */
	TAILQ_INIT(&client->waiting);
	TAILQ_INIT(&client->sent);
	TAILQ_INIT(&client->streaming);
	TAILQ_INIT(&client->finished);
	STAILQ_INIT(&client->events);
	uv_timer_init(room->loop, &client->soon);
	uv_timer_init(room->loop, &client->deadline);
	client->soon.data = client->deadline.data = client;
	client->n_handles = 2;
	conn_room_hold(room);
	*ret_client = client;
	return 0;
}

struct transport *client_transport(struct client *client)
{
	return &client->transport;
}

struct link *client_link(const struct client *client)
{
	return client->link;
}

enum transport_state client_state(const struct client *client)
{
	return client->state;
}

uint64_t client_rtt_us(const struct client *client)
{
	return client->link ? link_rtt_us(client->link) : client->rtt_us;
}
