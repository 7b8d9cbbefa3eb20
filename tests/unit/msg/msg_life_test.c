/* Messages between two machines: they arrive, once and in order, whatever the link does. */
#include "tests/unit/msg/msg_fake.h"

#include "proto/cursor.h"

TestSuite(msg_life, .init = scratch_init, .fini = scratch_fini);

static bool is_state(struct msg_fake_machine *machine, const char *id, const char *state)
{
	return strcmp(msg_fake_state(machine, id), state) == 0;
}

Test(msg_life, one_that_is_sent_is_delivered_and_then_read)
{
	struct msg_fake fake;
	const char *id;

	msg_fake_init(&fake, NULL);
	id = msg_fake_send(&fake.lap, "hello");
	msg_fake_until(&fake, is_state(&fake.lap, id, "delivered"));
	cr_assert_str_eq(msg_fake_bodies(&fake.desk, MSG_INBOX), "hello,");
	cr_assert_eq(msg_fake_ack(&fake.desk, id), 0);
	cr_assert_str_eq(msg_fake_bodies(&fake.desk, MSG_INBOX), "");
	msg_fake_until(&fake, is_state(&fake.lap, id, "read"));
	cr_assert_eq(msg_fake_ack(&fake.desk, id), -ENOENT, "it has left the inbox");
	cr_assert_eq(fake.lap.n_told, 1);
	cr_assert_eq(fake.desk.n_told, 2, "received and acknowledged");
	msg_fake_deinit(&fake);
}

Test(msg_life, ones_for_a_machine_that_is_away_wait_over_restarts)
{
	struct msg_fake fake;
	const char *id;

	msg_fake_init(&fake, NULL);
	msg_fake_cut(&fake);
	id = msg_fake_send(&fake.lap, "1");
	msg_fake_send(&fake.lap, "2");
	msg_fake_restart(&fake, &fake.lap);
	msg_fake_send(&fake.lap, "3");
	cr_assert_str_eq(msg_fake_state(&fake.lap, id), "queued");
	msg_fake_mend(&fake);
	msg_fake_until(&fake, strcmp(msg_fake_bodies(&fake.desk, MSG_INBOX), "1,2,3,") == 0);
	msg_fake_until(&fake, is_state(&fake.lap, id, "delivered"));
	msg_fake_restart(&fake, &fake.desk);
	cr_assert_str_eq(msg_fake_bodies(&fake.desk, MSG_INBOX), "1,2,3,");
	msg_fake_deinit(&fake);
}

Test(msg_life, an_acknowledgement_for_a_machine_that_is_away_waits_over_restarts)
{
	struct msg_fake fake;
	const char *id;

	msg_fake_init(&fake, NULL);
	id = msg_fake_send(&fake.lap, "1");
	msg_fake_until(&fake, is_state(&fake.lap, id, "delivered"));
	msg_fake_cut(&fake);
	cr_assert_eq(msg_fake_ack(&fake.desk, id), 0);
	msg_fake_restart(&fake, &fake.desk);
	msg_fake_restart(&fake, &fake.lap);
	cr_assert_str_eq(msg_fake_state(&fake.lap, id), "delivered");
	msg_fake_mend(&fake);
	msg_fake_until(&fake, is_state(&fake.lap, id, "read"));
	msg_fake_deinit(&fake);
}

Test(msg_life, lost_answers_make_no_message_come_twice_or_out_of_order)
{
	char expected[4096] = "", body[16];
	struct msg_fake fake;
	const char *id = "";

	msg_fake_init(&fake, NULL);
	for (int i = 0; i < 200; i++) {
		if (i % 7 == 0)
			fake.lose = 1;
		snprintf(body, sizeof(body), "%d", i);
		id = msg_fake_send(&fake.lap, body);
		strcat(strcat(expected, body), ",");
	}
	msg_fake_until(&fake, is_state(&fake.lap, id, "delivered"));
	cr_assert_str_eq(msg_fake_bodies(&fake.desk, MSG_INBOX), expected);
	msg_fake_deinit(&fake);
}

