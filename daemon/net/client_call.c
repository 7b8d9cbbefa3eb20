/*
 * A call is WAITING until there is a link and room within the limits, then SENT. It leaves SENT
 * with its reply, or becomes STREAMING if stream data follows. FINISHED is one that ended here
 * and has yet to be told so from the loop.
 *
 *     WAITING ──► SENT ──► (reply)
 *        │          └────► STREAMING ──► (end)
 *        └──► FINISHED ──► (reply)
 *
 * Ids grow in the order of the calls, and WAITING and SENT are kept in that order, so the lowest
 * unanswered id is at the head of one of them. A link that goes takes nothing with it but the
 * streams: SENT calls are sent again on the next one with the same id, if it resumes the session.
 * An abandoned call has no handler any more, but keeps its place until it is answered, because
 * the server still works on it.
 */
#include "daemon/net/client_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct transport_call *client_call_find(struct client *client, uint64_t id)
{
	struct transport_call *call;

	LIST_FOREACH(call, &client->buckets[id % CLIENT_BUCKETS], bucket)
	if (call->id == id)
		return call;
	return NULL;
}

/* What it counts among the bytes in flight. What may wait long (for a lock, for a program) is small
 * and does not. */
static size_t bulk_size(const struct transport_call *call)
{
	size_t size = message_size(call->message);

	if (call->message->n_payload > 0)
		return call->message->n_payload;
	return size > LIMITS_BULK ? size : 0;
}

/* --- the ends of a call ----------------------------------------------------------------------- */

void client_call_unlist(struct transport_call *call)
{
	struct client *client = call->client;

	switch (call->state) {
	case CALL_WAITING:
		TAILQ_REMOVE(&client->waiting, call, entry);
		break;
	case CALL_SENT:
		TAILQ_REMOVE(&client->sent, call, entry);
		client->write_bytes -= bulk_size(call);
		client->n_sent--;
		client->n_streams -= (call->op->flags & OP_STREAMS) != 0;
		break;
	case CALL_STREAMING:
		TAILQ_REMOVE(&client->streaming, call, entry);
		client->window_more -= call->window.size - LIMITS_WINDOW;
		client->n_sent--;
		client->n_streams--;
		break;
	case CALL_FINISHED:
		TAILQ_REMOVE(&client->finished, call, entry);
		return;
	}
	LIST_REMOVE(call, bucket);
}

void client_call_drop_message(struct transport_call *call)
{
	struct message *message = call->message;

	if (!message)
		return;
	call->message = NULL;
	if (message->is_queued)
		link_take_back(call->client->link, message);
	message_release_payload(message, false);
	message_unref(message);
}

void client_call_free(struct transport_call *call)
{
	client_call_drop_message(call);
	free(call);
}

void client_call_fail(struct transport_call *call, int error)
{
	struct transport_reply reply = {.error = error};

	client_call_unlist(call);
	client_call_drop_message(call);
	if (call->handler)
		call->handler->reply(call->arg, &reply);
	client_call_free(call);
}

void client_call_end_stream(struct transport_call *call, unsigned channel, int error)
{
	client_call_unlist(call);
	if (call->handler && call->handler->end)
		call->handler->end(call->arg, channel, error);
	client_call_free(call);
}

void client_call_finish_soon(struct transport_call *call, int error)
{
	struct client *client = call->client;

	client_call_unlist(call);
	client_call_drop_message(call);
	call->state = CALL_FINISHED;
	call->error = error;
	TAILQ_INSERT_TAIL(&client->finished, call, entry);
	uv_timer_start(&client->soon, client_call_on_soon, 0, 0);
}

void client_call_fail_before(struct client *client, uint64_t id, int unsent, int mutating,
			     int other)
{
	struct transport_call *call;

	while ((call = TAILQ_FIRST(&client->streaming)) && call->id < id)
		client_call_end_stream(call, 0, -ENOTCONN);
	while ((call = TAILQ_FIRST(&client->sent)) && call->id < id) {
		bool may_have_run = call->message->is_sent && (call->op->flags & OP_MUTATES);

		client_call_fail(call, may_have_run ? mutating : other);
	}
	while ((call = TAILQ_FIRST(&client->waiting)) && call->id < id)
		client_call_fail(call, unsent);
}

