#include "tests/unit/jobs/jobs_fake.h"

#include <fcntl.h>

#include "daemon/net/limits.h"
#include "tests/unit/proto/through_codec.h"

/* --- request.h -------------------------------------------------------------------------------- */

static struct jobs_fake_call *call_of(const void *request)
{
	return (struct jobs_fake_call *)request;
}

uint16_t request_permissions(const struct request *request)
{
	return UINT16_MAX;
}

static void answer(struct jobs_fake_call *call, const void *result)
{
	cr_assert(!call->is_done, "answered twice");
	call->result = through_codec(call->request.op->result, result, &call->encoded);
	call->is_done = true;
	/* What handlers may not use any more. */
	memset(call->args, 0xdd, call->request.op->args->size);
}

void request_reply(struct request *request, const void *result, void (*release)(void *arg),
		   void *release_arg)
{
	answer(call_of(request), result);
	if (release)
		release(release_arg);
}

void request_be_lazy(struct request *request)
{
	cr_assert(!call_of(request)->is_done);
}

void request_fail(struct request *request, int error)
{
	struct jobs_fake_call *call = call_of(request);

	cr_assert(!call->is_done, "answered twice");
	cr_assert_lt(error, 0);
	call->error = error;
	call->is_done = true;
}

const void *session_peer(const struct session *session)
{
	return session;
}

/* Session 3, where a test opens one. */
bool session_is_local(const struct session *session)
{
	return *(const char *)session == JOBS_FAKE_LOCAL;
}

bool request_is_orphan(const struct request *request)
{
	return !request->session;
}

struct request_stream *request_reply_stream(struct request *request, const void *result,
					    void (*ready)(void *arg, int error), void *arg)
{
	struct jobs_fake_call *call = call_of(request);

	answer(call, result);
	if (!request->session) {
		ready(arg, -ENOTCONN);
		return NULL;
	}
	call->is_streaming = true;
	call->ready = ready;
	call->ready_arg = arg;
	return (struct request_stream *)call;
}

size_t request_stream_room(const struct request_stream *stream)
{
	return call_of(stream)->credit;
}

bool request_stream_takes_little(const struct request_stream *stream)
{
	return call_of(stream)->credit >= REQUEST_STREAM_LITTLE;
}

size_t request_stream_unused(const struct request_stream *stream)
{
	size_t credit = call_of(stream)->credit;

	return credit < LIMITS_WINDOW ? LIMITS_WINDOW - credit : 0;
}

static void take_notice(struct jobs_fake_call *call, struct bytes data)
{
	const char *why = "";

	cr_assert_eq(codec_decode(&job_info_record, &data, &call->notice, &why), 0, "%s", why);
	cr_assert_eq(data.size, 0);
	if (call->n_notices++ == 0)
		call->notice_at = call->n_bytes;
}

int request_stream_write(struct request_stream *stream, unsigned channel, struct bytes data)
{
	struct jobs_fake_call *call = call_of(stream);

	cr_assert(call->is_streaming && !call->has_ended);
	cr_assert_leq(data.size, call->credit);
	cr_assert_leq(data.size, FRAME_STREAM_DATA_MAX);
	cr_assert_gt(data.size, 0);
	if (!call->gives_credit)
		call->credit -= data.size;
	if (call->request.op->number == OP_JOB_EVENTS || channel != JOB_NOTICES) {
		cr_assert_lt(channel, 2);
		call->n_bytes += data.size;
		return call->is_discarding
			   ? 0
			   : buffer_append(&call->channels[channel], data.data, data.size);
	}
	take_notice(call, data);
	return 0;
}

int request_stream_lend(struct request_stream *stream, unsigned channel, struct bytes data,
			void (*release)(void *arg), void *release_arg)
{
	int r = request_stream_write(stream, channel, data);

	if (r == 0)
		release(release_arg);
	return r;
}

void request_stream_end(struct request_stream *stream, int error)
{
	struct jobs_fake_call *call = call_of(stream);

	cr_assert(call->is_streaming && !call->has_ended);
	call->has_ended = true;
	call->end_error = error;
}

/* --- the room --------------------------------------------------------------------------------- */

