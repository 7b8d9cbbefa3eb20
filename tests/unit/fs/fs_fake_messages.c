#include "fs_fake_messages.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_text(struct bytes bytes, const char *text)
{
	return bytes.size == strlen(text) && memcmp(bytes.data, text, bytes.size) == 0;
}

struct fs_fake_message *fs_fake_message_add(struct fs_fake *fake, enum msg_box box, const char *id,
					    const char *peer, const char *body)
{
	struct fs_fake_message *message = calloc(1, sizeof(*message)), **at = &fake->messages;

	message->number = ++fake->last_message;
	message->box = box;
	message->id = strdup(id);
	message->peer = strdup(peer);
	buffer_append(&message->body, body, strlen(body));
	while (*at)
		at = &(*at)->next;
	*at = message;
	return message;
}

struct fs_fake_message *fs_fake_message_last(struct fs_fake *fake)
{
	struct fs_fake_message *message = fake->messages;

	while (message && message->next)
		message = message->next;
	return message;
}

void fs_fake_message_event(struct fs_fake *fake, enum msg_event_kind kind, const char *id,
			   const char *peer)
{
	struct msg_event event = {
	    .kind = kind, .id = bytes_of_text(id), .peer = bytes_of_text(peer)};

	codec_encode(&msg_event_record, &event, &fake->message_events, NULL);
}

void fs_fake_values_set(struct fs_fake *fake, unsigned n)
{
	fake->n_changes += n;
}

static void free_message(struct fs_fake_message *message)
{
	free(message->id);
	free(message->peer);
	buffer_deinit(&message->body);
	free(message);
}

static struct fs_fake_message *find(struct fs_fake *fake, uint64_t box, struct bytes id)
{
	struct fs_fake_message *message = fake->messages;

	while (message && (message->box != box || !is_text(id, message->id)))
		message = message->next;
	return message;
}

static void drop(struct fs_fake *fake, struct fs_fake_message *message)
{
	struct fs_fake_message **at = &fake->messages;

	while (*at != message)
		at = &(*at)->next;
	*at = message->next;
	free_message(message);
}

static struct msg_info info_of(const struct fs_fake_message *message)
{
	bool is_ours = message->box == MSG_OUTBOX;

	return (struct msg_info){
	    .number = message->number,
	    .box = message->box,
	    .id = bytes_of_text(message->id),
	    .from = bytes_of_text(is_ours ? "lap" : message->peer),
	    .to = bytes_of_text(is_ours ? message->peer : "lap"),
	    .type = message->type,
	    .state = message->state,
	    .sent = {.tv_sec = 1000000000},
	    .delivered = {.tv_sec = !is_ours || message->state >= MSG_DELIVERED ? 1000000005 : 0},
	    .read = {.tv_sec = is_ours && message->state == MSG_READ_THERE ? 1000000007 : 0},
	    .size = message->body.size,
	};
}

/* --- drafts ----------------------------------------------------------------------------------- */

static struct fs_fake_draft **draft_at(struct fs_fake *fake, uint64_t number)
{
	struct fs_fake_draft **at = &fake->drafts;

	while (*at && (*at)->number != number)
		at = &(*at)->next;
	return at;
}

static void drop_draft(struct fs_fake_draft **at)
{
	struct fs_fake_draft *draft = *at;

	if (!draft)
		return;
	*at = draft->next;
	buffer_deinit(&draft->body);
	free(draft);
}

static int take_draft(struct fs_fake *fake, const struct args_msg_draft *args,
		      struct result_msg_draft *result)
{
	struct fs_fake_draft **at = draft_at(fake, args->draft), *draft;

	if (args->draft == 0)
		return args->body.size > 0 ? -EINVAL : 0;
	if (args->store && fake->store_error)
		return fake->store_error;
	if (!*at) {
		*at = calloc(1, sizeof(**at));
		(*at)->number = args->draft;
	}
	draft = *at;
	if (args->offset > draft->body.size)
		return -EINVAL;
	draft->body.size = args->offset;
	buffer_append(&draft->body, args->body.data, args->body.size);
	draft->is_stored |= args->store;
	result->size = draft->body.size;
	return 0;
}

