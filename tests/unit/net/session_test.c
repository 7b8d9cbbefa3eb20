/* A session alone: frames go in by hand, so that the client is as ill-behaved as the test wants. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>

#include "daemon/net/limits.h"
#include "daemon/net/request_private.h"
#include "proto/codec.h"
#include "proto/ops_peer.h"

#define HELD 8192

static uv_loop_t loop;
static struct conn_room conn_room = {.loop = &loop};
static uint16_t permissions;
static struct session *session;
static uint64_t last_id;
/* what the room has in hand, and what was answered */
static struct request *held[HELD];
static size_t n_held, n_handled, n_forgotten;
static struct {
	unsigned n, n_denied;
	int error;
} answered;

static void handle(void *arg, void *state, struct request *request)
{
	cr_assert_lt(n_held, HELD);
	held[n_held++] = request;
	n_handled++;
}

static void event(void *arg, void *state, uint16_t op, const void *args)
{
	struct list nodes = ((const struct args_forget *)args)->nodes;
	struct forgotten forgotten;

	while (nodes.n > 0 && codec_list_next(&nodes, &forgotten_record, &forgotten, NULL) == 0)
		n_forgotten++;
}

static const struct service service = {
    .name = "files", .first_op = OP_LOOKUP, .last_op = 59, .handle = handle, .event = event};

static void on_answered(void *arg, const struct op *op, int error, bool denied)
{
	answered.n++;
	answered.n_denied += denied;
	answered.error = error;
}

static void open_with(struct limits limits)
{
	struct session_options options = {
	    .room = &conn_room,
	    .ops = &ops_peer,
	    .services = &service,
	    .n_services = 1,
	    .limits = limits_with_defaults(limits),
	    .permissions = &permissions,
	    .name = "mallory",
	    .answered = on_answered,
	};

	permissions = PERMISSION_FS_RW;
	cr_assert_eq(uv_loop_init(&loop), 0);
	cr_assert_eq(session_new(&session, &options), 0);
}

/* The room's answer to what it has held the longest. */
static void answer_first(void)
{
	struct request *request = held[0];

	memmove(held, held + 1, --n_held * sizeof(*held));
	request_fail(request, -ENOENT);
	uv_run(&loop, UV_RUN_NOWAIT);
}

static void close_all(void)
{
	session_close(session);
	while (n_held > 0) /* orphans */
		request_fail(held[--n_held], -EINTR);
	uv_run(&loop, UV_RUN_DEFAULT);
	cr_assert_eq(uv_loop_close(&loop), 0);
}

static int send_body(struct frame *frame, struct bytes body)
{
	struct chunk *chunk = chunk_new(256 * 1024);
	const char *why;
	int error;

	cr_assert_leq(body.size, chunk->size);
	memcpy(chunk->data, body.data, body.size);
	frame->body = (struct bytes){chunk->data, body.size};
	error = session_frame(session, frame, chunk, &why);
	chunk_unref(chunk);
	return error;
}

static int send_frame(struct frame *frame, const struct record *record, const void *args)
{
	struct buffer body = {0};
	int error;

	cr_assert_eq(codec_encode(record, args, &body, NULL), 0);
	error = send_body(frame, (struct bytes){body.data, body.size});
	buffer_deinit(&body);
	return error;
}

static int ask(uint16_t op, const void *args)
{
	struct frame frame = {.kind = FRAME_REQUEST, .id = ++last_id, .op = op, .lowest = 1};

	return send_frame(&frame, op_find(&ops_peer, op)->args, args);
}

static int ask_getattr(uint64_t node)
{
	return ask(OP_GETATTR, &(struct args_getattr){.node = node});
}

static int ask_write(uint64_t node, size_t size)
{
	static uint8_t data[OPS_IO_MAX];
	struct args_write args = {.node = node, .handle = 1, .data = {data, size}};

	return ask(OP_WRITE, &args);
}

/* --- more than it may ------------------------------------------------------------------------- */

Test(session, calls_beyond_the_limit_wait_their_turn)
{
	open_with((struct limits){.calls = 3});
	for (unsigned i = 0; i < 10; i++)
		cr_assert_eq(ask_getattr(100 + i), 0);
	cr_assert_eq(n_held, 3);
	for (unsigned i = 0; i < 10; i++) {
		cr_assert_eq(((const struct args_getattr *)held[0]->args)->node, 100 + i);
		answer_first();
		cr_assert_eq(n_held, i < 7 ? 3 : 9 - i);
	}
	cr_assert_eq(n_handled, 10);
	close_all();
}

