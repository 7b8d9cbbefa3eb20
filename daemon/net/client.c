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
#include "daemon/net/client.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/net/limits.h"
#include "proto/errors.h"

#define BUCKETS     1024
#define CREDIT_STEP (LIMITS_WINDOW / 4)

enum call_state { CALL_WAITING, CALL_SENT, CALL_STREAMING, CALL_FINISHED };

struct transport_call {
	TAILQ_ENTRY(transport_call) entry; /* the list of its state */
	LIST_ENTRY(transport_call) bucket; /* by id; not when FINISHED */
	struct client *client;
	uint64_t id;
	const struct op *op;
	const struct transport_handler *handler; /* NULL: abandoned */
	void *arg;
	struct message *message; /* owned until answered */
	enum call_state state;
	bool is_cancelled;
	int error;        /* of FINISHED */
	uint64_t made_at; /* ms */
	size_t unconsumed;
	size_t consumed; /* and no credit sent for it yet */
};
TAILQ_HEAD(calls, transport_call);
LIST_HEAD(calls_bucket, transport_call);

struct event {
	STAILQ_ENTRY(event) entry;
	struct message *message;
};

struct client {
	struct transport transport; /* the first: they are cast into each other */
	struct conn_room *room;
	const struct op_table *ops;
	uint64_t io_timeout_ms;
	struct limits limits; /* the peer's */
	enum transport_state state;
	struct link *link;     /* borrowed; NULL while there is none */
	uint64_t lost_at;      /* ms */
	uint64_t rtt_us, rate; /* of the last link */

	bool has_session;
	uint32_t uid, gid;
	const struct transport_listener *listener;
	void *listener_arg;
	bool owes_session_new; /* to a listener that came later */

	uint64_t next_id;
	struct calls waiting, sent, streaming, finished;
	struct calls_bucket buckets[BUCKETS];
	unsigned n_sent; /* SENT and STREAMING */
	unsigned n_streams;
	size_t write_bytes;
	STAILQ_HEAD(, event) events;
	unsigned n_events;
	void *result; /* room for any operation's result */

	uv_timer_t soon;     /* for what may not be called at once */
	uv_timer_t deadline; /* of the oldest call, while there is no link */
	unsigned n_handles;
};

static struct client *client_of(struct transport *transport)
{
	return (struct client *)transport;
}

static uint64_t now_ms(struct client *client)
{
	return uv_now(client->room->loop);
}

static struct transport_call *find(struct client *client, uint64_t id)
{
	struct transport_call *call;

	LIST_FOREACH(call, &client->buckets[id % BUCKETS], bucket)
	if (call->id == id)
		return call;
	return NULL;
}

static size_t payload_size(const struct transport_call *call)
{
	return call->message->payload.size;
}

/* --- the ends of a call ----------------------------------------------------------------------- */

static void on_soon(uv_timer_t *timer);

static void unlist(struct transport_call *call)
{
	struct client *client = call->client;

	switch (call->state) {
	case CALL_WAITING:
		TAILQ_REMOVE(&client->waiting, call, entry);
		break;
	case CALL_SENT:
		TAILQ_REMOVE(&client->sent, call, entry);
		client->write_bytes -= payload_size(call);
		client->n_sent--;
		client->n_streams -= (call->op->flags & OP_STREAMS) != 0;
		break;
	case CALL_STREAMING:
		TAILQ_REMOVE(&client->streaming, call, entry);
		client->n_sent--;
		client->n_streams--;
		break;
	case CALL_FINISHED:
		TAILQ_REMOVE(&client->finished, call, entry);
		return;
	}
	LIST_REMOVE(call, bucket);
}

/* Its bytes are not needed any more. */
static void drop_message(struct transport_call *call)
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

static void call_free(struct transport_call *call)
{
	drop_message(call);
	free(call);
}

/* Ends a call that is not STREAMING with an error. */
static void fail_call(struct transport_call *call, int error)
{
	struct transport_reply reply = {.error = error};

	unlist(call);
	drop_message(call);
	if (call->handler)
		call->handler->reply(call->arg, &reply);
	call_free(call);
}

