#include <criterion/criterion.h>
#include <stdlib.h>

#include "daemon/net/outbox.h"
#include "proto/ops_peer.h"

static const uint8_t bytes[OPS_IO_MAX];

static struct message *write_to(uint64_t node, size_t size)
{
	struct args_write args = {.node = node, .data = {bytes, size}};
	struct frame frame = {.kind = FRAME_REQUEST, .id = node, .op = OP_WRITE};
	struct message *message;

	cr_assert_eq(message_new(&message, &frame, &args_write_record, &args, NULL, NULL), 0);
	message_add_nodes(message, &args_write_record, &args);
	return message;
}

static struct message *getattr_of(uint64_t node)
{
	struct args_getattr args = {.node = node};
	struct frame frame = {.kind = FRAME_REQUEST, .id = node, .op = OP_GETATTR};
	struct message *message;

	cr_assert_eq(message_new(&message, &frame, &args_getattr_record, &args, NULL, NULL), 0);
	message_add_nodes(message, &args_getattr_record, &args);
	return message;
}

static struct message *data_of(uint64_t id, size_t size)
{
	struct frame frame = {
	    .kind = FRAME_DATA, .id = frame_stream(id, 0, false), .body = {bytes, size}};
	struct message *message;

	cr_assert_eq(message_new(&message, &frame, NULL, NULL, NULL, NULL), 0);
	message_add_key(message, message_key_stream(id));
	return message;
}

static void push(struct outbox *outbox, struct message *message)
{
	outbox_push(outbox, message);
	message_unref(message);
}

static void expect(struct outbox *outbox, struct message *expected)
{
	struct message *message = outbox_pop(outbox);

	cr_assert_eq(message, expected);
	message_unref(message);
}

Test(outbox, small_messages_overtake_bulk)
{
	struct message *bulk = write_to(1, OPS_IO_MAX), *small = getattr_of(2);
	struct outbox outbox;

	outbox_init(&outbox);
	push(&outbox, bulk);
	push(&outbox, small);
	expect(&outbox, small);
	expect(&outbox, bulk);
	cr_assert(outbox_is_empty(&outbox));
	cr_assert_eq(outbox.size, 0);
}

Test(outbox, calls_of_one_node_keep_their_order)
{
	struct message *first = write_to(1, OPS_IO_MAX), *second = getattr_of(1);
	struct message *third = write_to(1, OPS_IO_MAX), *other = getattr_of(2);
	struct outbox outbox;

	outbox_init(&outbox);
	push(&outbox, first);
	push(&outbox, second);
	push(&outbox, third);
	push(&outbox, other);
	expect(&outbox, other);
	expect(&outbox, first);
	expect(&outbox, second);
	expect(&outbox, third);
}

Test(outbox, a_call_on_two_nodes_goes_behind_the_bulk_of_either)
{
	struct args_copy_range args = {.node = 1, .to_node = 2};
	struct frame frame = {.kind = FRAME_REQUEST, .id = 9, .op = OP_COPY_RANGE};
	struct message *bulk = write_to(2, OPS_IO_MAX), *copy;
	struct outbox outbox;

	outbox_init(&outbox);
	cr_assert_eq(message_new(&copy, &frame, &args_copy_range_record, &args, NULL, NULL), 0);
	message_add_nodes(copy, &args_copy_range_record, &args);
	push(&outbox, bulk);
	push(&outbox, copy);
	expect(&outbox, bulk);
	expect(&outbox, copy);
}

Test(outbox, a_stream_keeps_its_order_and_lets_others_pass)
{
	struct message *large = data_of(1, 100000), *small = data_of(1, 10);
	struct message *keystroke = data_of(2, 1);
	struct outbox outbox;

	outbox_init(&outbox);
	push(&outbox, large);
	push(&outbox, small);
	push(&outbox, keystroke);
	expect(&outbox, keystroke);
	expect(&outbox, large);
	expect(&outbox, small);
}

Test(outbox, once_the_bulk_has_left_a_node_is_urgent_again)
{
	struct message *bulk = write_to(1, OPS_IO_MAX), *other = write_to(2, OPS_IO_MAX);
	struct message *small = getattr_of(1);
	struct outbox outbox;

	outbox_init(&outbox);
	push(&outbox, bulk);
	push(&outbox, other);
	expect(&outbox, bulk);
	push(&outbox, small);
	expect(&outbox, small);
	outbox_clear(&outbox);
	cr_assert(outbox_is_empty(&outbox));
}

Test(outbox, what_is_taken_out_is_not_sent)
{
	struct message *bulk = write_to(1, OPS_IO_MAX), *small = getattr_of(1);
	struct outbox outbox;

	outbox_init(&outbox);
	push(&outbox, bulk);
	push(&outbox, small);
	outbox_remove(&outbox, bulk);
	expect(&outbox, small);
	cr_assert_null(outbox_pop(&outbox));
	cr_assert_eq(outbox.size, 0);
}

static void count(void *arg)
{
	++*(int *)arg;
}

Test(message, releases_a_borrowed_payload_once)
{
	struct args_write args = {.node = 1, .data = {bytes, 100}};
	struct frame frame = {.kind = FRAME_REQUEST, .id = 1, .op = OP_WRITE};
	struct message *message;
	int n = 0;

	cr_assert_eq(message_new(&message, &frame, &args_write_record, &args, count, &n), 0);
	cr_assert_eq(message->payload.data, bytes, "not copied");
	cr_assert_eq(message_release_payload(message, true), 0);
	cr_assert_eq(n, 1);
	cr_assert_neq(message->payload.data, bytes, "copied when the owner wants it back");
	cr_assert_eq(message->payload.size, 100);
	cr_assert_eq(message_release_payload(message, false), 0);
	message_unref(message);
	cr_assert_eq(n, 1);
	cr_assert_eq(message_new(&message, &frame, &args_write_record, &args, count, &n), 0);
	message_unref(message);
	cr_assert_eq(n, 2);
}

Test(outbox, a_little_passes_unless_bulk_of_the_same_stream_is_queued)
{
	struct outbox outbox;

	outbox_init(&outbox);
	push(&outbox, write_to(1, OPS_IO_MAX));
	cr_assert(outbox_is_passable(&outbox, message_key_stream(5)));
	push(&outbox, data_of(5, OPS_IO_MAX));
	cr_assert(!outbox_is_passable(&outbox, message_key_stream(5)));
	cr_assert(outbox_is_passable(&outbox, message_key_stream(6)));
	for (unsigned i = 0; i < OUTBOX_URGENT / 4096; i++) {
		cr_assert(outbox_is_passable(&outbox, message_key_stream(6)));
		push(&outbox, data_of(6, 4096));
	}
	cr_assert(!outbox_is_passable(&outbox, message_key_stream(6)), "too many such");
	message_unref(outbox_pop(&outbox));
	cr_assert(outbox_is_passable(&outbox, message_key_stream(6)));
	outbox_clear(&outbox);
	cr_assert_eq(outbox.urgent_size, 0);
}
