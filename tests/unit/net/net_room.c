#include "net_room.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

const uint8_t *room_pattern(void)
{
	static uint8_t bytes[2 * OPS_IO_MAX];

	if (bytes[1] == 0)
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (uint8_t)(i * 7 + i / 251);
	return bytes;
}

static void on_payload_released(void *arg)
{
	struct room *room = arg;

	room->n_released++;
}

struct listing {
	struct room *room;
	struct request_stream *stream;
	size_t left;
	bool lends; /* every other piece */
};

static void on_returned(void *arg)
{
	((struct room *)arg)->n_lent--;
}

static void lend(struct listing *listing, size_t n)
{
	listing->room->n_lent++;
	listing->room->has_lent = true;
	cr_assert_eq(request_stream_lend(listing->stream, 0, (struct bytes){room_pattern(), n},
					 on_returned, listing->room),
		     0);
}

static void listing_write(struct listing *listing)
{
	struct request_stream *stream = listing->stream;

	while (listing->left > 0) {
		size_t n = request_stream_room(stream);

		n = n < listing->left ? n : listing->left;
		n = n < 50000 ? n : 50000;
		if (n == 0)
			return;
		listing->lends = !listing->lends;
		if (!listing->lends)
			cr_assert_eq(
			    request_stream_write(stream, 0, (struct bytes){room_pattern(), n}), 0);
		else
			lend(listing, n);
		listing->left -= n;
		listing->room->n_streamed += (unsigned)n;
	}
	free(listing);
	request_stream_end(stream, 0);
}

static void on_ready(void *arg, int error)
{
	struct listing *listing = arg;

	if (error < 0) {
		listing->room->n_broken++;
		listing->room->broken_error = error;
		free(listing);
	} else if (listing->stream) {
		listing_write(listing);
	}
}

static void serve_readdir(struct room *room, struct request *request, uint64_t size)
{
	struct result_readdir result = {.entries = {room_pattern(), size < 1000 ? size : 1000}};
	struct request_stream *stream;
	struct listing *listing;

	result.more = size > 1000;
	if (!result.more) {
		request_reply(request, &result, NULL, NULL);
		return;
	}
	listing = calloc(1, sizeof(*listing));
	*listing = (struct listing){.room = room, .left = size - 1000};
	stream = request_reply_stream(request, &result, on_ready, listing);
	if (!stream)
		return;
	listing->stream = stream;
	listing_write(listing);
}

void room_answer(struct room *room, struct request *request)
{
	union {
		struct result_getattr getattr;
		struct result_read read;
		struct result_write write;
		struct result_mkdir mkdir;
		struct result_lock lock;
	} result = {0};
	const struct args_read *read = request->args;
	const struct args_write *write = request->args;
	const struct args_readdir *readdir = request->args;

	switch (request->op->number) {
	case OP_READ:
		result.read.data =
		    (struct bytes){room_pattern() + read->offset % OPS_IO_MAX, read->size};
		room->n_borrowed++;
		request_reply(request, &result, on_payload_released, room);
		return;
	case OP_WRITE:
		cr_assert_eq(memcmp(write->data.data, room_pattern() + write->offset % OPS_IO_MAX,
				    write->data.size),
			     0);
		result.write.written = write->data.size;
		break;
	case OP_READDIR:
		serve_readdir(room, request, readdir->node);
		return;
	case OP_GETATTR:
		result.getattr.attr.size = 42;
		break;
	case OP_MKDIR:
	case OP_LOCK:
	case OP_RELEASE:
		break;
	default:
		request_fail(request, -ENOENT);
		return;
	}
	request_reply(request, &result, NULL, NULL);
}

void room_answer_all(struct room *room)
{
	size_t n = room->n_held;

	room->n_held = 0;
	for (size_t i = 0; i < n; i++)
		room_answer(room, room->held[i]);
}

static int on_session_open(void *arg, struct session *session, void **ret_state)
{
	struct room *room = arg;

	room->n_opened++;
	*ret_state = room;
	return 0;
}

static void on_session_close(void *arg, void *state)
{
	((struct room *)arg)->n_closed++;
}

static void on_handle(void *arg, void *state, struct request *request)
{
	struct room *room = arg;
	struct served *served = &room->log[room->n_log++ % ROOM_LOG];
	const struct args_write *write = request->args;
	uint64_t node = *(const uint64_t *)request->args;

	*served = (struct served){.op = request->op->number, .node = node};
	if (request->op->number == OP_WRITE) {
		served->offset = write->offset;
		room->n_write++;
		room->written += write->data.size;
	}
	room->n_mkdir += request->op->number == OP_MKDIR;
	if (room->holds_all || request->op->number == OP_LOCK || node == ROOM_HOLD_NODE) {
		cr_assert_lt(room->n_held, ROOM_HELD);
		room->held[room->n_held++] = request;
		if (room->n_held > room->n_held_most)
			room->n_held_most = room->n_held;
		return;
	}
	room_answer(room, request);
}

static void on_event(void *arg, void *state, uint16_t op, const void *args)
{
	struct room *room = arg;

	room->n_forget += op == OP_FORGET;
}

static void on_cancel(void *arg, void *state, struct request *request)
{
	struct room *room = arg;

	room->n_cancelled++;
	for (size_t i = 0; i < room->n_held; i++)
		if (room->held[i] == request) {
			room->held[i] = room->held[--room->n_held];
			request_fail(request, -EINTR);
			return;
		}
}

void room_init(struct room *room)
{
	room->service = (struct service){
	    .name = "files",
	    .first_op = OP_LOOKUP,
	    .last_op = OP_ACCESS,
	    .session_open = on_session_open,
	    .session_close = on_session_close,
	    .handle = on_handle,
	    .event = on_event,
	    .cancel = on_cancel,
	    .arg = room,
	};
}
