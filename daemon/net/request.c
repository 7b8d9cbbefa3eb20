#include "daemon/net/request.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "daemon/log.h"
#include "daemon/net/limits.h"
#include "daemon/net/request_private.h"
#include "proto/errors.h"

static struct request_entry *entry_of(struct request *request)
{
	return (struct request_entry *)request;
}

static struct request_entry *entry_of_stream(const struct request_stream *stream)
{
	return (struct request_entry *)((char *)stream - offsetof(struct request_entry, stream));
}

static struct session *session_of(struct request_entry *entry)
{
	return entry->request.session;
}

static size_t payload_size(const struct record *record, const void *value)
{
	const struct field *last;

	if (record->n_fields == 0)
		return 0;
	last = &record->fields[record->n_fields - 1];
	if (last->kind != FIELD_PAYLOAD)
		return 0;
	return ((const struct bytes *)((const char *)value + last->offset))->size;
}

int request_new(struct session *session, const struct op *op, const struct frame *frame,
		struct chunk *chunk, struct request_entry **ret_entry, const char **ret_why)
{
	bool is_copied = frame->body.size < LIMITS_HOLD;
	size_t size = op->args->size + (is_copied ? frame->body.size : 0);
	struct request_entry *entry = calloc(1, sizeof(*entry) + size);
	size_t body_size = frame->body.size; /* with what is skipped at its end */
	struct bytes body = frame->body;
	int r = -ENOMEM;

	*ret_why = "out of memory";
	if (!entry)
		return -ENOMEM;
	if (frame->has_caller) {
		entry->caller = malloc(sizeof(*entry->caller));
		if (!entry->caller)
			goto fail;
		*entry->caller = frame->caller;
	}
	if (is_copied) {
		memcpy(entry->args + op->args->size, body.data, body.size);
		body.data = entry->args + op->args->size;
	}
	r = codec_decode(op->args, &body, entry->args, ret_why);
	if (r < 0)
		goto fail;
	if (!is_copied)
		entry->chunk = chunk_ref(chunk);
	entry->request.op = op;
	entry->request.args = entry->args;
	entry->request.caller = entry->caller;
	entry->request.session = session;
	entry->id = frame->id;
	entry->write_size = payload_size(op->args, entry->args);
	entry->size = body_size;
	*ret_entry = entry;
	return 0;
fail:
	free(entry->caller);
	free(entry);
	return r;
}

void request_free(struct request_entry *entry)
{
	chunk_unref(entry->chunk);
	free(entry->caller);
	free(entry);
}

void request_unlist(struct request_entry *entry)
{
	struct session *session = session_of(entry);

	LIST_REMOVE(entry, bucket);
	session->n_requests--;
	session->n_streaming -= (entry->request.op->flags & OP_STREAMS) != 0;
	session->bytes -= entry->size;
	switch (entry->state) {
	case REQUEST_PARKED:
		session_take_parked(session, entry);
		break;
	case REQUEST_RUNNING:
		session->n_running--;
		session->promised -= entry->promised;
		session->running_write_bytes -= entry->write_size;
		session_unpark_soon(session);
		break;
	case REQUEST_STREAMING:
		TAILQ_REMOVE(&session->streams, entry, entry);
		session->n_streams--;
		break;
	}
}

void request_refuse(struct session *session, uint64_t id, int error)
{
	struct frame frame = {.kind = FRAME_REPLY, .id = id, .status = error_from_errno(error)};

	if (session->link)
		link_push_frame(session->link, &frame);
}

uint16_t request_permissions(const struct request *request)
{
	uint16_t held = request->session ? *request->session->options.permissions : 0;

	return held & PERMISSION_FS_RW ? held | PERMISSION_FS_RO : held;
}

bool request_is_orphan(const struct request *request)
{
	return request->session == NULL;
}

void request_be_lazy(struct request *request)
{
	entry_of(request)->is_lazy = true;
}

static void note_answer(struct request_entry *entry, int error)
{
	struct session *session = session_of(entry);

	if (session && session->options.answered)
		session->options.answered(session->options.arg, entry->request.op, error, false);
}

/* Hands the reply over and lets the request go. */
static void answer(struct request_entry *entry, struct message *message)
{
	struct session *session = session_of(entry);

	message->is_lazy = entry->is_lazy || (entry->request.op->flags & OP_LAZY);
	if (entry->request.op->flags & (OP_MUTATES | OP_KEEPS_REPLY))
		kept_add(&session->kept, entry->id, message);
	if (session->link)
		link_push(session->link, message);
	message_unref(message);
	request_unlist(entry);
	request_free(entry);
}

void request_fail(struct request *request, int error)
{
	struct request_entry *entry = entry_of(request);
	struct frame frame = {
	    .kind = FRAME_REPLY, .id = entry->id, .status = error_from_errno(error)};
	struct message *message;

	assert(entry->state == REQUEST_RUNNING && error < 0);
	note_answer(entry, error);
	if (session_of(entry) && message_new(&message, &frame, NULL, NULL, NULL, NULL) == 0) {
		answer(entry, message);
		return;
	}
	if (session_of(entry))
		request_unlist(entry);
	request_free(entry);
}