static void end_stream(struct transport_call *call, unsigned channel, int error)
{
	unlist(call);
	if (call->handler && call->handler->end)
		call->handler->end(call->arg, channel, error);
	call_free(call);
}

/* The call ends here, but its handler hears it later. */
static void finish_soon(struct transport_call *call, int error)
{
	struct client *client = call->client;

	unlist(call);
	drop_message(call);
	call->state = CALL_FINISHED;
	call->error = error;
	TAILQ_INSERT_TAIL(&client->finished, call, entry);
	uv_timer_start(&client->soon, on_soon, 0, 0);
}

/* Ends all calls made before `id`: waiting ones with `unsent`, SENT ones with `mutating` if they
 * change something and it is not known whether they did, else with `other`. */
static void fail_before(struct client *client, uint64_t id, int unsent, int mutating, int other)
{
	struct transport_call *call;

	while ((call = TAILQ_FIRST(&client->streaming)) && call->id < id)
		end_stream(call, 0, -ENOTCONN);
	while ((call = TAILQ_FIRST(&client->sent)) && call->id < id) {
		bool may_have_run = call->message->is_sent && (call->op->flags & OP_MUTATES);

		fail_call(call, may_have_run ? mutating : other);
	}
	while ((call = TAILQ_FIRST(&client->waiting)) && call->id < id)
		fail_call(call, unsent);
}

static void drop_events(struct client *client, bool only_sent)
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
static void send_cancel(struct transport_call *call)
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
	size_t size = payload_size(call);

	if (client->n_sent >= client->limits.calls)
		return false;
	if (client->write_bytes > 0 && client->write_bytes + size > client->limits.write_bytes)
		return false;
	return !(call->op->flags & OP_STREAMS) || client->n_streams < client->limits.streams;
}

