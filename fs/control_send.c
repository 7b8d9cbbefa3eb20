/*
 *     OPEN ── does the peer take messages? ──> WRITE: kept here ──> FLUSH: a draft, on the disk
 *                                                                      │
 *                          given up <── killed, or not accepted ── RELEASE ──> sent
 *
 * FLUSH comes at every close of a copy of the descriptor: in a shell before the first WRITE, and
 * whenever a child ends that never wrote. So it must come from the process that did, and whatever
 * it has written so far goes into the draft. Once FLUSH was answered the message is sent, if need
 * be by the next daemon; what it was not accepted for is said by then.
 *
 * A program that is killed closes, too; then nothing is sent, for it may not have been done.
 */
#include "fs/control_send.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "fs/control_messages.h"
#include "proto/cursor.h"

/* What one open has written. It outlives the handle until it is sent. */
struct control_sending {
	struct fs *fs;
	struct fs_node *node; /* held */
	uint64_t draft;
	struct buffer body;
	size_t n_whole;       /* bytes of it that are whole characters */
	size_t n_stored;      /* bytes of it that are on the disk */
	bool has_draft;       /* the daemon has been told of it */
	unsigned n_under_way; /* drafts that are being stored */
	int refused;          /* nothing of it is sent any more: why; 0: it is not */
	int error;            /* of the last draft */
	bool is_closed, is_last_try;
};

/* An ask about one; the node is its. */
struct sending_ask {
	struct control_node_ask of;
	struct control_sending *sending;
	size_t at, end;                /* of a draft: this part is at, the last one ends */
	struct control_handle *handle; /* that is being opened, or NULL; freed with it */
};

static void sending_free(struct control_sending *sending)
{
	if (!sending)
		return;
	buffer_deinit(&sending->body);
	node_drop(sending->fs, sending->node);
	free(sending);
}

static void refuse(fuse_req_t req, const struct control_sending *sending, int error)
{
	const char *why = NULL;
	char what[CONTROL_WHAT_MAX];

	if (error == -ECANCELED)
		why = "a program that wrote a part of it was killed";
	else if (error == -EAGAIN)
		why = "too many messages are being written at once";
	control_print_what(sending->node, what);
	control_errors_reply(req, node_peer(sending->fs, sending->node), what, OP_MSG_DRAFT, error,
			     why);
}

static struct sending_ask *new_ask(fuse_req_t req, struct control_sending *sending,
				   void (*done)(struct control_ask *ask,
						const struct transport_reply *reply))
{
	struct sending_ask *ask =
	    control_ask_new_about(sending->fs->self, sizeof(*ask), req, sending->node, done);

	if (ask)
		ask->sending = sending;
	return ask;
}

/* --- OPEN ------------------------------------------------------------------------------------- */

static void release_open(struct control_ask *ask)
{
	struct control_handle *handle = ((struct sending_ask *)ask)->handle;

	if (handle)
		control_handle_free(handle);
	control_ask_release_node(ask);
}

static void on_open(struct control_ask *ask, const struct transport_reply *reply)
{
	struct sending_ask *open = (struct sending_ask *)ask;
	struct control_handle *handle = open->handle;
	fuse_req_t req = control_ask_take(ask);

	if (!req)
		return;
	if (reply->error) {
		refuse(req, open->sending, reply->error);
		return;
	}
	open->handle = NULL;
	control_open_reply(req, handle);
}

static struct control_sending *sending_new(struct fs *fs, struct fs_node *node)
{
	struct control_sending *sending = calloc(1, sizeof(*sending));

	if (!sending)
		return NULL;
	sending->fs = fs;
	sending->node = node;
	node_hold(node);
	sending->body.limit = OPS_MSG_BODY_MAX;
	while (sending->draft == 0)
		if (getrandom(&sending->draft, sizeof(sending->draft), 0) < 0) {
			sending_free(sending);
			return NULL;
		}
	return sending;
}

