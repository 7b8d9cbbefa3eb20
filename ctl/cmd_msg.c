/* msg: messages to and from peers. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "ctl/command.h"
#include "ctl/msg_client.h"
#include "ctl/terminal.h"
#include "proto/msg_json.h"

#define PART    (64 * 1024) /* bytes of a body in one call */
#define PREVIEW 60          /* bytes of one in a list */

/* --- lists ------------------------------------------------------------------------------------ */

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

/* The first line, cut. */
static void add_preview(struct terminal_table *table, const json_t *message)
{
	const char *body = json_string_value(json_object_get(message, "body"));
	size_t n = body ? strcspn(body, "\n") : 0;
	char *line;

	if (n > PREVIEW) {
		n = PREVIEW;
		while (n > 0 && (body[n] & 0xc0) == 0x80)
			n--;
	}
	line = body ? strndup(body, n) : strdup("(large)");
	terminal_table_add(table, line, TERMINAL_PLAIN);
	free(line);
}

static void print_list(const struct context *context, enum msg_box box, const json_t *list)
{
	bool is_inbox = box == MSG_INBOX;
	const char *const titles[] = {"ID",   is_inbox ? "FROM" : "TO",    "TIME",
				      "TYPE", is_inbox ? "TEXT" : "STATE", "TEXT"};
	struct terminal_table table = {.n_columns = is_inbox ? 5 : 6};

	for (size_t i = 0; i < table.n_columns; i++)
		terminal_table_add(&table, titles[i], TERMINAL_BOLD);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *message = json_array_get(list, i);

		terminal_table_add(&table, text_of(message, "id"), TERMINAL_PLAIN);
		terminal_table_add(&table, text_of(message, is_inbox ? "from" : "to"),
				   TERMINAL_PLAIN);
		terminal_table_add(&table, text_of(message, "ts"), TERMINAL_PLAIN);
		terminal_table_add(&table, text_of(message, "type"), TERMINAL_PLAIN);
		if (!is_inbox)
			terminal_table_add(&table, text_of(message, "state"), TERMINAL_PLAIN);
		add_preview(&table, message);
	}
	terminal_table_print(&table, context->out, context->color);
}

static int show_list(const struct context *context, enum msg_box box, json_t *list)
{
	if (context->json)
		return context_print_json(context, list);
	if (json_array_size(list) == 0)
		context_say(context, "no messages");
	else
		print_list(context, box, list);
	json_decref(list);
	return CONTEXT_OK;
}

/* With --wait, until there is one. */
static int list_inbox(const struct context *context, struct remote *remote, json_t **ret_list)
{
	struct msg_listening listening = {.context = context, .remote = remote};
	bool waits = arguments_has(&context->arguments, "wait");
	int r;

	for (;;) {
		unsigned n_events;

		r = waits ? msg_client_listen(&listening) : CONTEXT_OK;
		n_events = listening.n_events;
		if (r == CONTEXT_OK)
			r = msg_client_list(context, remote, MSG_INBOX, ret_list);
		if (r != CONTEXT_OK || !waits || json_array_size(*ret_list) > 0)
			return r;
		json_decref(*ret_list);
		r = msg_client_wait(&listening, n_events);
		if (r != CONTEXT_OK)
			return r;
	}
}

int cmd_msg_run_inbox(struct context *context)
{
	struct remote *remote;
	json_t *list;
	int r = context_connect_remote(context, &remote);

	if (r != CONTEXT_OK)
		return r;
	r = list_inbox(context, remote, &list);
	remote_free(remote);
	return r == CONTEXT_OK ? show_list(context, MSG_INBOX, list) : r;
}

int cmd_msg_run_outbox(struct context *context)
{
	struct remote *remote;
	json_t *list;
	int r = context_connect_remote(context, &remote);

	if (r != CONTEXT_OK)
		return r;
	r = msg_client_list(context, remote, MSG_OUTBOX, &list);
	remote_free(remote);
	return r == CONTEXT_OK ? show_list(context, MSG_OUTBOX, list) : r;
}

/* --- one message ------------------------------------------------------------------------------ */

/* As it is, but to a terminal only what that can show. */
static void print_body(const struct context *context, const char *body, size_t size)
{
	if (!context->terminal) {
		fwrite(body, 1, size, context->out);
		return;
	}
	while (size > 0) {
		size_t n = strcspn(body, "\n");
		char *line = terminal_escape(body, n);

		fprintf(context->out, "%s\n", line ? line : "?");
		free(line);
		n += n < size;
		body += n;
		size -= n;
	}
}

static void print_envelope(const struct context *context, const json_t *envelope)
{
	static const char *const keys[] = {"id", "from", "to", "ts", "type", "reply_to", "state"};
	const json_t *body = json_object_get(envelope, "body");

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (json_object_get(envelope, keys[i]))
			fprintf(context->out, "%s: %s\n", keys[i], text_of(envelope, keys[i]));
	fputc('\n', context->out);
	print_body(context, json_string_value(body), json_string_length(body));
}

