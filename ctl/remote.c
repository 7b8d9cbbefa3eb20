/*
 * A call is in the list of its remote from remote_call on until it is answered, its stream has
 * ended, or it is given up. What comes for one that is not there any more is dropped.
 *
 * Credit is given in steps, not for every piece; a stream's window is loopsyd's to bound.
 */
#include "ctl/remote.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "proto/errors.h"

#define CALLS_MAX   64           /* loopsyd takes so many */
#define CREDIT_STEP (128 * 1024) /* bytes */

struct remote_call {
	struct remote_call *next;
	struct remote *remote;
	uint64_t id;
	const struct op *op;
	const struct remote_handler *handler;
	void *arg;
	bool streams;
	size_t consumed; /* and no credit given for it yet */
};

struct remote {
	struct local_client *client;
	struct remote_call *calls;
	unsigned n_calls;
	struct buffer output;
	size_t n_sent; /* bytes of output that are sent */
	bool is_held;
	void *result; /* room for any operation's result */
	struct buffer kept;
	char reason[OPS_CTL_TEXT_MAX + 1]; /* of the last remote_ask */
};

int remote_new(const char *path, struct remote **ret_remote)
{
	struct remote *remote = calloc(1, sizeof(*remote));
	size_t size = 1;
	int r;

	if (!remote)
		return -ENOMEM;
	for (size_t i = 0; i < ops_peer.n_ops; i++)
		if (ops_peer.ops[i].result->size > size)
			size = ops_peer.ops[i].result->size;
	remote->result = malloc(size);
	r = remote->result ? local_client_new(path, &remote->client) : -ENOMEM;
	if (r < 0) {
		remote_free(remote);
		return r;
	}
	*ret_remote = remote;
	return 0;
}

struct remote *remote_free(struct remote *remote)
{
	struct remote_call *call;

	if (!remote)
		return NULL;
	while ((call = remote->calls)) {
		remote->calls = call->next;
		free(call);
	}
	local_client_free(remote->client);
	buffer_deinit(&remote->output);
	buffer_deinit(&remote->kept);
	free(remote->result);
	free(remote);
	return NULL;
}

struct local_client *remote_client(struct remote *remote)
{
	assert(remote->n_calls == 0 && remote->output.size == 0);
	return remote->client;
}

void remote_set_interrupt(struct remote *remote, int fd)
{
	local_client_set_interrupt(remote->client, fd);
}

const char *remote_end_reason(const struct remote *remote)
{
	return remote->client->reason_id == OPS_CTL_ANY ? remote->client->reason : "";
}

unsigned remote_room(const struct remote *remote)
{
	return remote->n_calls < CALLS_MAX ? CALLS_MAX - remote->n_calls : 0;
}

/* --- sending ---------------------------------------------------------------------------------- */

/* Returns 0, also when it could not send all, or -errno. */
static int send_output(struct remote *remote)
{
	struct buffer *output = &remote->output;

	while (remote->n_sent < output->size) {
		ssize_t n = send(remote->client->fd, output->data + remote->n_sent,
				 output->size - remote->n_sent, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n >= 0)
			remote->n_sent += (size_t)n;
		else if (errno == EAGAIN)
			break;
		else if (errno != EINTR)
			return errno == EPIPE ? -ECONNRESET : -errno;
	}
	if (remote->n_sent == output->size)
		output->size = remote->n_sent = 0;
	return 0;
}

/* Behind what is queued already; what is sent is cut off first. */
static int queue_frame(struct remote *remote, const struct frame *frame, const void *args)
{
	struct buffer *output = &remote->output;

	if (remote->n_sent > 0) {
		output->size -= remote->n_sent;
		memmove(output->data, output->data + remote->n_sent, output->size);
		remote->n_sent = 0;
	}
	return frame_encode(frame, args ? &args_ctl_call_record : NULL, args, output, NULL);
}

static void unlink_call(struct remote_call *call)
{
	struct remote_call **at = &call->remote->calls;

	while (*at != call)
		at = &(*at)->next;
	*at = call->next;
	call->remote->n_calls--;
}