void control_send_open(fuse_req_t req, struct control_handle *handle)
{
	struct fs_node *node = handle->node;
	struct args_msg_draft args = {.peer = control_messages_peer(handle->fs, node)};
	struct sending_ask *open;

	if ((handle->flags & O_ACCMODE) != O_WRONLY) {
		control_refuse(req, handle, 0, -EACCES, NULL);
		control_handle_free(handle);
		return;
	}
	if (!control_messages_can_ask(req, node)) {
		control_handle_free(handle);
		return;
	}
	handle->sending = sending_new(handle->fs, node);
	if (!handle->sending) {
		fuse_reply_err(req, ENOMEM);
		control_handle_free(handle);
		return;
	}
	open = new_ask(req, handle->sending, on_open);
	if (!open) {
		control_handle_free(handle);
		return;
	}
	open->handle = handle;
	open->of.ask.release = release_open;
	control_ask_send(&open->of.ask, OP_MSG_DRAFT, &args);
}

/* --- WRITE ------------------------------------------------------------------------------------ */

/* The size without a character that is not whole yet. */
static size_t size_of_whole(const struct buffer *body)
{
	for (size_t back = 1; back <= 3 && back <= body->size; back++) {
		uint8_t byte = body->data[body->size - back];
		size_t length = byte < 0xc0 || byte > 0xf4 ? 1
				: byte < 0xe0              ? 2
				: byte < 0xf0              ? 3
							   : 4;

		if ((byte & 0xc0) != 0x80)
			return length > back ? body->size - back : body->size;
	}
	return body->size;
}

/* Said here, while there is somebody to hear it: what the last close brings, a shell does not look
 * at. */
static int take(struct control_sending *sending, struct bytes data)
{
	int error = buffer_append(&sending->body, data.data, data.size);
	size_t n_whole;

	if (error)
		return error == -EMSGSIZE ? -EFBIG : error;
	n_whole = size_of_whole(&sending->body);
	if (n_whole < sending->n_whole)
		n_whole = sending->n_whole;
	if (!cursor_is_utf8(
		(struct bytes){sending->body.data + sending->n_whole, n_whole - sending->n_whole}))
		return -EILSEQ;
	sending->n_whole = n_whole;
	return 0;
}

void control_send_write(fuse_req_t req, struct control_handle *handle, struct bytes data)
{
	struct control_sending *sending = handle->sending;

	if (!control_messages_can_ask(req, handle->node))
		return;
	handle->writer = control_errors_process(fuse_req_ctx(req)->pid);
	if (!sending->refused)
		sending->refused = take(sending, data);
	if (sending->refused)
		refuse(req, sending, sending->refused);
	else
		fuse_reply_write(req, data.size);
}

/* --- FLUSH ------------------------------------------------------------------------------------ */

static void finish(struct control_sending *sending);
static void send_part(fuse_req_t req, struct control_sending *sending, size_t at, size_t end);

static void on_part(struct control_ask *ask, const struct transport_reply *reply)
{
	struct sending_ask *part = (struct sending_ask *)ask;
	struct control_sending *sending = part->sending;
	fuse_req_t req = control_ask_take(ask);
	size_t next = part->at + OPS_IO_MAX;
	int error = reply->error;

	sending->n_under_way--;
	if (!error && next < part->end) {
		send_part(req, sending, next, part->end);
		return;
	}
	/* What is not stored yet may have had to go for others. */
	if (error == -EINVAL && part->at > 0)
		error = -EAGAIN;
	sending->error = error;
	if (!error && part->end > sending->n_stored)
		sending->n_stored = part->end;
	if (req && error)
		refuse(req, sending, error);
	else if (req)
		fuse_reply_err(req, 0);
	finish(sending);
}

