#include "daemon/control/control_connection.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "proto/errors.h"
#include "proto/frame.h"

/* A caller whose frames are kept, and a daemon that answers when the test says so. */
struct fake {
	struct control_connection connection;
	struct buffer sent;
	struct control_call *parked;
	char name[300];
	unsigned n_cancelled;
	bool answer_in_cancel;
	bool streaming;
	unsigned credit_channel;
	size_t credit;
};

static void fake_send(void *arg, struct buffer *frame)
{
	struct fake *fake = arg;

	cr_assert_eq(buffer_append(&fake->sent, frame->data, frame->size), 0);
	buffer_deinit(frame);
}

static void fake_stop(void *arg, struct control_call *call, const struct args_ctl_stop *args)
{
	control_reply(call, &(struct result_ctl_stop){0});
}

static void fake_show(void *arg, struct control_call *call, const struct args_ctl_peer_show *args)
{
	struct fake *fake = arg;

	memcpy(fake->name, args->name.data, args->name.size);
	control_fail(call, -ENOENT, "no peer is called '%s'", fake->name);
}

static void fake_cancelled(void *arg)
{
	struct fake *fake = arg;

	fake->n_cancelled++;
	if (fake->streaming)
		control_stream_end(fake->parked, -EINTR);
	else if (fake->answer_in_cancel)
		control_fail(fake->parked, -ECANCELED, "cancelled");
}

static void fake_pair(void *arg, struct control_call *call, const struct args_ctl_pair *args)
{
	struct fake *fake = arg;

	fake->parked = call;
	control_on_cancel(call, fake_cancelled, fake);
}

static void fake_key(void *arg, struct control_call *call, const struct args_ctl_key *args)
{
	cr_assert_eq(control_key(call), 0);
	control_set_key(call, 4711, true);
	control_reply(call, &(struct result_ctl_key){0});
}

static void fake_credit(void *arg, unsigned channel, size_t bytes)
{
	struct fake *fake = arg;

	fake->credit_channel = channel;
	fake->credit += bytes;
}

static void fake_call(void *arg, struct control_call *call, const struct args_ctl_call *args)
{
	struct result_ctl_call result = {.result = bytes_of_text("result")};
	struct fake *fake = arg;

	fake->parked = call;
	control_on_cancel(call, fake_cancelled, fake);
	fake->streaming = true;
	cr_assert_eq(control_stream_begin(call, &result, fake_credit, fake), 0);
}

static const struct control_actions actions = {
    .ctl_call = fake_call,
    .ctl_stop = fake_stop,
    .ctl_peer_show = fake_show,
    .ctl_pair = fake_pair,
    .ctl_key = fake_key,
};

static void fake_init(struct fake *fake)
{
	*fake = (struct fake){.connection = {.number = 7,
					     .actions = &actions,
					     .actions_arg = fake,
					     .send = fake_send,
					     .arg = fake}};
}

static void fake_deinit(struct fake *fake)
{
	control_connection_end(&fake->connection);
	buffer_deinit(&fake->sent);
}

static int feed(struct fake *fake, const struct frame *frame, const struct record *record,
		const void *value)
{
	struct buffer buffer = {0};
	const char *error;
	int r;

	cr_assert_eq(frame_encode(frame, record, value, &buffer, NULL), 0);
	r = control_connection_frame(
	    &fake->connection,
	    (struct bytes){buffer.data + FRAME_LENGTH_SIZE, buffer.size - FRAME_LENGTH_SIZE},
	    &error);
	buffer_deinit(&buffer);
	return r;
}

static int request(struct fake *fake, uint64_t id, uint16_t op, const struct record *record,
		   const void *value)
{
	return feed(fake, &(struct frame){.kind = FRAME_REQUEST, .id = id, .op = op}, record,
		    value);
}

static int pair(struct fake *fake, uint64_t id)
{
	return request(fake, id, OP_CTL_PAIR, &args_ctl_pair_record,
		       &(struct args_ctl_pair){.ttl_s = 120});
}

/* Takes the next frame out of what was sent; false when there is none. */
static bool next_sent(struct fake *fake, size_t *at, struct frame *ret_frame)
{
	struct bytes rest = {fake->sent.data + *at, fake->sent.size - *at};
	size_t length;

	if (frame_measure(rest, FRAME_MAX, &length) != 1)
		return false;
	cr_assert_eq(
	    frame_decode((struct bytes){rest.data + FRAME_LENGTH_SIZE, length - FRAME_LENGTH_SIZE},
			 ret_frame, NULL),
	    0);
	*at += length;
	return true;
}