Test(msg_life, what_waits_goes_in_few_requests)
{
	struct msg_fake fake;
	const char *id = "";

	msg_fake_init(&fake, NULL);
	msg_fake_cut(&fake);
	for (int i = 0; i < 200; i++)
		id = msg_fake_send(&fake.lap, "x");
	fake.n_delivers = 0;
	msg_fake_mend(&fake);
	msg_fake_until(&fake, is_state(&fake.lap, id, "delivered"));
	cr_assert_leq(fake.n_delivers, 4);
	msg_fake_deinit(&fake);
}

/* --- large ones ------------------------------------------------------------------------------- */

static char *make_large(size_t size)
{
	char *body = malloc(size);

	for (size_t i = 0; i < size; i++)
		body[i] = (char)('a' + i * 7 % 26);
	return body;
}

/* As loopsyctl does: parts of a draft, then MSG_SEND. */
static int send_large(struct msg_fake_machine *machine, const char *body, size_t size,
		      char ret_id[OPS_MSG_ID_MAX + 1])
{
	struct args_msg_draft draft = {.draft = 77, .peer = bytes_of_text(machine->other->name)};
	struct args_msg_send args = {.draft = 77, .peer = bytes_of_text(machine->other->name)};
	const struct result_msg_send *result;
	struct msg_sent sent;
	struct list list;
	int r = 0;

	for (size_t at = 0; r == 0 && at < size; at += draft.body.size) {
		draft.offset = at;
		draft.body = (struct bytes){(const uint8_t *)body + at,
					    size - at < OPS_IO_MAX ? size - at : OPS_IO_MAX};
		r = msg_fake_ask(machine, OP_MSG_DRAFT, &draft, NULL);
	}
	if (r == 0)
		r = msg_fake_ask(machine, OP_MSG_SEND, &args, (const void **)&result);
	if (r < 0)
		return r;
	list = result->sent;
	cr_assert_eq(codec_list_next(&list, &msg_sent_record, &sent, NULL), 0);
	snprintf(ret_id, OPS_MSG_ID_MAX + 1, "%.*s", (int)sent.id.size, sent.id.data);
	return 0;
}

static void check_body(struct msg_fake_machine *machine, const char *id, const char *body,
		       size_t size)
{
	struct args_msg_show args = {.box = MSG_INBOX, .id = bytes_of_text(id)};
	const struct result_msg_show *result;

	do {
		cr_assert_eq(msg_fake_ask(machine, OP_MSG_SHOW, &args, (const void **)&result), 0);
		cr_assert_eq(result->info.size, size);
		cr_assert_gt(result->body.size, 0);
		cr_assert_arr_eq(result->body.data, body + args.offset, result->body.size);
		args.offset += result->body.size;
	} while (args.offset < size);
}

Test(msg_life, one_of_a_mebibyte_arrives_whole_over_lost_answers)
{
	char *body = make_large(OPS_MSG_BODY_MAX + 1), id[OPS_MSG_ID_MAX + 1];
	struct msg_fake fake;

	msg_fake_init(&fake, NULL);
	cr_assert_eq(send_large(&fake.lap, body, OPS_MSG_BODY_MAX, id), 0);
	fake.lose = 3;
	msg_fake_until(&fake, is_state(&fake.lap, id, "delivered"));
	check_body(&fake.desk, id, body, OPS_MSG_BODY_MAX);
	cr_assert_eq(send_large(&fake.lap, body, OPS_MSG_BODY_MAX + 1, id), -EFBIG);
	msg_fake_deinit(&fake);
	free(body);
}

