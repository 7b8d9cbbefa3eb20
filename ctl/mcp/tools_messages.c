/* loopsy_send_message, loopsy_check_inbox, loopsy_ack_message, loopsy_check_ack. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/context.h"
#include "ctl/fetch.h"
#include "ctl/mcp/control_path.h"
#include "ctl/mcp/mcp_text.h"
#include "ctl/mcp/tools.h"
#include "proto/msg_json.h"

#define SHOWN_MAX 5000 /* bytes of bodies in one answer, as JSON */
#define LIST_MAX  12   /* messages in one answer */

static const char *const types[] = {"chat", "request", "response", "broadcast", NULL};

#define FIELD_ID                                                                                   \
	{                                                                                          \
		"message_id", SCHEMA_STRING, .required = true, .min = 1, .max = OPS_MSG_ID_MAX     \
	}

/* --- send ------------------------------------------------------------------------------------- */

static const struct schema_field send_input[] = {
    {"peer", SCHEMA_STRING, .min = 1, .max = OPS_CTL_NAME_MAX,
     .description = "not with type broadcast"},
    {"body", SCHEMA_STRING, .required = true, .min = 1, .max = OPS_IO_MAX},
    {"type", SCHEMA_STRING, .choices = types, .description = "chat by default"},
    {"reply_to", SCHEMA_STRING, .min = 1, .max = OPS_MSG_ID_MAX,
     .description = "id of what it answers"},
    {.name = NULL},
};

static const struct schema_field sent_message[] = {
    {"message_id", SCHEMA_STRING},
    {"peer", SCHEMA_STRING},
    {.name = NULL},
};

static const struct schema_field send_output[] = {
    {"sent", SCHEMA_ARRAY, .required = true, .of = sent_message},
    {.name = NULL},
};

static void answer_sent(struct mcp_call *call, struct list list)
{
	json_t *sent = json_array();
	struct msg_sent element;

	while (list.n > 0 && codec_list_next(&list, &msg_sent_record, &element, NULL) == 0)
		json_array_append_new(sent, json_pack("{s:o, s:o}", "message_id",
						      context_json_text(element.id), "peer",
						      context_json_text(element.peer)));
	mcp_call_answer(call, json_pack("{s:o}", "sent", sent), NULL);
}

static void run_send(struct mcp_call *call, const json_t *arguments)
{
	const char *peer = tool_string(arguments, "peer", "");
	const json_t *body = json_object_get(arguments, "body");
	struct args_msg_send args = {
	    .peer = bytes_of_text(peer),
	    .type = ops_msg_type_find(tool_string(arguments, "type", "chat")),
	    .reply_to = bytes_of_text(tool_string(arguments, "reply_to", "")),
	    .body = {(const uint8_t *)json_string_value(body), json_string_length(body)},
	};
	struct remote *remote;
	struct result_msg_send result;
	const char *reason;
	int r;

	if ((args.type == MSG_BROADCAST) != (peer[0] == '\0')) {
		mcp_call_fail(call, peer[0] ? "a broadcast goes to all peers: leave peer out"
					    : "give peer, or type broadcast for all peers");
		return;
	}
	remote = mcp_call_remote(call);
	if (!remote)
		return;
	r = remote_ask(remote, "", OP_MSG_SEND, &args, &result, &reason);
	if (r < 0)
		mcp_call_fail_errno(call, peer, r, reason);
	else
		answer_sent(call, result.sent);
}

const struct tool tools_messages_send = {
    .name = "loopsy_send_message",
    .title = "Send a message",
    .description =
	"Send text to a peer's inbox, or to all (broadcast); it waits for a peer that is "
	"offline.",
    .input = send_input,
    .output = send_output,
    .run = run_send,
};

/* --- inbox ------------------------------------------------------------------------------------ */

