/*
 * JOB_START and JOB_ATTACH answer with a stream; when that breaks because its link did, JOB_ATTACH
 * asks for the rest of it:
 *
 *     IDLE ──► ASKING ──► FOLLOWING ──► CLOSED
 *                ▲  │         │ │          ▲
 *                │  ▼         │ └► AWAITING┘   (all written, but it runs on)
 *               LOST ◄────────┘
 *
 * Loopsyd keeps a call while it looks for the link, so ASKING is where most of the waiting is done;
 * LOST is the pause before the next try, when the peer counts as down.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/job_client_private.h"
#include "ctl/monotonic.h"

#define RETRY_MS 300

int job_client_new(struct remote *remote, const char *peer,
		   const struct job_client_handler *handler, void *arg, struct job_client **ret_job)
{
	struct job_client *job = calloc(1, sizeof(*job));

	if (!job)
		return -ENOMEM;
	job->remote = remote;
	job->peer = peer;
	job->handler = handler;
	job->arg = arg;
	job_input_init(&job->input);
	*ret_job = job;
	return 0;
}

struct job_client *job_client_free(struct job_client *job)
{
	if (!job)
		return NULL;
	if (job->call)
		remote_cancel(job->call);
	job_input_deinit(&job->input);
	free(job);
	return NULL;
}

static void close_with(struct job_client *job, int error, const char *reason)
{
	const char *format = reason[0] ? NULL : ops_jobs_error(OP_JOB_ATTACH, error), *at;
	char text[OPS_CTL_TEXT_MAX];

	job->state = JOB_CLIENT_CLOSED;
	job->call = NULL;
	at = format ? strstr(format, "%s") : NULL;
	if (at) {
		snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - format), format,
			 remote_place(job->peer), at + 2);
		reason = text;
	} else if (error < 0 && !reason[0]) {
		reason = strerror(-error);
	}
	job->handler->closed(job->arg, error, reason);
}

/* --- links that break ------------------------------------------------------------------------- */

/* Errors after which the same may go well. */
static bool is_of_the_link(int error)
{
	return error == -ENOTCONN || error == -EHOSTDOWN || error == -ETIMEDOUT ||
	       error == -ESTALE || error == -EIO;
}

static void lose(struct job_client *job, int error, const char *reason)
{
	int64_t now = monotonic_ms();

	job->call = NULL;
	if (!job->is_lost) {
		job->is_lost = true;
		job->lost_at = now;
		memcpy(job->stale, job->unconsumed, sizeof(job->stale));
		if (job->handler->link)
			job->handler->link(job->arg, true);
	}
	if (now - job->lost_at > JOB_CLIENT_PATIENCE_MS) {
		close_with(job, error, reason);
		return;
	}
	job->state = JOB_CLIENT_LOST;
	/* The first time at once: loopsyd waits for the link. */
	job->retry_at = error == -ENOTCONN ? now : now + RETRY_MS;
}

static void find_again(struct job_client *job)
{
	job->is_lost = false;
	if (job->handler->link)
		job->handler->link(job->arg, false);
	job_input_resume(job);
}

/* --- the stream ------------------------------------------------------------------------------- */

static void follow(struct job_client *job, const struct job_info *info)
{
	job->state = JOB_CLIENT_FOLLOWING;
	job->number = info->job;
	if (!job->was_told_started) {
		job->was_told_started = true;
		job->handler->started(job->arg, info);
	}
}

/* A failed start or attach. */
static void take_refusal(struct job_client *job, const struct remote_reply *reply)
{
	if (job->was_told_started && is_of_the_link(reply->error))
		lose(job, reply->error, reply->reason);
	else if (job->was_told_started && reply->error == -ENOENT)
		close_with(job, -ESHUTDOWN, "");
	else
		close_with(job, reply->error, reply->reason);
}

static void on_started(void *arg, const struct remote_reply *reply)
{
	const struct result_job_start *result = reply->result;
	struct job_client *job = arg;

	if (reply->error < 0)
		take_refusal(job, reply);
	else
		follow(job, &result->info);
}

static void on_attached(void *arg, const struct remote_reply *reply)
{
	const struct result_job_attach *result = reply->result;
	struct job_client *job = arg;

	if (reply->error < 0) {
		take_refusal(job, reply);
		return;
	}
	if (!job->was_told_started || job->screen_left > 0)
		job->offset = result->offset;
	job->screen_left = result->screen_size;
	follow(job, &result->info);
	if (job->is_lost)
		find_again(job);
}

static void tell_end(struct job_client *job, const struct job_info *info)
{
	if (job->was_told_ended)
		return;
	job->was_told_ended = true;
	job->input.closed = true;
	job->handler->ended(job->arg, info);
}

