/* Calls to peers and jobs that are followed, against a socket pair whose other end is the test. */
#include "ctl/job_client.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loopsyd_end.h"
#include "proto/errors.h"

struct world {
	struct loopsyd_end end;
	struct buffer input; /* what came there */
	struct remote *remote;
	struct job_client *job;
	/* What was told. */
	char output[2][256];
	unsigned n_started, n_ended, n_closed, n_lost, n_back;
	int error;
	char why[256];
	struct job_info info;
	bool keeps; /* does not give back what it gets */
};

static void on_started(void *arg, const struct job_info *info)
{
	((struct world *)arg)->n_started++;
}

static void on_output(void *arg, unsigned channel, struct bytes data)
{
	struct world *world = arg;

	if (strlen(world->output[channel]) + data.size < sizeof(world->output[channel]))
		strncat(world->output[channel], (const char *)data.data, data.size);
	if (!world->keeps)
		job_client_consumed(world->job, channel, data.size);
}

static void on_ended(void *arg, const struct job_info *info)
{
	struct world *world = arg;

	world->n_ended++;
	world->info = *info;
}

static void on_closed(void *arg, int error, const char *why)
{
	struct world *world = arg;

	world->n_closed++;
	world->error = error;
	snprintf(world->why, sizeof(world->why), "%s", why);
}

static void on_link(void *arg, bool lost)
{
	struct world *world = arg;

	*(lost ? &world->n_lost : &world->n_back) += 1;
}

static const struct job_client_handler handler = {on_started, on_output, on_ended, on_closed,
						  on_link};

static void world_init(struct world *world)
{
	*world = (struct world){0};
	loopsyd_end_init(&world->end);
	world->remote = world->end.remote;
	cr_assert_eq(job_client_new(world->remote, "desk", &handler, world, &world->job), 0);
}

static void world_deinit(struct world *world)
{
	job_client_free(world->job);
	loopsyd_end_deinit(&world->end);
	buffer_deinit(&world->input);
}

/* The next frame that the client sent. Its bytes are valid until the next one is taken. */
static struct frame next(struct world *world)
{
	struct frame frame;
	size_t length;

	world->input.size = 0;
	for (;;) {
		struct bytes input = {world->input.data, world->input.size};
		size_t want = FRAME_LENGTH_SIZE;

		if (frame_measure(input, FRAME_MAX, &length) == 1)
			break;
		want = length - world->input.size;
		cr_assert_eq(buffer_reserve(&world->input, want), 0);
		cr_assert_eq(
		    recv(world->end.fd, world->input.data + world->input.size, want, MSG_WAITALL),
		    (ssize_t)want);
		world->input.size += want;
	}
	cr_assert_eq(frame_decode((struct bytes){world->input.data + FRAME_LENGTH_SIZE,
						 length - FRAME_LENGTH_SIZE},
				  &frame, NULL),
		     0);
	return frame;
}

/* A call of that operation; its args. Returns its id. */
static uint64_t next_call(struct world *world, uint16_t op, void *ret_args)
{
	struct frame frame = next(world);
	struct args_ctl_call args;

	cr_assert_eq(frame.kind, FRAME_REQUEST);
	cr_assert_eq(codec_decode(&args_ctl_call_record, &frame.body, &args, NULL), 0);
	cr_assert_eq(args.op, op);
	cr_assert_eq(memcmp(args.peer.data, "desk", args.peer.size), 0);
	cr_assert_eq(codec_decode(op_find(&ops_peer, op)->args, &args.args, ret_args, NULL), 0);
	return frame.id;
}

static void send_frame(struct world *world, const struct frame *frame, const struct record *record,
		       const void *value)
{
	loopsyd_end_send(&world->end, frame, record, value);
	cr_assert_eq(remote_turn(world->remote), 0);
}

static void answer(struct world *world, uint64_t id, uint16_t op, const void *result)
{
	struct buffer buffer = {0};
	struct result_ctl_call outer;

	cr_assert_eq(codec_encode(op_find(&ops_peer, op)->result, result, &buffer, NULL), 0);
	outer.result = (struct bytes){buffer.data, buffer.size};
	send_frame(world, &(struct frame){.kind = FRAME_REPLY, .id = id}, &result_ctl_call_record,
		   &outer);
	buffer_deinit(&buffer);
}

static void refuse(struct world *world, uint64_t id, int error, const char *text)
{
	loopsyd_end_send_reason(&world->end, id, text);
	cr_assert_eq(remote_turn(world->remote), 0);
	loopsyd_end_send_status(&world->end, id, error);
	cr_assert_eq(remote_turn(world->remote), 0);
}