static const struct schema_field inbox_input[] = {
    {"peer", SCHEMA_STRING, .min = 1, .max = OPS_CTL_NAME_MAX, .description = "only those from"},
    {"after", SCHEMA_INTEGER, .min = 0, .max = INT64_MAX, .description = "next_after of before"},
    {.name = NULL},
};

static const struct schema_field inbox_message[] = {
    {"message_id", SCHEMA_STRING},
    {"from", SCHEMA_STRING},
    {"type", SCHEMA_STRING},
    {"ts", SCHEMA_STRING},
    {"reply_to", SCHEMA_STRING},
    {"body", SCHEMA_STRING},
    {"truncated", SCHEMA_BOOLEAN},
    {"path", SCHEMA_STRING, .description = "all of it"},
    {.name = NULL},
};

static const struct schema_field inbox_output[] = {
    {"messages", SCHEMA_ARRAY, .required = true, .of = inbox_message},
    {"more", SCHEMA_BOOLEAN, .required = true},
    {"next_after", SCHEMA_INTEGER},
    {.name = NULL},
};

struct page {
	struct mcp_call *call;
	struct remote *remote;
	json_t *messages;
	struct buffer text;
	size_t room; /* for bodies */
	uint64_t last;
	bool more;
	int error;
	char reason[OPS_CTL_TEXT_MAX + 1];
};

/* The beginning of a body that did not come with the list, copied: the answer to another request
 * takes its place. */
static int fetch_body(struct page *page, struct bytes id, struct buffer *body)
{
	struct args_msg_show args = {.box = MSG_INBOX, .id = id};
	struct result_msg_show result;
	const char *reason;
	int r = remote_ask(page->remote, "", OP_MSG_SHOW, &args, &result, &reason);

	if (r == 0)
		return buffer_append(body, result.body.data, result.body.size);
	snprintf(page->reason, sizeof(page->reason), "%s", reason);
	return r;
}

/* What is kept of a message until the next request: its bytes are the list's. */
static void add_message(struct page *page, const json_t *envelope, uint64_t size, struct bytes body)
{
	const char *from = fetch_text(envelope, "from"), *id = fetch_text(envelope, "id");
	const char *type = fetch_text(envelope, "type");
	size_t n = mcp_text_fit(body.data, body.size, page->room, body.size < size);
	char *shown = mcp_text_clean(body.data, n), line[OPS_CTL_NAME_MAX + 200];
	json_t *message = json_pack("{s:s, s:s, s:s, s:O, s:I, s:s}", "message_id", id, "from",
				    from, "type", type, "ts", json_object_get(envelope, "ts"),
				    "size", (json_int_t)size, "body", shown ? shown : "");

	if (json_object_get(envelope, "reply_to"))
		json_object_set(message, "reply_to", json_object_get(envelope, "reply_to"));
	if (n < size)
		json_object_set_new(message, "truncated", json_true());
	control_path_add(message, control_path_inbox(page->call, from, id));
	for (size_t i = 0; i < n; i++)
		page->room -= mcp_text_json_width(body.data[i]);
	snprintf(line, sizeof(line), "%s%s, %s%s\n[data from %s]\n", page->text.size ? "\n\n" : "",
		 id, type, n < size ? ", its beginning" : "", from);
	buffer_append(&page->text, line, strlen(line));
	if (shown)
		buffer_append(&page->text, shown, strlen(shown));
	json_array_append_new(page->messages, message);
	free(shown);
}

/* One of the list. False: it has no room here any more, or an error. */
static bool take_message(struct page *page, const struct msg_info *info)
{
	json_t *envelope = msg_json_envelope(info, (struct bytes){0});
	struct buffer body = {0};
	bool fits;

	page->error = !envelope ? -ENOMEM
		      : info->has_body
			  ? buffer_append(&body, info->body.data, info->body.size)
			  : fetch_body(page, bytes_of_text(fetch_text(envelope, "id")), &body);
	/* The first one is shown anyhow, as far as it goes. */
	fits = page->error == 0 &&
	       (json_array_size(page->messages) == 0 ||
		(info->size <= page->room &&
		 mcp_text_fit(body.data, body.size, page->room, false) == body.size));
	if (fits) {
		add_message(page, envelope, info->size, (struct bytes){body.data, body.size});
		page->last = info->number;
	}
	buffer_deinit(&body);
	json_decref(envelope);
	return fits;
}

