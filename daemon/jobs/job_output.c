/*
 * What a job writes goes from its pipes straight into the spool. A spool that is full pauses them.
 * When the process has ended, what is in a pipe by then is still its own; what comes later was
 * written by somebody who inherited it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "daemon/jobs/jobs_private.h"

#define READS     4 /* at once */
#define PIPE_SIZE (512 * 1024)
#define PIPE_BUSY (32 * 1024) /* read at once: it is worth a larger pipe */

static void on_event(uv_poll_t *poll, int status, int events);

static void watch(struct job_output *output)
{
	struct job *job = output->job;
	int events = 0;

	if (!output->is_paused)
		events |= UV_READABLE;
	if ((job->flags & JOB_TTY) && job->in_waits)
		events |= UV_WRITABLE;
	if (events)
		uv_poll_start(output->poll, events, on_event);
	else
		uv_poll_stop(output->poll);
}

static void on_closed(uv_handle_t *handle)
{
	free(handle);
}

int job_output_open(struct job_output *output, struct job *job, unsigned channel, int fd)
{
	int error;

	*output = (struct job_output){.job = job, .channel = channel, .fd = fd};
	output->poll = malloc(sizeof(*output->poll));
	error = output->poll ? uv_poll_init(job->jobs->options.loop, output->poll, fd) : -ENOMEM;
	if (error < 0) {
		free(output->poll);
		output->poll = NULL;
		return error;
	}
	output->poll->data = output;
	watch(output);
	return 0;
}

void job_output_close(struct job_output *output)
{
	struct job *job = output->job;

	if (output->fd < 0)
		return;
	if (output->poll)
		uv_close((uv_handle_t *)output->poll, on_closed);
	output->poll = NULL;
	close(output->fd);
	output->fd = -1;
	output->is_drained = true;
	if (job->flags & JOB_TTY)
		job_stdin_close(job);
}

/* A program that writes much is not to wait for us after each 64 KiB. */
static void grow_pipe(struct job_output *output, size_t size)
{
	if (output->is_grown || size < PIPE_BUSY || (output->job->flags & JOB_TTY))
		return;
	output->is_grown = true;
	fcntl(output->fd, F_SETPIPE_SZ, PIPE_SIZE); /* may be more than the user may have */
}

/* Returns 1 if there may be more, 0 if that was probably all, -1 if nothing can be read now. */
static int take(struct job_output *output)
{
	struct job *job = output->job;
	size_t room;
	uint8_t *to;
	ssize_t n;

	if (output->fd < 0)
		return -1;
	if (!spool_may_grow(job->spool)) {
		output->is_paused = true;
		watch(output);
		return -1;
	}
	to = spool_reserve(job->spool, &room);
	if (!to) /* out of memory: the loop comes back to it */
		return -1;
	do {
		n = read(output->fd, to, room);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN) {
		output->is_drained = job->phase == JOB_OVER || job->pidfd_poll == NULL;
		return -1;
	}
	if (n <= 0) { /* a terminal's end is EIO */
		job_output_close(output);
		return -1;
	}
	spool_commit(job->spool, output->channel, (size_t)n);
	grow_pipe(output, (size_t)n);
	if (!output->is_drained && job->pidfd_poll == NULL && output->left != SIZE_MAX) {
		output->left -= (size_t)n < output->left ? (size_t)n : output->left;
		output->is_drained = output->left == 0;
	}
	return (size_t)n == room || (size_t)n >= PIPE_BUSY;
}

static void check_notice(struct job *job)
{
	if (job->has_notice || job->pidfd_poll != NULL || !job->outputs[0].is_drained ||
	    (job->outputs[1].fd >= 0 && !job->outputs[1].is_drained))
		return;
	job->has_notice = true;
	job->notice_at = spool_end(job->spool);
}

/* Reads, and passes on. */
static void pump(struct job_output *output)
{
	struct job *job = output->job;

	for (unsigned i = 0; i < READS; i++) {
		int more = take(output);

		/* Of what it had written when it ended, nothing must be left for another time:
		 * there may be no event for it. */
		if (more < 0 || (more == 0 && (job->pidfd_poll || output->is_drained)))
			break;
		job_stream_pump(job);
	}
	check_notice(job);
	job_stream_pump(job);
	if (job->screen)
		job_screen_feed(job->screen);
}

static void on_event(uv_poll_t *poll, int status, int events)
{
	struct job_output *output = poll->data;
	struct job *job = output->job;

	if (status < 0)
		events = UV_READABLE | UV_WRITABLE;
	job_hold(job);
	if ((events & UV_WRITABLE) && job->in_waits)
		job_stdin_go_on(job);
	if ((events & UV_READABLE) && output->fd >= 0 && !output->is_paused)
		pump(output);
	job_release(job);
}

void job_output_drain(struct job *job)
{
	for (unsigned i = 0; i < SPOOL_CHANNELS; i++) {
		struct job_output *output = &job->outputs[i];
		int left;

		if (output->fd < 0) {
			output->is_drained = true;
			continue;
		}
		output->left = SIZE_MAX; /* a terminal's is known when it was read */
		if (!(job->flags & JOB_TTY) && ioctl(output->fd, FIONREAD, &left) == 0) {
			output->left = (size_t)left;
			output->is_drained = left == 0;
		}
		while (!output->is_drained && !output->is_paused && take(output) >= 0)
			;
		/* Most are at their end now: that saves another turn of the loop. */
		if (output->is_drained && output->fd >= 0 && !output->is_paused)
			take(output);
	}
	check_notice(job);
}

void job_output_resume(struct job *job)
{
	for (unsigned i = 0; i < SPOOL_CHANNELS; i++) {
		struct job_output *output = &job->outputs[i];

		if (output->fd >= 0 && output->is_paused) {
			output->is_paused = false;
			watch(output);
		}
	}
}

void job_output_want_write(struct job_output *output)
{
	if (output->fd >= 0)
		watch(output);
}
