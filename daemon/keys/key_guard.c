#include "daemon/keys/key_guard.h"

#include <string.h>

static bool has_named(const struct key_scope *scope, const struct key_names *names,
		      struct bytes name)
{
	char text[OPS_MSG_PEER_MAX + 1];
	const char *id;

	if (name.size >= sizeof(text))
		return false;
	memcpy(text, name.data, name.size);
	text[name.size] = '\0';
	id = names->find_peer(names->arg, text);
	return id && key_scope_has(scope, id);
}

/* Which peer an operation on messages is about: its args' field, or *ret_any, where it is about
 * none, or where the answer tells. */
static struct bytes peer_of(const struct op *op, const void *args, bool *ret_any)
{
	*ret_any = false;
	switch (op->number) {
	case OP_MSG_DRAFT:
		return ((const struct args_msg_draft *)args)->peer;
	case OP_MSG_SEND:
		return ((const struct args_msg_send *)args)->peer;
	case OP_MSG_LIST:
		return ((const struct args_msg_list *)args)->peer;
	case OP_MSG_EVENTS:
		return ((const struct args_msg_events *)args)->peer;
	case OP_MSG_ACK:
		return ((const struct args_msg_ack *)args)->peer;
	default: /* SHOW, STATUS: key_guard_reply; DISCARD: by a number that the holder chose */
		*ret_any = true;
		return (struct bytes){0};
	}
}

static bool is_on_messages(const struct op *op)
{
	return op->permission == PERMISSION_LOCAL && op->number >= OP_MSG_DRAFT &&
	       op->number <= OP_MSG_DISCARD;
}

enum key_guard_answer key_guard_ask(const struct key_scope *scope, const struct key_names *names,
				    const char *peer, const struct op *op, const void *args,
				    struct key_guard_request *ret_request)
{
	struct key_guard_request request = {.permission = op->permission};
	bool is_any = false;

	if (is_on_messages(op)) {
		request.permission = PERMISSION_MSG;
		request.about = peer_of(op, args, &is_any);
	}
	*ret_request = request;
	if (request.permission & ~scope->permissions)
		return KEY_GUARD_PERMISSION;
	if (!is_on_messages(op))
		return key_scope_has(scope, peer) ? KEY_GUARD_YES : KEY_GUARD_PEER;
	if (scope->is_for_all || is_any)
		return KEY_GUARD_YES;
	if (request.about.size == 0)
		return KEY_GUARD_UNNAMED;
	return has_named(scope, names, request.about) ? KEY_GUARD_YES : KEY_GUARD_PEER;
}

bool key_guard_reply(const struct key_scope *scope, const struct key_names *names,
		     const struct op *op, const void *result)
{
	const struct msg_info *info;

	if (scope->is_for_all)
		return true;
	if (op->number == OP_MSG_SHOW)
		info = &((const struct result_msg_show *)result)->info;
	else if (op->number == OP_MSG_STATUS)
		info = &((const struct result_msg_status *)result)->info;
	else
		return true;
	return has_named(scope, names, info->box == MSG_INBOX ? info->from : info->to);
}