Test(control_connection, answers_a_request)
{
	struct fake fake;
	struct frame frame;
	size_t at = 0;

	fake_init(&fake);
	cr_assert_eq(
	    request(&fake, 3, OP_CTL_STOP, &args_ctl_stop_record, &(struct args_ctl_stop){0}), 0);
	cr_assert(next_sent(&fake, &at, &frame));
	cr_assert_eq(frame.kind, FRAME_REPLY);
	cr_assert_eq(frame.id, 3);
	cr_assert_eq(frame.status, 0);
	cr_assert_eq(fake.connection.n_calls, 0);
	fake_deinit(&fake);
}

Test(control_connection, says_why_before_it_fails)
{
	struct fake fake;
	struct frame frame;
	struct args_ctl_reason reason;
	size_t at = 0;

	fake_init(&fake);
	cr_assert_eq(request(&fake, 9, OP_CTL_PEER_SHOW, &args_ctl_peer_show_record,
			     &(struct args_ctl_peer_show){.name = bytes_of_text("de\x1bsk")}),
		     0);
	cr_assert(next_sent(&fake, &at, &frame));
	cr_assert_eq(frame.kind, FRAME_EVENT);
	cr_assert_eq(frame.op, OP_CTL_REASON);
	cr_assert_eq(codec_decode(&args_ctl_reason_record, &frame.body, &reason, NULL), 0);
	cr_assert_eq(reason.id, 9);
	cr_assert_eq(reason.text.size, strlen("no peer is called 'de?sk'"));
	cr_assert_eq(memcmp(reason.text.data, "no peer is called 'de?sk'", reason.text.size), 0);
	cr_assert(next_sent(&fake, &at, &frame));
	cr_assert_eq(frame.kind, FRAME_REPLY);
	cr_assert_eq(error_to_errno(frame.status), -ENOENT);
	fake_deinit(&fake);
}

Test(control_connection, says_why_also_in_bytes_that_are_no_text)
{
	struct fake fake;
	struct frame frame;
	struct args_ctl_reason reason;
	size_t at = 0;

	fake_init(&fake);
	cr_assert_eq(pair(&fake, 1), 0);
	control_fail(fake.parked, -EIO, "bad \xff\xfe");
	cr_assert(next_sent(&fake, &at, &frame));
	cr_assert_eq(codec_decode(&args_ctl_reason_record, &frame.body, &reason, NULL), 0);
	cr_assert_eq(memcmp(reason.text.data, "bad ??", 6), 0);
	fake_deinit(&fake);
}

Test(control_connection, answers_what_the_daemon_lacks_with_ENOSYS)
{
	struct fake fake;
	struct frame frame;
	size_t at = 0;

	fake_init(&fake);
	cr_assert_eq(
	    request(&fake, 1, OP_CTL_STATUS, &args_ctl_status_record, &(struct args_ctl_status){0}),
	    0);
	cr_assert(next_sent(&fake, &at, &frame)); /* the reason */
	cr_assert(next_sent(&fake, &at, &frame));
	cr_assert_eq(error_to_errno(frame.status), -ENOSYS);
	cr_assert_eq(request(&fake, 2, 9999, NULL, NULL), 0);
	cr_assert(next_sent(&fake, &at, &frame));
	cr_assert_eq(error_to_errno(frame.status), -ENOSYS);
	/* An event's number is no request. */
	cr_assert_eq(request(&fake, 3, OP_CTL_PAIR_CODE, NULL, NULL), 0);
	cr_assert(next_sent(&fake, &at, &frame));
	cr_assert_eq(error_to_errno(frame.status), -ENOSYS);
	fake_deinit(&fake);
}

Test(control_connection, refuses_what_is_no_request)
{
	struct fake fake;
	const char *error = NULL;
	const uint8_t junk[] = {0xc1, 0xff, 0x00};

	fake_init(&fake);
	cr_assert_eq(feed(&fake, &(struct frame){.kind = FRAME_PING, .id = 1}, NULL, NULL),
		     -EBADMSG);
	cr_assert_eq(
	    control_connection_frame(&fake.connection, (struct bytes){junk, sizeof(junk)}, &error),
	    -EBADMSG);
	cr_assert_not_null(error);
	/* Args of another operation. */
	cr_assert_eq(request(&fake, 1, OP_CTL_PAIR, &args_ctl_pair_answer_record,
			     &(struct args_ctl_pair_answer){.accept = true}),
		     -EBADMSG);
	cr_assert_eq(fake.connection.n_calls, 0);
	fake_deinit(&fake);
}