static int open_directory(void *arg, struct bytes path)
{
	const struct jobs_fake *fake = arg;
	char text[4096];
	int fd;

	snprintf(text, sizeof(text), "%s/%.*s", fake->dir, (int)path.size, (const char *)path.data);
	fd = open(text, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static const char *peer_name(void *arg, const void *peer)
{
	return "desk";
}

static void told(void *arg, const char *peer, const struct job_info *info, int error,
		 int64_t duration_ms)
{
	struct jobs_fake *fake = arg;

	cr_assert_str_eq(peer, "desk");
	fake->told = *info;
	if (error < 0) {
		fake->n_refused++;
		fake->refused_error = error;
	} else if (info->state == JOB_RUNNING && duration_ms < 0) {
		fake->n_told++;
	} else {
		fake->n_ended++;
	}
}

static void note(void *arg, const void *peer, const struct job_info *info, bool is_to_be_kept)
{
	struct jobs_fake *fake = arg;
	uint64_t *at = fake->noted;

	fake->n_notes++;
	while (*at != (is_to_be_kept ? 0 : info->job))
		cr_assert(++at < fake->noted + 8, "never noted, or too many");
	*at = is_to_be_kept ? info->job : 0;
}

void jobs_fake_open_session(struct jobs_fake *fake, unsigned session, const void *peer)
{
	fake->peers[session] = peer;
	cr_assert_eq(fake->service->session_open(fake->service->arg, (struct session *)peer,
						 &fake->sessions[session]),
		     0);
}

void jobs_fake_init_in(struct jobs_fake *fake, const char *dir, const struct jobs_options *options)
{
	static const char peers[2];

	signal(SIGPIPE, SIG_IGN);
	setenv("UV_THREADPOOL_SIZE", "4", 1);
	*fake = (struct jobs_fake){.next_number = 1000, .dir = dir};
	if (options)
		fake->options = *options;
	cr_assert_eq(uv_loop_init(&fake->loop), 0);
	fake->options.loop = &fake->loop;
	fake->options.spool_dir = dir;
	if (!fake->options.spool_limit)
		fake->options.spool_limit = 64 << 20;
	if (!fake->options.max_jobs)
		fake->options.max_jobs = 256;
	if (!fake->options.grace_ms)
		fake->options.grace_ms = 3600 * 1000;
	if (!fake->options.environment)
		fake->options.environment = environ;
	if (!fake->options.n_files.rlim_cur)
		getrlimit(RLIMIT_NOFILE, &fake->options.n_files);
	fake->options.umask = 022;
	fake->options.open_directory = open_directory;
	fake->options.peer_name = peer_name;
	fake->options.told = told;
	fake->options.note = note;
	fake->options.arg = fake;
	cr_assert_eq(jobs_new(&fake->options, &fake->jobs), 0);
	fake->service = jobs_service(fake->jobs);
	jobs_fake_open_session(fake, 0, &peers[0]);
	jobs_fake_open_session(fake, 1, &peers[0]);
	jobs_fake_open_session(fake, 2, &peers[1]);
}

static void break_stream(struct jobs_fake_call *call, int error)
{
	if (!call->is_streaming || call->has_ended)
		return;
	call->has_ended = true;
	call->end_error = error;
	call->ready(call->ready_arg, error);
}

void jobs_fake_cut(struct jobs_fake *fake, unsigned session)
{
	for (struct jobs_fake_call *call = fake->calls; call; call = call->next) {
		if (call->request.room == NULL && call->fake->sessions[session] &&
		    call->request.session == (struct session *)fake->peers[session])
			break_stream(call, -ENOTCONN);
	}
}

void jobs_fake_close_session(struct jobs_fake *fake, unsigned session)
{
	void *state = fake->sessions[session];

	if (!state)
		return;
	jobs_fake_cut(fake, session);
	fake->sessions[session] = NULL;
	fake->service->session_close(fake->service->arg, state);
	for (struct jobs_fake_call *call = fake->calls; call; call = call->next) {
		if (call->request.session == (struct session *)fake->peers[session])
			call->request.session = NULL;
	}
}

static void set_true(void *arg)
{
	*(bool *)arg = true;
}

void jobs_fake_deinit(struct jobs_fake *fake)
{
	struct jobs_fake_call *next;
	bool is_stopped = false, is_freed = false;

	jobs_stop(fake->jobs, set_true, &is_stopped);
	jobs_fake_until(fake, is_stopped);
	for (unsigned i = 0; i < JOBS_FAKE_SESSIONS; i++)
		jobs_fake_close_session(fake, i);
	jobs_free(fake->jobs, set_true, &is_freed);
	jobs_fake_until(fake, is_freed);
	while (uv_loop_close(&fake->loop) == UV_EBUSY)
		uv_run(&fake->loop, UV_RUN_ONCE);
	for (struct jobs_fake_call *call = fake->calls; call; call = next) {
		next = call->next;
		cr_assert(call->is_done, "%s was never answered", call->request.op->name);
		cr_assert(!call->is_streaming || call->has_ended, "a stream was never ended");
		free(call->args);
		free(call->result);
		buffer_deinit(&call->encoded);
		buffer_deinit(&call->channels[0]);
		buffer_deinit(&call->channels[1]);
		free(call);
	}
}

/* --- calls ------------------------------------------------------------------------------------ */

struct jobs_fake_call *jobs_fake_start(struct jobs_fake *fake, unsigned session, uint16_t op,
				       const void *args)
{
	struct jobs_fake_call *call = calloc(1, sizeof(*call));

	call->fake = fake;
	call->next = fake->calls;
	fake->calls = call;
	call->credit = LIMITS_WINDOW;
	call->gives_credit = true;
	call->request.op = op_find(&ops_peer, op);
	cr_assert_not_null(call->request.op);
	call->args = malloc(call->request.op->args->size);
	memcpy(call->args, args, call->request.op->args->size);
	call->request.args = call->args;
	call->request.session = (struct session *)fake->peers[session];
	fake->service->handle(fake->service->arg, fake->sessions[session], &call->request);
	return call;
}

int jobs_fake_wait(struct jobs_fake *fake, struct jobs_fake_call *call)
{
	jobs_fake_until(fake, call->is_done);
	return call->error;
}

void jobs_fake_cancel(struct jobs_fake *fake, struct jobs_fake_call *call)
{
	if (call->is_streaming)
		break_stream(call, -EINTR);
	else if (!call->is_done)
		fake->service->cancel(fake->service->arg, NULL, &call->request);
}

void jobs_fake_credit(struct jobs_fake_call *call, size_t size)
{
	call->credit += size;
	if (call->is_streaming && !call->has_ended)
		call->ready(call->ready_arg, 0);
}

int jobs_fake_call(struct jobs_fake *fake, uint16_t op, const void *args, void *ret_result)
{
	struct jobs_fake_call *call = jobs_fake_start(fake, 0, op, args);
	int error = jobs_fake_wait(fake, call);

	if (error == 0 && ret_result)
		*(const void **)ret_result = call->result;
	return error;
}

static struct jobs_fake_call *start_job(struct jobs_fake *fake, unsigned session,
					struct args_job_start *args)
{
	if (!args->job)
		args->job = ++fake->next_number;
	return jobs_fake_start(fake, session, OP_JOB_START, args);
}

struct jobs_fake_call *jobs_fake_line(struct jobs_fake *fake, unsigned session, const char *line,
				      struct args_job_start args)
{
	args.line = bytes_of_text(line);
	return start_job(fake, session, &args);
}

struct jobs_fake_call *jobs_fake_words(struct jobs_fake *fake, unsigned session,
				       const char *const *words, struct args_job_start args)
{
	struct buffer elements = {0};
	struct jobs_fake_call *call;

	for (; *words; words++) {
		struct job_word word = {.text = bytes_of_text(*words)};

		cr_assert_eq(codec_list_append(&args.argv, &elements, &job_word_record, &word), 0);
	}
	codec_list_finish(&args.argv, &elements);
	call = start_job(fake, session, &args);
	jobs_fake_until(fake, call->is_done || call->request.room);
	buffer_deinit(&elements);
	return call;
}

uint64_t jobs_fake_number(const struct jobs_fake_call *call)
{
	return ((const struct result_job_start *)call->result)->info.job;
}

const char *jobs_fake_output(struct jobs_fake_call *call, unsigned channel)
{
	struct buffer *buffer = &call->channels[channel];

	cr_assert_eq(buffer_reserve(buffer, 1), 0);
	buffer->data[buffer->size] = '\0';
	return (const char *)buffer->data;
}
