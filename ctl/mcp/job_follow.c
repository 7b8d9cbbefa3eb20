/*
 * A loop over the connection to loopsyd and the call's interrupt, with three clocks: how long is to
 * be waited, when progress is told next, and the job client's own.
 */
#include "ctl/mcp/job_follow.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "ctl/mcp/mcp_text.h"
#include "ctl/monotonic.h"

#define PROGRESS_MS   1000
#define KILL_MS       800 /* for a cancelled job to be told */
#define KILL_AFTER_MS 300 /* SIGKILL behind SIGTERM */

struct follow {
	struct mcp_call *call;
	struct remote *remote;
	const char *peer;
	struct job_client *job;
	struct job_followed *followed;
	struct bytes input; /* that was not given to the job client yet */
	bool has_input;
	bool has_started, has_ended, is_closed, was_answered;
	int error;
	int64_t began;
};

int job_followed_init(struct job_followed *followed, size_t max)
{
	*followed = (struct job_followed){.state = JOB_RUNNING};
	return excerpt_init(&followed->excerpt, max);
}

void job_followed_deinit(struct job_followed *followed)
{
	excerpt_deinit(&followed->excerpt);
}

void job_followed_take(struct job_followed *followed, const struct job_info *info)
{
	followed->number = info->job;
	followed->state = (enum job_state)info->state;
	followed->exit = (unsigned)info->exit;
	followed->signal = (unsigned)info->signal;
	followed->started = info->started;
	followed->ended = info->ended;
	snprintf(followed->name, sizeof(followed->name), "%.*s", (int)info->name.size,
		 info->name.size > 0 ? (const char *)info->name.data : "");
}

/* --- what the job tells ----------------------------------------------------------------------- */

static void give_input(struct follow *follow)
{
	size_t room = job_client_input_room(follow->job);
	size_t n = follow->input.size < room ? follow->input.size : room;

	if (!follow->has_input || room == 0)
		return;
	if (job_client_input(follow->job, (struct bytes){follow->input.data, n},
			     n == follow->input.size) < 0)
		follow->has_input = false;
	follow->input.data += n;
	follow->input.size -= n;
	if (follow->input.size == 0)
		follow->has_input = false;
}

static void on_started(void *arg, const struct job_info *info)
{
	struct follow *follow = arg;

	follow->has_started = true;
	job_followed_take(follow->followed, info);
	give_input(follow);
}

static void on_output(void *arg, unsigned channel, struct bytes data)
{
	struct follow *follow = arg;
	int r = excerpt_add(&follow->followed->excerpt, data);

	if (r < 0)
		follow->error = r;
	follow->followed->next += data.size;
	job_client_consumed(follow->job, channel, data.size);
}

static void on_ended(void *arg, const struct job_info *info)
{
	struct follow *follow = arg;

	follow->has_ended = true;
	job_followed_take(follow->followed, info);
}

static void on_closed(void *arg, int error, const char *why)
{
	struct follow *follow = arg;

	follow->is_closed = true;
	if (follow->has_ended || error == 0)
		return;
	follow->error = error;
	snprintf(follow->followed->reason, sizeof(follow->followed->reason), "%s", why);
}

static const struct job_client_handler handler = {on_started, on_output, on_ended, on_closed, NULL};

/* --- the loop --------------------------------------------------------------------------------- */

static int64_t sooner(int64_t a, int64_t b)
{
	return a < 0 || (b >= 0 && b < a) ? b : a;
}

/* Waits for what comes, at most so long, and takes it in. Returns 0 or -errno. */
static int turn(struct follow *follow, int64_t timeout_ms, bool heeds_cancel)
{
	struct pollfd fds[2] = {
	    remote_poll(follow->remote),
	    {heeds_cancel ? mcp_call_interrupt_fd(follow->call) : -1, POLLIN, 0}};
	int64_t timeout = sooner(timeout_ms, job_client_timeout(follow->job));
	int r = 0;

	if (poll(fds, 2, (int)timeout) < 0)
		return errno == EINTR ? 0 : -errno;
	if (fds[1].revents)
		return -ECANCELED;
	if (fds[0].revents)
		r = remote_turn(follow->remote);
	if (r == 0 && !follow->is_closed) {
		job_client_turn(follow->job);
		if (follow->has_started)
			give_input(follow);
	}
	return r;
}