int cmd_msg_run_show(struct context *context)
{
	struct remote *remote;
	json_t *envelope;
	int r = context_connect_remote(context, &remote);

	if (r != CONTEXT_OK)
		return r;
	r = msg_client_fetch(context, remote, MSG_ANY_BOX, context->arguments.words[0], &envelope);
	remote_free(remote);
	if (r != CONTEXT_OK)
		return r;
	if (context->json)
		return context_print_json(context, envelope);
	print_envelope(context, envelope);
	json_decref(envelope);
	return CONTEXT_OK;
}

int cmd_msg_run_ack(struct context *context)
{
	struct args_msg_ack args = {
	    .peer = bytes_of_text(arguments_text(&context->arguments, "peer", ""))};
	struct buffer elements = {0};
	struct result_msg_ack result;
	struct remote *remote;
	int r = context_connect_remote(context, &remote), e = 0;

	if (r != CONTEXT_OK)
		return r;
	for (unsigned i = 0; e == 0 && i < context->arguments.n_words; i++) {
		struct msg_id id = {.id = bytes_of_text(context->arguments.words[i])};

		e = codec_list_append(&args.ids, &elements, &msg_id_record, &id);
	}
	codec_list_finish(&args.ids, &elements);
	r = e == 0 ? msg_client_ask(context, remote, OP_MSG_ACK, &args, &result)
		   : context_fail(context, "that is no id of a message");
	buffer_deinit(&elements);
	remote_free(remote);
	return r;
}

int cmd_msg_run_status(struct context *context)
{
	struct result_msg_status result;
	struct remote *remote;
	json_t *status;
	int r = context_connect_remote(context, &remote);

	if (r != CONTEXT_OK)
		return r;
	r = msg_client_status(context, remote, context->arguments.words[0], &result);
	status = r == CONTEXT_OK ? msg_json_status(&result.info) : NULL;
	remote_free(remote);
	if (r != CONTEXT_OK)
		return r;
	if (context->json)
		return context_print_json(context, status);
	fprintf(context->out, "%s\n", text_of(status, "state"));
	json_decref(status);
	return CONTEXT_OK;
}

/* --- sending ---------------------------------------------------------------------------------- */

/* All of standard input, as much as a message holds and a byte more. */
static int read_input(const struct context *context, struct buffer *body)
{
	ssize_t n = 1;

	while (n > 0 && body->size <= OPS_MSG_BODY_MAX) {
		if (buffer_reserve(body, PART) < 0)
			return context_fail(context, "out of memory");
		n = read(context->in, body->data + body->size, PART);
		if (n < 0 && errno == EINTR)
			n = 1;
		else if (n < 0)
			return context_fail(context, "cannot read standard input: %s",
					    strerror(errno));
		else
			body->size += (size_t)n;
	}
	return CONTEXT_OK;
}

static int read_body(const struct context *context, const char *word, struct buffer *body)
{
	int r = CONTEXT_OK;

	if (strcmp(word, "-") == 0)
		r = read_input(context, body);
	else if (buffer_append(body, word, strlen(word)) < 0)
		r = context_fail(context, "out of memory");
	if (r == CONTEXT_OK && body->size == 0)
		return context_fail(context, "a message is not empty");
	if (r == CONTEXT_OK && body->size > OPS_MSG_BODY_MAX)
		return context_fail(context, "a message is not larger than 1 MiB");
	return r;
}

/* A body that does not fit into one call goes before. */
static int send_parts(const struct context *context, struct remote *remote,
		      const struct buffer *body, struct args_msg_send *args)
{
	struct args_msg_draft part = {.peer = args->peer};
	struct result_msg_draft result;
	int r = CONTEXT_OK;

	if (body->size <= PART) {
		args->body = (struct bytes){body->data, body->size};
		return CONTEXT_OK;
	}
	if (getrandom(&part.draft, sizeof(part.draft), 0) != sizeof(part.draft))
		return context_fail(context, "no random numbers: %s", strerror(errno));
	part.draft |= 1; /* 0 is none */
	for (size_t at = 0; r == CONTEXT_OK && at < body->size; at += part.body.size) {
		part.offset = at;
		part.body = (struct bytes){body->data + at,
					   body->size - at < PART ? body->size - at : PART};
		r = msg_client_ask(context, remote, OP_MSG_DRAFT, &part, &result);
	}
	args->draft = part.draft;
	return r;
}

/* Sends it; what was sent, as an array of {"id","to"}. */
static int send_message(const struct context *context, struct remote *remote,
			struct args_msg_send *args, const struct buffer *body, json_t **ret_sent)
{
	struct result_msg_send result;
	struct msg_sent sent;
	json_t *list;
	int r = send_parts(context, remote, body, args);