Test(control_connection, refuses_an_id_in_use_and_too_many_calls)
{
	struct fake fake;
	struct control_call *calls[CONTROL_CALLS_MAX];
	struct frame frame;
	size_t at = 0;

	fake_init(&fake);
	for (unsigned i = 0; i < CONTROL_CALLS_MAX; i++) {
		cr_assert_eq(pair(&fake, i), 0);
		calls[i] = fake.parked;
	}
	cr_assert_eq(pair(&fake, 3), -EBADMSG);
	cr_assert_eq(pair(&fake, 1000), 0);
	cr_assert(next_sent(&fake, &at, &frame));
	cr_assert_eq(error_to_errno(frame.status), -EBUSY);
	for (unsigned i = 0; i < CONTROL_CALLS_MAX; i++)
		control_fail(calls[i], -EIO, "%s", "");
	cr_assert_eq(fake.connection.n_calls, 0);
	fake_deinit(&fake);
}

Test(control_connection, cancels_a_call_once_and_still_takes_its_answer)
{
	struct fake fake;
	struct frame frame;
	size_t at = 0;

	fake_init(&fake);
	cr_assert_eq(pair(&fake, 5), 0);
	cr_assert_eq(control_connection(fake.parked), 7);
	cr_assert_eq(feed(&fake, &(struct frame){.kind = FRAME_CANCEL, .id = 6}, NULL, NULL), 0);
	cr_assert_eq(fake.n_cancelled, 0);
	cr_assert_eq(feed(&fake, &(struct frame){.kind = FRAME_CANCEL, .id = 5}, NULL, NULL), 0);
	cr_assert_eq(feed(&fake, &(struct frame){.kind = FRAME_CANCEL, .id = 5}, NULL, NULL), 0);
	cr_assert_eq(fake.n_cancelled, 1);
	control_fail(fake.parked, -ECANCELED, "%s", "");
	cr_assert(next_sent(&fake, &at, &frame));
	cr_assert_eq(error_to_errno(frame.status), -ECANCELED);
	fake_deinit(&fake);
}

Test(control_connection, cancels_when_the_caller_goes_and_drops_the_answer)
{
	struct fake fake;

	fake_init(&fake);
	cr_assert_eq(pair(&fake, 1), 0);
	control_connection_end(&fake.connection);
	cr_assert_eq(fake.n_cancelled, 1);
	cr_assert_eq(control_connection(fake.parked), 0);
	control_event(fake.parked, OP_CTL_PAIR_CODE, &(struct args_ctl_pair_code){0});
	control_reply(fake.parked, &(struct result_ctl_pair){0});
	cr_assert_eq(fake.sent.size, 0);

	/* It may also be answered at once, within the cancel. */
	fake.answer_in_cancel = true;
	cr_assert_eq(pair(&fake, 1), 0);
	control_connection_end(&fake.connection);
	cr_assert_eq(fake.n_cancelled, 2);
	cr_assert_eq(fake.connection.n_calls, 0);
	cr_assert_eq(fake.sent.size, 0);
	fake_deinit(&fake);
}

/* --- streams ---------------------------------------------------------------------------------- */

static int stream(struct fake *fake, uint64_t id)
{
	return request(fake, id, OP_CTL_CALL, &args_ctl_call_record,
		       &(struct args_ctl_call){.peer = bytes_of_text("desk"), .op = 60});
}

static int give_credit(struct fake *fake, uint64_t id, unsigned channel, size_t bytes)
{
	return feed(fake,
		    &(struct frame){.kind = FRAME_CREDIT,
				    .id = frame_stream(id, channel, true),
				    .status = bytes},
		    NULL, NULL);
}

Test(control_connection, streams_after_the_reply_and_ends)
{
	struct fake fake;
	struct frame frame;
	size_t at = 0;

	fake_init(&fake);
	cr_assert_eq(stream(&fake, 5), 0);
	cr_assert_eq(control_stream_write(fake.parked, 1, bytes_of_text("hello")), 0);
	control_stream_end(fake.parked, -ENOTCONN);
	cr_assert(next_sent(&fake, &at, &frame));
	cr_assert_eq(frame.kind, FRAME_REPLY);
	cr_assert_eq(frame.id, 5);
	cr_assert(next_sent(&fake, &at, &frame));
	cr_assert_eq(frame.kind, FRAME_DATA);
	cr_assert_eq(frame.id, frame_stream(5, 1, false));
	cr_assert_eq(frame.body.size, 5);
	cr_assert_eq(memcmp(frame.body.data, "hello", 5), 0);
	cr_assert(next_sent(&fake, &at, &frame));
	cr_assert_eq(frame.kind, FRAME_END);
	cr_assert_eq(error_to_errno(frame.status), -ENOTCONN);
	cr_assert_eq(fake.connection.n_calls, 0);
	fake_deinit(&fake);
}

