/* What a peer may not do with messages. */
#include "tests/unit/msg/msg_fake.h"

#include "proto/errors.h"

TestSuite(msg_hostile, .init = scratch_init, .fini = scratch_fini);

#define ID "0123456789abc"

static struct msg_part part_of(uint64_t seq, const char *id, const char *body)
{
	return (struct msg_part){
	    .seq = seq,
	    .id = bytes_of_text(id),
	    .size = strlen(body),
	    .body = bytes_of_text(body),
	};
}

/* As lap would, to desk. Returns the error of the call or, negative, that of a message. */
static int deliver(struct msg_fake *fake, uint64_t epoch, const struct msg_part *parts, size_t n,
		   struct result_msg_deliver *ret_result)
{
	struct args_msg_deliver args = {.epoch = epoch};
	struct buffer elements = {0};
	struct msg_fake_call *call;
	int r;

	for (size_t i = 0; i < n; i++)
		cr_assert_eq(codec_list_append(&args.parts, &elements, &msg_part_record, &parts[i]),
			     0);
	codec_list_finish(&args.parts, &elements);
	call = msg_fake_start_peer(&fake->desk, OP_MSG_DELIVER, &args);
	r = msg_fake_wait(call);
	buffer_deinit(&elements);
	if (r < 0)
		return r;
	*ret_result = *(struct result_msg_deliver *)call->result;
	return error_to_errno(ret_result->error);
}

Test(msg_hostile, ids_and_bodies_are_checked_and_what_was_before_them_is_kept)
{
	static const char *const bad_ids[] = {"", "../x", "A", "a b", "a\n", "\xc3\xa4"};
	struct result_msg_deliver result;
	struct msg_part parts[2];
	struct msg_fake fake;
	char id[8];

	msg_fake_init(&fake, NULL);
	for (unsigned i = 0; i < 6; i++) {
		snprintf(id, sizeof(id), "ok%u", i);
		parts[0] = part_of(10 + 2 * i, id, "good");
		parts[1] = part_of(11 + 2 * i, bad_ids[i], "bad");
		cr_assert_eq(deliver(&fake, 1, parts, 2, &result), -EINVAL);
		cr_assert_eq(result.stored, 10 + 2 * i);
	}
	parts[0] = part_of(100, ID, "\xff");
	cr_assert_eq(deliver(&fake, 1, parts, 1, &result), -EILSEQ);
	parts[0] = part_of(100, ID, "");
	cr_assert_eq(deliver(&fake, 1, parts, 1, &result), -EINVAL);
	parts[0] = part_of(0, ID, "x");
	cr_assert_eq(deliver(&fake, 1, parts, 1, &result), -EBADMSG);
	parts[0] = part_of(100, ID, "x");
	parts[0].reply_to = bytes_of_text("../../x");
	cr_assert_eq(deliver(&fake, 1, parts, 1, &result), -EINVAL);
	cr_assert_str_eq(msg_fake_bodies(&fake.desk, MSG_INBOX), "good,good,good,good,good,good,");
	msg_fake_deinit(&fake);
}

Test(msg_hostile, numbers_that_do_not_ascend_are_refused)
{
	struct result_msg_deliver result;
	struct msg_part parts[2];
	struct msg_fake fake;

	msg_fake_init(&fake, NULL);
	parts[0] = part_of(2, "a", "x");
	parts[1] = part_of(2, "b", "y");
	cr_assert_eq(deliver(&fake, 1, parts, 2, &result), -EBADMSG);
	cr_assert_str_eq(msg_fake_bodies(&fake.desk, MSG_INBOX), "");
	msg_fake_deinit(&fake);
}

Test(msg_hostile, what_came_before_is_not_stored_again_but_that_of_another_epoch_is)
{
	struct result_msg_deliver result;
	struct msg_part parts[2];
	struct msg_fake fake;

	msg_fake_init(&fake, NULL);
	parts[0] = part_of(5, "a", "x");
	cr_assert_eq(deliver(&fake, 1, parts, 1, &result), 0);
	cr_assert_eq(deliver(&fake, 1, parts, 1, &result), 0);
	parts[1] = part_of(6, "b", "y");
	cr_assert_eq(deliver(&fake, 1, parts, 2, &result), 0);
	cr_assert_eq(result.stored, 6);
	cr_assert_str_eq(msg_fake_bodies(&fake.desk, MSG_INBOX), "x,y,");
	parts[0] = part_of(1, "c", "z");
	cr_assert_eq(deliver(&fake, 2, parts, 1, &result), 0);
	cr_assert_eq(result.stored, 1);
	cr_assert_str_eq(msg_fake_bodies(&fake.desk, MSG_INBOX), "x,y,z,");
	msg_fake_deinit(&fake);
}