void request_reply(struct request *request, const void *result, void (*release)(void *arg),
		   void *release_arg)
{
	struct request_entry *entry = entry_of(request);
	const struct op *op = request->op;
	struct frame frame = {.kind = FRAME_REPLY, .id = entry->id};
	struct message *message;
	int r;

	assert(entry->state == REQUEST_RUNNING);
	if (!session_of(entry)) {
		if (release)
			release(release_arg);
		request_free(entry);
		return;
	}
	r = message_new(&message, &frame, op->result, result, release, release_arg);
	if (r == 0) {
		note_answer(entry, 0);
		answer(entry, message);
		return;
	}
	log_error("net", "peer=%s op=%s error=%d text=\"a result that cannot be encoded\"",
		  LOG_VALUE(session_of(entry)->name), op->name, r);
	if (release)
		release(release_arg);
	request_fail(request, -EIO);
}

/* --- streams ---------------------------------------------------------------------------------- */

static void push_end(struct request_entry *entry, int error)
{
	struct session *session = session_of(entry);
	struct frame frame = {.kind = FRAME_END,
			      .id = frame_stream(entry->id, 0, false),
			      .status = error_from_errno(error)};
	struct message *message;

	if (!session->link || message_new(&message, &frame, NULL, NULL, NULL, NULL) < 0)
		return;
	message_add_key(message, message_key_stream(entry->id));
	link_push(session->link, message);
	message_unref(message);
}

void request_break_stream(struct request_entry *entry, int error)
{
	struct request_stream stream = entry->stream;

	push_end(entry, error);
	request_unlist(entry);
	request_free(entry);
	stream.ready(stream.arg, error);
}

struct request_stream *request_reply_stream(struct request *request, const void *result,
					    void (*ready)(void *arg, int error), void *arg)
{
	struct request_entry *entry = entry_of(request);
	struct session *session = request->session;
	struct frame frame = {.kind = FRAME_REPLY, .id = entry->id};
	struct message *message;

	assert(entry->state == REQUEST_RUNNING && (request->op->flags & OP_STREAMS));
	if (!session || !session->link) {
		if (session)
			request_unlist(entry);
		request_free(entry);
		ready(arg, -ENOTCONN);
		return NULL;
	}
	if (message_new(&message, &frame, request->op->result, result, NULL, NULL) < 0) {
		request_fail(request, -EIO);
		ready(arg, -EIO);
		return NULL;
	}
	note_answer(entry, 0);
	message_add_key(message, message_key_stream(entry->id));
	link_push(session->link, message);
	message_unref(message);
	session->n_running--;
	session->promised -= entry->promised;
	session->running_write_bytes -= entry->write_size;
	entry->state = REQUEST_STREAMING;
	entry->stream = (struct request_stream){
	    .ready = ready, .arg = arg, .credit = LIMITS_WINDOW, .window = LIMITS_WINDOW};
	TAILQ_INSERT_TAIL(&session->streams, entry, entry);
	session->n_streams++;
	session_unpark_soon(session);
	return &entry->stream;
}

size_t request_stream_room(const struct request_stream *stream)
{
	struct request_entry *entry = entry_of_stream(stream);
	struct link *link = session_of(entry)->link;
	size_t queued = link_queue_size(link);
	size_t room = queued < LINK_QUEUE_MARK ? LINK_QUEUE_MARK - queued : 0;

	if (room >= stream->credit)
		return stream->credit;
	link_want_drained(link);
	return room;
}

bool request_stream_takes_little(const struct request_stream *stream)
{
	struct request_entry *entry = entry_of_stream(stream);

	return stream->credit >= REQUEST_STREAM_LITTLE &&
	       link_is_passable(session_of(entry)->link, message_key_stream(entry->id));
}

size_t request_stream_unused(const struct request_stream *stream)
{
	return stream->window > stream->credit ? stream->window - stream->credit : 0;
}

int request_stream_write(struct request_stream *stream, unsigned channel, struct bytes data)
{
	return request_stream_lend(stream, channel, data, NULL, NULL);
}

int request_stream_lend(struct request_stream *stream, unsigned channel, struct bytes data,
			void (*release)(void *arg), void *release_arg)
{
	struct request_entry *entry = entry_of_stream(stream);
	struct frame frame = {
	    .kind = FRAME_DATA, .id = frame_stream(entry->id, channel, false), .body = data};
	struct message *message;
	int r;

	if (data.size > stream->credit || channel >= FRAME_CHANNELS)
		return -EINVAL;
	r = message_new(&message, &frame, NULL, NULL, release, release_arg);
	if (r < 0)
		return r;
	message_add_key(message, message_key_stream(entry->id));
	stream->credit -= data.size;
	link_push(session_of(entry)->link, message);
	message_unref(message);
	return 0;
}

void request_stream_end(struct request_stream *stream, int error)
{
	struct request_entry *entry = entry_of_stream(stream);

	push_end(entry, error);
	request_unlist(entry);
	request_free(entry);
}
