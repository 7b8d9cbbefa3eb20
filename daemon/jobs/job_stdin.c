/*
 * What peers write goes to the program straight from their requests, which wait in a queue until
 * all of them was taken. Offsets let a client repeat what it does not know the fate of.
 */
#include <errno.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "daemon/jobs/jobs_private.h"

#define END_OF_FILE 4 /* Ctrl-D, if the terminal does not say otherwise */

static void on_closed(uv_handle_t *handle)
{
	free(handle);
}

static void answer(struct job_pending *pending, int error)
{
	struct job *job = pending->job;
	struct request *request;

	TAILQ_REMOVE(&job->writes, pending, of_job);
	request = jobs_pending_take(pending);
	/* What a terminal says to a key is nearly always soon to come: they leave together. */
	if (job->flags & JOB_TTY)
		request_be_lazy(request);
	if (error < 0)
		request_fail(request, error);
	else
		request_reply(request, &(struct result_job_write){.end = job->in_end}, NULL, NULL);
}

void job_stdin_close(struct job *job)
{
	struct job_pending *pending;
	bool is_pipe = !(job->flags & JOB_TTY);

	if (job->in_poll)
		uv_close((uv_handle_t *)job->in_poll, on_closed);
	job->in_poll = NULL;
	if (is_pipe && job->in_fd >= 0)
		close(job->in_fd);
	job->in_fd = -1;
	job->in_waits = false;
	while ((pending = TAILQ_FIRST(&job->writes)))
		answer(pending, -EPIPE);
}

static void on_writable(uv_poll_t *poll, int status, int events)
{
	job_stdin_go_on(poll->data);
}

/* Calls job_stdin_go_on when it takes more. */
static int wait_for_room(struct job *job)
{
	int error = 0;

	job->in_waits = true;
	if (job->flags & JOB_TTY) {
		job_output_want_write(&job->outputs[0]);
		return 0;
	}
	if (!job->in_poll) {
		job->in_poll = malloc(sizeof(*job->in_poll));
		error = job->in_poll
			    ? uv_poll_init(job->jobs->options.loop, job->in_poll, job->in_fd)
			    : -ENOMEM;
		if (error < 0) {
			free(job->in_poll);
			job->in_poll = NULL;
			return error;
		}
		job->in_poll->data = job;
	}
	return uv_poll_start(job->in_poll, UV_WRITABLE, on_writable);
}

static void wait_no_more(struct job *job)
{
	if (!job->in_waits)
		return;
	job->in_waits = false;
	if (job->flags & JOB_TTY)
		job_output_want_write(&job->outputs[0]);
	else
		uv_poll_stop(job->in_poll);
}

/* A terminal's end of file is a character; behind an unfinished line it only ends that. */
static int end_terminal(struct job *job)
{
	struct termios modes;
	uint8_t text[2] = {END_OF_FILE, END_OF_FILE};
	size_t n = job->in_end > 0 && job->in_last != '\n' && job->in_last != '\r' ? 2 : 1;

	if (tcgetattr(job->in_fd, &modes) == 0)
		text[0] = text[1] = modes.c_cc[VEOF];
	return write(job->in_fd, text, n) < 0 ? -errno : 0;
}

/* Returns 0 when all of it was taken, -EAGAIN, or why it will not be. */
static int write_one(struct job *job, struct job_pending *pending)
{
	const struct args_job_write *args = pending->request->args;
	uint64_t end = pending->offset + args->data.size;

	if (pending->offset > job->in_end)
		return -EINVAL;
	while (job->in_end < end) {
		size_t skip = (size_t)(job->in_end - pending->offset);
		ssize_t n = write(job->in_fd, args->data.data + skip, args->data.size - skip);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EIO ? -EPIPE : -errno; /* EIO: of a terminal that is gone */
		job->in_end += (size_t)n;
		job->in_last = args->data.data[skip + (size_t)n - 1];
	}
	if (args->eof && (job->flags & JOB_TTY))
		return end_terminal(job);
	return 0;
}

void job_stdin_go_on(struct job *job)
{
	struct job_pending *pending;

	job_hold(job);
	while ((pending = TAILQ_FIRST(&job->writes)) && job->in_fd >= 0) {
		const struct args_job_write *args = pending->request->args;
		bool is_last = args->eof && !(job->flags & JOB_TTY);
		int error = write_one(job, pending);

		if (error == -EAGAIN) {
			error = job->in_waits ? 0 : wait_for_room(job);
			if (error == 0)
				goto out;
		}
		answer(pending, error);
		if (error == -EPIPE || (error == 0 && is_last))
			job_stdin_close(job);
	}
	wait_no_more(job);
out:
	job_release(job);
}

void job_stdin_withdraw(struct job_pending *pending)
{
	struct job *job = pending->job;

	answer(pending, -EINTR);
	if (TAILQ_EMPTY(&job->writes)) {
		job->in_offered = job->in_end;
		wait_no_more(job);
	}
}

void job_stdin_write(struct job *job, struct jobs_guest *guest, struct request *request)
{
	const struct args_job_write *args = request->args;
	uint64_t offset;
	struct job_pending *pending;

	if (TAILQ_EMPTY(&job->writes))
		job->in_offered = job->in_end;
	offset = args->offset == OPS_ANY ? job->in_offered : args->offset;
	if (offset > job->in_offered) {
		request_fail(request, -EINVAL);
		return;
	}
	/* All of it was taken before, and only the answer was lost. */
	if (offset + args->data.size <= job->in_end && !args->eof) {
		request_reply(request, &(struct result_job_write){.end = job->in_end}, NULL, NULL);
		return;
	}
	if (job->in_fd < 0 && job->phase != JOB_STARTING) {
		request_fail(request, -EPIPE);
		return;
	}
	pending = jobs_pending_new(JOB_PENDING_WRITE, request, job, guest);
	if (!pending) {
		request_fail(request, -ENOMEM);
		return;
	}
	pending->offset = offset;
	if (offset + args->data.size > job->in_offered)
		job->in_offered = offset + args->data.size;
	TAILQ_INSERT_TAIL(&job->writes, pending, of_job);
	if (TAILQ_FIRST(&job->writes) == pending && job->phase != JOB_STARTING)
		job_stdin_go_on(job);
}