static void write_output(struct world *world, uint64_t id, unsigned channel, const char *text)
{
	send_frame(world,
		   &(struct frame){.kind = FRAME_DATA,
				   .id = frame_stream(id, channel, false),
				   .body = {(const uint8_t *)text, strlen(text)}},
		   NULL, NULL);
}

static void write_notice(struct world *world, uint64_t id, const struct job_info *info)
{
	struct buffer buffer = {0};

	cr_assert_eq(codec_encode(&job_info_record, info, &buffer, NULL), 0);
	send_frame(world,
		   &(struct frame){.kind = FRAME_DATA,
				   .id = frame_stream(id, JOB_NOTICES, false),
				   .body = {buffer.data, buffer.size}},
		   NULL, NULL);
	buffer_deinit(&buffer);
}

static void end_stream(struct world *world, uint64_t id, int error)
{
	send_frame(world,
		   &(struct frame){.kind = FRAME_END,
				   .id = frame_stream(id, 0, false),
				   .status = error_from_errno(error)},
		   NULL, NULL);
}

static const struct result_job_start started = {.info = {.job = 7, .name = {(void *)"cat", 3}}};

static uint64_t start(struct world *world)
{
	struct args_job_start args = {.job = 7, .flags = JOB_OWNER | JOB_STDIN}, seen;
	uint64_t id;

	cr_assert_eq(job_client_start(world->job, &args), 0);
	id = next_call(world, OP_JOB_START, &seen);
	cr_assert_eq(seen.flags, JOB_OWNER | JOB_STDIN | JOB_ATTACH);
	answer(world, id, OP_JOB_START, &started);
	cr_assert_eq(world->n_started, 1);
	return id;
}

Test(job_client, tells_output_and_the_end)
{
	struct world world;
	uint64_t id;

	world_init(&world);
	id = start(&world);
	write_output(&world, id, 0, "out");
	write_output(&world, id, 1, "err");
	write_output(&world, id, 0, "put");
	cr_assert_str_eq(world.output[0], "output");
	cr_assert_str_eq(world.output[1], "err");
	write_notice(&world, id, &(struct job_info){.state = JOB_EXITED, .exit = 42});
	cr_assert_eq(world.n_ended, 1);
	cr_assert_eq(world.info.exit, 42);
	end_stream(&world, id, 0);
	cr_assert_eq(world.n_closed, 1);
	cr_assert_eq(world.error, 0);
	world_deinit(&world);
}

Test(job_client, goes_on_at_the_byte_where_a_link_broke)
{
	struct result_job_attach attached = {.info = {.job = 7}, .offset = 8};
	struct args_job_attach args;
	struct world world;
	uint64_t id;

	world_init(&world);
	id = start(&world);
	world.keeps = true;
	write_output(&world, id, 0, "first");
	write_output(&world, id, 1, "err");
	end_stream(&world, id, -ENOTCONN);
	cr_assert_eq(world.n_lost, 1);
	cr_assert_eq(job_client_timeout(world.job), 0);
	job_client_turn(world.job);
	id = next_call(&world, OP_JOB_ATTACH, &args);
	cr_assert_eq(args.job, 7);
	cr_assert_eq(args.offset, 8);
	cr_assert_eq(args.flags, JOB_OWNER);
	/* Down: later again. */
	refuse(&world, id, -EHOSTDOWN, "desk is offline");
	cr_assert_eq(world.n_closed, 0);
	cr_assert_gt(job_client_timeout(world.job), 0);
	while (job_client_timeout(world.job) > 0)
		poll(NULL, 0, job_client_timeout(world.job));
	job_client_turn(world.job);
	id = next_call(&world, OP_JOB_ATTACH, &args);
	answer(&world, id, OP_JOB_ATTACH, &attached);
	cr_assert_eq(world.n_back, 1);
	write_output(&world, id, 0, "second");
	cr_assert_str_eq(world.output[0], "firstsecond");
	cr_assert_eq(world.n_started, 1);
	world_deinit(&world);
}

/* Nothing of the first stream may count as credit for the second. */
Test(job_client, gives_no_credit_for_a_stream_that_is_gone)
{
	static char text[200 * 1024 + 1];
	struct result_job_attach attached = {.info = {.job = 7}, .offset = sizeof(text) - 1};
	struct args_job_attach args;
	struct world world;
	struct frame frame;
	uint64_t id, first;

	memset(text, 'x', sizeof(text) - 1);
	world_init(&world);
	first = start(&world);
	world.keeps = true;
	text[100 * 1024] = '\0';
	write_output(&world, first, 0, text);
	write_output(&world, first, 0, text);
	end_stream(&world, first, -ENOTCONN);
	job_client_turn(world.job);
	id = next_call(&world, OP_JOB_ATTACH, &args);
	cr_assert_eq(args.offset, sizeof(text) - 1);
	answer(&world, id, OP_JOB_ATTACH, &attached);
	write_output(&world, id, 0, text);
	write_output(&world, id, 0, text);
	job_client_consumed(world.job, 0, 200 * 1024);
	job_client_consumed(world.job, 0, 150 * 1024);
	cr_assert_eq(remote_turn(world.remote), 0);
	frame = next(&world);
	cr_assert_eq(frame.kind, FRAME_CREDIT);
	cr_assert_eq(frame.id, frame_stream(id, 0, true));
	cr_assert_eq(frame.status, 150 * 1024);
	world_deinit(&world);
}