Test(control_connection, streams_no_more_than_the_window_until_there_is_credit)
{
	static uint8_t zeros[FRAME_STREAM_DATA_MAX];
	struct bytes data = {zeros, sizeof(zeros)};
	struct fake fake;

	fake_init(&fake);
	cr_assert_eq(stream(&fake, 5), 0);
	while (control_stream_room(fake.parked) >= data.size)
		cr_assert_eq(control_stream_write(fake.parked, 0, data), 0);
	cr_assert_eq(control_stream_write(fake.parked, 0, data), -EINVAL);
	cr_assert_eq(give_credit(&fake, 5, 2, 1000), 0);
	cr_assert_eq(fake.credit, 1000);
	cr_assert_eq(fake.credit_channel, 2);
	cr_assert_eq(control_stream_room(fake.parked), OPS_CTL_WINDOW % data.size + 1000);
	/* More than was sent, and for a stream that is not there. */
	cr_assert_eq(give_credit(&fake, 5, 0, OPS_CTL_WINDOW), -EBADMSG);
	cr_assert_eq(give_credit(&fake, 6, 0, 1), 0);
	fake_deinit(&fake);
	cr_assert_eq(fake.n_cancelled, 1, "the room is told that the caller has gone");
	cr_assert_eq(fake.credit, 1000);
}

Test(control_connection, cancels_a_stream)
{
	struct fake fake;
	struct frame frame;
	size_t at = 0;

	fake_init(&fake);
	cr_assert_eq(stream(&fake, 5), 0);
	cr_assert_eq(feed(&fake, &(struct frame){.kind = FRAME_CANCEL, .id = 5}, NULL, NULL), 0);
	cr_assert_eq(fake.n_cancelled, 1);
	cr_assert(next_sent(&fake, &at, &frame)); /* the reply */
	cr_assert(next_sent(&fake, &at, &frame));
	cr_assert_eq(frame.kind, FRAME_END);
	cr_assert_eq(error_to_errno(frame.status), -EINTR);
	cr_assert_eq(fake.connection.n_calls, 0);
	fake_deinit(&fake);
}

Test(control_connection, lets_a_limited_key_do_what_is_for_such_and_nothing_else)
{
	struct args_ctl_reason reason;
	struct fake fake;
	struct frame frame;
	size_t at = 0;

	fake_init(&fake);
	cr_assert_eq(request(&fake, 1, OP_CTL_KEY, &args_ctl_key_record,
			     &(struct args_ctl_key){.key = bytes_of_text("secret")}),
		     0);
	cr_assert(next_sent(&fake, &at, &frame));
	cr_assert_eq(frame.status, 0);
	cr_assert_eq(fake.connection.key, 4711);
	cr_assert_eq(
	    request(&fake, 2, OP_CTL_STOP, &args_ctl_stop_record, &(struct args_ctl_stop){0}), 0);
	cr_assert(next_sent(&fake, &at, &frame)); /* the reason */
	cr_assert(next_sent(&fake, &at, &frame));
	cr_assert_eq(error_to_errno(frame.status), -EACCES);
	cr_assert_eq(pair(&fake, 3), 0);
	cr_assert_null(fake.parked);
	cr_assert(next_sent(&fake, &at, &frame));
	cr_assert(next_sent(&fake, &at, &frame));
	cr_assert_eq(error_to_errno(frame.status), -EACCES);
	cr_assert_eq(request(&fake, 4, OP_CTL_PEER_SHOW, &args_ctl_peer_show_record,
			     &(struct args_ctl_peer_show){.name = bytes_of_text("desk")}),
		     0);
	cr_assert(next_sent(&fake, &at, &frame));
	cr_assert(next_sent(&fake, &at, &frame));
	cr_assert_eq(error_to_errno(frame.status), -ENOENT, "it was asked");
	control_connection_tell_end(&fake.connection, "the key was revoked");
	cr_assert(next_sent(&fake, &at, &frame));
	cr_assert_eq(frame.op, OP_CTL_REASON);
	cr_assert_eq(codec_decode(&args_ctl_reason_record, &frame.body, &reason, NULL), 0);
	cr_assert_eq(reason.id, OPS_CTL_ANY);
	fake_deinit(&fake);
}
