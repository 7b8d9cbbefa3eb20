/*
 * A call is in the list of its connection until it is answered, or its stream is ended, or the
 * connection ends. An answer to a call whose connection has ended only frees it, so the daemon's
 * side needs no special case.
 */
#include "daemon/control/control_connection.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/log.h"
#include "proto/errors.h"
#include "proto/frame.h"

#define DATA_HEAD 64 /* a frame of stream data without its bytes, at most */

struct control_call {
	struct control_connection *connection; /* NULL once that has ended */
	struct control_call *next;
	uint64_t id; /* of the request */
	const struct op *op;
	void (*cancelled)(void *arg);
	void *cancel_arg;
	/* Of a stream; else NULL. */
	void (*credit)(void *arg, unsigned channel, size_t bytes);
	void *credit_arg;
	size_t room;
};

/* Every request's decoded args; on the stack of one dispatch. */
#define ARGS_MEMBER(number, NAME, name, permission, flags, summary) struct args_##name name;
union request_args {
	OPS_ctl_requests(ARGS_MEMBER)
};

static void send_frame(struct control_connection *connection, const struct frame *frame,
		       const struct record *record, const void *value, int *ret_error)
{
	struct buffer buffer = {.limit = FRAME_LENGTH_SIZE + FRAME_MAX};
	int r = 0;

	if (frame->kind == FRAME_DATA) /* as large as it will be */
		r = buffer_reserve(&buffer, frame->body.size + DATA_HEAD);
	if (r == 0)
		r = frame_encode(frame, record, value, &buffer, NULL);
	if (r < 0)
		buffer_deinit(&buffer);
	else
		connection->send(connection->arg, &buffer);
	*ret_error = r;
}

static void send_status(struct control_connection *connection, uint64_t id, int error)
{
	struct frame frame = {.kind = FRAME_REPLY, .id = id, .status = error_from_errno(error)};
	int r;

	send_frame(connection, &frame, NULL, NULL, &r);
}