Test(job_client, sends_standard_input_again_after_a_lost_link)
{
	struct result_job_attach attached = {.info = {.job = 7}};
	struct args_job_attach attach;
	struct args_job_write write;
	struct world world;
	uint64_t id, first, second;

	world_init(&world);
	id = start(&world);
	cr_assert_gt(job_client_input_room(world.job), 0);
	cr_assert_eq(job_client_input(world.job, (struct bytes){(void *)"abc", 3}, false), 0);
	cr_assert_eq(job_client_input(world.job, (struct bytes){(void *)"de", 2}, true), 0);
	cr_assert(job_client_input_is_closed(world.job));
	cr_assert_eq(job_client_input_room(world.job), 0);
	first = next_call(&world, OP_JOB_WRITE, &write);
	cr_assert_eq(write.offset, 0);
	second = next_call(&world, OP_JOB_WRITE, &write);
	cr_assert_eq(write.offset, 3);
	cr_assert(write.eof);
	answer(&world, first, OP_JOB_WRITE, &(struct result_job_write){.end = 3});
	end_stream(&world, id, -ENOTCONN);
	refuse(&world, second, -EHOSTDOWN, "");
	job_client_turn(world.job);
	id = next_call(&world, OP_JOB_ATTACH, &attach);
	answer(&world, id, OP_JOB_ATTACH, &attached);
	second = next_call(&world, OP_JOB_WRITE, &write);
	cr_assert_eq(write.offset, 3);
	cr_assert_eq(write.data.size, 2);
	cr_assert_eq(memcmp(write.data.data, "de", 2), 0);
	cr_assert(write.eof);
	world_deinit(&world);
}

Test(job_client, says_that_a_job_is_gone_with_its_daemon)
{
	struct args_job_attach args;
	struct world world;
	uint64_t id;

	world_init(&world);
	id = start(&world);
	end_stream(&world, id, -ENOTCONN);
	job_client_turn(world.job);
	id = next_call(&world, OP_JOB_ATTACH, &args);
	refuse(&world, id, -ENOENT, "no such job on desk");
	cr_assert_eq(world.n_closed, 1);
	cr_assert_eq(world.error, -ESHUTDOWN);
	cr_assert_not_null(strstr(world.why, "loopsyd on desk"));
	world_deinit(&world);
}

Test(job_client, waits_for_a_job_that_closed_its_output)
{
	struct result_job_wait waited = {.info = {.state = JOB_KILLED, .signal = 9}};
	struct args_job_wait args;
	struct world world;
	uint64_t id;

	world_init(&world);
	id = start(&world);
	end_stream(&world, id, 0);
	cr_assert_eq(world.n_closed, 0);
	id = next_call(&world, OP_JOB_WAIT, &args);
	answer(&world, id, OP_JOB_WAIT, &waited);
	cr_assert_eq(world.n_ended, 1);
	cr_assert_eq(world.info.signal, 9);
	cr_assert_eq(world.n_closed, 1);
	world_deinit(&world);
}

Test(job_client, gives_up_what_it_does_not_follow_any_more)
{
	struct world world;
	struct frame frame;
	uint64_t id;

	world_init(&world);
	id = start(&world);
	world.job = job_client_free(world.job);
	frame = next(&world);
	cr_assert_eq(frame.kind, FRAME_CANCEL);
	cr_assert_eq(frame.id, id);
	end_stream(&world, id, -EINTR); /* on its way; it is nobody's */
	world_deinit(&world);
}

Test(job_client, passes_a_refusal_on_in_the_words_of_loopsyd)
{
	struct args_job_start args = {.job = 7};
	struct world world;

	world_init(&world);
	cr_assert_eq(job_client_start(world.job, &args), 0);
	refuse(&world, next_call(&world, OP_JOB_START, &args), -EACCES, "desk says no");
	cr_assert_eq(world.n_closed, 1);
	cr_assert_eq(world.error, -EACCES);
	cr_assert_str_eq(world.why, "desk says no");
	world_deinit(&world);
}
