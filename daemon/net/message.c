#include "daemon/net/message.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A payload that is not lent is copied once, to where it is sent from. */
int message_new(struct message **ret_message, const struct frame *frame,
		const struct record *record, const void *value, void (*release)(void *arg),
		void *release_arg)
{
	struct buffer head = {.limit = FRAME_LENGTH_SIZE + FRAME_MAX};
	struct bytes payload = {0};
	struct message *message;
	size_t n_copied;
	int r;

	r = frame_encode(frame, record, value, &head, &payload);
	if (r < 0)
		goto out;
	n_copied = release ? 0 : payload.size;
	r = -ENOMEM;
	message = malloc(sizeof(*message) + head.size + n_copied);
	if (!message)
		goto out;
	*message = (struct message){
	    .n_refs = 1,
	    .is_reply = frame->kind == FRAME_REPLY,
	    .release = release,
	    .release_arg = release_arg,
	    .n_payload = payload.size,
	    .head_size = head.size + n_copied,
	};
	memcpy(message->head, head.data, head.size);
	if (n_copied > 0)
		memcpy(message->head + head.size, payload.data, n_copied);
	if (release)
		message->payload = payload;
	*ret_message = message;
	r = 0;
out:
	buffer_deinit(&head);
	return r;
}

struct message *message_ref(struct message *message)
{
	message->n_refs++;
	return message;
}

struct message *message_unref(struct message *message)
{
	if (!message)
		return NULL;
	assert(message->n_refs > 0);
	if (--message->n_refs > 0)
		return NULL;
	assert(!message->is_queued);
	if (message->release)
		message->release(message->release_arg);
	else
		free((void *)message->payload.data);
	free(message);
	return NULL;
}

int message_release_payload(struct message *message, bool copy)
{
	void (*release)(void *arg) = message->release;
	uint8_t *data = NULL;

	if (!release)
		return 0;
	if (copy && message->payload.size > 0) {
		data = malloc(message->payload.size);
		if (!data)
			return -ENOMEM;
		memcpy(data, message->payload.data, message->payload.size);
	}
	message->payload.data = data;
	if (!data)
		message->payload.size = 0;
	message->release = NULL;
	release(message->release_arg);
	return 0;
}

/* By convention the node is the first field; an operation on two names the other one so. */
static bool is_node(const struct record *args, unsigned i)
{
	const struct field *field = &args->fields[i];

	if (field->kind != FIELD_UINT)
		return false;
	return i == 0 || strcmp(field->name, "to_node") == 0 ||
	       strcmp(field->name, "parent") == 0 || strcmp(field->name, "new_parent") == 0;
}

unsigned message_nodes(const struct record *args, const void *value, uint64_t ret_nodes[])
{
	unsigned n = 0;

	for (unsigned i = 0; i < args->n_fields && n < MESSAGE_KEYS; i++)
		if (is_node(args, i))
			ret_nodes[n++] =
			    *(const uint64_t *)((const char *)value + args->fields[i].offset);
	return n;
}

void message_add_nodes(struct message *message, const struct record *args, const void *value)
{
	uint64_t nodes[MESSAGE_KEYS];
	unsigned n = message_nodes(args, value, nodes);

	for (unsigned i = 0; i < n; i++)
		message_add_key(message, message_key_node(nodes[i]));
}