/* A copy of the list: fetch_body asks, and the answer takes its place. */
static int copy_list(const struct list *list, struct list *ret_list, struct buffer *bytes)
{
	int r = buffer_append(bytes, list->raw.data, list->raw.size);

	*ret_list = (struct list){.n = list->n, .raw = {bytes->data, bytes->size}};
	return r;
}

static void take_page(struct page *page, const struct result_msg_list *result)
{
	struct buffer bytes = {0};
	struct msg_info info;
	struct list list;

	page->more = result->rest;
	page->error = copy_list(&result->messages, &list, &bytes);
	while (page->error == 0 && list.n > 0) {
		if (codec_list_next(&list, &msg_info_record, &info, NULL) < 0) {
			page->error = -EBADMSG;
		} else if (!take_message(page, &info)) {
			page->more = true;
			break;
		}
	}
	buffer_deinit(&bytes);
}

static void answer_page(struct page *page)
{
	json_t *object = json_pack("{s:O, s:b}", "messages", page->messages, "more", page->more);

	if (page->more)
		json_object_set_new(object, "next_after", json_integer((json_int_t)page->last));
	if (json_array_size(page->messages) == 0)
		mcp_call_answer(page->call, object, "no messages");
	else
		mcp_call_answer(page->call, object, "%.*s%s", (int)page->text.size,
				(const char *)page->text.data,
				page->more ? "\n\nthere are more: give after" : "");
}

static void run_inbox(struct mcp_call *call, const json_t *arguments)
{
	const char *peer = tool_string(arguments, "peer", ""), *reason;
	struct args_msg_list args = {.box = MSG_INBOX,
				     .peer = bytes_of_text(peer),
				     .after = (uint64_t)tool_integer(arguments, "after", 0),
				     .limit = LIST_MAX,
				     .bodies = true,
				     .fresh = true};
	struct page page = {.call = call, .room = SHOWN_MAX};
	struct result_msg_list result;
	int r;

	page.remote = mcp_call_remote(call);
	if (!page.remote)
		return;
	mcp_call_try_mount(call); /* before the list: that is another request */
	r = remote_ask(page.remote, "", OP_MSG_LIST, &args, &result, &reason);
	if (r < 0) {
		mcp_call_fail_errno(call, peer, r, reason);
		return;
	}
	page.messages = json_array();
	take_page(&page, &result);
	if (page.error < 0)
		mcp_call_fail_errno(call, peer, page.error, page.reason);
	else
		answer_page(&page);
	buffer_deinit(&page.text);
	json_decref(page.messages);
}

const struct tool tools_messages_inbox = {
    .name = "loopsy_check_inbox",
    .title = "Read the inbox",
    .description = "Messages from peers that are not acknowledged yet, oldest first.",
    .hints = TOOL_READ_ONLY | TOOL_IDEMPOTENT,
    .input = inbox_input,
    .output = inbox_output,
    .run = run_inbox,
};

/* --- acknowledge ------------------------------------------------------------------------------ */

static const struct schema_field id_input[] = {FIELD_ID, {.name = NULL}};

static const struct schema_field ack_output[] = {
    {"message_id", SCHEMA_STRING, .required = true},
    {"from", SCHEMA_STRING, .required = true},
    {.name = NULL},
};

static void fail_message(struct mcp_call *call, int error, const char *reason, const char *where)
{
	if (error == -ENOENT)
		mcp_call_fail(call, "there is no such message %s", where);
	else
		mcp_call_fail_errno(call, NULL, error, reason);
}

