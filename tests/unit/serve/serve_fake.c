#include "tests/unit/serve/serve_fake.h"

#include <errno.h>

#include "tests/unit/proto/through_codec.h"

#define DEADLINE_MS 300000 /* for what must happen, on a machine however slow */

/* --- request.h -------------------------------------------------------------------------------- */

static struct serve_fake_call *call_of(struct request *request)
{
	return (struct serve_fake_call *)request;
}

uint16_t request_permissions(const struct request *request)
{
	return ((const struct serve_fake_call *)request)->fake->permissions;
}

static void answer(struct serve_fake_call *call, const void *result)
{
	cr_assert(!call->done, "answered twice");
	call->result = through_codec(call->request.op->result, result, &call->encoded);
	call->done = true;
}

void request_reply(struct request *request, const void *result, void (*release)(void *arg),
		   void *release_arg)
{
	answer(call_of(request), result);
	if (release)
		release(release_arg);
}

void request_fail(struct request *request, int error)
{
	struct serve_fake_call *call = call_of(request);

	cr_assert(!call->done, "answered twice");
	cr_assert_lt(error, 0);
	call->error = error;
	call->done = true;
}

const void *session_peer(const struct session *session)
{
	return session;
}

bool request_is_orphan(const struct request *request)
{
	return !request->session;
}

struct request_stream *request_reply_stream(struct request *request, const void *result,
					    void (*ready)(void *arg, int error), void *arg)
{
	struct serve_fake_call *call = call_of(request);

	if (!request->session) {
		call->done = true;
		ready(arg, -ENOTCONN);
		return NULL;
	}
	answer(call, result);
	call->streaming = true;
	call->ready = ready;
	call->ready_arg = arg;
	return (struct request_stream *)call;
}

size_t request_stream_room(const struct request_stream *stream)
{
	return ((const struct serve_fake_call *)stream)->window;
}

int request_stream_write(struct request_stream *stream, unsigned channel, struct bytes data)
{
	struct serve_fake_call *call = (struct serve_fake_call *)stream;

	cr_assert(call->streaming);
	cr_assert_leq(data.size, call->window);
	call->window -= data.size;
	return buffer_append(channel == 0 ? &call->stream : &call->names, data.data, data.size);
}

void request_stream_end(struct request_stream *stream, int error)
{
	struct serve_fake_call *call = (struct serve_fake_call *)stream;

	cr_assert(call->streaming && !call->ended);
	call->ended = true;
	call->end_error = error;
}

/* --- the rest --------------------------------------------------------------------------------- */

void serve_fake_init_in(struct serve_fake *fake, const char *dir,
			const struct serve_options *options)
{
	struct serve_options own = options ? *options : (struct serve_options){0};
	struct exports_option export = {.name = "export", .path = fake->export_path};

	setenv("UV_THREADPOOL_SIZE", "16", 1);
	*fake = (struct serve_fake){.window = 1 << 20, .permissions = UINT16_MAX};
	snprintf(fake->export_path, sizeof(fake->export_path), "%s/export", dir);
	if (mkdir(fake->export_path, 0755) < 0)
		cr_assert_eq(errno, EEXIST);
	if (!own.exports) {
		own.exports = &export;
		own.n_exports = 1;
	}
	cr_assert_eq(uv_loop_init(&fake->loop), 0);
	cr_assert_eq(serve_new(&fake->loop, &own, &fake->serve), 0);

	fake->service = serve_service(fake->serve);
	for (unsigned i = 0; i < 2; i++)
		cr_assert_eq(
		    fake->service->session_open(fake->service->arg, NULL, &fake->sessions[i]), 0);
}

void serve_fake_close_session(struct serve_fake *fake, unsigned session)
{
	void *state = fake->sessions[session];

	if (!state)
		return;
	fake->sessions[session] = NULL;
	for (struct serve_fake_call *call = fake->calls; call; call = call->next) {
		if (call->request.session != (struct session *)state)
			continue;
		if (call->streaming && !call->ended) {
			call->ended = true;
			call->end_error = -ENOTCONN;
			call->ready(call->ready_arg, -ENOTCONN);
		}
		call->request.session = NULL;
	}
	fake->service->session_close(fake->service->arg, state);
}

static void on_stopped(void *arg)
{
	*(bool *)arg = true;
}

static void on_deadline(uv_timer_t *timer)
{
	*(bool *)timer->data = true;
}

