/* The room of WATCH: streams, their ends, and the room's own. */
#include <errno.h>

#include "daemon/watch/watch.h"
#include "proto/codec.h"
#include "tests/unit/serve/serve_fake.h"

TestSuite(watch_room, .init = scratch_init, .fini = scratch_fini);

static struct serve_fake fake;
static const struct service *files;
static void *file_sessions[2];
static struct watch_room *room;

/* The fake's calls go to the room of WATCH. */
static void init(void)
{
	serve_fake_init(&fake, NULL);
	cr_assert_eq(watch_room_new(&fake.loop, fake.serve, &room), 0);
	files = fake.service;
	fake.service = watch_room_service(room);
	for (unsigned i = 0; i < 2; i++) {
		file_sessions[i] = fake.sessions[i];
		cr_assert_eq(fake.service->session_open(room, NULL, &fake.sessions[i]), 0);
	}
}

static void on_stopped(void *arg)
{
	*(bool *)arg = true;
}

static void fini(void)
{
	bool stopped = false;

	for (unsigned i = 0; i < 2; i++)
		serve_fake_close_session(&fake, i);
	watch_room_stop(room, on_stopped, &stopped);
	while (!stopped)
		uv_run(&fake.loop, UV_RUN_ONCE);
	watch_room_free(room);
	fake.service = files;
	for (unsigned i = 0; i < 2; i++)
		fake.sessions[i] = file_sessions[i];
	serve_fake_deinit(&fake);
}

static struct serve_fake_call *start(const char *path)
{
	struct watch_path element = {.path = serve_fake_bytes(path)};
	struct args_watch args = {.recursive = true};
	static struct buffer elements[64];
	static unsigned n;
	struct buffer *buffer = &elements[n++ % 64];

	buffer_deinit(buffer);
	*buffer = (struct buffer){0};
	cr_assert_eq(codec_list_append(&args.paths, buffer, &watch_path_record, &element), 0);
	codec_list_finish(&args.paths, buffer);
	return serve_fake_start(&fake, 0, OP_WATCH, &args);
}

static bool has(const struct serve_fake_call *call, const char *name)
{
	return call->stream.size > 0 &&
	       memmem(call->stream.data, call->stream.size, name, strlen(name));
}

static void run_until(const struct serve_fake_call *call, const char *name)
{
	while (!has(call, name))
		uv_run(&fake.loop, UV_RUN_ONCE);
}

Test(watch_room, changes_after_the_reply_are_told, .timeout = 60)
{
	struct serve_fake_call *call;

	init();
	call = start("");
	cr_assert_eq(serve_fake_wait(&fake, call), 0);
	mkdir(serve_fake_path("first"), 0700);
	run_until(call, "first");
	mkdir(serve_fake_path("first/second"), 0700);
	run_until(call, "first/second");
	fini();
}

Test(watch_room, a_path_that_is_not_there_is_refused, .timeout = 60)
{
	init();
	cr_assert_eq(serve_fake_wait(&fake, start("nothing")), -ENOENT);
	cr_assert_eq(serve_fake_wait(&fake, start("../..")), -ENOENT);
	fini();
}

Test(watch_room, without_credit_nothing_is_sent_and_nothing_lost, .timeout = 60)
{
	struct serve_fake_call *call;

	init();
	fake.window = 0;
	call = start("");
	cr_assert_eq(serve_fake_wait(&fake, call), 0);
	mkdir(serve_fake_path("first"), 0700);
	mkdir(serve_fake_path("last"), 0700);
	/* Work is done, and nothing comes of it. */
	for (int i = 0; i < 100; i++)
		uv_run(&fake.loop, UV_RUN_NOWAIT);
	cr_assert_eq(call->stream.size, 0);
	call->window = 1 << 20;
	while (!has(call, "last")) {
		call->ready(call->ready_arg, 0);
		uv_run(&fake.loop, UV_RUN_ONCE);
	}
	cr_assert(has(call, "first"));
	fini();
}

Test(watch_room, a_session_may_have_so_many_and_no_more, .timeout = 60)
{
	struct serve_fake_call *calls[WATCH_STREAMS_MAX];

	init();
	for (int i = 0; i < WATCH_STREAMS_MAX; i++)
		calls[i] = start("");
	cr_assert_eq(serve_fake_wait(&fake, start("")), -ENFILE);
	for (int i = 0; i < WATCH_STREAMS_MAX; i++)
		cr_assert_eq(serve_fake_wait(&fake, calls[i]), 0);
	/* One that is given up makes room. */
	calls[0]->ended = true;
	calls[0]->ready(calls[0]->ready_arg, -EINTR);
	while (serve_fake_wait(&fake, start("")) == -ENFILE)
		uv_run(&fake.loop, UV_RUN_ONCE);
	fini();
}

Test(watch_room, one_that_is_cancelled_or_whose_session_ends_before_it_began, .timeout = 60)
{
	struct serve_fake_call *call;

	init();
	call = start("");
	serve_fake_cancel(&fake, 0, call);
	cr_assert_eq(serve_fake_wait(&fake, call), -EINTR);
	call = start("");
	serve_fake_close_session(&fake, 0);
	cr_assert_leq(serve_fake_wait(&fake, call), 0);
	fini();
}