void client_call_drop_events(struct client *client, bool only_sent)
{
	struct event *event, *next;

	for (event = STAILQ_FIRST(&client->events); event; event = next) {
		next = STAILQ_NEXT(event, entry);
		if (only_sent && !event->message->is_sent)
			break;
		STAILQ_REMOVE_HEAD(&client->events, entry);
		client->n_events--;
		if (event->message->is_queued)
			link_take_back(client->link, event->message);
		message_unref(event->message);
		free(event);
	}
}

/* --- sending ---------------------------------------------------------------------------------- */

/* The server hears of a cancel after the request itself. */
void client_call_send_cancel(struct transport_call *call)
{
	struct frame frame = {.kind = FRAME_CANCEL, .id = call->id};
	struct link *link = call->client->link;
	struct message *message;

	if (!link || message_new(&message, &frame, NULL, NULL, NULL, NULL) < 0)
		return;
	if (call->message) {
		memcpy(message->keys, call->message->keys, sizeof(message->keys));
		message->n_keys = call->message->n_keys;
	}
	link_push(link, message);
	message_unref(message);
}

static bool has_room(const struct client *client, const struct transport_call *call)
{
	size_t size = bulk_size(call);

	if (client->n_sent >= client->limits.calls)
		return false;
	if (client->write_bytes > 0 && client->write_bytes + size > client->limits.write_bytes)
		return false;
	return !(call->op->flags & OP_STREAMS) || client->n_streams < client->limits.streams;
}

/* Moves what may be sent from WAITING to SENT. */
void client_call_pump(struct client *client)
{
	struct transport_call *call;

	while (client->link && (call = TAILQ_FIRST(&client->waiting)) && has_room(client, call)) {
		TAILQ_REMOVE(&client->waiting, call, entry);
		TAILQ_INSERT_TAIL(&client->sent, call, entry);
		call->state = CALL_SENT;
		client->n_sent++;
		client->n_streams += (call->op->flags & OP_STREAMS) != 0;
		client->write_bytes += bulk_size(call);
		if ((call->op->flags & OP_TYPED) && message_size(call->message) < LIMITS_KEY)
			link_note_key(client->link);
		link_push(client->link, call->message);
	}
}

uint64_t client_lowest(const struct client *client)
{
	const struct transport_call *call = TAILQ_FIRST(&client->sent);

	if (!call)
		call = TAILQ_FIRST(&client->waiting);
	return call ? call->id : client->next_id;
}

static void on_deadline(uv_timer_t *timer);

/* While there is no link, the oldest calls are the first to have waited too long. */
void client_call_arm_deadline(struct client *client)
{
	struct transport_call *first = TAILQ_FIRST(&client->sent), *other;
	uint64_t from, now = client_now_ms(client);

	other = TAILQ_FIRST(&client->waiting);
	if (!first || (other && other->made_at < first->made_at))
		first = other;
	if (client->link || !first) {
		uv_timer_stop(&client->deadline);
		return;
	}
	from = first->made_at > client->lost_at ? first->made_at : client->lost_at;
	from += client->io_timeout_ms;
	uv_timer_start(&client->deadline, on_deadline, from > now ? from - now : 0, 0);
}

static void fail_late(struct client *client, struct calls *calls)
{
	uint64_t now = client_now_ms(client), from;
	struct transport_call *call;

	while ((call = TAILQ_FIRST(calls)) && !client->link) {
		from = call->made_at > client->lost_at ? call->made_at : client->lost_at;
		if (from + client->io_timeout_ms > now)
			return;
		client_call_fail(call, -ETIMEDOUT);
	}
}

static void on_deadline(uv_timer_t *timer)
{
	struct client *client = timer->data;

	fail_late(client, &client->sent);
	fail_late(client, &client->waiting);
	client_call_arm_deadline(client);
}

void client_call_on_soon(uv_timer_t *timer)
{
	struct client *client = timer->data;
	struct transport_call *call;

	if (client->owes_session_new && client->listener) {
		client->owes_session_new = false;
		client->listener->session_new(client->listener_arg, client->uid, client->gid);
	}
	while ((call = TAILQ_FIRST(&client->finished)))
		client_call_fail(call, call->error);
}
