/*
 * Reading what comes bit by bit: `exec`, stdout, stderr, `wait` and `events`, whose sources
 * (struct control_source) say when there is something.
 *
 * A READ is answered with what there is; if there is nothing yet it waits, and an interrupt answers
 * it at once; with O_NONBLOCK it is EAGAIN. poll asks the same question, and whoever polls is
 * notified once when the answer may have changed. (FUSE_NOTIFY_POLL wakes a queue and waits for
 * nothing, other than the notifications of notify.h.)
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "fs/control_job.h"
#include "fs/control_private.h"

void control_reader_join(struct control_handle *handle, struct control_handle **readers)
{
	if (handle->readers == readers)
		return;
	control_reader_leave(handle);
	handle->readers = readers;
	handle->prev_reader = NULL;
	handle->next_reader = *readers;
	if (*readers)
		(*readers)->prev_reader = handle;
	*readers = handle;
}

void control_reader_leave(struct control_handle *handle)
{
	if (!handle->readers)
		return;
	*(handle->prev_reader ? &handle->prev_reader->next_reader : handle->readers) =
	    handle->next_reader;
	if (handle->next_reader)
		handle->next_reader->prev_reader = handle->prev_reader;
	handle->readers = NULL;
	handle->prev_reader = handle->next_reader = NULL;
}

/* --- READ ------------------------------------------------------------------------------------- */

static void free_read(struct control_read *read)
{
	struct control_handle *handle = read->handle;

	*(read->prev ? &read->prev->next : &handle->reads) = read->next;
	*(read->next ? &read->next->prev : &handle->last_read) = read->prev;
	free(read);
}

static void gave_up(struct parked *parked)
{
	free_read((struct control_read *)((char *)parked - offsetof(struct control_read, parked)));
}

static const char *why(const struct control_handle *handle, int error)
{
	if (error == -ENODATA && handle->row->source == &control_wait_source)
		return "how it ended is not known: loopsyd there ended before it did";
	return NULL;
}

static void answer(fuse_req_t req, struct control_handle *handle, size_t size)
{
	uint8_t *buffer;
	ssize_t n;

	if (size > CONTROL_READ_MAX)
		size = CONTROL_READ_MAX;
	buffer = malloc(size ? size : 1);
	n = buffer ? handle->row->source->take(handle, buffer, size) : -ENOMEM;
	if (n < 0)
		control_refuse(req, handle, OP_JOB_ATTACH, (int)n, why(handle, (int)n));
	else
		fuse_reply_buf(req, (const char *)buffer, (size_t)n);
	free(buffer);
}

static int park(fuse_req_t req, struct control_handle *handle, size_t size)
{
	struct control_read *read = calloc(1, sizeof(*read));

	if (!read)
		return -ENOMEM;
	if (!parked_start(&read->parked, handle->fs, req, PARKED_CONTROL, gave_up)) {
		free(read);
		return 0;
	}
	read->handle = handle;
	read->size = size;
	read->prev = handle->last_read;
	*(read->prev ? &read->prev->next : &handle->reads) = read;
	handle->last_read = read;
	return 0;
}

void control_follow_read(fuse_req_t req, struct control_handle *handle, size_t size, int flags)
{
	const struct control_source *source = handle->row->source;
	int error = source->start(handle);

	if (!error && !handle->reads && source->is_ready(handle)) {
		answer(req, handle, size);
		return;
	}
	if (!error && flags & O_NONBLOCK) {
		fuse_reply_err(req, EAGAIN); /* no error that is worth to be remembered */
		return;
	}
	if (!error)
		error = park(req, handle, size);
	if (error)
		control_refuse(req, handle, OP_JOB_ATTACH, error, NULL);
}

static void wake_poll(struct control_handle *handle)
{
	struct fuse_pollhandle *poll = handle->poll;

	handle->poll = NULL;
	if (!poll)
		return;
	fuse_lowlevel_notify_poll(poll);
	fuse_pollhandle_destroy(poll);
}

void control_follow_wake(struct control_handle *handle)
{
	const struct control_source *source = handle->row->source;

	while (handle->reads && source->is_ready(handle)) {
		struct control_read *read = handle->reads;
		size_t size = read->size;
		fuse_req_t req = parked_take(&read->parked);

		free_read(read);
		answer(req, handle, size);
	}
	if (handle->poll && source->is_ready(handle))
		wake_poll(handle);
}

void control_follow_writable(struct control_handle *handle)
{
	wake_poll(handle);
}

void control_follow_wake_all(struct control_handle *readers)
{
	struct control_handle *next;

	for (; readers; readers = next) {
		next = readers->next_reader;
		control_follow_wake(readers);
	}
}

/* --- POLL ------------------------------------------------------------------------------------- */

static unsigned events(struct control_handle *handle)
{
	const struct control_source *source = handle->row->source;
	bool reads = (handle->flags & O_ACCMODE) != O_WRONLY;
	unsigned ready = 0;

	/* Whatever is no source is answered without waiting for others. */
	if (reads && (!source || source->start(handle) || source->is_ready(handle)))
		ready |= POLLIN | POLLRDNORM;
	if ((handle->flags & O_ACCMODE) != O_RDONLY && !handle->n_inputs)
		ready |= POLLOUT | POLLWRNORM;
	return ready;
}

void control_follow_poll(fuse_req_t req, struct control_handle *handle,
			 struct fuse_pollhandle *poll)
{
	if (poll) {
		if (handle->poll)
			fuse_pollhandle_destroy(handle->poll);
		handle->poll = poll;
	}
	fuse_reply_poll(req, events(handle));
}

void control_follow_end(struct control_handle *handle)
{
	while (handle->reads) {
		fuse_reply_err(parked_take(&handle->reads->parked), EINTR);
		free_read(handle->reads);
	}
	if (handle->poll)
		fuse_pollhandle_destroy(handle->poll);
	handle->poll = NULL;
	if (handle->row->source && handle->row->source->leave)
		handle->row->source->leave(handle);
}
