#include "daemon/keys/key_guard.h"

#include <criterion/criterion.h>
#include <string.h>

#define DESK "11111111111111111111111111111111"
#define NAS  "22222222222222222222222222222222"

static const char *find_peer(void *arg, const char *name)
{
	if (strcmp(name, "desk") == 0 || strcmp(name, DESK) == 0)
		return DESK;
	return strcmp(name, "nas") == 0 ? NAS : NULL;
}

static const struct key_names names = {.find_peer = find_peer};

static struct key_scope scope_of(uint16_t permissions, const char *a, const char *b)
{
	struct key_scope scope = {.permissions = permissions};

	if (a)
		cr_assert_eq(key_scope_add(&scope, a), 0);
	if (b)
		cr_assert_eq(key_scope_add(&scope, b), 0);
	return scope;
}

static enum key_guard_answer ask(const struct key_scope *scope, const char *peer, uint16_t number,
				 const void *args)
{
	static const uint8_t nothing[4096];
	struct key_guard_request request;

	return key_guard_ask(scope, &names, peer, op_find(&ops_peer, number), args ? args : nothing,
			     &request);
}

Test(key_guard, asks_for_the_permission_of_the_operation)
{
	struct key_scope scope = scope_of(PERMISSION_KV | PERMISSION_FS_RO, DESK, NULL);

	cr_assert_eq(ask(&scope, DESK, OP_KV_GET, NULL), KEY_GUARD_YES);
	cr_assert_eq(ask(&scope, DESK, OP_WATCH, NULL), KEY_GUARD_YES);
	cr_assert_eq(ask(&scope, DESK, OP_JOB_START, NULL), KEY_GUARD_PERMISSION);
	cr_assert_eq(ask(&scope, DESK, OP_MKDIR, NULL), KEY_GUARD_PERMISSION);
	cr_assert_eq(ask(&scope, "", OP_MSG_LIST, NULL), KEY_GUARD_PERMISSION);
}

Test(key_guard, asks_for_the_peer)
{
	struct key_scope desk = scope_of(PERMISSION_KV, DESK, NULL);
	struct key_scope here = scope_of(PERMISSION_KV, "", NULL);
	struct key_scope all = {.permissions = PERMISSION_KV, .is_for_all = true};

	cr_assert_eq(ask(&desk, NAS, OP_KV_GET, NULL), KEY_GUARD_PEER);
	cr_assert_eq(ask(&desk, "", OP_KV_GET, NULL), KEY_GUARD_PEER);
	cr_assert_eq(ask(&here, "", OP_KV_GET, NULL), KEY_GUARD_YES);
	cr_assert_eq(ask(&here, DESK, OP_KV_GET, NULL), KEY_GUARD_PEER);
	cr_assert_eq(ask(&all, "", OP_KV_GET, NULL), KEY_GUARD_YES);
	cr_assert_eq(ask(&all, NAS, OP_KV_GET, NULL), KEY_GUARD_YES);
}

Test(key_guard, takes_messages_to_be_about_the_peer_that_they_name)
{
	struct key_scope desk = scope_of(PERMISSION_MSG, DESK, NULL);
	struct key_scope all = {.permissions = PERMISSION_MSG, .is_for_all = true};
	struct args_msg_send send = {.peer = bytes_of_text("desk")};
	struct args_msg_draft draft = {.peer = bytes_of_text(DESK)};
	struct args_msg_list list = {.peer = bytes_of_text("nas")};
	struct args_msg_ack ack = {.peer = bytes_of_text("nobody")};
	struct args_msg_events events = {.peer = bytes_of_text("")};
	char long_name[300];

	cr_assert_eq(ask(&desk, "", OP_MSG_SEND, &send), KEY_GUARD_YES);
	cr_assert_eq(ask(&desk, "", OP_MSG_DRAFT, &draft), KEY_GUARD_YES);
	cr_assert_eq(ask(&desk, "", OP_MSG_LIST, &list), KEY_GUARD_PEER);
	cr_assert_eq(ask(&desk, "", OP_MSG_ACK, &ack), KEY_GUARD_PEER);
	cr_assert_eq(ask(&desk, "", OP_MSG_EVENTS, &events), KEY_GUARD_UNNAMED);
	cr_assert_eq(ask(&desk, "", OP_MSG_SHOW, NULL), KEY_GUARD_YES, "the answer tells");
	cr_assert_eq(ask(&all, "", OP_MSG_EVENTS, &events), KEY_GUARD_YES);
	memset(long_name, 'd', sizeof(long_name));
	send.peer = (struct bytes){(uint8_t *)long_name, sizeof(long_name)};
	cr_assert_eq(ask(&desk, "", OP_MSG_SEND, &send), KEY_GUARD_PEER);
}

/* Whatever is added later and is this machine's own. */
Test(key_guard, denies_every_operation_of_the_own_user_that_is_not_on_messages)
{
	struct key_scope all = {.permissions = 0x7fff, .is_for_all = true};

	for (size_t i = 0; i < ops_peer.n_ops; i++) {
		const struct op *op = &ops_peer.ops[i];
		bool is_on_messages = op->number >= OP_MSG_DRAFT && op->number <= OP_MSG_DISCARD;

		if (op->permission == PERMISSION_LOCAL)
			cr_assert_eq(ask(&all, "", op->number, NULL),
				     is_on_messages ? KEY_GUARD_YES : KEY_GUARD_PERMISSION, "%s",
				     op->name);
	}
}

Test(key_guard, tells_of_messages_of_its_peers_only)
{
	struct key_scope desk = scope_of(PERMISSION_MSG, DESK, NULL);
	struct key_scope all = {.permissions = PERMISSION_MSG, .is_for_all = true};
	struct result_msg_show show = {
	    .info = {.box = MSG_INBOX, .from = bytes_of_text("desk"), .to = bytes_of_text("lap")}};
	struct result_msg_status status = {
	    .info = {.box = MSG_OUTBOX, .from = bytes_of_text("desk"), .to = bytes_of_text("nas")}};
	const struct op *show_op = op_find(&ops_peer, OP_MSG_SHOW);
	const struct op *status_op = op_find(&ops_peer, OP_MSG_STATUS);

	cr_assert(key_guard_reply(&desk, &names, show_op, &show));
	cr_assert_not(key_guard_reply(&desk, &names, status_op, &status));
	cr_assert(key_guard_reply(&all, &names, status_op, &status));
	show.info.from = bytes_of_text("nas");
	cr_assert_not(key_guard_reply(&desk, &names, show_op, &show));
	cr_assert(key_guard_reply(&desk, &names, op_find(&ops_peer, OP_KV_GET), NULL));
}