Test(msg_life, large_and_small_ones_keep_their_order)
{
	char *body = make_large(300000), id[OPS_MSG_ID_MAX + 1];
	struct args_msg_list args = {.box = MSG_INBOX, .limit = OPS_MSG_PAGE_MAX};
	const uint64_t sizes[] = {1, 300000, 1, 300000, 1};
	const struct result_msg_list *result;
	struct msg_fake fake;
	struct list list;

	msg_fake_init(&fake, NULL);
	msg_fake_cut(&fake);
	for (size_t i = 0; i < 5; i++)
		cr_assert_eq(send_large(&fake.lap, body, sizes[i], id), 0);
	msg_fake_mend(&fake);
	msg_fake_until(&fake, is_state(&fake.lap, id, "delivered"));
	cr_assert_eq(msg_fake_ask(&fake.desk, OP_MSG_LIST, &args, (const void **)&result), 0);
	cr_assert_eq(result->messages.n, 5);
	list = result->messages;
	for (size_t i = 0; i < 5; i++) {
		struct msg_info info;

		cr_assert_eq(codec_list_next(&list, &msg_info_record, &info, NULL), 0);
		cr_assert_eq(info.size, sizes[i]);
	}
	msg_fake_deinit(&fake);
	free(body);
}

/* As somebody who closes `send`, which nobody waits for, and then lists the outbox. */
Test(msg_life, a_fresh_list_has_what_was_sent_just_before)
{
	struct args_msg_send send = {.peer = bytes_of_text("desk"), .body = bytes_of_text("x")};
	struct args_msg_list list = {.box = MSG_OUTBOX, .fresh = true};
	const struct result_msg_list *result;
	struct msg_fake fake;

	msg_fake_init(&fake, NULL);
	for (unsigned i = 1; i <= 50; i++) {
		struct msg_fake_call *sent = msg_fake_start(&fake.lap, OP_MSG_SEND, &send);

		cr_assert_eq(msg_fake_ask(&fake.lap, OP_MSG_LIST, &list, (const void **)&result),
			     0);
		cr_assert_eq(result->messages.n, i);
		cr_assert_eq(msg_fake_wait(sent), 0);
	}
	msg_fake_deinit(&fake);
}

/* --- drafts ----------------------------------------------------------------------------------- */

static int draft(struct msg_fake_machine *machine, uint64_t number, const char *body)
{
	struct args_msg_draft args = {.draft = number,
				      .peer = bytes_of_text(machine->other->name),
				      .store = true,
				      .body = bytes_of_text(body)};

	return msg_fake_ask(machine, OP_MSG_DRAFT, &args, NULL);
}

Test(msg_life, a_stored_draft_is_sent_once)
{
	struct args_msg_send args = {.draft = 5, .peer = bytes_of_text("desk")};
	struct msg_fake fake;

	msg_fake_init(&fake, NULL);
	cr_assert_eq(draft(&fake.lap, 5, "from a file"), 0);
	cr_assert_eq(msg_fake_ask(&fake.lap, OP_MSG_SEND, &args, NULL), 0);
	cr_assert_eq(msg_fake_ask(&fake.lap, OP_MSG_SEND, &args, NULL), -ENOKEY);
	msg_fake_restart(&fake, &fake.lap);
	msg_fake_send(&fake.lap, "last");
	msg_fake_until(&fake,
		       strcmp(msg_fake_bodies(&fake.desk, MSG_INBOX), "from a file,last,") == 0);
	msg_fake_deinit(&fake);
}

Test(msg_life, a_stored_draft_is_sent_after_a_restart_of_the_daemon)
{
	struct msg_fake fake;

	msg_fake_init(&fake, NULL);
	cr_assert_eq(draft(&fake.lap, 9, "a"), 0);
	cr_assert_eq(draft(&fake.lap, 8, "b"), 0);
	msg_fake_restart(&fake, &fake.lap);
	msg_fake_until(&fake, strcmp(msg_fake_bodies(&fake.desk, MSG_INBOX), "a,b,") == 0);
	msg_fake_restart(&fake, &fake.lap);
	msg_fake_send(&fake.lap, "c");
	msg_fake_until(&fake, strcmp(msg_fake_bodies(&fake.desk, MSG_INBOX), "a,b,c,") == 0);
	msg_fake_deinit(&fake);
}