int remote_call(struct remote *remote, const char *peer, uint16_t op_number, const void *op_args,
		const struct remote_handler *handler, void *arg, struct remote_call **ret_call)
{
	const struct op *op = op_find(&ops_peer, op_number);
	struct frame frame = {
	    .kind = FRAME_REQUEST, .op = OP_CTL_CALL, .id = remote->client->last_id + 1};
	struct args_ctl_call args = {.peer = {(const uint8_t *)peer, strlen(peer)},
				     .op = op_number};
	struct buffer buffer = {.limit = OPS_CTL_CALL_MAX};
	struct remote_call *call = calloc(1, sizeof(*call));
	int r = -ENOMEM;

	assert(op);
	if (!call)
		goto fail;
	r = codec_encode(op->args, op_args, &buffer, NULL);
	args.args = (struct bytes){buffer.data, buffer.size};
	if (r == 0)
		r = queue_frame(remote, &frame, &args);
	if (r < 0)
		goto fail;
	buffer_deinit(&buffer);
	*call = (struct remote_call){.next = remote->calls,
				     .remote = remote,
				     .id = frame.id,
				     .op = op,
				     .handler = handler,
				     .arg = arg};
	remote->calls = call;
	remote->n_calls++;
	remote->client->last_id++;
	if (!remote->is_held)
		send_output(remote); /* an error is met again by remote_turn */
	if (ret_call)
		*ret_call = call;
	return 0;
fail:
	buffer_deinit(&buffer);
	free(call);
	return r;
}

void remote_hold(struct remote *remote)
{
	remote->is_held = true;
}

void remote_let_go(struct remote *remote)
{
	remote->is_held = false;
	send_output(remote);
}

void remote_consumed(struct remote_call *call, unsigned channel, size_t bytes)
{
	struct frame frame = {.kind = FRAME_CREDIT, .id = frame_stream(call->id, channel, true)};

	call->consumed += bytes;
	frame.status = call->consumed;
	if (call->consumed >= CREDIT_STEP && queue_frame(call->remote, &frame, NULL) == 0)
		call->consumed = 0;
}

void remote_cancel(struct remote_call *call)
{
	struct frame frame = {.kind = FRAME_CANCEL, .id = call->id};

	queue_frame(call->remote, &frame, NULL);
	send_output(call->remote);
	unlink_call(call);
	free(call);
}

/* --- what comes ------------------------------------------------------------------------------- */

static struct remote_call *find_call(struct remote *remote, uint64_t id)
{
	struct remote_call *call = remote->calls;

	while (call && call->id != id)
		call = call->next;
	return call;
}

/* A failure, or a success whose result does not make sense: -EBADMSG. */
static int decode_reply(struct remote *remote, const struct remote_call *call,
			const struct frame *frame, struct remote_reply *reply)
{
	struct result_ctl_call outer;
	struct bytes body = frame->body;

	*reply = (struct remote_reply){.reason = ""};
	if (frame->status != 0) {
		reply->error = error_to_errno(frame->status);
		if (remote->client->reason_id == frame->id)
			reply->reason = remote->client->reason;
		return 0;
	}
	if (codec_decode(&result_ctl_call_record, &body, &outer, NULL) < 0)
		return -EBADMSG;
	reply->encoded = body = outer.result;
	reply->result = remote->result;
	return codec_decode(call->op->result, &body, remote->result, NULL) < 0 ? -EBADMSG : 0;
}

static int take_reply(struct remote *remote, const struct frame *frame)
{
	struct remote_call *call = find_call(remote, frame->id);
	const struct remote_handler *handler;
	struct remote_reply reply;
	void *arg;

	if (!call || call->streams)
		return 0;
	if (decode_reply(remote, call, frame, &reply) < 0)
		return -EBADMSG;
	handler = call->handler;
	arg = call->arg;
	if (reply.error == 0 && op_reply_streams(call->op, reply.result)) {
		call->streams = true;
	} else {
		unlink_call(call);
		free(call);
	}
	if (handler)
		handler->reply(arg, &reply);
	return 0;
}

static void take_data(struct remote *remote, const struct frame *frame)
{
	struct remote_call *call = find_call(remote, frame->id / 8);
	unsigned channel = (unsigned)(frame->id / 2 % FRAME_CHANNELS);

	if (!call || !call->streams)
		return;
	if (call->handler && call->handler->data)
		call->handler->data(call->arg, channel, frame->body);
	else
		remote_consumed(call, channel, frame->body.size);
}