/* Runs the loop until *done. */
static void run_until(struct serve_fake *fake, const bool *done)
{
	bool late = false;
	uv_timer_t timer;

	uv_timer_init(&fake->loop, &timer);
	timer.data = &late;
	uv_timer_start(&timer, on_deadline, DEADLINE_MS, 0);
	while (!*done && !late)
		uv_run(&fake->loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&timer, NULL);
	uv_run(&fake->loop, UV_RUN_NOWAIT);
	cr_assert(*done, "not within the deadline");
}

void serve_fake_deinit(struct serve_fake *fake)
{
	struct serve_fake_call *next;
	bool stopped = false;

	for (unsigned i = 0; i < SERVE_FAKE_SESSIONS; i++)
		serve_fake_close_session(fake, i);
	serve_stop(fake->serve, on_stopped, &stopped);
	run_until(fake, &stopped);
	serve_free(fake->serve);
	while (uv_loop_close(&fake->loop) == UV_EBUSY)
		uv_run(&fake->loop, UV_RUN_ONCE);
	for (struct serve_fake_call *call = fake->calls; call; call = next) {
		next = call->next;
		cr_assert(call->done, "%s was never answered", call->request.op->name);
		cr_assert(!call->streaming || call->ended, "a stream was never ended");
		free(call->args);
		free(call->result);
		buffer_deinit(&call->encoded);
		buffer_deinit(&call->stream);
		buffer_deinit(&call->names);
		free(call);
	}
}

struct serve_fake_call *serve_fake_start(struct serve_fake *fake, unsigned session, uint16_t op,
					 const void *args)
{
	struct serve_fake_call *call = calloc(1, sizeof(*call));

	call->fake = fake;
	call->next = fake->calls;
	fake->calls = call;
	call->window = fake->window;
	call->request.op = op_find(&ops_peer, op);
	cr_assert_not_null(call->request.op);
	call->args = malloc(call->request.op->args->size);
	memcpy(call->args, args, call->request.op->args->size);
	call->request.args = call->args;
	call->request.session = fake->sessions[session]; /* only compared */
	if (fake->caller.uid)
		call->request.caller = &fake->caller;
	fake->service->handle(fake->service->arg, fake->sessions[session], &call->request);
	return call;
}

int serve_fake_wait(struct serve_fake *fake, struct serve_fake_call *call)
{
	run_until(fake, &call->done);
	return call->error;
}

void serve_fake_wait_stream(struct serve_fake *fake, struct serve_fake_call *call)
{
	run_until(fake, &call->ended);
}

void serve_fake_cancel(struct serve_fake *fake, unsigned session, struct serve_fake_call *call)
{
	fake->service->cancel(fake->service->arg, fake->sessions[session], &call->request);
}

int serve_fake_call(struct serve_fake *fake, uint16_t op, const void *args, void *ret_result)
{
	struct serve_fake_call *call = serve_fake_start(fake, 0, op, args);
	int error = serve_fake_wait(fake, call);

	if (error == 0 && ret_result)
		*(const void **)ret_result = call->result;
	return error;
}

void serve_fake_forget(struct serve_fake *fake, unsigned session, uint64_t node, uint64_t count)
{
	struct forgotten forgotten = {.node = node, .count = count};
	struct args_forget args = {0};
	struct buffer buffer = {0};

	cr_assert_eq(codec_list_append(&args.nodes, &buffer, &forgotten_record, &forgotten), 0);
	codec_list_finish(&args.nodes, &buffer);
	fake->service->event(fake->service->arg, fake->sessions[session], OP_FORGET, &args);
	buffer_deinit(&buffer);
}

struct bytes serve_fake_bytes(const char *text)
{
	return (struct bytes){.data = (const uint8_t *)text, .size = strlen(text)};
}

int serve_fake_walk(struct serve_fake *fake, unsigned session, const char *path,
		    struct entry *ret_entry)
{
	struct entry entry = {.node = OPS_ROOT_NODE};

	while (*path) {
		size_t n = strcspn(path, "/");
		struct args_lookup args = {.parent = entry.node,
					   .name = {(const uint8_t *)path, n}};
		struct serve_fake_call *call = serve_fake_start(fake, session, OP_LOOKUP, &args);
		int error = serve_fake_wait(fake, call);

		if (error < 0)
			return error;
		entry = ((struct result_lookup *)call->result)->entry;
		path += n;
		path += *path == '/';
	}
	*ret_entry = entry;
	return 0;
}

uint64_t serve_fake_node(struct serve_fake *fake, const char *path)
{
	struct entry entry = {0};
	int error = serve_fake_walk(fake, 0, path, &entry);

	cr_assert_eq(error, 0, "%s: %s", path, strerror(-error));
	return entry.node;
}
