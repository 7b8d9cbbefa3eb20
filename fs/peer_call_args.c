#include "fs/peer_call_args.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static size_t node2_offset(uint16_t op)
{
	switch (op) {
	case OP_LINK:
		return offsetof(struct args_link, parent);
	case OP_RENAME:
		return offsetof(struct args_rename, new_parent);
	case OP_COPY_RANGE:
		return offsetof(struct args_copy_range, to_node);
	default:
		return 0;
	}
}

static uint64_t number_of(const struct fs_node *node)
{
	return node->kind == NODE_IS_TOP ? OPS_ROOT_NODE : node->number;
}

void peer_call_args_fill(struct peer_call_args *ret_args, const struct peer_call *call,
			 const void *args)
{
	const struct record *record = op_find(&ops_peer, call->op)->args;

	assert(record->size <= sizeof(*ret_args));
	memcpy(ret_args, args, record->size);
	ret_args->node = number_of(call->node);
	if (call->node2) {
		uint64_t number = number_of(call->node2);

		assert(node2_offset(call->op));
		memcpy(ret_args->bytes + node2_offset(call->op), &number, sizeof(number));
	}
}

_Static_assert(offsetof(struct list, raw) == 0, "peer_call_args_copy takes a list for its bytes");

static bool is_copied(const struct field *field, bool has_own_payload)
{
	return field->kind == FIELD_BIN || field->kind == FIELD_TEXT || field->kind == FIELD_NAME ||
	       field->kind == FIELD_LIST || /* whose bytes come first */
	       (field->kind == FIELD_PAYLOAD && !has_own_payload);
}

void *peer_call_args_copy(uint16_t op, const void *args, bool has_own_payload)
{
	const struct record *record = op_find(&ops_peer, op)->args;
	size_t size = record->size;
	char *copy, *at;

	for (unsigned i = 0; i < record->n_fields; i++) {
		const struct field *field = &record->fields[i];

		if (is_copied(field, has_own_payload))
			size += ((const struct bytes *)((const char *)args + field->offset))->size;
	}
	copy = malloc(size);
	if (!copy)
		return NULL;
	memcpy(copy, args, record->size);
	at = copy + record->size;
	for (unsigned i = 0; i < record->n_fields; i++) {
		const struct field *field = &record->fields[i];
		struct bytes *bytes = (struct bytes *)(copy + field->offset);

		if (!is_copied(field, has_own_payload) || !bytes->size)
			continue;
		memcpy(at, bytes->data, bytes->size);
		bytes->data = (const uint8_t *)at;
		at += bytes->size;
	}
	return copy;
}

bool peer_call_args_have_handle(uint16_t op)
{
	const struct record *record = op_find(&ops_peer, op)->args;

	return record->n_fields > 1 && strcmp(record->fields[1].name, "handle") == 0;
}

bool peer_call_args_are_kept(uint16_t op)
{
	return (op_find(&ops_peer, op)->flags & OP_REPEATABLE) && !peer_call_args_have_handle(op);
}