static void send_reason(struct control_connection *connection, uint64_t id, char *text)
{
	struct args_ctl_reason args = {.id = id};
	struct frame frame = {.kind = FRAME_EVENT, .op = OP_CTL_REASON};
	int r;

	for (char *c = text; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	args.text = bytes_of_text(text);
	send_frame(connection, &frame, &args_ctl_reason_record, &args, &r);
	if (r != -EINVAL)
		return;
	/* Not UTF-8: something from outside got into it, or it was cut within a character. */
	for (char *c = text; *c; c++)
		if ((unsigned char)*c >= 0x80)
			*c = '?';
	send_frame(connection, &frame, &args_ctl_reason_record, &args, &r);
}

static struct control_call *find_call(struct control_connection *connection, uint64_t id)
{
	struct control_call *call = connection->calls;

	while (call && call->id != id)
		call = call->next;
	return call;
}

static void unlink_call(struct control_connection *connection, struct control_call *call)
{
	struct control_call **at = &connection->calls;

	while (*at != call)
		at = &(*at)->next;
	*at = call->next;
	connection->n_calls--;
}

static void call_finish(struct control_call *call)
{
	if (call->connection)
		unlink_call(call->connection, call);
	free(call);
}

void control_reply(struct control_call *call, const void *result)
{
	struct frame frame = {.kind = FRAME_REPLY, .id = call->id};
	int r;

	if (call->connection) {
		send_frame(call->connection, &frame, call->op->result, result, &r);
		if (r < 0) {
			log_error("control", "op=%s reply_error=%s", call->op->name, strerror(-r));
			send_status(call->connection, call->id, r == -ENOMEM ? r : -EIO);
		}
	}
	call_finish(call);
}

void control_fail(struct control_call *call, int error, const char *format, ...)
{
	char text[OPS_CTL_TEXT_MAX + 1];
	va_list list;

	if (call->connection) {
		va_start(list, format);
		vsnprintf(text, sizeof(text), format, list);
		va_end(list);
		if (text[0] != '\0')
			send_reason(call->connection, call->id, text);
		send_status(call->connection, call->id, error ? error : -EIO);
	}
	call_finish(call);
}

void control_event(struct control_call *call, uint16_t op_number, const void *args)
{
	const struct op *op = op_find(&ops_ctl, op_number);
	struct frame frame = {.kind = FRAME_EVENT, .op = op_number};
	int r;

	if (!call->connection || !op)
		return;
	send_frame(call->connection, &frame, op->args, args, &r);
	if (r < 0)
		log_error("control", "op=%s event_error=%s", op->name, strerror(-r));
}

void control_on_cancel(struct control_call *call, void (*cancelled)(void *cancel_arg),
		       void *cancel_arg)
{
	call->cancelled = cancelled;
	call->cancel_arg = cancel_arg;
}

uint64_t control_connection(const struct control_call *call)
{
	return call->connection ? call->connection->number : 0;
}

void control_set_key(struct control_call *call, uint64_t key, bool is_limited)
{
	if (!call->connection)
		return;
	assert(key && !call->connection->key);
	call->connection->key = key;
	call->connection->is_limited = is_limited;
}

uint64_t control_key(const struct control_call *call)
{
	return call->connection ? call->connection->key : 0;
}

void control_connection_tell_end(struct control_connection *connection, const char *why)
{
	char text[OPS_CTL_TEXT_MAX + 1];

	snprintf(text, sizeof(text), "%s", why);
	send_reason(connection, OPS_CTL_ANY, text);
}

/* --- streams ---------------------------------------------------------------------------------- */

int control_stream_begin(struct control_call *call, const void *result,
			 void (*credit)(void *credit_arg, unsigned channel, size_t bytes),
			 void *credit_arg)
{
	struct frame frame = {.kind = FRAME_REPLY, .id = call->id};
	int r = 0;

	assert((call->op->flags & OP_STREAMS) && !call->credit);
	if (call->connection)
		send_frame(call->connection, &frame, call->op->result, result, &r);
	if (r < 0)
		return r;
	call->credit = credit;
	call->credit_arg = credit_arg;
	call->room = OPS_CTL_WINDOW;
	return 0;
}

size_t control_stream_room(const struct control_call *call)
{
	return call->room;
}

int control_stream_write(struct control_call *call, unsigned channel, struct bytes data)
{
	struct frame frame = {
	    .kind = FRAME_DATA, .id = frame_stream(call->id, channel, false), .body = data};
	int r = 0;

	if (!call->credit || channel >= FRAME_CHANNELS || data.size > call->room)
		return -EINVAL;
	if (!call->connection)
		return 0;
	send_frame(call->connection, &frame, NULL, NULL, &r);
	if (r == 0)
		call->room -= data.size;
	return r;
}

void control_stream_end(struct control_call *call, int error)
{
	struct frame frame = {.kind = FRAME_END,
			      .id = frame_stream(call->id, 0, false),
			      .status = error_from_errno(error)};
	int r;

	assert(call->credit);
	if (call->connection)
		send_frame(call->connection, &frame, NULL, NULL, &r);
	call_finish(call);
}

static int handle_credit(struct control_connection *connection, const struct frame *frame,
			 const char **ret_error)
{
	struct control_call *call = find_call(connection, frame->id / 8);

	if (!call || !call->credit)
		return 0; /* it has ended meanwhile */
	if (!(frame->id & 1) || frame->status > OPS_CTL_WINDOW - call->room) {
		*ret_error = "more credit than a stream's window";
		return -EBADMSG;
	}
	call->room += frame->status;
	call->credit(call->credit_arg, (unsigned)(frame->id / 2 % FRAME_CHANNELS), frame->status);
	return 0;
}

/* --- what comes ------------------------------------------------------------------------------- */

/* At most once; the call may be answered, and so freed, in there. */
static void call_cancel(struct control_call *call)
{
	void (*cancelled)(void *) = call->cancelled;

	call->cancelled = NULL;
	if (cancelled)
		cancelled(call->cancel_arg);
}

#define DISPATCH_CASE(number, NAME, name, permission, flags, summary)                              \
	case OP_##NAME:                                                                            \
		if (!actions->name)                                                                \
			break;                                                                     \
		actions->name(arg, call, &args->name);                                             \
		return;

static void dispatch(const struct control_actions *actions, void *arg, struct control_call *call,
		     const union request_args *args)
{
	switch (call->op->number) {
		OPS_ctl_requests(DISPATCH_CASE)
	}
	control_fail(call, -ENOSYS, "this loopsyd cannot do '%s' yet", call->op->name);
}

static int handle_request(struct control_connection *connection, const struct frame *frame,
			  const char **ret_error)
{
	const struct op *op = op_find(&ops_ctl, frame->op);
	struct bytes body = frame->body;
	union request_args args;
	struct control_call *call;
	int r;

	if (!op || (op->flags & OP_EVENT)) {
		send_status(connection, frame->id, -ENOSYS);
		return 0;
	}
	r = codec_decode(op->args, &body, &args, ret_error);
	if (r < 0)
		return r;
	if (find_call(connection, frame->id)) {
		*ret_error = "request id: in use";
		return -EBADMSG;
	}
	if (connection->n_calls >= CONTROL_CALLS_MAX) {
		send_status(connection, frame->id, -EBUSY);
		return 0;
	}
	call = malloc(sizeof(*call));
	if (!call) {
		send_status(connection, frame->id, -ENOMEM);
		return 0;
	}
	*call = (struct control_call){
	    .connection = connection, .next = connection->calls, .id = frame->id, .op = op};
	connection->calls = call;
	connection->n_calls++;
	if (!connection->is_limited || op->permission == PERMISSION_NONE)
		dispatch(connection->actions, connection->actions_arg, call, &args);
	else if (connection->actions->refused)
		connection->actions->refused(connection->actions_arg, call, op);
	else
		control_fail(call, -EACCES, "the API key does not allow '%s'", op->name);
	return 0;
}

int control_connection_frame(struct control_connection *connection, struct bytes input,
			     const char **ret_error)
{
	struct control_call *call;
	struct frame frame;
	int r = frame_decode(input, &frame, ret_error);

	if (r < 0)
		return r;
	switch (frame.kind) {
	case FRAME_REQUEST:
		return handle_request(connection, &frame, ret_error);
	case FRAME_CANCEL:
		call = find_call(connection, frame.id);
		if (call)
			call_cancel(call);
		return 0;
	case FRAME_CREDIT:
		return handle_credit(connection, &frame, ret_error);
	default:
		*ret_error = "kind: neither a request nor a cancel nor credit";
		return -EBADMSG;
	}
}

void control_connection_end(struct control_connection *connection)
{
	while (connection->calls) {
		struct control_call *call = connection->calls;

		unlink_call(connection, call);
		call->connection = NULL;
		call_cancel(call);
	}
}
