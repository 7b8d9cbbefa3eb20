/*
 * What is done with open files: the bytes of READ and WRITE, and what belongs to them.
 *
 * A READ is tried on the loop first (RWF_NOWAIT), and goes on in the pool where that gave less than
 * was asked for: only a read that may block tells the end of the file from a page that is not in
 * memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "daemon/serve/wire_entries.h"
#include "daemon/serve/opens.h"
#include "daemon/serve/serve_private.h"
#include "proto/errors.h"

#define COPY_STEP (16 * 1024 * 1024) /* bytes between two looks at work->cancelled */

/* Holds the open file that args name: each of their structs begins so. */
static int attempt_file(struct work *work)
{
	const struct {
		uint64_t node;
		uint64_t handle;
	} *args = work->args;

	return opens_hold(&work->guest->opens, work, args->node, args->handle) ? WORK_BLOCKS
									       : -EBADF;
}

static int file_attr(struct work *work, const struct open_file *file, struct attr *ret_attr)
{
	return wire_entries_attr_of_fd(work->guest->serve->mounts, file->fd, ret_attr);
}

/* --- READ ------------------------------------------------------------------------------------- */

static int attempt_read(struct work *work)
{
	const struct args_read *args = work->args;
	struct result_read *result = &work->result.read;
	struct open_file *file;
	struct iovec iov;
	ssize_t n;

	if (attempt_file(work) < 0)
		return -EBADF;
	file = work->room;
	work->payload = malloc(args->size ? args->size : 1);
	if (!work->payload)
		return -ENOMEM;
	iov = (struct iovec){work->payload, args->size};
	n = preadv2(file->fd, &iov, 1, (off_t)args->offset, RWF_NOWAIT);
	result->data = (struct bytes){work->payload, n > 0 ? (size_t)n : 0};
	return result->data.size == args->size ? 0 : WORK_BLOCKS;
}

static int run_read(struct work *work)
{
	const struct args_read *args = work->args;
	struct result_read *result = &work->result.read;
	struct open_file *file = work->room;

	while (result->data.size < args->size) {
		ssize_t n = pread(file->fd, (char *)work->payload + result->data.size,
				  args->size - result->data.size,
				  (off_t)(args->offset + result->data.size));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return result->data.size > 0 ? 0 : -errno;
		if (n == 0)
			break;
		result->data.size += (size_t)n;
	}
	return 0;
}

/* --- WRITE ------------------------------------------------------------------------------------ */