static int send_draft(struct fs_fake *fake, const struct args_msg_send *args)
{
	struct fs_fake_draft **at = draft_at(fake, args->draft);
	struct fs_fake_message *message;
	char id[16];
	char *peer;

	if (!*at)
		return -ENOKEY;
	snprintf(id, sizeof(id), "sent%u", ++fake->n_sent);
	peer = bytes_to_text(args->peer);
	message = fs_fake_message_add(fake, MSG_OUTBOX, id, peer, "");
	free(peer);
	message->type = args->type;
	buffer_append(&message->body, (*at)->body.data, (*at)->body.size);
	drop_draft(at);
	return 0;
}

/* --- answers ---------------------------------------------------------------------------------- */

static int list(struct fs_fake *fake, const struct args_msg_list *args,
		struct result_msg_list *result, struct buffer *scratch)
{
	for (struct fs_fake_message *message = fake->messages; message; message = message->next) {
		struct msg_info info = info_of(message);

		if (message->box != args->box || message->number <= args->after ||
		    (args->peer.size > 0 && !is_text(args->peer, message->peer)))
			continue;
		if (result->messages.n == fake->page)
			result->rest = true;
		else
			codec_list_append(&result->messages, scratch, &msg_info_record, &info);
	}
	codec_list_finish(&result->messages, scratch);
	return 0;
}

static int show(struct fs_fake *fake, const struct args_msg_show *args,
		struct result_msg_show *result)
{
	struct fs_fake_message *message = find(fake, args->box, args->id);
	size_t left;

	if (!message)
		return -ENOENT;
	result->info = info_of(message);
	left = args->offset < message->body.size ? message->body.size - args->offset : 0;
	if (left > fake->part)
		left = fake->part;
	if (left > 0)
		result->body = (struct bytes){message->body.data + args->offset, left};
	return 0;
}

static int acknowledge(struct fs_fake *fake, struct list ids)
{
	struct fs_fake_message *message;
	struct msg_id id;

	while (ids.n > 0) {
		if (codec_list_next(&ids, &msg_id_record, &id, NULL))
			return -EINVAL;
		message = find(fake, MSG_INBOX, id.id);
		if (!message)
			return -ENOENT;
		drop(fake, message);
	}
	return 0;
}

bool fs_fake_message_is_op(uint16_t op)
{
	return op >= OP_MSG_DRAFT && op <= OP_MSG_DISCARD;
}

int fs_fake_message_answer(struct fs_fake *fake, uint16_t op, const void *args,
			   union fs_fake_result *result, struct fs_fake_job_call *call,
			   struct buffer *scratch)
{
	switch (op) {
	case OP_KV_WATCH:
		call->is_stream = true;
		call->at = ((const struct args_kv_watch *)args)->since;
		if (call->at == OPS_ANY)
			call->at = fake->n_changes;
		result->kv_watch.version = call->at;
		return 0;
	case OP_MSG_EVENTS:
		call->is_stream = true;
		return 0;
	case OP_MSG_DRAFT:
		return take_draft(fake, args, &result->msg_draft);
	case OP_MSG_SEND:
		return send_draft(fake, args);
	case OP_MSG_DISCARD:
		drop_draft(draft_at(fake, ((const struct args_msg_discard *)args)->draft));
		return 0;
	case OP_MSG_LIST:
		return list(fake, args, &result->msg_list, scratch);
	case OP_MSG_SHOW:
		return show(fake, args, &result->msg_show);
	case OP_MSG_ACK:
		return acknowledge(fake, ((const struct args_msg_ack *)args)->ids);
	default:
		return -ENOSYS;
	}
}

int fs_fake_message_next(struct fs_fake *fake, uint16_t op, struct fs_fake_job_call *call,
			 struct buffer *ret_data)
{
	struct kv_change change = {.kind = KV_SET_CHANGE};
	char key[16];

	if (op == OP_MSG_EVENTS) {
		if (fake->stream_error)
			return -1;
		*ret_data = fake->message_events;
		fake->message_events = (struct buffer){0};
		return ret_data->size > 0;
	}
	if (call->at < fake->changes_kept) {
		change.kind = KV_LOST;
		call->at = change.entry.version = fake->changes_kept;
	} else if (call->at < fake->n_changes) {
		change.entry.version = ++call->at;
		snprintf(key, sizeof(key), "k%u", (unsigned)call->at);
		change.entry.key = bytes_of_text(key);
	} else {
		return 0;
	}
	codec_encode(&kv_change_record, &change, ret_data, NULL);
	return 1;
}

void fs_fake_messages_free(struct fs_fake *fake)
{
	while (fake->messages)
		drop(fake, fake->messages);
	while (fake->drafts)
		drop_draft(&fake->drafts);
	buffer_deinit(&fake->message_events);
}