Test(msg_life, a_draft_that_is_given_up_is_not_sent_by_a_later_daemon_either)
{
	struct args_msg_discard args = {.draft = 9};
	struct args_msg_send send = {.draft = 9, .peer = bytes_of_text("desk")};
	struct msg_fake fake;

	msg_fake_init(&fake, NULL);
	cr_assert_eq(draft(&fake.lap, 8, "a"), 0);
	cr_assert_eq(draft(&fake.lap, 9, "b"), 0);
	cr_assert_eq(msg_fake_ask(&fake.lap, OP_MSG_DISCARD, &args, NULL), 0);
	cr_assert_eq(msg_fake_ask(&fake.lap, OP_MSG_DISCARD, &args, NULL), 0, "it is no more");
	cr_assert_eq(msg_fake_ask(&fake.lap, OP_MSG_SEND, &send, NULL), -ENOKEY);
	msg_fake_restart(&fake, &fake.lap);
	msg_fake_send(&fake.lap, "c");
	msg_fake_until(&fake, strcmp(msg_fake_bodies(&fake.desk, MSG_INBOX), "a,c,") == 0);
	msg_fake_deinit(&fake);
}

Test(msg_life, whether_a_peer_takes_messages_is_told_before_there_is_one)
{
	struct args_msg_draft args = {.peer = bytes_of_text("desk")};
	struct args_msg_send send = {.draft = 5, .peer = bytes_of_text("desk")};
	struct msg_fake fake;

	msg_fake_init(&fake, NULL);
	cr_assert_eq(msg_fake_ask(&fake.lap, OP_MSG_DRAFT, &args, NULL), 0);
	cr_assert_eq(draft(&fake.lap, 5, "accepted"), 0);
	fake.desk.refuses = true;
	cr_assert_eq(msg_fake_ask(&fake.lap, OP_MSG_DRAFT, &args, NULL), -EACCES);
	cr_assert_eq(draft(&fake.lap, 6, "refused"), -EACCES);
	cr_assert_eq(msg_fake_ask(&fake.lap, OP_MSG_SEND, &send, NULL), 0,
		     "its writer was told so");
	args.body = bytes_of_text("x");
	cr_assert_eq(msg_fake_ask(&fake.lap, OP_MSG_DRAFT, &args, NULL), -EINVAL,
		     "it has no number");
	args.body = (struct bytes){0};
	args.peer = bytes_of_text("nobody");
	cr_assert_eq(msg_fake_ask(&fake.lap, OP_MSG_DRAFT, &args, NULL), -ENOENT);
	msg_fake_deinit(&fake);
}

/* --- limits, expiry, unpairing ---------------------------------------------------------------- */

Test(msg_life, one_whose_time_is_over_expires_and_is_not_delivered)
{
	struct args_msg_send args = {
	    .peer = bytes_of_text("desk"), .ttl_ms = 1, .body = bytes_of_text("late")};
	struct msg_fake fake;
	const char *id;

	msg_fake_init(&fake, NULL);
	msg_fake_cut(&fake);
	cr_assert_eq(msg_fake_ask(&fake.lap, OP_MSG_SEND, &args, NULL), 0);
	id = msg_fake_send(&fake.lap, "patient");
	msg_fake_until(&fake, strcmp(msg_fake_bodies(&fake.lap, MSG_OUTBOX), "late,patient,") == 0);
	msg_fake_restart(&fake, &fake.lap);
	msg_fake_mend(&fake);
	msg_fake_until(&fake, is_state(&fake.lap, id, "delivered"));
	cr_assert_str_eq(msg_fake_bodies(&fake.desk, MSG_INBOX), "patient,");
	msg_fake_deinit(&fake);
}