static void tell_progress(struct follow *follow)
{
	char message[160];
	double seconds = (double)(monotonic_ms() - follow->began) / 1000;

	snprintf(message, sizeof(message), "%s on %s: running for %.0f s, %llu bytes of output",
		 follow->followed->name, remote_place(follow->peer), seconds,
		 (unsigned long long)follow->followed->next);
	mcp_call_progress(follow->call, seconds, -1, message);
}

/* Returns 0 when it has ended or the time is over, or -errno. */
static int wait_for_end(struct follow *follow, int wait_ms)
{
	int64_t deadline = follow->began + wait_ms, tick = follow->began + PROGRESS_MS;
	int r = 0;

	while (r == 0 && !follow->has_ended && !follow->is_closed && follow->error == 0) {
		int64_t now = monotonic_ms(), left = deadline > now ? deadline - now : 0;

		/* That it was started is waited for in any case. */
		if (follow->has_started && left == 0)
			return 0;
		if (now >= tick) {
			tell_progress(follow);
			tick = now + PROGRESS_MS;
		}
		r = turn(follow, follow->has_started ? sooner(left, tick - now) : tick - now, true);
	}
	return follow->has_ended ? 0 : r < 0 ? r : follow->error;
}

static void on_answered(void *arg, const struct remote_reply *reply)
{
	struct follow *follow = arg;

	follow->was_answered = true;
}

/* The client does not want it any more: the whole process group is ended, and we wait until the
 * peer has heard of it; with the connection it would be given up. */
static void kill_job(struct follow *follow)
{
	static const struct remote_handler answered = {.reply = on_answered};
	int64_t deadline = monotonic_ms() + KILL_MS;
	struct args_job_signal args = {.signal = SIGTERM, .kill_after_ms = KILL_AFTER_MS};
	struct remote_call *asked = NULL;

	while (!follow->has_started && !follow->is_closed && monotonic_ms() < deadline)
		if (turn(follow, deadline - monotonic_ms(), false) < 0)
			return;
	args.job = job_client_number(follow->job);
	if (!follow->has_started || follow->has_ended ||
	    remote_call(follow->remote, follow->peer, OP_JOB_SIGNAL, &args, &answered, follow,
			&asked) < 0)
		return;
	while (!follow->was_answered && monotonic_ms() < deadline)
		if (turn(follow, deadline - monotonic_ms(), false) < 0)
			return;
	if (!follow->was_answered)
		remote_cancel(asked);
}

static int finish(struct follow *follow, int r, bool is_ours)
{
	struct job_followed *followed = follow->followed;

	if (r == -ECANCELED && is_ours)
		kill_job(follow);
	if (r < 0 && followed->reason[0] == '\0')
		snprintf(followed->reason, sizeof(followed->reason), "%s",
			 remote_end_reason(follow->remote));
	job_client_free(follow->job);
	return r;
}

static int follow_begin(struct follow *follow, struct mcp_call *call, struct remote *remote,
			const char *peer, struct job_followed *followed)
{
	*follow = (struct follow){.call = call,
				  .remote = remote,
				  .peer = peer,
				  .followed = followed,
				  .began = monotonic_ms()};
	followed->next = followed->offset;
	return job_client_new(remote, peer, &handler, follow, &follow->job);
}

int job_follow_start(struct mcp_call *call, struct remote *remote, const char *peer,
		     const struct args_job_start *given, struct bytes input, int wait_ms,
		     struct job_followed *followed)
{
	struct args_job_start args = *given;
	struct follow follow;
	int r = follow_begin(&follow, call, remote, peer, followed);

	if (r < 0)
		return r;
	follow.input = input;
	follow.has_input = input.size > 0;
	if (follow.has_input)
		args.flags |= JOB_STDIN;
	if (getrandom(&args.job, sizeof(args.job), 0) != sizeof(args.job))
		r = -EIO;
	args.job |= 1; /* not 0 */
	if (r == 0)
		r = job_client_start(follow.job, &args);
	if (r == 0)
		r = wait_for_end(&follow, wait_ms);
	return finish(&follow, r, true);
}

int job_follow_attach(struct mcp_call *call, struct remote *remote, const char *peer, int wait_ms,
		      struct job_followed *followed)
{
	struct args_job_attach args = {.job = followed->number, .offset = followed->offset};
	struct follow follow;
	int r = follow_begin(&follow, call, remote, peer, followed);

	if (r < 0)
		return r;
	r = job_client_attach(follow.job, &args);
	if (r == 0)
		r = wait_for_end(&follow, wait_ms);
	return finish(&follow, r, false);
}
