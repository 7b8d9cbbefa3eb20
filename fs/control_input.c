/*
 * A job's standard input: one JOB_WRITE of a job is under way at a time, the others wait in order.
 *
 * A WRITE is answered when the job has taken its bytes. If its writer is interrupted meanwhile, the
 * bytes go on, and it hears that they were written (as POSIX has it for what was written in part):
 * a program that writes again would else write them twice. What goes wrong with them then, and with
 * those of a writer who does not wait (O_NONBLOCK), is said by the next WRITE or FLUSH.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/control_job.h"
#include "fs/control_private.h"

#define INPUT_SIZE 65536 /* bytes of one */
#define INPUTS_MAX 64    /* under way, of one peer */
#define QUEUE_MAX  256   /* that wait, of one job */

struct control_input {
	struct parked parked;
	struct control_job *job;       /* held */
	struct control_handle *handle; /* NULL: closed, or none (eof) */
	struct control_input *next;    /* job->inputs */
	bool is_eof, is_flush;
	size_t size;
	uint8_t data[];
};

struct input_ask {
	struct control_ask ask;
	struct control_job *job; /* held */
};

static void send_first(struct control_job *job);

/* --- the queue -------------------------------------------------------------------------------- */

static void answer(struct control_input *input, int error)
{
	struct control_handle *handle = input->handle;
	fuse_req_t req = parked_take(&input->parked);

	if (!req) {
		if (handle && error)
			handle->error = error;
		return;
	}
	if (error)
		control_refuse(req, handle, OP_JOB_WRITE, error, NULL);
	else if (input->is_flush)
		fuse_reply_err(req, 0);
	else
		fuse_reply_write(req, input->size);
}

/* Takes the first out, answered. */
static void finish_first(struct control_job *job, int error)
{
	struct control_input *input = job->inputs;
	struct control_handle *handle = input->handle;

	job->inputs = input->next;
	if (!job->inputs)
		job->inputs_end = &job->inputs;
	answer(input, error);
	free(input);
	if (handle && --handle->n_inputs == 0)
		control_follow_writable(handle);
	control_job_unref(job);
}

static void on_written(struct control_ask *ask, const struct transport_reply *reply)
{
	struct control_job *job = ((struct input_ask *)ask)->job;

	ask->peer->control.n_inputs--;
	finish_first(job, reply->error);
	send_first(job);
}

static void release(struct control_ask *ask)
{
	control_job_unref(((struct input_ask *)ask)->job);
}

static void send_first(struct control_job *job)
{
	struct control_input *input;
	struct args_job_write args = {.job = job->number, .offset = OPS_ANY};
	struct input_ask *ask;

	while ((input = job->inputs) && input->is_flush)
		finish_first(job, 0);
	if (!input)
		return;
	ask = control_ask_new(job->peer, sizeof(*ask), NULL);
	if (!ask) {
		finish_first(job, -ENOMEM);
		send_first(job);
		return;
	}
	ask->job = control_job_ref(job);
	ask->ask.done = on_written;
	ask->ask.release = release;
	args.eof = input->is_eof;
	args.data = (struct bytes){input->data, input->size};
	job->peer->control.n_inputs++;
	control_ask_send(&ask->ask, OP_JOB_WRITE, &args);
}

static int check_room(const struct control_job *job)
{
	unsigned n = 0;

	for (const struct control_input *input = job->inputs; input; input = input->next)
		n++;
	if (n >= QUEUE_MAX || (!n && job->peer->control.n_inputs >= INPUTS_MAX))
		return -EAGAIN;
	return job->peer->transport ? 0 : -ESTALE;
}

static struct control_input *new_input(struct control_job *job, struct control_handle *handle,
				       size_t size)
{
	struct control_input *input = calloc(1, sizeof(*input) + size);

	if (!input)
		return NULL;
	input->job = control_job_ref(job);
	input->handle = handle;
	input->size = size;
	if (handle)
		handle->n_inputs++;
	return input;
}

static void add(struct control_input *input)
{
	struct control_job *job = input->job;

	*job->inputs_end = input;
	job->inputs_end = &input->next;
	if (job->inputs == input)
		send_first(job);
}

/* --- operations ------------------------------------------------------------------------------- */

void control_input_write(fuse_req_t req, struct control_handle *handle, struct bytes data,
			 int flags)
{
	struct control_input *input;
	int error = handle->error;

	handle->error = 0;
	if (!error && flags & O_NONBLOCK && handle->job->inputs) {
		fuse_reply_err(req, EAGAIN);
		return;
	}
	if (!error)
		error = check_room(handle->job);
	if (data.size > INPUT_SIZE)
		data.size = INPUT_SIZE;
	input = error ? NULL : new_input(handle->job, handle, data.size);
	if (!input) {
		control_refuse(req, handle, OP_JOB_WRITE, error ? error : -ENOMEM,
			       error == -EAGAIN ? "too many writers wait already" : NULL);
		return;
	}
	memcpy(input->data, data.data, data.size);
	if (flags & O_NONBLOCK) {
		input->parked.fs = handle->fs;
		fuse_reply_write(req, data.size);
	} else if (!parked_start(&input->parked, handle->fs, req, PARKED_CONTROL, NULL)) {
		handle->n_inputs--;
		control_job_unref(input->job);
		free(input);
		return;
	}
	input->parked.written = data.size;
	add(input);
}

void control_input_flush(fuse_req_t req, struct control_handle *handle)
{
	struct control_input *input;
	int error = handle->error;

	handle->error = 0;
	if (error || !handle->n_inputs) {
		if (error)
			control_refuse(req, handle, OP_JOB_WRITE, error, NULL);
		else
			fuse_reply_err(req, 0);
		return;
	}
	input = new_input(handle->job, handle, 0);
	if (!input) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	input->is_flush = true;
	if (parked_start(&input->parked, handle->fs, req, PARKED_CONTROL, NULL)) {
		add(input);
		return;
	}
	handle->n_inputs--;
	control_job_unref(input->job);
	free(input);
}

int control_input_eof(struct control_job *job)
{
	int error = check_room(job);
	struct control_input *input = error ? NULL : new_input(job, NULL, 0);

	if (!input)
		return error ? error : -ENOMEM;
	input->is_eof = true;
	input->parked.fs = job->peer->fs;
	add(input);
	return 0;
}

void control_input_closed(struct control_handle *handle)
{
	struct control_input *input = handle->job ? handle->job->inputs : NULL;

	for (; input; input = input->next)
		if (input->handle == handle)
			input->handle = NULL;
	handle->n_inputs = 0;
}