Test(msg_life, one_that_arrived_is_delivered_though_its_time_was_over_before_the_answer)
{
	struct args_msg_send args = {
	    .peer = bytes_of_text("desk"), .ttl_ms = 100, .body = bytes_of_text("x")};
	const struct result_msg_send *result;
	struct msg_sent sent;
	struct msg_fake fake;
	char id[OPS_MSG_ID_MAX + 1];
	struct list list;

	msg_fake_init(&fake, NULL);
	cr_assert_eq(msg_fake_ask(&fake.lap, OP_MSG_SEND, &args, (const void **)&result), 0);
	list = result->sent;
	cr_assert_eq(codec_list_next(&list, &msg_sent_record, &sent, NULL), 0);
	snprintf(id, sizeof(id), "%.*s", (int)sent.id.size, sent.id.data);
	/* It arrives, and the link goes before that is known: whichever comes first. */
	msg_fake_until(&fake, strcmp(msg_fake_bodies(&fake.desk, MSG_INBOX), "x,") == 0 ||
				  is_state(&fake.lap, id, "expired"));
	msg_fake_cut(&fake);
	msg_fake_until(&fake, !is_state(&fake.lap, id, "queued"));
	msg_fake_mend(&fake);
	if (strcmp(msg_fake_bodies(&fake.desk, MSG_INBOX), "x,") == 0)
		msg_fake_until(&fake, is_state(&fake.lap, id, "delivered"));
	else
		cr_assert(is_state(&fake.lap, id, "expired"));
	msg_fake_deinit(&fake);
}

Test(msg_life, a_full_outbox_is_told_and_read_ones_make_room)
{
	struct args_msg_send args = {.peer = bytes_of_text("desk"), .body = bytes_of_text("3")};
	struct msg_options options = {.max_messages = 2};
	struct msg_fake fake;
	const char *id;

	msg_fake_init(&fake, &options);
	id = msg_fake_send(&fake.lap, "1");
	msg_fake_send(&fake.lap, "2");
	cr_assert_eq(msg_fake_ask(&fake.lap, OP_MSG_SEND, &args, NULL), -ENOSPC);
	cr_assert_eq(draft(&fake.lap, 1, "3"), -ENOSPC);
	msg_fake_until(&fake, is_state(&fake.lap, id, "delivered"));
	cr_assert_eq(msg_fake_ack(&fake.desk, id), 0);
	msg_fake_until(&fake, is_state(&fake.lap, id, "read"));
	msg_fake_send(&fake.lap, "3");
	cr_assert_str_eq(msg_fake_bodies(&fake.lap, MSG_OUTBOX), "2,3,");
	msg_fake_until(&fake, strcmp(msg_fake_bodies(&fake.desk, MSG_INBOX), "2,3,") == 0);
	msg_fake_deinit(&fake);
}

Test(msg_life, a_full_inbox_holds_the_rest_back_until_there_is_room)
{
	struct msg_options options = {.max_bytes = 4};
	const char *first, *last = "";
	struct msg_fake fake;

	msg_fake_init(&fake, &options);
	fake.lap.options.max_bytes = 1000; /* only the receiver is that small */
	msg_fake_restart(&fake, &fake.lap);
	first = msg_fake_send(&fake.lap, "123");
	for (int i = 0; i < 3; i++)
		last = msg_fake_send(&fake.lap, "4");
	msg_fake_until(&fake, strcmp(msg_fake_bodies(&fake.desk, MSG_INBOX), "123,4,") == 0);
	cr_assert_str_eq(msg_fake_state(&fake.lap, last), "queued");
	cr_assert_eq(msg_fake_ack(&fake.desk, first), 0);
	msg_fake_until(&fake, is_state(&fake.lap, last, "delivered"));
	cr_assert_str_eq(msg_fake_bodies(&fake.desk, MSG_INBOX), "4,4,4,");
	msg_fake_deinit(&fake);
}

Test(msg_life, a_peer_that_refuses_is_told_and_gets_them_when_it_does_not_any_more)
{
	struct args_msg_send args = {.peer = bytes_of_text("desk"), .body = bytes_of_text("2")};
	struct msg_fake fake;
	const char *id;

	msg_fake_init(&fake, NULL);
	msg_fake_cut(&fake);
	id = msg_fake_send(&fake.lap, "1");
	fake.desk.refuses = true;
	msg_fake_mend(&fake);
	cr_assert_eq(msg_fake_ask(&fake.lap, OP_MSG_SEND, &args, NULL), -EACCES);
	cr_assert_str_eq(msg_fake_state(&fake.lap, id), "queued");
	fake.desk.refuses = false;
	msg_peer_changed(fake.lap.msg, fake.desk.id);
	msg_fake_until(&fake, is_state(&fake.lap, id, "delivered"));
	msg_fake_deinit(&fake);
}