Test(session, writes_beyond_the_limit_wait_their_turn)
{
	open_with((struct limits){.write_bytes = 250000});
	for (unsigned i = 0; i < 5; i++)
		cr_assert_eq(ask_write(7, 100000), 0);
	cr_assert_eq(n_held, 2);
	for (unsigned i = 0; i < 5; i++)
		answer_first();
	cr_assert_eq(n_handled, 5);
	close_all();
}

Test(session, one_write_larger_than_the_limit_is_done_alone)
{
	open_with((struct limits){.write_bytes = 1000});
	cr_assert_eq(ask_write(7, 100000), 0);
	cr_assert_eq(ask_write(8, 10), 0);
	cr_assert_eq(n_held, 1);
	answer_first();
	cr_assert_eq(n_held, 1);
	close_all();
}

Test(session, streams_beyond_the_limit_are_refused)
{
	open_with((struct limits){.streams = 4});
	for (unsigned i = 0; i < 4; i++)
		cr_assert_eq(ask(OP_READDIR, &(struct args_readdir){.node = i}), 0);
	cr_assert_eq(answered.n, 0);
	cr_assert_eq(ask(OP_READDIR, &(struct args_readdir){.node = 9}), 0);
	cr_assert_eq(answered.n, 1);
	cr_assert_eq(answered.error, -ENFILE);
	cr_assert_eq(answered.n_denied, 0);
	close_all();
}

Test(session, who_never_waits_loses_the_link)
{
	unsigned n = 0;

	open_with((struct limits){.calls = 16});
	while (ask_getattr(5) == 0)
		n++;
	cr_assert_eq(n, 2 * LIMITS_CALLS, "what two honest clients would send");
	cr_assert_eq(n_held, 16);
	close_all();
}

Test(session, who_sends_writes_without_end_loses_the_link)
{
	size_t sent = 0;

	open_with((struct limits){.write_bytes = OPS_IO_MAX});
	while (ask_write(5, OPS_IO_MAX) == 0)
		sent += OPS_IO_MAX;
	cr_assert_leq(sent, 2 * LIMITS_WRITE_BYTES);
	cr_assert_gt(sent, 2 * LIMITS_WRITE_BYTES - 2 * OPS_IO_MAX);
	cr_assert_eq(n_held, 1);
	close_all();
}

/* What a newer peer appends to its args is skipped, and must not be kept without being counted. */
Test(session, padding_counts)
{
	uint8_t padded[180000] = {0x92, 5, 0xc6, 0, 2, 0xbf, 0}; /* [5, bin of 180,000 - 7] */
	size_t sent = 0;
	int error;

	padded[6] = (uint8_t)((sizeof(padded) - 7) & 255);
	padded[5] = (uint8_t)((sizeof(padded) - 7) >> 8 & 255);
	open_with((struct limits){0});
	do {
		struct frame frame = {
		    .kind = FRAME_REQUEST, .id = ++last_id, .op = OP_GETATTR, .lowest = 1};

		error = send_body(&frame, (struct bytes){padded, sizeof(padded)});
		sent += error == 0 ? sizeof(padded) : 0;
	} while (error == 0 && sent < (1 << 30));
	cr_assert_eq(error, -EPROTO);
	cr_assert_leq(sent, 2 * LIMITS_WRITE_BYTES);
	close_all();
}

/* --- names that are none ---------------------------------------------------------------------- */

/* Each field's least value; the `which`-th name is `name` instead of "x". False: it has none. */
static bool encode_with_name(const struct record *record, unsigned which, struct bytes name,
			     struct buffer *ret_body)
{
	uint8_t head[3] = {(uint8_t)(0x90 | record->n_fields)};
	unsigned n_names = 0;

	ret_body->size = 0;
	buffer_append(ret_body, head, 1);
	for (unsigned i = 0; i < record->n_fields; i++) {
		struct bytes value = {(const uint8_t *)"x", 1};

		if (record->fields[i].kind == FIELD_UINT || record->fields[i].kind == FIELD_BOOL) {
			head[0] = record->fields[i].kind == FIELD_UINT ? 1 : 0xc2;
			buffer_append(ret_body, head, 1);
			continue;
		}
		if (record->fields[i].kind == FIELD_NAME && n_names++ == which)
			value = name;
		head[0] = 0xc4;
		head[1] = (uint8_t)value.size;
		if (value.size > 255) {
			head[0] = 0xc5;
			head[1] = (uint8_t)(value.size >> 8);
			head[2] = (uint8_t)value.size;
		}
		buffer_append(ret_body, head, value.size > 255 ? 3 : 2);
		buffer_append(ret_body, value.data, value.size);
	}
	return which < n_names;
}

