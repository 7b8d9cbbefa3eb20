/* `wait`: blocks until a job has ended, and reads as its exit status then. All who wait for one job
 * share one call: there is room for a thousand in flight, for the files too. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/control_job.h"
#include "fs/control_private.h"

struct wait_ask {
	struct control_ask ask;
	struct control_job *job; /* held */
};

static void release(struct control_ask *ask)
{
	control_job_unref(((struct wait_ask *)ask)->job);
}

static void on_wait(struct control_ask *ask, const struct transport_reply *reply)
{
	struct control_job *job = ((struct wait_ask *)ask)->job;
	const struct result_job_wait *result = reply->result;

	job->wait = NULL;
	job->wait_error = reply->error;
	if (!reply->error && result->info.state == JOB_RUNNING)
		job->wait_error = -EPROTO;
	else if (!reply->error)
		control_job_ended(job, &result->info);
	if (job->wait_error)
		control_follow_wake_all(job->waiters);
}

static int start(struct control_handle *handle)
{
	struct control_job *job = handle->job;
	struct args_job_wait args = {.job = job->number};
	struct wait_ask *ask;

	control_reader_join(handle, &job->waiters);
	if (job->has_ended || job->wait)
		return 0;
	ask = control_ask_new(job->peer, sizeof(*ask), NULL);
	if (!ask)
		return -ENOMEM;
	ask->job = control_job_ref(job);
	ask->ask.done = on_wait;
	ask->ask.release = release;
	job->wait = &ask->ask;
	job->wait_error = 0;
	control_ask_send(&ask->ask, OP_JOB_WAIT, &args);
	return 0;
}

static bool is_ready(struct control_handle *handle)
{
	return handle->job->has_ended || handle->job->wait_error;
}

static ssize_t take(struct control_handle *handle, uint8_t *buffer, size_t size)
{
	const struct control_job *job = handle->job;
	char text[16];
	size_t length;
	uint64_t status = job->end.exit;

	if (!job->has_ended)
		return job->wait_error;
	if (job->end.state == JOB_LOST)
		return -ENODATA;
	if (job->end.state == JOB_KILLED)
		status = 128 + job->end.signal;
	length = (size_t)snprintf(text, sizeof(text), "%u\n", (unsigned)status);
	if (handle->position >= length)
		return 0;
	if (size > length - handle->position)
		size = length - handle->position;
	memcpy(buffer, text + handle->position, size);
	handle->position += size;
	return (ssize_t)size;
}

static void leave(struct control_handle *handle)
{
	struct control_job *job = handle->job;
	struct control_ask *wait = job->wait;

	control_reader_leave(handle);
	if (job->waiters || !wait)
		return;
	job->wait = NULL;
	control_ask_abandon(wait);
}

const struct control_source control_wait_source = {
    .start = start, .is_ready = is_ready, .take = take, .leave = leave};