Test(msg_life, unpairing_removes_what_belongs_to_the_peer_and_a_new_pairing_begins_anew)
{
	struct msg_fake fake;
	const char *id;

	msg_fake_init(&fake, NULL);
	msg_fake_send(&fake.desk, "to lap");
	id = msg_fake_send(&fake.lap, "to desk");
	msg_fake_until(&fake, is_state(&fake.lap, id, "delivered"));
	msg_fake_until(&fake, strcmp(msg_fake_bodies(&fake.lap, MSG_INBOX), "to lap,") == 0);
	msg_fake_unpair(&fake.lap);
	cr_assert_str_eq(msg_fake_bodies(&fake.lap, MSG_INBOX), "");
	cr_assert_str_eq(msg_fake_bodies(&fake.lap, MSG_OUTBOX), "");
	cr_assert_str_eq(msg_fake_state(&fake.lap, id), "none");
	msg_fake_pair(&fake.lap);
	id = msg_fake_send(&fake.lap, "again");
	msg_fake_until(&fake, is_state(&fake.lap, id, "delivered"));
	cr_assert_str_eq(msg_fake_bodies(&fake.desk, MSG_INBOX), "to desk,again,");
	id = msg_fake_send(&fake.desk, "and back");
	msg_fake_until(&fake, is_state(&fake.desk, id, "delivered"));
	cr_assert_str_eq(msg_fake_bodies(&fake.lap, MSG_INBOX), "and back,");
	msg_fake_deinit(&fake);
}

Test(msg_life, one_without_a_peer_goes_to_all)
{
	struct args_msg_send args = {.type = MSG_BROADCAST, .body = bytes_of_text("all")};
	struct msg_fake fake;

	msg_fake_init(&fake, NULL);
	cr_assert_eq(msg_fake_ask(&fake.lap, OP_MSG_SEND, &args, NULL), 0);
	msg_fake_until(&fake, strcmp(msg_fake_bodies(&fake.desk, MSG_INBOX), "all,") == 0);
	msg_fake_unpair(&fake.lap);
	cr_assert_eq(msg_fake_ask(&fake.lap, OP_MSG_SEND, &args, NULL), -ENOENT);
	msg_fake_deinit(&fake);
}

/* --- events ----------------------------------------------------------------------------------- */

static bool has_event(const struct msg_fake_call *call, enum msg_event_kind kind, const char *id)
{
	struct bytes rest = {call->stream.data, call->stream.size};
	struct msg_event event;

	while (rest.size > 0) {
		cr_assert_eq(codec_decode(&msg_event_record, &rest, &event, NULL), 0);
		if (event.kind == kind && event.id.size == strlen(id) &&
		    memcmp(event.id.data, id, event.id.size) == 0)
			return true;
	}
	return false;
}

Test(msg_life, watchers_are_told)
{
	struct msg_fake_call *here, *there, *nowhere;
	struct args_msg_events args = {0};
	struct msg_fake fake;
	const char *id;

	msg_fake_init(&fake, NULL);
	here = msg_fake_start(&fake.lap, OP_MSG_EVENTS, &args);
	args.peer = bytes_of_text("lap");
	there = msg_fake_start(&fake.desk, OP_MSG_EVENTS, &args);
	args.peer = bytes_of_text("nobody");
	nowhere = msg_fake_start(&fake.desk, OP_MSG_EVENTS, &args);
	cr_assert_eq(nowhere->error, -ENOENT);
	id = msg_fake_send(&fake.lap, "x");
	msg_fake_until(&fake, has_event(here, MSG_EVENT_DELIVERED, id));
	cr_assert(has_event(here, MSG_EVENT_QUEUED, id));
	cr_assert(has_event(there, MSG_EVENT_RECEIVED, id));
	cr_assert_eq(msg_fake_ack(&fake.desk, id), 0);
	cr_assert(has_event(there, MSG_EVENT_ACKNOWLEDGED, id));
	msg_fake_until(&fake, has_event(here, MSG_EVENT_READ, id));
	msg_fake_deinit(&fake);
}