Test(session, no_room_sees_a_name_that_is_none)
{
	static uint8_t long_name[256];
	const struct bytes names[] = {
	    {(const uint8_t *)"", 0},       {(const uint8_t *)".", 1},
	    {(const uint8_t *)"..", 2},     {(const uint8_t *)"/", 1},
	    {(const uint8_t *)"a/b", 3},    {(const uint8_t *)"../x", 4},
	    {(const uint8_t *)"a\0b", 3},   {(const uint8_t *)"/etc/passwd", 11},
	    {long_name, sizeof(long_name)},
	};
	struct buffer body = {0};
	unsigned n_tried = 0;

	memset(long_name, 'n', sizeof(long_name));
	open_with((struct limits){0});
	for (size_t op = 0; op < ops_peer.n_ops; op++) {
		const struct op *info = &ops_peer.ops[op];

		if (info->number < OP_LOOKUP || (info->flags & OP_EVENT))
			continue;
		for (unsigned which = 0; which < 2; which++) {
			for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
				struct frame frame = {.kind = FRAME_REQUEST,
						      .id = ++last_id,
						      .op = info->number,
						      .lowest = 1};
				size_t before = n_handled;

				if (!encode_with_name(info->args, which, names[i], &body))
					break;
				n_tried++;
				cr_assert_eq(
				    send_body(&frame, (struct bytes){body.data, body.size}),
				    -EBADMSG, "%s: name %zu", info->name, i);
				cr_assert_eq(n_handled, before);
				/* and with a good one it would have been let in */
				frame.id = ++last_id;
				encode_with_name(info->args, which,
						 (struct bytes){(const uint8_t *)"..x", 3}, &body);
				cr_assert_eq(
				    send_body(&frame, (struct bytes){body.data, body.size}), 0,
				    "%s", info->name);
				cr_assert_eq(n_handled, before + 1);
			}
		}
	}
	cr_assert_geq(n_tried, 10 * sizeof(names) / sizeof(names[0]), "each operation with a name");
	buffer_deinit(&body);
	close_all();
}

/* --- a client that never says what has arrived ------------------------------------------------ */

Test(session, replies_that_nobody_lets_go_are_bounded)
{
	struct args_mkdir args = {.parent = 1, .name = {(const uint8_t *)"x", 1}};

	open_with((struct limits){0});
	for (unsigned i = 0; i < 3 * LIMITS_KEPT; i++) {
		cr_assert_eq(ask(OP_MKDIR, &args), 0);
		answer_first();
	}
	cr_assert_eq(session->kept.n, LIMITS_KEPT);
	cr_assert_leq(session->kept.bytes, LIMITS_KEPT_BYTES);
	/* The oldest may have been done: it is not done again. */
	last_id = 0;
	answered.n = 0;
	cr_assert_eq(ask(OP_MKDIR, &args), 0);
	cr_assert_eq(n_held, 0);
	cr_assert_eq(answered.error, -EIO);
	close_all();
}

Test(session, cancels_credits_and_forgets_of_nothing_do_nothing)
{
	struct forgotten forgotten = {.node = 4711, .count = UINT64_MAX};
	struct args_forget forget = {0};
	struct buffer elements = {0};
	struct chunk *chunk = chunk_new(16);
	const char *why;

	open_with((struct limits){0});
	cr_assert_eq(ask_getattr(1), 0);
	for (uint64_t id = 0; id < 1000; id++) {
		struct frame cancel = {.kind = FRAME_CANCEL, .id = id * id};
		struct frame credit = {
		    .kind = FRAME_CREDIT, .id = frame_stream(id, 0, false), .status = UINT64_MAX};

		cr_assert_eq(session_frame(session, &cancel, chunk, &why), 0);
		cr_assert_eq(session_frame(session, &credit, chunk, &why), 0);
	}
	for (unsigned i = 0; i < 1000; i++)
		codec_list_append(&forget.nodes, &elements, &forgotten_record, &forgotten);
	codec_list_finish(&forget.nodes, &elements);
	cr_assert_eq(send_frame(&(struct frame){.kind = FRAME_EVENT, .op = OP_FORGET},
				&args_forget_record, &forget),
		     0);
	cr_assert_eq(n_forgotten, 1000);
	cr_assert_eq(n_held, 1);
	/* `lowest` beyond all: nothing is answered any more, which harms only the one that said so
	 */
	cr_assert_eq(session_frame(session,
				   &(struct frame){.kind = FRAME_REQUEST,
						   .id = ++last_id,
						   .op = OP_GETATTR,
						   .lowest = UINT64_MAX},
				   chunk, &why),
		     0);
	chunk_unref(chunk);
	buffer_deinit(&elements);
	close_all();
}