/* Moves what may be sent from WAITING to SENT. */
static void pump(struct client *client)
{
	struct transport_call *call;

	while (client->link && (call = TAILQ_FIRST(&client->waiting)) && has_room(client, call)) {
		TAILQ_REMOVE(&client->waiting, call, entry);
		TAILQ_INSERT_TAIL(&client->sent, call, entry);
		call->state = CALL_SENT;
		client->n_sent++;
		client->n_streams += (call->op->flags & OP_STREAMS) != 0;
		client->write_bytes += payload_size(call);
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
static void arm_deadline(struct client *client)
{
	struct transport_call *first = TAILQ_FIRST(&client->sent), *other;
	uint64_t from, now = now_ms(client);

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
	uint64_t now = now_ms(client), from;
	struct transport_call *call;

	while ((call = TAILQ_FIRST(calls)) && !client->link) {
		from = call->made_at > client->lost_at ? call->made_at : client->lost_at;
		if (from + client->io_timeout_ms > now)
			return;
		fail_call(call, -ETIMEDOUT);
	}
}

static void on_deadline(uv_timer_t *timer)
{
	struct client *client = timer->data;

	fail_late(client, &client->sent);
	fail_late(client, &client->waiting);
	arm_deadline(client);
}

static void on_soon(uv_timer_t *timer)
{
	struct client *client = timer->data;
	struct transport_call *call;

	if (client->owes_session_new && client->listener) {
		client->owes_session_new = false;
		client->listener->session_new(client->listener_arg, client->uid, client->gid);
	}
	while ((call = TAILQ_FIRST(&client->finished)))
		fail_call(call, call->error);
}

/* --- transport.h ------------------------------------------------------------------------------ */

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
	call->client = client;
	call->id = client->next_id++;
	call->handler = handler;
	call->arg = arg;
	call->made_at = now_ms(client);
	call->state = CALL_WAITING;
	TAILQ_INSERT_TAIL(&client->waiting, call, entry);
	LIST_INSERT_HEAD(&client->buckets[call->id % BUCKETS], call, bucket);
	if (client->link)
		pump(client);
	else if (!uv_is_active((uv_handle_t *)&client->deadline))
		arm_deadline(client);
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
		finish_soon(call, -EINTR);
	else
		send_cancel(call);
}

static void transport_abandon(struct transport_call *call)
{
	struct client *client = call->client;

	call->handler = NULL;
	if (call->state == CALL_FINISHED) {
		unlist(call);
		call_free(call);
	} else if (call->state == CALL_STREAMING) {
		send_cancel(call);
	} else if (message_release_payload(call->message, true) < 0) {
		/* Without its bytes it cannot be sent; if it was, its reply is not looked for. */
		unlist(call);
		call_free(call);
		pump(client);
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
	drop_events(client, true);
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

static void transport_consumed(struct transport_call *call, unsigned channel, size_t bytes)
{
	struct frame frame = {.kind = FRAME_CREDIT, .id = frame_stream(call->id, channel, true)};

	assert(bytes <= call->unconsumed);
	call->unconsumed -= bytes;
	call->consumed += bytes;
	if (call->state != CALL_STREAMING || call->consumed < CREDIT_STEP || !call->client->link)
		return;
	frame.status = call->consumed;
	if (link_push_frame(call->client->link, &frame) == 0)
		call->consumed = 0;
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
		uv_timer_start(&client->soon, on_soon, 0, 0);
}

static const struct transport_ops transport_ops = {
    .call = transport_call,
    .cancel = transport_cancel,
    .abandon = transport_abandon,
    .event = transport_event,
    .consumed = transport_consumed,
    .frame_ref = transport_frame_ref,
    .frame_unref = transport_frame_unref,
    .state = transport_state,
    .measure = transport_measure,
    .listen = transport_listen,
};

/* --- what comes ------------------------------------------------------------------------------- */

/* By convention: whether data follows is the result's `more`, and certain without such a field. */
static bool result_has_more(const struct op *op, const void *result)
{
	if (!(op->flags & OP_STREAMS))
		return false;
	for (unsigned i = 0; i < op->result->n_fields; i++) {
		const struct field *field = &op->result->fields[i];

		if (field->kind == FIELD_BOOL && strcmp(field->name, "more") == 0)
			return *(const bool *)((const char *)result + field->offset);
	}
	return true;
}

static bool has_payload(const struct record *record)
{
	return record->n_fields > 0 && record->fields[record->n_fields - 1].kind == FIELD_PAYLOAD;
}

/* Small payloads get a chunk of their own, so that to keep them does not hold a large one. */
static struct chunk *chunk_for(const struct op *op, struct bytes *body, struct chunk *chunk)
{
	struct chunk *small;

	if (!has_payload(op->result) || body->size >= LIMITS_COPY || body->size == 0)
		return chunk_ref(chunk);
	small = chunk_new(body->size);
	if (!small)
		return chunk_ref(chunk);
	memcpy(small->data, body->data, body->size);
	body->data = small->data;
	return small;
}

static int take_result(struct transport_call *call, struct bytes body, struct chunk *chunk,
		       const char **ret_why)
{
	struct client *client = call->client;
	struct transport_reply reply = {.result = client->result};
	struct chunk *held = chunk_for(call->op, &body, chunk);
	int r;

	r = codec_decode(call->op->result, &body, client->result, ret_why);
	if (r < 0)
		goto out;
	reply.frame = held;
	reply.more = result_has_more(call->op, client->result);
	drop_message(call);
	if (reply.more) {
		call->state = CALL_STREAMING;
		TAILQ_INSERT_TAIL(&client->streaming, call, entry);
		LIST_INSERT_HEAD(&client->buckets[call->id % BUCKETS], call, bucket);
		client->n_sent++;
		client->n_streams++;
		if (!call->handler) /* abandoned meanwhile */
			send_cancel(call);
	}
	if (call->handler)
		call->handler->reply(call->arg, &reply);
	if (!reply.more)
		call_free(call);
out:
	chunk_unref(held);
	return r;
}

static int take_reply(struct client *client, const struct frame *frame, struct chunk *chunk,
		      const char **ret_why)
{
	struct transport_call *call = find(client, frame->id);
	struct transport_reply reply = {0};
	int r = 0;

	if (!call || call->state == CALL_STREAMING)
		return 0; /* timed out here, or answered twice around a resumption */
	if (call->state == CALL_WAITING || !call->message->is_sent) {
		*ret_why = "a reply to what was not asked";
		return -EPROTO;
	}
	if (frame->status != 0) {
		reply.error = error_to_errno(frame->status);
		fail_call(call, reply.error);
	} else {
		unlist(call);
		r = take_result(call, frame->body, chunk, ret_why);
		if (r < 0) {
			/* The link ends for it; the call must not come again and again. */
			reply.error = -EIO;
			drop_message(call);
			if (call->handler)
				call->handler->reply(call->arg, &reply);
			call_free(call);
		}
	}
	pump(client);
	return r;
}

static int take_data(struct client *client, const struct frame *frame, const char **ret_why)
{
	struct transport_call *call = find(client, frame->id / 8);

	*ret_why = "stream data from the wrong end";
	if (frame->id & 1)
		return -EPROTO;
	if (!call)
		return 0; /* abandoned */
	*ret_why = "stream data before its reply or beyond its window";
	if (call->state != CALL_STREAMING)
		return -EPROTO;
	if (!call->handler || !call->handler->data)
		return 0;
	if (call->unconsumed + call->consumed + frame->body.size > LIMITS_WINDOW)
		return -EPROTO;
	call->unconsumed += frame->body.size;
	call->handler->data(call->arg, (unsigned)(frame->id / 2 % 4), frame->body);
	return 0;
}

int client_frame(struct client *client, const struct frame *frame, struct chunk *chunk,
		 const char **ret_why)
{
	struct transport_call *call;

	switch (frame->kind) {
	case FRAME_REPLY:
		return take_reply(client, frame, chunk, ret_why);
	case FRAME_DATA:
		return take_data(client, frame, ret_why);
	case FRAME_END:
		call = find(client, frame->id / 8);
		if (call && call->state == CALL_STREAMING) {
			end_stream(call, (unsigned)(frame->id / 2 % 4),
				   error_to_errno(frame->status));
			pump(client);
		}
		return 0;
	default:
		*ret_why = "a frame of no known use";
		return -EPROTO;
	}
}

/* --- links and sessions ----------------------------------------------------------------------- */

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
	client->lost_at = now_ms(client);
	client->state = TRANSPORT_LOST;
	while ((call = TAILQ_FIRST(&client->streaming)) && call->id < before)
		end_stream(call, 0, -ENOTCONN);
	arm_deadline(client);
}

static void resume(struct client *client)
{
	struct transport_call *call;
	struct event *event;

	TAILQ_FOREACH(call, &client->sent, entry)
	{
		link_push(client->link, call->message);
		if (call->is_cancelled)
			send_cancel(call);
	}
	drop_events(client, true);
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

	client_detach(client);
	client->link = link;
	client->state = TRANSPORT_UP;
	uv_timer_stop(&client->deadline);
	if (resumed && client->has_session) {
		resume(client);
	} else {
		client->has_session = true;
		client->uid = uid;
		client->gid = gid;
		drop_events(client, false);
		client->owes_session_new = false;
		if (client->listener)
			client->listener->session_new(client->listener_arg, uid, gid);
		fail_before(client, before, -ESTALE, -EIO, -ESTALE);
	}
	pump(client);
}

void client_set_down(struct client *client)
{
	bool was_down = client->state == TRANSPORT_DOWN;

	client_detach(client);
	client->state = TRANSPORT_DOWN;
	uv_timer_stop(&client->deadline);
	if (!was_down && client->listener)
		client->listener->session_lost(client->listener_arg);
	fail_before(client, client->next_id, -EHOSTDOWN, -EHOSTDOWN, -EHOSTDOWN);
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
	fail_before(client, client->next_id, -ECONNABORTED, -ECONNABORTED, -ECONNABORTED);
	while ((call = TAILQ_FIRST(&client->finished)))
		fail_call(call, call->error);
	drop_events(client, false);
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
	client->transport.ops = &transport_ops;
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