static int run_write(struct work *work)
{
	const struct args_write *args = work->args;
	struct result_write *result = &work->result.write;
	struct open_file *file = work->room;
	ACTING acting = ACTING_NULL;
	int error = opens_act(work, file, &acting);
	size_t done = 0;

	if (error < 0)
		return error;
	while (done < args->data.size) {
		struct iovec iov = {(uint8_t *)args->data.data + done, args->data.size - done};
		ssize_t n = pwritev2(file->fd, &iov, 1, (off_t)(args->offset + done),
				     args->append ? RWF_APPEND : 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && done == 0)
			return -errno;
		if (n < 0)
			result->error = error_from_errno(-errno);
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	acting_end(&acting);
	result->written = done;
	return file_attr(work, file, &result->attr);
}

/* `works` up to `end`. */
static void write_one_by_one(struct work *work, const struct work *end)
{
	for (; work != end; work = work->next)
		work->error = work->cancelled ? -EINTR : run_write(work);
}

static bool is_continued(const struct work *work, const struct work *next)
{
	const struct args_write *a = work->args, *b = next->args;

	return !a->append && !b->append && work->room == next->room && !next->cancelled &&
	       b->offset == a->offset + a->data.size;
}

/* The bytes of `works` up to `end` follow each other in the file: written at once. */
static void write_run(struct work *works, const struct work *end, struct iovec *iov, int n)
{
	const struct args_write *args = works->args;
	struct open_file *file = works->room;
	ACTING acting = ACTING_NULL;
	ssize_t written = -1;
	struct attr attr;
	size_t size = 0;
	int error;

	for (int i = 0; i < n; i++)
		size += iov[i].iov_len;
	if (opens_act(works, file, &acting) == 0)
		written = pwritev2(file->fd, iov, n, (off_t)args->offset, 0);
	acting_end(&acting);
	if (written != (ssize_t)size) {
		write_one_by_one(works, end);
		return;
	}
	error = file_attr(works, file, &attr);
	for (struct work *work = works; work != end; work = work->next) {
		args = work->args;
		work->error = error;
		work->result.write =
		    (struct result_write){.written = args->data.size, .attr = attr};
	}
}

static void run_writes(struct work *works)
{
	struct iovec iov[WORK_BATCH_MAX];
	struct work *first = works, *work, *next;
	int n = 0;

	for (work = works; work; work = next) {
		const struct args_write *args = work->args;

		next = work->next;
		iov[n++] = (struct iovec){(uint8_t *)args->data.data, args->data.size};
		if (next && n < WORK_BATCH_MAX && !first->cancelled && is_continued(work, next))
			continue;
		if (n > 1)
			write_run(first, next, iov, n);
		else
			write_one_by_one(first, next);
		first = next;
		n = 0;
	}
}

/* --- the rest --------------------------------------------------------------------------------- */

static int run_fsync(struct work *work)
{
	const struct args_fsync *args = work->args;
	struct open_file *file = work->room;

	return (args->data_only ? fdatasync(file->fd) : fsync(file->fd)) < 0 ? -errno : 0;
}

static int run_fsyncdir(struct work *work)
{
	const struct args_fsyncdir *args = work->args;
	HELD held = HELD_NULL;
	int error = nodes_hold_any(&work->guest->nodes, args->node, &held);
	int fd;

	if (error < 0 || held.fd < 0)
		return error;
	fd = confine_open_dir(held.fd);
	if (fd < 0)
		return fd;
	error = (args->data_only ? fdatasync(fd) : fsync(fd)) < 0 ? -errno : 0;
	close(fd);
	return error;
}

static int run_fallocate(struct work *work)
{
	const struct args_fallocate *args = work->args;
	struct open_file *file = work->room;
	ACTING acting = ACTING_NULL;
	int r = opens_act(work, file, &acting);

	if (r < 0)
		return r;
	do {
		r = fallocate(file->fd, (int)args->mode, (off_t)args->offset, (off_t)args->size);
	} while (r < 0 && errno == EINTR && !work->cancelled);
	if (r < 0)
		return -errno;
	acting_end(&acting);
	return file_attr(work, file, &work->result.fallocate.attr);
}

static int run_lseek(struct work *work)
{
	const struct args_lseek *args = work->args;
	struct open_file *file = work->room;
	off_t offset = lseek(file->fd, (off_t)args->offset, args->hole ? SEEK_HOLE : SEEK_DATA);

	if (offset < 0)
		return -errno;
	work->result.lseek.offset = (uint64_t)offset;
	return 0;
}

/* Two files are held: work->room is a pair of them. */
struct copy {
	struct open_file *from, *to;
};

static int attempt_copy(struct work *work)
{
	const struct args_copy_range *args = work->args;
	struct opens *opens = &work->guest->opens;
	struct copy *copy = calloc(1, sizeof(*copy));

	if (!copy)
		return -ENOMEM;
	work->room = copy;
	copy->from = opens_find(opens, args->node, args->handle);
	copy->to = opens_find(opens, args->to_node, args->to_handle);
	return copy->from && copy->to ? WORK_BLOCKS : -EBADF;
}

static int run_copy(struct work *work)
{
	const struct args_copy_range *args = work->args;
	struct result_copy_range *result = &work->result.copy_range;
	struct copy *copy = work->room;
	off_t from = (off_t)args->offset;
	off_t to = (off_t)args->to_offset;
	ACTING acting = ACTING_NULL;
	int error = opens_act(work, copy->to, &acting);

	if (error < 0)
		return error;
	while (result->copied < args->size && !work->cancelled) {
		uint64_t left = args->size - result->copied;
		ssize_t n = copy_file_range(copy->from->fd, &from, copy->to->fd, &to,
					    left < COPY_STEP ? left : COPY_STEP, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && result->copied == 0)
			return -errno;
		if (n <= 0)
			break;
		result->copied += (uint64_t)n;
	}
	acting_end(&acting);
	return file_attr(work, copy->to, &result->attr);
}

static void settle_copy(struct work *work, int error)
{
	struct copy *copy = work->room;

	work->room = NULL;
	if (copy && copy->from)
		opens_put(&work->guest->opens, copy->from);
	if (copy && copy->to)
		opens_put(&work->guest->opens, copy->to);
	free(copy);
	work_finish(work, error);
}

const struct work_handler files_handlers[] = {
    {.op = OP_READ,
     .order = ORDER_READ,
     .attempt = attempt_read,
     .run = run_read,
     .settle = opens_settle},
    {.op = OP_WRITE,
     .order = ORDER_WRITE,
     .attempt = attempt_file,
     .run = run_write,
     .run_batch = run_writes,
     .settle = opens_settle},
    {.op = OP_FSYNC,
     .order = ORDER_READ, /* after the writes before it, and beside reads */
     .attempt = attempt_file,
     .run = run_fsync,
     .settle = opens_settle},
    {.op = OP_FSYNCDIR, .order = ORDER_FREE, .run = run_fsyncdir},
    {.op = OP_FALLOCATE,
     .order = ORDER_ALONE,
     .attempt = attempt_file,
     .run = run_fallocate,
     .settle = opens_settle},
    {.op = OP_LSEEK,
     .order = ORDER_READ,
     .attempt = attempt_file,
     .run = run_lseek,
     .settle = opens_settle},
    {.op = OP_COPY_RANGE,
     .order = ORDER_ALONE,
     .attempt = attempt_copy,
     .run = run_copy,
     .settle = settle_copy},
    {.op = 0},
};
