/* Replies and stream data, on their way to the calls that wait for them. */
#include "daemon/net/client_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/net/limits.h"
#include "proto/errors.h"

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
	reply.more = op_reply_streams(call->op, client->result);
	client_call_drop_message(call);
	if (reply.more) {
		call->state = CALL_STREAMING;
		stream_window_init(&call->window, uv_hrtime() / 1000);
		TAILQ_INSERT_TAIL(&client->streaming, call, entry);
		LIST_INSERT_HEAD(&client->buckets[call->id % CLIENT_BUCKETS], call, bucket);
		client->n_sent++;
		client->n_streams++;
		if (!call->handler) /* abandoned meanwhile */
			client_call_send_cancel(call);
	}
	if (call->handler)
		call->handler->reply(call->arg, &reply);
	if (!reply.more)
		client_call_free(call);
out:
	chunk_unref(held);
	return r;
}

/* Of a call that timed out here: if a stream follows, the server would keep it for us. */
static void give_up(struct client *client, const struct frame *reply)
{
	struct frame frame = {.kind = FRAME_CANCEL, .id = reply->id};

	if (reply->status == 0 && client->link)
		link_push_frame(client->link, &frame);
}

static int take_reply(struct client *client, const struct frame *frame, struct chunk *chunk,
		      const char **ret_why)
{
	struct transport_call *call = client_call_find(client, frame->id);
	struct transport_reply reply = {0};
	int r = 0;

	if (!call)
		give_up(client, frame);
	if (!call || call->state == CALL_STREAMING)
		return 0; /* timed out here, or answered twice around a resumption */
	if (call->state == CALL_WAITING || !call->message->is_sent) {
		*ret_why = "a reply to what was not asked";
		return -EPROTO;
	}
	if (frame->status != 0) {
		reply.error = error_to_errno(frame->status);
		client_call_fail(call, reply.error);
	} else {
		client_call_unlist(call);
		r = take_result(call, frame->body, chunk, ret_why);
		if (r < 0) {
			/* The link ends for it; the call must not come again and again. */
			reply.error = -EIO;
			client_call_drop_message(call);
			if (call->handler)
				call->handler->reply(call->arg, &reply);
			client_call_free(call);
		}
	}
	client_call_pump(client);
	return r;
}

static int take_data(struct client *client, const struct frame *frame, const char **ret_why)
{
	struct transport_call *call = client_call_find(client, frame->id / 8);

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
	if (call->unconsumed + call->window.owed + frame->body.size > call->window.size)
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
		call = client_call_find(client, frame->id / 8);
		if (call && call->state == CALL_STREAMING) {
			client_call_end_stream(call, (unsigned)(frame->id / 2 % 4),
					       error_to_errno(frame->status));
			client_call_pump(client);
		}
		return 0;
	default:
		*ret_why = "a frame of no known use";
		return -EPROTO;
	}
}
