#include "ctl/msg_client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/terminal.h"
#include "proto/msg_json.h"

/* --- asking ----------------------------------------------------------------------------------- */

int msg_client_complain(const struct context *context, int error, const char *reason)
{
	char *text;

	if (!reason[0])
		reason = error == -ECONNRESET ? "loopsyd has ended" : strerror(-error);
	text = terminal_escape(reason, strlen(reason));
	context_fail(context, "%s", text ? text : reason);
	free(text);
	return CONTEXT_FAILURE;
}

int msg_client_ask(const struct context *context, struct remote *remote, uint16_t op,
		   const void *args, void *result)
{
	const char *reason = "";
	int r = remote_ask(remote, "", op, args, result, &reason);

	return r < 0 ? msg_client_complain(context, r, reason) : CONTEXT_OK;
}

/* --- events ----------------------------------------------------------------------------------- */

static void on_reply(void *arg, const struct remote_reply *reply)
{
	struct msg_listening *listening = arg;

	listening->is_set = reply->error == 0;
	if (reply->error == 0)
		return;
	listening->call = NULL;
	listening->error = reply->error;
	msg_client_complain(listening->context, reply->error, reply->reason);
}

static void on_data(void *arg, unsigned channel, struct bytes data)
{
	struct msg_listening *listening = arg;

	listening->n_events++;
	remote_consumed(listening->call, channel, data.size);
}

static void on_end(void *arg, int error)
{
	struct msg_listening *listening = arg;

	listening->call = NULL;
	listening->is_set = false;
	listening->n_events++;
}

static const struct remote_handler on_events = {on_reply, on_data, on_end};

/* Waits for whatever comes next. Returns CONTEXT_OK, or CONTEXT_FAILURE having said why. */
static int turn(struct msg_listening *listening)
{
	int r = remote_wait(listening->remote);

	if (r < 0)
		return msg_client_complain(listening->context, r,
					   remote_end_reason(listening->remote));
	return listening->error ? CONTEXT_FAILURE : CONTEXT_OK;
}

int msg_client_listen(struct msg_listening *listening)
{
	struct args_msg_events args = {0};
	int r = 0;

	if (listening->is_set)
		return CONTEXT_OK;
	r = remote_call(listening->remote, "", OP_MSG_EVENTS, &args, &on_events, listening,
			&listening->call);
	if (r < 0)
		return msg_client_complain(listening->context, r, "");
	while (!listening->is_set && !listening->error)
		if (turn(listening) != CONTEXT_OK)
			return CONTEXT_FAILURE;
	return listening->error ? CONTEXT_FAILURE : CONTEXT_OK;
}

int msg_client_wait(struct msg_listening *listening, unsigned n_events)
{
	int r = CONTEXT_OK;

	while (r == CONTEXT_OK && listening->n_events == n_events)
		r = turn(listening);
	return r;
}

/* --- one message ------------------------------------------------------------------------------ */

/* Appends what MSG_SHOW says from the buffer's end on; *ret_info without texts. */
static int fetch_part(const struct context *context, struct remote *remote,
		      const struct args_msg_show *args, struct buffer *body,
		      struct result_msg_show *ret_result)
{
	int r = msg_client_ask(context, remote, OP_MSG_SHOW, args, ret_result);

	if (r != CONTEXT_OK)
		return r;
	if (buffer_append(body, ret_result->body.data, ret_result->body.size) < 0)
		return context_fail(context, "out of memory");
	return CONTEXT_OK;
}

int msg_client_fetch(const struct context *context, struct remote *remote, enum msg_box box,
		     const char *id, json_t **ret_envelope)
{
	struct args_msg_show args = {.box = box, .id = bytes_of_text(id)};
	struct result_msg_show result;
	struct buffer body = {0};
	int r;

	do {
		args.offset = body.size;
		r = fetch_part(context, remote, &args, &body, &result);
	} while (r == CONTEXT_OK && result.body.size > 0 && body.size < result.info.size);
	if (r == CONTEXT_OK)
		*ret_envelope =
		    msg_json_envelope(&result.info, (struct bytes){body.data, body.size});
	buffer_deinit(&body);
	return r;
}

/* --- lists ------------------------------------------------------------------------------------ */

/* A page, and the number of its last message. Those whose bodies did not fit are null for now. */
static int fetch_page(const struct context *context, struct remote *remote,
		      struct args_msg_list *args, json_t *list, bool *ret_rest)
{
	struct result_msg_list result;
	struct msg_info info;
	int r = msg_client_ask(context, remote, OP_MSG_LIST, args, &result);

	if (r != CONTEXT_OK)
		return r;
	*ret_rest = result.rest && result.messages.n > 0;
	while (result.messages.n > 0) {
		json_t *envelope;

		if (codec_list_next(&result.messages, &msg_info_record, &info, NULL) < 0)
			return context_fail(context, "loopsyd answered something strange");
		args->after = info.number;
		envelope = msg_json_envelope(&info, info.body);
		if (!info.has_body)
			json_object_set_new(envelope, "body", json_null());
		json_array_append_new(list, envelope);
	}
	return CONTEXT_OK;
}

static int fetch_bodies(const struct context *context, struct remote *remote, enum msg_box box,
			json_t *list)
{
	int r = CONTEXT_OK;

	for (size_t i = 0; r == CONTEXT_OK && i < json_array_size(list); i++) {
		json_t *envelope = json_array_get(list, i), *whole = NULL;
		const char *id = json_string_value(json_object_get(envelope, "id"));

		if (!json_is_null(json_object_get(envelope, "body")))
			continue;
		r = msg_client_fetch(context, remote, box, id, &whole);
		if (r == CONTEXT_OK)
			json_array_set_new(list, i, whole);
	}
	return r;
}

int msg_client_list(const struct context *context, struct remote *remote, enum msg_box box,
		    json_t **ret_list)
{
	const char *peer = arguments_text(&context->arguments, "peer", "");
	struct args_msg_list args = {.box = box,
				     .peer = bytes_of_text(peer),
				     .limit = OPS_MSG_PAGE_MAX,
				     .bodies = true,
				     .fresh = true};
	json_t *list = json_array();
	bool rest = true;
	int r = CONTEXT_OK;

	while (r == CONTEXT_OK && rest)
		r = fetch_page(context, remote, &args, list, &rest);
	/* People see the beginning of a text only, and none of one so large. */
	if (r == CONTEXT_OK && context->json)
		r = fetch_bodies(context, remote, box, list);
	if (r == CONTEXT_OK)
		*ret_list = list;
	else
		json_decref(list);
	return r;
}

int msg_client_status(const struct context *context, struct remote *remote, const char *id,
		      struct result_msg_status *ret_result)
{
	struct args_msg_status args = {.id = bytes_of_text(id)};

	return msg_client_ask(context, remote, OP_MSG_STATUS, &args, ret_result);
}
