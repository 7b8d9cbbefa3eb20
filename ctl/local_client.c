#include "ctl/local_client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "ctl/monotonic.h"
#include "proto/errors.h"

#define READ_SIZE (256 * 1024) /* what a socket may hold */

int local_client_new(const char *path, struct local_client **ret_client)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct ucred credentials;
	socklen_t size = sizeof(credentials);
	struct local_client *client;
	int r = 0;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	client = calloc(1, sizeof(*client));
	if (!client)
		return -ENOMEM;
	client->interrupt_fd = -1;
	client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (client->fd < 0 || connect(client->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		r = errno == EAGAIN ? -ETIMEDOUT : -errno;
	/* Who called listen: the daemon. */
	if (r == 0 && getsockopt(client->fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0) {
		client->pid = credentials.pid;
		/* In a directory that others can write, it might be anybody's. */
		if (credentials.uid != geteuid() && credentials.uid != 0 && geteuid() != 0)
			r = -EPERM;
	}
	if (r < 0) {
		local_client_free(client);
		return r;
	}
	*ret_client = client;
	return 0;
}

struct local_client *local_client_free(struct local_client *client)
{
	if (!client)
		return NULL;
	if (client->fd >= 0)
		close(client->fd);
	buffer_deinit(&client->input);
	free(client);
	return NULL;
}

void local_client_set_interrupt(struct local_client *client, int fd)
{
	client->interrupt_fd = fd;
}

int local_client_wait(const struct local_client *client, short events, int timeout_ms)
{
	int64_t deadline = timeout_ms < 0 ? -1 : monotonic_ms() + timeout_ms;
	/* poll passes over a descriptor of -1. */
	struct pollfd fds[2] = {{.fd = client->fd, .events = events},
				{.fd = client->interrupt_fd, .events = POLLIN}};

	for (;;) {
		int64_t left = deadline < 0 ? -1 : deadline - monotonic_ms();
		int r = poll(fds, 2, deadline >= 0 && left < 0 ? 0 : (int)left);

		if (r > 0)
			return fds[1].revents ? -ECANCELED : 0;
		if (r == 0)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}

int local_client_send(struct local_client *client, uint16_t op_number, const void *args,
		      uint64_t *ret_id)
{
	const struct op *op = op_find(&ops_ctl, op_number);
	struct frame frame = {.kind = FRAME_REQUEST, .id = client->last_id + 1, .op = op_number};
	struct buffer buffer = {.limit = FRAME_LENGTH_SIZE + FRAME_MAX};
	int64_t deadline = monotonic_ms() + LOCAL_CLIENT_TIMEOUT_MS, left;
	size_t sent = 0;
	int r = op ? frame_encode(&frame, op->args, args, &buffer, NULL) : -EINVAL;

	while (r == 0 && sent < buffer.size) {
		ssize_t n = send(client->fd, buffer.data + sent, buffer.size - sent, MSG_NOSIGNAL);

		if (n >= 0)
			sent += (size_t)n;
		else if (errno == EPIPE)
			r = -ECONNRESET;
		else if (errno != EAGAIN && errno != EINTR)
			r = -errno;
		else if ((left = deadline - monotonic_ms()) <= 0)
			r = -ETIMEDOUT;
		else
			r = local_client_wait(client, POLLOUT, (int)left);
	}
	buffer_deinit(&buffer);
	if (r < 0)
		return r;
	client->last_id++;
	if (client->reason_id != OPS_CTL_ANY)
		client->reason[0] = '\0';
	if (ret_id)
		*ret_id = client->last_id;
	return 0;
}

static void keep_reason(struct local_client *client, struct bytes body)
{
	struct args_ctl_reason reason;

	if (codec_decode(&args_ctl_reason_record, &body, &reason, NULL) < 0)
		return;
	client->reason_id = reason.id;
	memcpy(client->reason, reason.text.data, reason.text.size);
	client->reason[reason.text.size] = '\0';
}

int local_client_take(struct local_client *client, struct frame *ret_frame)
{
	while (client->input.size > client->n_read) {
		struct bytes input = {client->input.data + client->n_read,
				      client->input.size - client->n_read};
		size_t length;
		int r = frame_measure(input, FRAME_MAX, &length);

		if (r <= 0)
			return r < 0 ? -EBADMSG : 0;
		client->n_read += length;
		r = frame_decode(
		    (struct bytes){input.data + FRAME_LENGTH_SIZE, length - FRAME_LENGTH_SIZE},
		    ret_frame, NULL);
		if (r < 0)
			return -EBADMSG;
		if (ret_frame->kind != FRAME_EVENT || ret_frame->op != OP_CTL_REASON)
			return 1;
		keep_reason(client, ret_frame->body);
	}
	return 0;
}

int local_client_fill(struct local_client *client)
{
	ssize_t n;
	int r;

	if (client->n_read > 0) {
		client->input.size -= client->n_read;
		memmove(client->input.data, client->input.data + client->n_read,
			client->input.size);
		client->n_read = 0;
	}
	r = buffer_reserve(&client->input, READ_SIZE);
	if (r < 0)
		return r;
	do
		n = recv(client->fd, client->input.data + client->input.size, READ_SIZE, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno != ECONNRESET)
		return -errno;
	if (n > 0) {
		client->input.size += (size_t)n;
		return 0;
	}
	return client->reason_id == OPS_CTL_ANY ? -EKEYREVOKED : -ECONNRESET;
}

int local_client_receive(struct local_client *client, int timeout_ms, struct frame *ret_frame)
{
	int64_t deadline = timeout_ms < 0 ? -1 : monotonic_ms() + timeout_ms, left = -1;

	for (;;) {
		int r = local_client_take(client, ret_frame);

		if (r != 0)
			return r < 0 ? r : 0;
		r = local_client_fill(client);
		if (r == -EAGAIN) {
			if (deadline >= 0 && (left = deadline - monotonic_ms()) < 0)
				left = 0;
			r = local_client_wait(client, POLLIN, (int)left);
		}
		if (r < 0)
			return r;
	}
}

int local_client_call(struct local_client *client, uint16_t op_number, const void *args,
		      void *result)
{
	const struct op *op = op_find(&ops_ctl, op_number);
	struct frame frame;
	uint64_t id;
	int r = local_client_send(client, op_number, args, &id);

	while (r == 0) {
		r = local_client_receive(client, LOCAL_CLIENT_TIMEOUT_MS, &frame);
		if (r == 0 && frame.kind == FRAME_REPLY && frame.id == id)
			break;
	}
	/* What loopsyd had sent before it went is still to be read. */
	while (r == -ECONNRESET && local_client_receive(client, 0, &frame) == 0)
		;
	if (r == -ECONNRESET && client->reason_id == OPS_CTL_ANY)
		r = -EKEYREVOKED;
	if (r < 0)
		return r;
	if (frame.status != 0)
		return error_to_errno(frame.status);
	if (!result)
		return 0;
	return codec_decode(op->result, &frame.body, result, NULL);
}