/* The next part of a draft: the last one is answered when it is on the disk. */
static void send_part(fuse_req_t req, struct control_sending *sending, size_t at, size_t end)
{
	struct sending_ask *part = new_ask(req, sending, on_part);
	size_t size = end - at < OPS_IO_MAX ? end - at : OPS_IO_MAX;
	struct args_msg_draft args = {.draft = sending->draft,
				      .peer = control_messages_peer(sending->fs, sending->node),
				      .offset = at,
				      .store = at + size == end,
				      .body = {sending->body.data + at, size}};

	if (!part) {
		sending->error = -ENOMEM;
		finish(sending);
		return;
	}
	part->at = at;
	part->end = end;
	sending->n_under_way++;
	sending->has_draft = true;
	control_ask_send(&part->of.ask, OP_MSG_DRAFT, &args);
}

void control_send_flush(fuse_req_t req, struct control_handle *handle, bool is_close)
{
	struct control_sending *sending = handle->sending;
	pid_t tid = fuse_req_ctx(req)->pid;
	bool is_writer = sending->body.size > 0 && handle->writer == control_errors_process(tid);

	if (is_writer && is_close && !sending->refused && control_errors_was_killed(tid)) {
		sending->refused = -ECANCELED;
		fuse_reply_err(req, 0); /* there is nobody left to tell */
	} else if (sending->refused) {
		refuse(req, sending, sending->refused);
	} else if (!is_writer || sending->n_stored == sending->body.size) {
		fuse_reply_err(req, 0);
	} else if (control_messages_can_ask(req, handle->node)) {
		send_part(req, sending, sending->n_stored, sending->body.size);
	}
}

/* --- RELEASE ---------------------------------------------------------------------------------- */

static void on_done(struct control_ask *ask, const struct transport_reply *reply)
{
	sending_free(((struct sending_ask *)ask)->sending);
}

static void discard(struct control_sending *sending)
{
	struct args_msg_discard args = {.draft = sending->draft};
	struct sending_ask *ask = sending->has_draft ? new_ask(NULL, sending, on_done) : NULL;

	if (ask)
		control_ask_send(&ask->of.ask, OP_MSG_DISCARD, &args);
	else
		sending_free(sending);
}

static void on_sent(struct control_ask *ask, const struct transport_reply *reply)
{
	struct control_sending *sending = ((struct sending_ask *)ask)->sending;

	/* The peer is not paired any more; in all other cases the daemon, or the next one, sends
	 * what it has stored. */
	if (reply->error == -ENOENT)
		discard(sending);
	else
		sending_free(sending);
}

static void send(struct control_sending *sending)
{
	struct bytes peer = control_messages_peer(sending->fs, sending->node);
	struct args_msg_send args = {.draft = sending->draft,
				     .peer = peer,
				     .type = peer.size > 0 ? MSG_CHAT : MSG_BROADCAST};
	struct sending_ask *ask = new_ask(NULL, sending, on_sent);

	if (ask)
		control_ask_send(&ask->of.ask, OP_MSG_SEND, &args);
	else
		sending_free(sending);
}

/* With it closed and nothing under way, it is sent or given up. A close that was interrupted has
 * closed, too: what it was to store is stored now. */
static void finish(struct control_sending *sending)
{
	bool is_stored = sending->n_stored == sending->body.size;
	bool has_failed = sending->error && (sending->error != -EINTR || sending->is_last_try);

	if (!sending->is_closed || sending->n_under_way > 0)
		return;
	if (sending->body.size == 0 || sending->refused || (!is_stored && has_failed)) {
		discard(sending);
	} else if (is_stored) {
		send(sending);
	} else {
		sending->is_last_try = true;
		send_part(NULL, sending, sending->n_stored, sending->body.size);
	}
}

void control_send_closed(struct control_handle *handle)
{
	struct control_sending *sending = handle->sending;

	handle->sending = NULL;
	if (!sending)
		return;
	sending->is_closed = true;
	if (sending->fs->self->transport)
		finish(sending);
	else if (sending->n_under_way == 0)
		sending_free(sending); /* the mount ends */
}
