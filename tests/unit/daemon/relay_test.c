#include "daemon/relay.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/control/control_connection.h"
#include "proto/errors.h"

/* A caller whose frames are kept, the relay, and a peer that does what the test says. */
struct world {
	struct transport transport; /* the first: the peer's functions cast */
	struct control_connection connection;
	struct buffer sent;
	size_t at; /* what of it was looked at */
	bool is_down;
	/* The last call of the peer. */
	uint16_t op;
	uint64_t job;
	char data[64];
	const struct transport_handler *handler;
	void *arg;
	unsigned n_calls, n_cancelled, n_abandoned;
	size_t consumed;
	unsigned channel;
};

static int peer_call(struct transport *transport, uint16_t op, const void *args,
		     const struct caller *caller, const struct transport_handler *handler,
		     void *arg, void (*payload_done)(void *arg), struct transport_call **ret_call)
{
	struct world *world = (struct world *)transport;

	if (world->is_down)
		return -EHOSTDOWN;
	cr_assert_null(caller);
	world->op = op;
	world->job = *(const uint64_t *)args;
	if (op == OP_JOB_WRITE) {
		const struct args_job_write *write = args;

		memcpy(world->data, write->data.data, write->data.size);
	}
	world->handler = handler;
	world->arg = arg;
	world->n_calls++;
	*ret_call = (struct transport_call *)world;
	return 0;
}

static void peer_cancel(struct transport_call *call)
{
	((struct world *)call)->n_cancelled++;
}

static void peer_abandon(struct transport_call *call)
{
	((struct world *)call)->n_abandoned++;
}

static void peer_consumed(struct transport_call *call, unsigned channel, size_t bytes)
{
	struct world *world = (struct world *)call;

	world->channel = channel;
	world->consumed += bytes;
}

static const struct transport_ops peer_ops = {
    .call = peer_call,
    .cancel = peer_cancel,
    .abandon = peer_abandon,
    .consumed = peer_consumed,
};

static void on_call(void *arg, struct control_call *call, const struct args_ctl_call *args)
{
	struct world *world = arg;

	if (args->peer.size == 0)
		relay_call(&world->transport, "", "", call, args, NULL);
	else
		relay_call(&world->transport, "desk", "no route", call, args, NULL);
}

static const struct control_actions actions = {.ctl_call = on_call};

static void world_send(void *arg, struct buffer *frame)
{
	struct world *world = arg;

	cr_assert_eq(buffer_append(&world->sent, frame->data, frame->size), 0);
	buffer_deinit(frame);
}

static void world_init(struct world *world)
{
	*world = (struct world){.transport = {&peer_ops},
				.connection = {.number = 1,
					       .actions = &actions,
					       .actions_arg = world,
					       .send = world_send,
					       .arg = world}};
}

static void world_deinit(struct world *world)
{
	control_connection_end(&world->connection);
	buffer_deinit(&world->sent);
}

static void feed(struct world *world, const struct frame *frame, const struct record *record,
		 const void *value)
{
	struct buffer buffer = {0};
	const char *error = "";

	cr_assert_eq(frame_encode(frame, record, value, &buffer, NULL), 0);
	cr_assert_eq(control_connection_frame(&world->connection,
					      (struct bytes){buffer.data + FRAME_LENGTH_SIZE,
							     buffer.size - FRAME_LENGTH_SIZE},
					      &error),
		     0, "%s", error);
	buffer_deinit(&buffer);
}

/* CTL_CALL of that operation, as request 9. */
static void ask_peer(struct world *world, const char *peer, uint16_t op_number, const void *op_args)
{
	const struct op *op = op_find(&ops_peer, op_number);
	struct args_ctl_call args = {.peer = bytes_of_text(peer), .op = op_number};
	struct buffer buffer = {0};

	cr_assert_eq(codec_encode(op->args, op_args, &buffer, NULL), 0);
	args.args = (struct bytes){buffer.data, buffer.size};
	feed(world, &(struct frame){.kind = FRAME_REQUEST, .id = 9, .op = OP_CTL_CALL},
	     &args_ctl_call_record, &args);
	buffer_deinit(&buffer);
}

static void ask(struct world *world, uint16_t op_number, const void *op_args)
{
	ask_peer(world, "desk", op_number, op_args);
}

static struct frame next(struct world *world)
{
	struct bytes rest = {world->sent.data + world->at, world->sent.size - world->at};
	struct frame frame;
	size_t length;

	cr_assert_eq(frame_measure(rest, FRAME_MAX, &length), 1, "nothing more was sent");
	cr_assert_eq(
	    frame_decode((struct bytes){rest.data + FRAME_LENGTH_SIZE, length - FRAME_LENGTH_SIZE},
			 &frame, NULL),
	    0);
	world->at += length;
	return frame;
}

/* The next two frames say that it failed so. */
static void expect_failure(struct world *world, int error, const char *text)
{
	struct args_ctl_reason reason;
	struct frame frame = next(world);

	cr_assert_eq(frame.op, OP_CTL_REASON);
	cr_assert_eq(codec_decode(&args_ctl_reason_record, &frame.body, &reason, NULL), 0);
	cr_assert(memmem(reason.text.data, reason.text.size, text, strlen(text)), "%.*s",
		  (int)reason.text.size, (const char *)reason.text.data);
	frame = next(world);
	cr_assert_eq(frame.kind, FRAME_REPLY);
	cr_assert_eq(error_to_errno(frame.status), error);
	cr_assert_eq(world->connection.n_calls, 0);
}

static void start(struct world *world)
{
	ask(world, OP_JOB_START,
	    &(struct args_job_start){.job = 77, .flags = JOB_ATTACH | JOB_OWNER});
}

