#include "net_asks.h"

static uint64_t count_reply(void)
{
	static uint64_t n;

	return ++n;
}

static void take_reply(struct answer *answer, const struct transport_reply *reply)
{
	answer->n_replies++;
	answer->order = count_reply();
	answer->error = reply->error;
	answer->more = reply->more;
	cr_assert_eq(reply->error == 0, reply->result != NULL);
}

static void on_reply(void *arg, const struct transport_reply *reply)
{
	take_reply(arg, reply);
}

static void on_reply_getattr(void *arg, const struct transport_reply *reply)
{
	struct answer *answer = arg;
	const struct result_getattr *result = reply->result;

	take_reply(answer, reply);
	answer->is_right = result && result->attr.size == 42;
}

static void on_reply_read(void *arg, const struct transport_reply *reply)
{
	struct answer *answer = arg;
	const struct result_read *result = reply->result;

	take_reply(answer, reply);
	if (!result)
		return;
	answer->size = result->data.size;
	answer->is_right =
	    memcmp(result->data.data, room_pattern() + answer->unconsumed, result->data.size) == 0;
}

static void on_reply_readdir(void *arg, const struct transport_reply *reply)
{
	struct answer *answer = arg;
	const struct result_readdir *result = reply->result;

	take_reply(answer, reply);
	if (result)
		answer->size = result->entries.size;
}

static void on_data(void *arg, unsigned channel, struct bytes data)
{
	struct answer *answer = arg;

	cr_assert_eq(memcmp(data.data, room_pattern(), data.size), 0);
	answer->streamed += data.size;
	if (answer->holds_credit)
		answer->unconsumed += data.size;
	else
		answer->end->transport->ops->consumed(answer->call, channel, data.size);
}

static void on_end(void *arg, unsigned channel, int error)
{
	struct answer *answer = arg;

	answer->n_ends++;
	answer->end_error = error;
}

static void on_payload_done(void *arg)
{
	struct answer *answer = arg;

	answer->n_done++;
	cr_assert_eq(answer->n_replies, 0, "the payload is done with before the reply");
}

static int ask(struct end *end, uint16_t op, const void *args, bool borrows,
	       const struct transport_handler *handler, struct answer *answer)
{
	answer->end = end;
	return end->transport->ops->call(end->transport, op, args, NULL, handler, answer,
					 borrows ? on_payload_done : NULL, &answer->call);
}

int ask_getattr(struct end *end, uint64_t node, struct answer *answer)
{
	static const struct transport_handler handler = {.reply = on_reply_getattr};
	struct args_getattr args = {.node = node};

	return ask(end, OP_GETATTR, &args, false, &handler, answer);
}

int ask_release(struct end *end, uint64_t node, struct answer *answer)
{
	static const struct transport_handler handler = {.reply = on_reply};
	struct args_release args = {.node = node, .handle = 1};

	return ask(end, OP_RELEASE, &args, false, &handler, answer);
}

int ask_read(struct end *end, uint64_t node, uint64_t offset, size_t size, struct answer *answer)
{
	static const struct transport_handler handler = {.reply = on_reply_read};
	struct args_read args = {.node = node, .offset = offset, .size = size};

	answer->unconsumed = offset % OPS_IO_MAX; /* where its bytes begin */
	return ask(end, OP_READ, &args, false, &handler, answer);
}

int ask_write(struct end *end, uint64_t node, uint64_t offset, size_t size, bool borrows,
	      struct answer *answer)
{
	static const struct transport_handler handler = {.reply = on_reply};
	struct args_write args = {
	    .node = node, .offset = offset, .data = {room_pattern() + offset % OPS_IO_MAX, size}};

	return ask(end, OP_WRITE, &args, borrows, &handler, answer);
}

int ask_mkdir(struct end *end, const char *name, struct answer *answer)
{
	static const struct transport_handler handler = {.reply = on_reply};
	struct args_mkdir args = {
	    .parent = 1, .name = {(const uint8_t *)name, strlen(name)}, .mode = 0755};

	return ask(end, OP_MKDIR, &args, false, &handler, answer);
}

int ask_readdir(struct end *end, uint64_t size, struct answer *answer)
{
	static const struct transport_handler handler = {
	    .reply = on_reply_readdir, .data = on_data, .end = on_end};
	struct args_readdir args = {.node = size};

	return ask(end, OP_READDIR, &args, false, &handler, answer);
}

int ask_lock(struct end *end, uint64_t node, struct answer *answer)
{
	static const struct transport_handler handler = {.reply = on_reply};
	struct args_lock args = {.node = node, .command = LOCK_SET_WAIT};

	return ask(end, OP_LOCK, &args, false, &handler, answer);
}

void forget(struct end *end, uint64_t node)
{
	struct forgotten one = {.node = node, .count = 1};
	struct buffer elements = {0};
	struct args_forget args = {0};

	cr_assert_eq(codec_list_append(&args.nodes, &elements, &forgotten_record, &one), 0);
	codec_list_finish(&args.nodes, &elements);
	cr_assert_eq(end->transport->ops->event(end->transport, OP_FORGET, &args), 0);
	buffer_deinit(&elements);
}
