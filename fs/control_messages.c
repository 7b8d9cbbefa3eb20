/*
 * A message in the inbox never changes, and one in the outbox only in its state: so how long the
 * text of its body is, is found out once, and after that attributes cost no body.
 */
#include "fs/control_messages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/control_names.h"
#include "fs/root.h"
#include "proto/msg_json.h"

#define LISTED_MAX (1024 * 1024 * 1024) /* bytes of names: more than a box may hold */

bool control_messages_can_ask(fuse_req_t req, const struct fs_node *node)
{
	const struct fs *fs = fs_of(req);
	const struct fs_peer *peer = node_peer(fs, node);

	if (fs->self && fs->self->transport && (!peer || peer->transport))
		return true;
	fuse_reply_err(req, ESTALE);
	return false;
}

struct bytes control_messages_peer(const struct fs *fs, const struct fs_node *node)
{
	const struct fs_peer *peer = node_peer(fs, node);

	if (!peer)
		return (struct bytes){0};
	return (struct bytes){(const uint8_t *)peer->name, strlen(peer->name)};
}

static void refuse(fuse_req_t req, const struct fs_node *node, uint16_t op, int error)
{
	char what[CONTROL_WHAT_MAX];

	control_print_what(node, what);
	control_errors_reply(req, node_peer(fs_of(req), node), what, op, error, NULL);
}

/* What daemons make and accept: others are no names of files, whoever thought of them. */
static bool is_id(struct bytes name)
{
	if (name.size < 1 || name.size > OPS_MSG_ID_MAX)
		return false;
	for (size_t i = 0; i < name.size; i++)
		if (!(name.data[i] >= '0' && name.data[i] <= '9') &&
		    !(name.data[i] >= 'a' && name.data[i] <= 'z'))
			return false;
	return true;
}

/* --- as text ---------------------------------------------------------------------------------- */

static int render(const struct msg_info *info, struct bytes body, struct buffer *text)
{
	json_t *envelope = msg_json_envelope(info, body);
	char *line = envelope ? json_dumps(envelope, JSON_COMPACT) : NULL;
	int error = line ? buffer_append(text, line, strlen(line)) : -ENOMEM;

	if (!error)
		error = buffer_append(text, "\n", 1);
	free(line);
	json_decref(envelope);
	return error;
}

static struct timespec later(struct timespec a, struct timespec b)
{
	return a.tv_sec > b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec > b.tv_nsec) ? a : b;
}

static struct timespec time_of(const struct msg_info *info)
{
	if (info->box == MSG_INBOX)
		return info->delivered;
	if (info->state == MSG_EXPIRED)
		return info->expires;
	return later(info->sent, later(info->delivered, info->read));
}

/* Takes what was heard of it, with its body (appended to `text` as all of it reads) or without. */
static int hear(struct fs_node *node, const struct msg_info *info, const struct bytes *body,
		struct buffer *text)
{
	struct control_message *message = node->control->message;
	struct buffer bare = {0};
	int error = render(info, (struct bytes){0}, &bare);

	if (!error && body) {
		error = render(info, *body, text);
		message->body_text = error ? 0 : text->size - bare.size;
		message->has_body_text = !error;
	}
	if (!error) {
		message->size = bare.size + message->body_text;
		message->changed = time_of(info);
	}
	buffer_deinit(&bare);
	return error;
}

/* --- asking for one --------------------------------------------------------------------------- */

/* A message that is asked for, part by part; each part's ask hands it on. */
struct showing {
	struct control_handle *handle; /* that is being opened, or NULL; freed with it */
	bool is_lookup;                /* the node is the box; else the message */
	bool skips;                    /* its body */
	struct buffer body;
	size_t id_size;
	uint8_t id[OPS_MSG_ID_MAX];
};

struct show_ask {
	struct control_node_ask of;
	struct showing *showing; /* NULL: handed on */
};

static void showing_free(struct showing *showing)
{
	if (!showing)
		return;
	if (showing->handle)
		control_handle_free(showing->handle);
	buffer_deinit(&showing->body);
	free(showing);
}

static void release_show(struct control_ask *ask)
{
	showing_free(((struct show_ask *)ask)->showing);
	control_ask_release_node(ask);
}

/* Whether it is one of the machine whose directory that is. */
static bool is_of(const struct fs *fs, const struct fs_node *node, const struct msg_info *info)
{
	struct bytes peer = control_messages_peer(fs, node);
	struct bytes other = node->control->row->box == MSG_INBOX ? info->from : info->to;

	return peer.size == 0 ||
	       (peer.size == other.size && memcmp(peer.data, other.data, peer.size) == 0);
}