/* Whose it is: a key may be for that peer only. */
static int find_sender(struct remote *remote, const char *id, char from[OPS_MSG_PEER_MAX + 1],
		       const char **ret_reason)
{
	struct args_msg_show args = {.box = MSG_INBOX, .id = bytes_of_text(id)};
	struct result_msg_show result;
	int r = remote_ask(remote, "", OP_MSG_SHOW, &args, &result, ret_reason);

	if (r == 0)
		snprintf(from, OPS_MSG_PEER_MAX + 1, "%.*s", (int)result.info.from.size,
			 (const char *)result.info.from.data);
	return r;
}

static int acknowledge(struct remote *remote, const char *id, const char *from,
		       const char **ret_reason)
{
	struct args_msg_ack args = {.peer = bytes_of_text(from)};
	struct msg_id element = {.id = bytes_of_text(id)};
	struct result_msg_ack result;
	struct buffer elements = {0};
	int r = codec_list_append(&args.ids, &elements, &msg_id_record, &element);

	codec_list_finish(&args.ids, &elements);
	*ret_reason = "";
	if (r == 0)
		r = remote_ask(remote, "", OP_MSG_ACK, &args, &result, ret_reason);
	buffer_deinit(&elements);
	return r;
}

static void run_ack(struct mcp_call *call, const json_t *arguments)
{
	const char *id = tool_string(arguments, "message_id", ""), *reason;
	struct remote *remote = mcp_call_remote(call);
	char from[OPS_MSG_PEER_MAX + 1];
	int r;

	if (!remote)
		return;
	r = find_sender(remote, id, from, &reason);
	if (r == 0)
		r = acknowledge(remote, id, from, &reason);
	if (r < 0)
		fail_message(call, r, reason, "in the inbox; loopsy_check_inbox lists them");
	else
		mcp_call_answer(call, json_pack("{s:s, s:s}", "message_id", id, "from", from),
				NULL);
}

const struct tool tools_messages_ack = {
    .name = "loopsy_ack_message",
    .title = "Acknowledge a message",
    .description = "Take a message that is dealt with out of the inbox; its sender sees it read.",
    .hints = TOOL_DESTRUCTIVE,
    .input = id_input,
    .output = ack_output,
    .run = run_ack,
};

/* --- how far it has come ---------------------------------------------------------------------- */

static const struct schema_field check_output[] = {
    {"to", SCHEMA_STRING},
    {"state", SCHEMA_STRING, .required = true,
     .description = "queued, delivered, read (acknowledged) or expired"},
    {.name = NULL},
};

/* Without what is not yet. */
static json_t *pick_status(json_t *status, const char *id)
{
	json_t *object = json_pack("{s:s}", "message_id", id), *value;
	const char *name;

	json_object_foreach(status, name, value)
	{
		if (!json_is_null(value) && strcmp(name, "id") != 0)
			json_object_set(object, name, value);
	}
	return object;
}

static void run_check(struct mcp_call *call, const json_t *arguments)
{
	const char *id = tool_string(arguments, "message_id", ""), *reason;
	struct args_msg_status args = {.id = bytes_of_text(id)};
	struct remote *remote = mcp_call_remote(call);
	struct result_msg_status result;
	json_t *status;
	int r;

	if (!remote)
		return;
	r = remote_ask(remote, "", OP_MSG_STATUS, &args, &result, &reason);
	if (r < 0) {
		fail_message(call, r, reason, "that was sent from here, or not any more");
		return;
	}
	status = msg_json_status(&result.info);
	mcp_call_answer(call, pick_status(status, id), NULL);
	json_decref(status);
}

const struct tool tools_messages_check = {
    .name = "loopsy_check_ack",
    .title = "How far a message has come",
    .description = "Whether a sent message is delivered, and acknowledged.",
    .hints = TOOL_READ_ONLY | TOOL_IDEMPOTENT,
    .input = id_input,
    .output = check_output,
    .run = run_check,
};