static void take_end(struct remote *remote, const struct frame *frame)
{
	struct remote_call *call = find_call(remote, frame->id / 8);
	const struct remote_handler *handler;
	void *arg;

	if (!call || !call->streams)
		return;
	handler = call->handler;
	arg = call->arg;
	unlink_call(call);
	free(call);
	if (handler && handler->end)
		handler->end(arg, error_to_errno(frame->status));
}

struct pollfd remote_poll(const struct remote *remote)
{
	return (struct pollfd){
	    .fd = remote->client->fd,
	    .events = (short)(POLLIN | (remote->output.size > 0 ? POLLOUT : 0)),
	};
}

static int take_frame(struct remote *remote, const struct frame *frame)
{
	switch (frame->kind) {
	case FRAME_REPLY:
		return take_reply(remote, frame);
	case FRAME_DATA:
		take_data(remote, frame);
		return 0;
	case FRAME_END:
		take_end(remote, frame);
		return 0;
	default:
		return 0;
	}
}

/* Reads once only: however fast a stream is, the caller gets back to its other descriptors. */
int remote_turn(struct remote *remote)
{
	int sent = send_output(remote), r;
	struct frame frame;

	r = local_client_fill(remote->client);
	if (r < 0 && r != -EAGAIN)
		return r;
	while ((r = local_client_take(remote->client, &frame)) > 0) {
		r = take_frame(remote, &frame);
		if (r < 0)
			return r;
	}
	if (r == 0 && sent == 0)
		sent = send_output(remote);
	/* What loopsyd had sent before it went is still to be read. */
	return r < 0 ? r : sent == -ECONNRESET ? 0 : sent;
}

int remote_wait(struct remote *remote)
{
	struct pollfd poll_fd = remote_poll(remote);
	int r = local_client_wait(remote->client, poll_fd.events, -1);

	return r < 0 ? r : remote_turn(remote);
}

/* --- asking and waiting ----------------------------------------------------------------------- */

struct asking {
	struct remote *remote;
	bool answered;
	int error;
};

static void on_answer(void *arg, const struct remote_reply *reply)
{
	struct asking *asking = arg;
	struct remote *remote = asking->remote;

	asking->answered = true;
	asking->error = reply->error;
	strcpy(remote->reason, reply->reason);
	remote->kept.size = 0;
	if (reply->error == 0)
		asking->error =
		    buffer_append(&remote->kept, reply->encoded.data, reply->encoded.size);
}

int remote_ask(struct remote *remote, const char *peer, uint16_t op, const void *args, void *result,
	       const char **ret_reason)
{
	static const struct remote_handler handler = {.reply = on_answer};
	struct asking asking = {.remote = remote};
	struct bytes body;
	int r;

	remote->reason[0] = '\0';
	if (ret_reason)
		*ret_reason = remote->reason;
	r = remote_call(remote, peer, op, args, &handler, &asking, NULL);
	while (r == 0 && !asking.answered)
		r = remote_wait(remote);
	if (!asking.answered) {
		strcpy(remote->reason, remote_end_reason(remote));
		return r;
	}
	if (asking.error < 0 || !result)
		return asking.error;
	body = (struct bytes){remote->kept.data, remote->kept.size};
	return codec_decode(op_find(&ops_peer, op)->result, &body, result, NULL);
}

/* A request to loopsyd itself. */
static int ask_own(struct remote *remote, uint16_t op, const void *args, const char **ret_reason)
{
	struct local_client *client = remote_client(remote);
	int r = local_client_call(client, op, args, NULL);

	strcpy(remote->reason, r < 0 ? client->reason : "");
	if (ret_reason)
		*ret_reason = remote->reason;
	return r;
}

int remote_present_key(struct remote *remote, const char *key, const char **ret_reason)
{
	struct args_ctl_key args = {.key = {(const uint8_t *)key, strlen(key)}};

	return ask_own(remote, OP_CTL_KEY, &args, ret_reason);
}

int remote_may(struct remote *remote, const char *peer, const char *permissions,
	       const char **ret_reason)
{
	struct args_ctl_may args = {
	    .peer = {(const uint8_t *)peer, strlen(peer)},
	    .permissions = {(const uint8_t *)permissions, strlen(permissions)},
	};

	return ask_own(remote, OP_CTL_MAY, &args, ret_reason);
}