static void shown(fuse_req_t req, struct fs_node *node, struct showing *showing,
		  const struct msg_info *info)
{
	struct bytes body = {showing->body.data, showing->body.size};
	struct control_handle *handle = showing->handle;
	struct buffer text = {0};
	int error = -ENOMEM;

	if (showing->is_lookup)
		node = control_node_of_leaf(fs_of(req), node,
					    (struct bytes){showing->id, showing->id_size});
	if (node)
		error = hear(node, info, showing->skips ? NULL : &body, &text);
	if (node && error && showing->is_lookup)
		node_unused(fs_of(req), node);
	if (error) {
		fuse_reply_err(req, -error);
	} else if (showing->is_lookup) {
		root_reply_entry(req, node);
	} else if (!handle) {
		root_getattr(req, node);
	} else {
		handle->text = text;
		text = (struct buffer){0};
		showing->handle = NULL;
		control_open_reply(req, handle);
	}
	buffer_deinit(&text);
}

static void send_show(fuse_req_t req, struct fs *fs, struct fs_node *node, struct showing *showing);

static void on_show(struct control_ask *ask, const struct transport_reply *reply)
{
	struct show_ask *show = (struct show_ask *)ask;
	const struct result_msg_show *result = reply->result;
	struct fs_node *node = show->of.node;
	struct showing *showing = show->showing;
	fuse_req_t req = control_ask_take(ask);
	int error = reply->error;

	if (!req)
		return;
	if (!error && !is_of(ask->peer->fs, node, &result->info))
		error = -ENOENT;
	if (!error && !showing->skips && result->body.size > 0)
		error = buffer_append(&showing->body, result->body.data, result->body.size);
	if (!error && !showing->skips && showing->body.size < result->info.size &&
	    result->body.size > 0) {
		show->showing = NULL;
		send_show(req, ask->peer->fs, node, showing);
		return;
	}
	if (!error && !showing->skips && showing->body.size != result->info.size)
		error = -EPROTO;
	if (error == -ENOENT && showing->is_lookup)
		fuse_reply_err(req, ENOENT);
	else if (error)
		refuse(req, node, OP_MSG_SHOW, error);
	else
		shown(req, node, showing, &result->info);
}

static void send_show(fuse_req_t req, struct fs *fs, struct fs_node *node, struct showing *showing)
{
	struct args_msg_show args = {.box = node->control->row->box,
				     .id = {showing->id, showing->id_size},
				     .offset =
					 showing->skips ? OPS_MSG_BODY_MAX : showing->body.size};
	struct show_ask *show = control_ask_new_about(fs->self, sizeof(*show), req, node, on_show);

	if (!show) {
		showing_free(showing);
		return;
	}
	show->showing = showing;
	show->of.ask.release = release_show;
	control_ask_send(&show->of.ask, OP_MSG_SHOW, &args);
}

/* `handle` is freed, whatever becomes of it, unless it is opened. */
static void ask(fuse_req_t req, struct fs_node *node, struct bytes id, bool is_lookup, bool skips,
		struct control_handle *handle)
{
	struct showing *showing = calloc(1, sizeof(*showing));

	if (!showing) {
		if (handle)
			control_handle_free(handle);
		fuse_reply_err(req, ENOMEM);
		return;
	}
	showing->handle = handle;
	showing->is_lookup = is_lookup;
	showing->skips = skips;
	showing->id_size = id.size;
	memcpy(showing->id, id.data, id.size);
	send_show(req, fs_of(req), node, showing);
}

static void lookup(fuse_req_t req, struct fs_node *node, struct bytes name)
{
	const struct fs_node *known;

	if (!is_id(name)) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	if (!control_messages_can_ask(req, node))
		return;
	known = node_find_child(fs_of(req), node, name);
	ask(req, node, name, true,
	    known && control_is_message(known) && known->control->message->has_body_text, NULL);
}

void control_message_getattr(fuse_req_t req, struct fs_node *node)
{
	if (!node->parent) /* removed, and perhaps still open */
		root_getattr(req, node);
	else if (control_messages_can_ask(req, node))
		ask(req, node, node_name(node), false, node->control->message->has_body_text, NULL);
}

void control_message_open(fuse_req_t req, struct control_handle *handle)
{
	struct fs_node *node = handle->node;
	int error = 0;

	if ((handle->flags & O_ACCMODE) != O_RDONLY)
		error = EACCES;
	else if (!node->parent)
		error = ENOENT;
	if (error)
		control_refuse(req, handle, 0, -error,
			       error == EACCES
				   ? "a message is read, and removed to acknowledge it: "
				     "an answer is written into send"
				   : NULL);
	else if (control_messages_can_ask(req, node)) {
		ask(req, node, node_name(node), false, false, handle);
		return;
	}
	control_handle_free(handle);
}

/* --- acknowledging ---------------------------------------------------------------------------- */