Test(msg_hostile, an_id_of_ours_cannot_be_taken)
{
	struct result_msg_deliver result;
	struct msg_part part;
	struct msg_fake fake;
	const char *id;

	msg_fake_init(&fake, NULL);
	id = msg_fake_send(&fake.desk, "ours");
	part = part_of(1, id, "theirs");
	cr_assert_eq(deliver(&fake, 1, &part, 1, &result), -EEXIST);
	cr_assert_str_eq(msg_fake_bodies(&fake.desk, MSG_INBOX), "");
	msg_fake_deinit(&fake);
}

Test(msg_hostile, parts_with_a_gap_or_another_size_are_not_put_together)
{
	struct msg_part first = part_of(1, ID, "aaaa"), second = part_of(1, ID, "bbbb");
	struct result_msg_deliver result;
	struct msg_fake fake;

	msg_fake_init(&fake, NULL);
	first.size = 8;
	second.size = 8;
	second.offset = 4;
	cr_assert_eq(deliver(&fake, 1, &second, 1, &result), 0);
	cr_assert_eq(result.seq, 0, "it has no beginning");
	cr_assert_eq(deliver(&fake, 1, &first, 1, &result), 0);
	cr_assert_eq(result.seq, 1);
	cr_assert_eq(result.taken, 4);
	cr_assert_eq(deliver(&fake, 2, &second, 1, &result), 0);
	cr_assert_eq(result.seq, 0, "of another epoch");
	second.size = 9;
	cr_assert_eq(deliver(&fake, 1, &second, 1, &result), 0);
	cr_assert_eq(result.taken, 4);
	second.size = 8;
	cr_assert_eq(deliver(&fake, 1, &second, 1, &result), 0);
	cr_assert_eq(result.stored, 1);
	cr_assert_str_eq(msg_fake_bodies(&fake.desk, MSG_INBOX), "aaaabbbb,");
	second.offset = 6;
	second.seq = 2;
	cr_assert_eq(deliver(&fake, 1, &second, 1, &result), -EINVAL, "behind the end");
	msg_fake_deinit(&fake);
}

Test(msg_hostile, nobody_acknowledges_what_was_sent_to_others_or_not_at_all)
{
	struct msg_receipt receipt = {.id = bytes_of_text("nothing"),
				      .read = {.tv_sec = INT64_MAX, .tv_nsec = 5}};
	struct args_msg_read args = {0};
	struct buffer elements = {0};
	struct msg_fake fake;
	const char *id;

	msg_fake_init(&fake, NULL);
	id = msg_fake_send(&fake.lap, "x");
	msg_fake_until(&fake, strcmp(msg_fake_state(&fake.lap, id), "delivered") == 0);
	cr_assert_eq(codec_list_append(&args.receipts, &elements, &msg_receipt_record, &receipt),
		     0);
	receipt.id = bytes_of_text(id);
	cr_assert_eq(codec_list_append(&args.receipts, &elements, &msg_receipt_record, &receipt),
		     0);
	codec_list_finish(&args.receipts, &elements);
	/* To desk, which has not sent it. */
	cr_assert_eq(msg_fake_wait(msg_fake_start_peer(&fake.desk, OP_MSG_READ, &args)), 0);
	cr_assert_str_eq(msg_fake_state(&fake.lap, id), "delivered");
	/* To lap, twice, at a time that is none. */
	for (int i = 0; i < 2; i++)
		cr_assert_eq(msg_fake_wait(msg_fake_start_peer(&fake.lap, OP_MSG_READ, &args)), 0);
	cr_assert_str_eq(msg_fake_state(&fake.lap, id), "read");
	buffer_deinit(&elements);
	msg_fake_deinit(&fake);
}

Test(msg_hostile, bad_bodies_are_not_sent)
{
	struct args_msg_send args = {.peer = bytes_of_text("desk")};
	struct msg_fake fake;

	msg_fake_init(&fake, NULL);
	cr_assert_eq(msg_fake_ask(&fake.lap, OP_MSG_SEND, &args, NULL), -EINVAL);
	args.body = bytes_of_text("\xc3");
	cr_assert_eq(msg_fake_ask(&fake.lap, OP_MSG_SEND, &args, NULL), -EILSEQ);
	args.body = (struct bytes){(const uint8_t *)"a\0b", 3};
	cr_assert_eq(msg_fake_ask(&fake.lap, OP_MSG_SEND, &args, NULL), -EILSEQ);
	args.body = bytes_of_text("x");
	args.reply_to = bytes_of_text("NO");
	cr_assert_eq(msg_fake_ask(&fake.lap, OP_MSG_SEND, &args, NULL), -EINVAL);
	args.reply_to = bytes_of_text("");
	args.peer = bytes_of_text("nobody");
	cr_assert_eq(msg_fake_ask(&fake.lap, OP_MSG_SEND, &args, NULL), -ENOENT);
	cr_assert_str_eq(msg_fake_bodies(&fake.lap, MSG_OUTBOX), "");
	msg_fake_deinit(&fake);
}
