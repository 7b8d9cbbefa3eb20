/*
 * O_NONBLOCK belongs to what was opened, which the shell and other programs may share: a pipe or a
 * terminal is opened once more for us. Where that fails (it is another user's), a write may wait;
 * it is kept short then. SIGPIPE is the caller's to ignore.
 */
#include "ctl/output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

void output_init(struct output *output, int fd)
{
	char path[32];
	struct stat st;
	int again;

	*output = (struct output){.fd = fd};
	if (fstat(fd, &st) < 0)
		return;
	if (S_ISSOCK(st.st_mode))
		output->kind = OUTPUT_SOCKET;
	if (!S_ISFIFO(st.st_mode) && !(S_ISCHR(st.st_mode) && isatty(fd)))
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (again < 0)
		return;
	output->fd = again;
	output->is_ours = true;
}

void output_deinit(struct output *output)
{
	if (output->is_ours)
		close(output->fd);
	buffer_deinit(&output->pending);
}

static ssize_t write_some(const struct output *output, const uint8_t *data, size_t size)
{
	struct pollfd poll_fd = {.fd = output->fd, .events = POLLOUT};

	if (output->kind == OUTPUT_SOCKET)
		return send(output->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (!output->is_ours) {
		/* Always ready, if it is a file. */
		if (poll(&poll_fd, 1, 0) == 0) {
			errno = EAGAIN;
			return -1;
		}
		if (size > PIPE_BUF && lseek(output->fd, 0, SEEK_CUR) < 0)
			size = PIPE_BUF;
	}
	return write(output->fd, data, size);
}

/* Until it would wait. Returns how much, or -errno. */
static ssize_t write_all(const struct output *output, const uint8_t *data, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = write_some(output, data + done, size - done);

		if (n >= 0)
			done += (size_t)n;
		else if (errno == EAGAIN)
			break;
		else if (errno != EINTR)
			return -errno;
	}
	return (ssize_t)done;
}

ssize_t output_flush(struct output *output)
{
	struct buffer *pending = &output->pending;
	ssize_t n =
	    write_all(output, pending->data + output->n_written, pending->size - output->n_written);

	if (n < 0)
		return n;
	output->n_written += (size_t)n;
	if (output->n_written == pending->size)
		pending->size = output->n_written = 0;
	return n;
}

ssize_t output_write(struct output *output, struct bytes data)
{
	struct buffer *pending = &output->pending;
	ssize_t n = 0;
	int r;

	if (data.size == 0) /* and data may be NULL */
		return 0;
	if (pending->size == 0) {
		n = write_all(output, data.data, data.size);
		if (n < 0)
			return n;
		data.data += n;
		data.size -= (size_t)n;
	}
	if (output->n_written > 0 && data.size > 0) {
		pending->size -= output->n_written;
		memmove(pending->data, pending->data + output->n_written, pending->size);
		output->n_written = 0;
	}
	r = buffer_append(pending, data.data, data.size);
	return r < 0 ? r : n;
}

size_t output_pending(const struct output *output)
{
	return output->pending.size - output->n_written;
}