struct ack_ask {
	struct control_node_ask of; /* the box */
	size_t id_size;
	uint8_t id[OPS_MSG_ID_MAX];
};

static void on_ack(struct control_ask *ask, const struct transport_reply *reply)
{
	struct ack_ask *ack = (struct ack_ask *)ask;
	fuse_req_t req = control_ask_take(ask);

	if (!reply->error)
		node_forget_child(ask->peer->fs, ack->of.node,
				  (struct bytes){ack->id, ack->id_size});
	if (!req)
		return;
	if (reply->error)
		refuse(req, ack->of.node, OP_MSG_ACK, reply->error);
	else
		fuse_reply_err(req, 0);
}

/* The kernel has just looked it up: it is one of that peer's. */
static void acknowledge(fuse_req_t req, struct fs_node *node, struct bytes name)
{
	struct msg_id id = {.id = name};
	struct args_msg_ack args = {0};
	struct buffer ids = {0};
	struct ack_ask *ack;

	if (!is_id(name)) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	if (!control_messages_can_ask(req, node))
		return;
	if (codec_list_append(&args.ids, &ids, &msg_id_record, &id)) {
		fuse_reply_err(req, ENOMEM);
		buffer_deinit(&ids);
		return;
	}
	codec_list_finish(&args.ids, &ids);
	ack = control_ask_new_about(fs_of(req)->self, sizeof(*ack), req, node, on_ack);
	if (ack) {
		ack->id_size = name.size;
		memcpy(ack->id, name.data, name.size);
		control_ask_send(&ack->of.ask, OP_MSG_ACK, &args);
	}
	buffer_deinit(&ids);
}

/* mv copies, and then removes. */
static void rename_(fuse_req_t req, struct fs_node *node, struct bytes name,
		    struct fs_node *new_node, struct bytes new_name, unsigned flags)
{
	fuse_reply_err(req, EXDEV);
}

/* --- listing ---------------------------------------------------------------------------------- */

struct list_ask {
	struct control_node_ask of;
	struct control_names *names; /* NULL: handed on */
	uint64_t after;
};

static void release_list(struct control_ask *ask)
{
	control_names_free(((struct list_ask *)ask)->names);
	control_ask_release_node(ask);
}

static int add_page(struct control_names *names, const struct result_msg_list *result,
		    uint64_t *after)
{
	struct list messages = result->messages;
	struct msg_info info;
	int error = 0;

	while (messages.n > 0 && !error) {
		if (codec_list_next(&messages, &msg_info_record, &info, NULL) ||
		    info.number <= *after)
			return -EPROTO;
		*after = info.number;
		if (is_id(info.id))
			error = control_names_add(names, info.id);
	}
	return error;
}

static void send_page(fuse_req_t req, struct fs_node *node, struct control_names *names,
		      uint64_t after);

static void on_list(struct control_ask *ask, const struct transport_reply *reply)
{
	struct list_ask *list = (struct list_ask *)ask;
	const struct result_msg_list *result = reply->result;
	struct control_names *names = list->names;
	fuse_req_t req = control_ask_take(ask);
	int error = reply->error;

	if (!req)
		return;
	if (!error)
		error = add_page(names, result, &list->after);
	if (error) {
		refuse(req, list->of.node, OP_MSG_LIST, error);
		return;
	}
	list->names = NULL;
	if (result->rest && result->messages.n > 0)
		send_page(req, list->of.node, names, list->after);
	else
		control_names_reply(req, names);
}

static void send_page(fuse_req_t req, struct fs_node *node, struct control_names *names,
		      uint64_t after)
{
	struct fs *fs = fs_of(req);
	struct args_msg_list args = {.box = node->control->row->box,
				     .peer = control_messages_peer(fs, node),
				     .after = after,
				     .limit = OPS_MSG_PAGE_MAX,
				     .fresh = true};
	struct list_ask *list = control_ask_new_about(fs->self, sizeof(*list), req, node, on_list);

	if (!list) {
		control_names_free(names);
		return;
	}
	list->names = names;
	list->after = after;
	list->of.ask.release = release_list;
	control_ask_send(&list->of.ask, OP_MSG_LIST, &args);
}

static void open_list(fuse_req_t req, struct fs_node *node)
{
	struct control_names *names;

	if (!control_messages_can_ask(req, node))
		return;
	names = control_names_new(fs_of(req), S_IFREG, LISTED_MAX);
	if (names)
		send_page(req, node, names, 0);
	else
		fuse_reply_err(req, ENOMEM);
}

const struct control_dir control_inbox_dir = {
    .lookup = lookup, .open = open_list, .unlink = acknowledge, .rename = rename_};
const struct control_dir control_outbox_dir = {.lookup = lookup, .open = open_list};
