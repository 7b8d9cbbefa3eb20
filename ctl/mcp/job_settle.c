/*
 * The job's stream begins with the screen, which tells the terminal's modes; then what is typed is
 * written, and the stream is watched until it has been quiet for a moment.
 */
#include "ctl/mcp/job_settle.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "ctl/mcp/terminal_keys.h"
#include "ctl/monotonic.h"

#define QUIET_MS 250   /* without output: it rests */
#define FIRST_MS 500   /* … and without any at all, after a key */
#define TAKE_MS  10000 /* for the program to read what is typed */

static const char application_cursor[] = "\033[?1h"; /* DECCKM, as a redraw sets it */

struct settle {
	struct mcp_call *call;
	struct remote *remote;
	struct remote_call *stream;
	struct buffer screen; /* the redraw */
	uint64_t screen_left;
	bool has_started, has_output, is_over, was_written;
	int error;
	char reason[OPS_CTL_TEXT_MAX + 1];
	int64_t last_ms; /* when output came */
};

/* --- what comes ------------------------------------------------------------------------------- */

static void take_error(struct settle *settle, const struct remote_reply *reply)
{
	settle->error = reply->error;
	strcpy(settle->reason, reply->reason);
}

static void on_attached(void *arg, const struct remote_reply *reply)
{
	const struct result_job_attach *result = reply->result;
	struct settle *settle = arg;

	if (reply->error < 0) {
		settle->stream = NULL;
		take_error(settle, reply);
		return;
	}
	settle->has_started = true;
	settle->screen_left = result->screen_size;
}

static void on_data(void *arg, unsigned channel, struct bytes data)
{
	struct settle *settle = arg;
	size_t n = data.size;

	remote_consumed(settle->stream, channel, n);
	if (channel != JOB_STDOUT)
		return;
	if (n > settle->screen_left)
		n = (size_t)settle->screen_left;
	if (n > 0 && buffer_append(&settle->screen, data.data, n) < 0)
		settle->error = -ENOMEM;
	settle->screen_left -= n;
	if (data.size > n) {
		settle->has_output = true;
		settle->last_ms = monotonic_ms();
	}
}

static void on_end(void *arg, int error)
{
	struct settle *settle = arg;

	settle->stream = NULL;
	settle->is_over = true;
}

static void on_written(void *arg, const struct remote_reply *reply)
{
	struct settle *settle = arg;

	settle->was_written = true;
	if (reply->error < 0)
		take_error(settle, reply);
}

/* --- the waiting ------------------------------------------------------------------------------ */

/* Returns 0 or -errno. */
static int turn(struct settle *settle, int64_t timeout_ms)
{
	struct pollfd fds[2] = {remote_poll(settle->remote),
				{mcp_call_interrupt_fd(settle->call), POLLIN, 0}};
	int r = 0;

	if (poll(fds, 2, timeout_ms > 0 ? (int)timeout_ms : 0) < 0)
		return errno == EINTR ? 0 : -errno;
	if (fds[1].revents)
		return -ECANCELED;
	if (fds[0].revents)
		r = remote_turn(settle->remote);
	return r < 0 ? r : settle->error;
}

/* The stream, and the screen in it. */
static int attach(struct settle *settle, const char *peer, uint64_t job)
{
	static const struct remote_handler handler = {on_attached, on_data, on_end};
	struct args_job_attach args = {.job = job, .flags = JOB_SCREEN, .offset = OPS_ANY};
	int r = remote_call(settle->remote, peer, OP_JOB_ATTACH, &args, &handler, settle,
			    &settle->stream);

	while (r == 0 && !settle->is_over && (!settle->has_started || settle->screen_left > 0))
		r = turn(settle, INT32_MAX);
	return r;
}

static int make_bytes(const struct settle *settle, const struct job_settle_keys *typed,
		      struct buffer *out, const char **ret_reason)
{
	const struct buffer *screen = &settle->screen;
	bool application =
	    screen->size > 0 &&
	    memmem(screen->data, screen->size, application_cursor, sizeof(application_cursor) - 1);
	int r = terminal_keys_add_text(typed->text, out);

	for (size_t i = 0; r == 0 && i < json_array_size(typed->keys); i++) {
		const char *key = json_string_value(json_array_get(typed->keys, i));

		r = terminal_keys_add(key, application, out);
		if (r == -ENOENT)
			*ret_reason = key;
	}
	return r;
}

static int type(struct settle *settle, const char *peer, uint64_t job,
		const struct job_settle_keys *typed, const char **ret_reason)
{
	static const struct remote_handler handler = {.reply = on_written};
	struct args_job_write args = {.job = job, .offset = OPS_ANY};
	int64_t deadline = monotonic_ms() + TAKE_MS;
	struct remote_call *writing = NULL;
	struct buffer bytes = {0};
	int r = make_bytes(settle, typed, &bytes, ret_reason);

	args.data = (struct bytes){bytes.data, bytes.size};
	if (r == 0)
		r = remote_call(settle->remote, peer, OP_JOB_WRITE, &args, &handler, settle,
				&writing);
	buffer_deinit(&bytes);
	while (r == 0 && !settle->was_written && monotonic_ms() < deadline)
		r = turn(settle, deadline - monotonic_ms());
	if (writing && !settle->was_written)
		remote_cancel(writing);
	return r == 0 && !settle->was_written ? -EAGAIN : r;
}

/* A program that was just started has something to show, sooner or later. */
static int rest(struct settle *settle, int wait_ms, int first_ms)
{
	int64_t begin = monotonic_ms(), deadline = begin + wait_ms;
	int r = 0;

	while (r == 0 && !settle->is_over) {
		int64_t calm = settle->has_output ? settle->last_ms + QUIET_MS : begin + first_ms;
		int64_t until = calm < deadline ? calm : deadline;

		if (monotonic_ms() >= until)
			break;
		r = turn(settle, until - monotonic_ms());
	}
	return r;
}

int job_settle(struct mcp_call *call, struct remote *remote, const char *peer, uint64_t job,
	       const struct job_settle_keys *typed, int wait_ms, const char **ret_reason)
{
	struct settle settle = {.call = call, .remote = remote};
	int r = attach(&settle, peer, job);

	*ret_reason = NULL;
	if (r == 0 && typed)
		r = type(&settle, peer, job, typed, ret_reason);
	if (r == 0)
		r = rest(&settle, wait_ms, typed ? FIRST_MS : wait_ms);
	if (settle.stream)
		remote_cancel(settle.stream);
	buffer_deinit(&settle.screen);
	if (r < 0 && !*ret_reason)
		*ret_reason = mcp_call_keep(call, settle.reason[0] ? settle.reason
								   : remote_end_reason(remote));
	return r;
}