/* The screen that comes first is not of the sequence. */
static void count_output(struct job_client *job, unsigned channel, size_t size)
{
	uint64_t screen = 0;

	if (channel == JOB_STDOUT)
		screen = job->screen_left < size ? job->screen_left : size;
	job->screen_left -= screen;
	job->offset += size - screen;
}

static void on_data(void *arg, unsigned channel, struct bytes data)
{
	struct job_client *job = arg;
	struct job_info info;

	if (channel > JOB_STDERR) {
		struct bytes notice = data;

		remote_consumed(job->call, channel, data.size);
		if (channel == JOB_NOTICES &&
		    codec_decode(&job_info_record, &notice, &info, NULL) == 0)
			tell_end(job, &info);
		return;
	}
	count_output(job, channel, data.size);
	job->unconsumed[channel] += data.size;
	job->handler->output(job->arg, channel, data);
}

void job_client_consumed(struct job_client *job, unsigned channel, size_t bytes)
{
	size_t stale = job->stale[channel] < bytes ? job->stale[channel] : bytes;

	/* What a stream brought that is gone needs no credit, and the next one did not bring it. */
	job->unconsumed[channel] -= bytes;
	job->stale[channel] -= stale;
	if (job->state == JOB_CLIENT_FOLLOWING && bytes > stale)
		remote_consumed(job->call, channel, bytes - stale);
}

static void on_waited(void *arg, const struct remote_reply *reply)
{
	const struct result_job_wait *result = reply->result;
	struct job_client *job = arg;

	if (reply->error < 0) {
		take_refusal(job, reply);
		return;
	}
	tell_end(job, &result->info);
	close_with(job, 0, "");
}

static const struct remote_handler waiting = {.reply = on_waited};

static void on_end(void *arg, int error)
{
	struct job_client *job = arg;
	struct args_job_wait args = {.job = job->number};

	job->call = NULL;
	if (error == 0 && !job->was_told_ended) {
		job->state = JOB_CLIENT_AWAITING;
		error = remote_call(job->remote, job->peer, OP_JOB_WAIT, &args, &waiting, job,
				    &job->call);
		if (error < 0)
			close_with(job, error, "");
	} else if (is_of_the_link(error)) {
		lose(job, error, "");
	} else {
		close_with(job, error, "");
	}
}

static const struct remote_handler starting = {on_started, on_data, on_end};
static const struct remote_handler attaching = {on_attached, on_data, on_end};

/* --- asking ----------------------------------------------------------------------------------- */

int job_client_start(struct job_client *job, const struct args_job_start *given)
{
	struct args_job_start args = *given;
	int r;

	args.flags |= JOB_ATTACH;
	job->number = args.job;
	job->flags = args.flags & JOB_OWNER;
	r = remote_call(job->remote, job->peer, OP_JOB_START, &args, &starting, job, &job->call);
	if (r == 0)
		job->state = JOB_CLIENT_ASKING;
	return r;
}

int job_client_attach(struct job_client *job, const struct args_job_attach *args)
{
	int r;

	job->number = args->job;
	job->flags = args->flags & JOB_OWNER;
	r = remote_call(job->remote, job->peer, OP_JOB_ATTACH, args, &attaching, job, &job->call);
	if (r == 0)
		job->state = JOB_CLIENT_ASKING;
	return r;
}

int job_client_timeout(const struct job_client *job)
{
	int64_t left = job->retry_at - monotonic_ms();

	if (job->state != JOB_CLIENT_LOST)
		return -1;
	return left > 0 ? (int)left : 0;
}

void job_client_turn(struct job_client *job)
{
	struct args_job_attach args = {
	    .job = job->number, .offset = job->offset, .flags = job->flags};
	int r;

	if (job->screen_left > 0)
		args.flags |= JOB_SCREEN; /* it came in part only: all of it again */

	if (job->state != JOB_CLIENT_LOST || job_client_timeout(job) > 0)
		return;
	r = remote_call(job->remote, job->peer, OP_JOB_ATTACH, &args, &attaching, job, &job->call);
	if (r < 0)
		close_with(job, r, "");
	else
		job->state = JOB_CLIENT_ASKING;
}

void job_client_signal(struct job_client *job, unsigned signal)
{
	struct args_job_signal args = {.job = job->number, .signal = signal};

	remote_call(job->remote, job->peer, OP_JOB_SIGNAL, &args, NULL, NULL, NULL);
}

void job_client_resize(struct job_client *job, unsigned rows, unsigned cols)
{
	struct args_job_resize args = {.job = job->number, .rows = rows, .cols = cols};

	remote_call(job->remote, job->peer, OP_JOB_RESIZE, &args, NULL, NULL, NULL);
}

uint64_t job_client_number(const struct job_client *job)
{
	return job->number;
}