	if (r == CONTEXT_OK)
		r = msg_client_ask(context, remote, OP_MSG_SEND, args, &result);
	if (r != CONTEXT_OK)
		return r;
	list = json_array();
	while (result.sent.n > 0 &&
	       codec_list_next(&result.sent, &msg_sent_record, &sent, NULL) == 0)
		json_array_append_new(list,
				      json_pack("{s:o, s:o}", "id", context_json_text(sent.id),
						"to", context_json_text(sent.peer)));
	*ret_sent = list;
	return CONTEXT_OK;
}

/* Until the message has come so far. CONTEXT_FAILURE, said, if it never will. */
static int wait_for_state(struct msg_listening *listening, const char *id, enum msg_state state)
{
	struct result_msg_status result;
	int r = CONTEXT_OK;

	for (;;) {
		unsigned n_events;

		r = msg_client_listen(listening);
		n_events = listening->n_events;
		if (r == CONTEXT_OK)
			r = msg_client_status(listening->context, listening->remote, id, &result);
		if (r != CONTEXT_OK)
			return r;
		if (result.info.state == MSG_EXPIRED)
			return context_fail(listening->context, "it has expired");
		if (result.info.state >= state)
			return CONTEXT_OK;
		r = msg_client_wait(listening, n_events);
		if (r != CONTEXT_OK)
			return r;
	}
}

/* What --wait asks for: MSG_QUEUED without. */
static int read_wait(const struct context *context, enum msg_state *ret_state)
{
	const char *text = arguments_text(&context->arguments, "wait", "queued");

	if (strcmp(text, "queued") == 0)
		*ret_state = MSG_QUEUED;
	else if (strcmp(text, "delivered") == 0)
		*ret_state = MSG_DELIVERED;
	else if (strcmp(text, "read") == 0)
		*ret_state = MSG_READ_THERE;
	else
		return context_usage(context, "%s: --wait is 'delivered' or 'read'",
				     context->command->name);
	return CONTEXT_OK;
}

static int finish_send(const struct context *context, struct remote *remote, json_t *sent,
		       enum msg_state state)
{
	struct msg_listening listening = {.context = context, .remote = remote};
	const char *id = text_of(json_array_get(sent, 0), "id");
	struct result_msg_status result;
	int r = CONTEXT_OK;

	/* At once: who waits may want to know which one. */
	if (!context->json) {
		fprintf(context->out, "%s\n", id);
		fflush(context->out);
	}
	if (state != MSG_QUEUED)
		r = wait_for_state(&listening, id, state);
	if (r == CONTEXT_OK && context->json) {
		r = msg_client_status(context, remote, id, &result);
		if (r == CONTEXT_OK)
			r = context_print_json(context, msg_json_status(&result.info));
	}
	return r;
}

int cmd_msg_run_send(struct context *context)
{
	const struct arguments *arguments = &context->arguments;
	const char *type = arguments_text(arguments, "type", "chat");
	const char *reply_to = arguments_text(arguments, "reply-to", "");
	struct args_msg_send args = {
	    .peer = bytes_of_text(arguments->words[0]),
	    .type = ops_msg_type_find(type),
	    .reply_to = bytes_of_text(reply_to),
	    .ttl_ms = arguments_number(arguments, "ttl", 0) * 1000,
	};
	struct buffer body = {0};
	enum msg_state state = MSG_QUEUED;
	struct remote *remote;
	json_t *sent = NULL;
	int r;

	if (args.type > MSG_TYPE_MAX)
		return context_usage(
		    context, "msg send: --type is 'chat', 'request', 'response' or 'broadcast'");
	r = read_wait(context, &state);
	if (r == CONTEXT_OK)
		r = read_body(context, arguments->words[1], &body);
	if (r == CONTEXT_OK)
		r = context_connect_remote(context, &remote);
	if (r == CONTEXT_OK) {
		r = send_message(context, remote, &args, &body, &sent);
		if (r == CONTEXT_OK)
			r = finish_send(context, remote, sent, state);
		json_decref(sent);
		remote_free(remote);
	}
	buffer_deinit(&body);
	return r;
}

int cmd_msg_run_broadcast(struct context *context)
{
	struct args_msg_send args = {.type = MSG_BROADCAST};
	struct buffer body = {0};
	struct remote *remote;
	json_t *sent = NULL;
	int r = read_body(context, context->arguments.words[0], &body);

	args.ttl_ms = arguments_number(&context->arguments, "ttl", 0) * 1000;
	if (r == CONTEXT_OK)
		r = context_connect_remote(context, &remote);
	if (r == CONTEXT_OK) {
		r = send_message(context, remote, &args, &body, &sent);
		remote_free(remote);
	}
	buffer_deinit(&body);
	if (r != CONTEXT_OK)
		return r;
	if (context->json)
		return context_print_json(context, sent);
	for (size_t i = 0; i < json_array_size(sent); i++)
		fprintf(context->out, "%s %s\n", text_of(json_array_get(sent, i), "id"),
			text_of(json_array_get(sent, i), "to"));
	json_decref(sent);
	return CONTEXT_OK;
}