static void started(struct world *world)
{
	struct result_job_start result = {.info = {.job = 77, .name = bytes_of_text("true")}};

	world->handler->reply(world->arg,
			      &(struct transport_reply){.result = &result, .more = true});
}

Test(relay, passes_a_call_on_and_its_result_back)
{
	struct args_job_write write = {.job = 4, .data = bytes_of_text("input")};
	struct result_job_write result = {.end = 5}, seen;
	struct result_ctl_call reply;
	struct world world;
	struct frame frame;

	world_init(&world);
	ask(&world, OP_JOB_WRITE, &write);
	cr_assert_eq(world.op, OP_JOB_WRITE);
	cr_assert_eq(world.job, 4);
	cr_assert_str_eq(world.data, "input");
	world.handler->reply(world.arg, &(struct transport_reply){.result = &result});
	frame = next(&world);
	cr_assert_eq(frame.kind, FRAME_REPLY);
	cr_assert_eq(codec_decode(&result_ctl_call_record, &frame.body, &reply, NULL), 0);
	cr_assert_eq(codec_decode(&result_job_write_record, &reply.result, &seen, NULL), 0);
	cr_assert_eq(seen.end, 5);
	world_deinit(&world);
	cr_assert_eq(world.n_abandoned, 0);
}

Test(relay, passes_a_stream_on_and_credit_back)
{
	struct world world;
	struct frame frame;

	world_init(&world);
	start(&world);
	started(&world);
	world.handler->data(world.arg, 1, bytes_of_text("oh no"));
	cr_assert_eq(next(&world).kind, FRAME_REPLY);
	frame = next(&world);
	cr_assert_eq(frame.kind, FRAME_DATA);
	cr_assert_eq(frame.id, frame_stream(9, 1, false));
	cr_assert_eq(frame.body.size, 5);
	cr_assert_eq(world.consumed, 0, "the caller has not dealt with it yet");
	feed(&world,
	     &(struct frame){.kind = FRAME_CREDIT, .id = frame_stream(9, 1, true), .status = 5},
	     NULL, NULL);
	cr_assert_eq(world.consumed, 5);
	cr_assert_eq(world.channel, 1);
	world.handler->end(world.arg, 0, -ESHUTDOWN);
	frame = next(&world);
	cr_assert_eq(frame.kind, FRAME_END);
	cr_assert_eq(error_to_errno(frame.status), -ESHUTDOWN);
	cr_assert_eq(world.connection.n_calls, 0);
	world_deinit(&world);
}

Test(relay, tells_the_peer_when_the_caller_goes)
{
	struct world world;

	world_init(&world);
	start(&world);
	control_connection_end(&world.connection);
	cr_assert_eq(world.n_cancelled, 1, "before its reply it is cancelled");
	cr_assert_eq(world.n_abandoned, 1);

	start(&world);
	started(&world);
	control_connection_end(&world.connection);
	cr_assert_eq(world.n_abandoned, 2, "a stream is given up");
	world_deinit(&world);
}

Test(relay, tells_the_peer_when_the_caller_cancels)
{
	struct world world;
	struct frame frame;

	world_init(&world);
	start(&world);
	started(&world);
	feed(&world, &(struct frame){.kind = FRAME_CANCEL, .id = 9}, NULL, NULL);
	cr_assert_eq(world.n_abandoned, 1);
	cr_assert_eq(next(&world).kind, FRAME_REPLY);
	frame = next(&world);
	cr_assert_eq(frame.kind, FRAME_END);
	cr_assert_eq(error_to_errno(frame.status), -EINTR);
	world_deinit(&world);
}

Test(relay, says_in_words_why_a_call_failed)
{
	struct world world;

	world_init(&world);
	world.is_down = true;
	start(&world);
	expect_failure(&world, -EHOSTDOWN, "desk is offline: no route");
	world.is_down = false;
	start(&world);
	world.handler->reply(world.arg, &(struct transport_reply){.error = -EACCES});
	expect_failure(&world, -EACCES, "desk does not let this machine run programs");
	ask(&world, OP_JOB_WAIT, &(struct args_job_wait){.job = 3});
	world.handler->reply(world.arg, &(struct transport_reply){.error = -ENOENT});
	expect_failure(&world, -ENOENT, "no such job on desk");
	world_deinit(&world);
}

Test(relay, without_a_name_it_is_this_machine_that_is_asked)
{
	struct world world;

	world_init(&world);
	ask_peer(&world, "", OP_JOB_WAIT, &(struct args_job_wait){.job = 3});
	cr_assert_eq(world.n_calls, 1);
	world.handler->reply(world.arg, &(struct transport_reply){.error = -ENOENT});
	expect_failure(&world, -ENOENT, "no such job on this machine");
	ask_peer(&world, "", OP_UNLINK,
		 &(struct args_unlink){.parent = 1, .name = bytes_of_text("x")});
	expect_failure(&world, -EINVAL, "not one to ask");
	world_deinit(&world);
}

Test(relay, refuses_what_is_not_to_be_asked_from_here)
{
	struct args_ctl_call args = {.peer = bytes_of_text("desk"), .op = OP_JOB_WAIT};
	struct world world;

	world_init(&world);
	ask(&world, OP_UNLINK, &(struct args_unlink){.parent = 1, .name = bytes_of_text("x")});
	expect_failure(&world, -EINVAL, "not one to ask");
	args.args = bytes_of_text("\x01");
	feed(&world, &(struct frame){.kind = FRAME_REQUEST, .id = 9, .op = OP_CTL_CALL},
	     &args_ctl_call_record, &args);
	expect_failure(&world, -EINVAL, "arguments of job_wait");
	cr_assert_eq(world.n_calls, 0);
	world_deinit(&world);
}
