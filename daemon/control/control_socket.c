/*
 * The socket of loopsyctl: accepts, checks the uid, cuts bytes into frames.
 *
 * A client is freed in its close callback, and only there are its calls cancelled: so nothing that
 * happens while the daemon answers a call (a write that fails) can cancel that call under it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/control/control_connection.h"
#include "daemon/log.h"
#include "proto/frame.h"

#define CLIENTS_MAX    512 /* each loopsyctl exec is one */
#define READ_SIZE      4096
#define UNSENT_MAX     (1024 * 1024)     /* replies waiting: above it nothing more is read */
#define UNSENT_ALL_MAX (8 * 1024 * 1024) /* beside what the windows of its streams allow */

struct control_client {
	struct control_connection connection;
	struct control_socket *socket;
	struct control_client *next;
	uv_pipe_t pipe;
	uint64_t heard; /* loop time of the last frame or of the start */
	uint8_t *input; /* bytes of the frame that is being received */
	size_t size, capacity;
	bool closing, paused;
};

struct control_socket {
	uv_pipe_t pipe;
	uv_loop_t *loop;
	char *path;
	const struct control_actions *actions;
	void *actions_arg;
	struct control_client *clients;
	unsigned n_clients;
	uint64_t last_number;
	bool closing, listener_closed;
	void (*closed)(void *arg);
	void *closed_arg;
};

struct write {
	uv_write_t request;
	struct buffer buffer;
};

/* --- clients ---------------------------------------------------------------------------------- */

static void socket_free_when_closed(struct control_socket *socket)
{
	if (!socket->listener_closed || socket->clients)
		return;
	if (socket->closed)
		socket->closed(socket->closed_arg);
	free(socket->path);
	free(socket);
}

static void on_client_closed(uv_handle_t *handle)
{
	struct control_client *client = handle->data;
	struct control_socket *socket = client->socket;
	struct control_client **at = &socket->clients;

	control_connection_end(&client->connection);
	while (*at != client)
		at = &(*at)->next;
	*at = client->next;
	socket->n_clients--;
	free(client->input);
	free(client);
	socket_free_when_closed(socket);
}

static void client_close(struct control_client *client)
{
	if (client->closing)
		return;
	client->closing = true;
	uv_close((uv_handle_t *)&client->pipe, on_client_closed);
}

static void client_process(struct control_client *client)
{
	size_t done = 0, length;

	while (!client->closing) {
		struct bytes input = {client->input + done, client->size - done};
		const char *error = "length";
		int r = frame_measure(input, FRAME_MAX, &length);

		if (r == 0)
			break;
		if (uv_stream_get_write_queue_size((uv_stream_t *)&client->pipe) > UNSENT_MAX) {
			client->paused = true;
			uv_read_stop((uv_stream_t *)&client->pipe);
			break;
		}
		if (r > 0) {
			struct bytes frame = {input.data + FRAME_LENGTH_SIZE,
					      length - FRAME_LENGTH_SIZE};

			client->heard = uv_now(client->socket->loop);
			done += length;
			r = control_connection_frame(&client->connection, frame, &error);
		}
		if (r < 0) {
			log_warning("control", "bad_frame=%s", LOG_VALUE(error));
			client_close(client);
		}
	}
	if (done > 0 && !client->closing) {
		memmove(client->input, client->input + done, client->size - done);
		client->size -= done;
	}
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
	struct control_client *client = handle->data;

	/* Grows with what was received, never with what a length promises. */
	if (client->capacity - client->size < READ_SIZE) {
		size_t capacity = client->capacity ? client->capacity * 2 : 2 * READ_SIZE;
		uint8_t *input = realloc(client->input, capacity);

		if (!input) {
			*ret_buf = uv_buf_init(NULL, 0); /* read ends with UV_ENOBUFS */
			return;
		}
		client->input = input;
		client->capacity = capacity;
	}
	*ret_buf = uv_buf_init((char *)client->input + client->size,
			       (unsigned)(client->capacity - client->size));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct control_client *client = stream->data;

	if (n < 0) {
		client_close(client);
		return;
	}
	client->size += (size_t)n;
	client_process(client);
}

static void on_written(uv_write_t *request, int status)
{
	struct write *write = request->data;
	struct control_client *client = request->handle->data;

	buffer_deinit(&write->buffer);
	free(write);
	if (status < 0) {
		client_close(client);
	} else if (client->paused && !client->closing &&
		   uv_stream_get_write_queue_size((uv_stream_t *)&client->pipe) <= UNSENT_MAX) {
		client->paused = false;
		if (uv_read_start((uv_stream_t *)&client->pipe, on_alloc, on_read) < 0)
			client_close(client);
		else
			client_process(client);
	}
}

static void client_send(void *arg, struct buffer *frame)
{
	struct control_client *client = arg;
	size_t most = UNSENT_ALL_MAX + (size_t)client->connection.n_calls * OPS_CTL_WINDOW;
	struct write *write = NULL;
	uv_buf_t buf = uv_buf_init((char *)frame->data, (unsigned)frame->size);

	if (client->closing)
		goto failed;
	if (uv_stream_get_write_queue_size((uv_stream_t *)&client->pipe) > most)
		goto failed;
	write = malloc(sizeof(*write));
	if (!write)
		goto failed;
	write->buffer = *frame;
	write->request.data = write;
	if (uv_write(&write->request, (uv_stream_t *)&client->pipe, &buf, 1, on_written) < 0)
		goto failed;
	return;
failed:
	free(write);
	buffer_deinit(frame);
	client_close(client);
}

/* --- the listener ----------------------------------------------------------------------------- */

static bool client_is_ours(struct control_client *client)
{
	struct ucred credentials;
	socklen_t size = sizeof(credentials);
	uv_os_fd_t fd;

	if (uv_fileno((uv_handle_t *)&client->pipe, &fd) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0)
		return false;
	if (credentials.uid == geteuid() || credentials.uid == 0)
		return true;
	log_warning("control", "refused_uid=%u pid=%d", credentials.uid, credentials.pid);
	return false;
}

/* So that clients which hang never lock the user out: the longest silent one without a call goes.
 */
static bool make_room(struct control_socket *socket)
{
	struct control_client *oldest = NULL;

	if (socket->n_clients < CLIENTS_MAX)
		return true;
	for (struct control_client *c = socket->clients; c; c = c->next)
		if (!c->closing && c->connection.n_calls == 0 &&
		    (!oldest || c->heard < oldest->heard))
			oldest = c;
	if (oldest)
		client_close(oldest);
	/* Those that are closing count no more, but are bounded too. */
	return oldest && socket->n_clients < 2 * CLIENTS_MAX;
}

static void on_connection(uv_stream_t *stream, int status)
{
	struct control_socket *socket = stream->data;
	struct control_client *client;
	bool room;

	if (status < 0 || socket->closing)
		return;
	room = make_room(socket);
	client = calloc(1, sizeof(*client));
	if (!client)
		return;
	if (uv_pipe_init(socket->loop, &client->pipe, 0) < 0) {
		free(client);
		return;
	}
	client->pipe.data = client;
	client->socket = socket;
	client->heard = uv_now(socket->loop);
	client->connection = (struct control_connection){
	    .number = ++socket->last_number,
	    .actions = socket->actions,
	    .actions_arg = socket->actions_arg,
	    .send = client_send,
	    .arg = client,
	};
	client->next = socket->clients;
	socket->clients = client;
	socket->n_clients++;
	if (uv_accept(stream, (uv_stream_t *)&client->pipe) < 0 || !room ||
	    !client_is_ours(client) ||
	    uv_read_start((uv_stream_t *)&client->pipe, on_alloc, on_read) < 0)
		client_close(client);
}

/* A bound, listening descriptor, or -errno. */
static int listen_at(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, r = 0;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	if (unlink(path) < 0 && errno != ENOENT)
		return -errno;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* Nobody is let in before listen, so the mode is right in time. */
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || chmod(path, 0600) < 0 ||
	    listen(fd, 64) < 0)
		r = -errno;
	if (r < 0)
		close(fd);
	return r < 0 ? r : fd;
}

static void on_listener_closed(uv_handle_t *handle)
{
	struct control_socket *socket = handle->data;

	socket->listener_closed = true;
	socket_free_when_closed(socket);
}

int control_socket_open(uv_loop_t *loop, const char *path, const struct control_actions *actions,
			void *actions_arg, struct control_socket **ret_socket)
{
	struct control_socket *socket = calloc(1, sizeof(*socket));
	int r, fd;

	if (!socket)
		return -ENOMEM;
	*socket = (struct control_socket){
	    .loop = loop, .path = strdup(path), .actions = actions, .actions_arg = actions_arg};
	r = socket->path ? uv_pipe_init(loop, &socket->pipe, 0) : -ENOMEM;
	if (r < 0) {
		free(socket->path);
		free(socket);
		return r;
	}
	socket->pipe.data = socket;
	r = fd = listen_at(path);
	if (fd >= 0) {
		r = uv_pipe_open(&socket->pipe, fd);
		if (r < 0)
			close(fd);
		else
			r = uv_listen((uv_stream_t *)&socket->pipe, 64, on_connection);
		if (r < 0)
			unlink(path);
	}
	if (r < 0) {
		socket->closing = true;
		uv_close((uv_handle_t *)&socket->pipe, on_listener_closed);
		return r;
	}
	*ret_socket = socket;
	return 0;
}

void control_socket_close(struct control_socket *socket, void (*closed)(void *closed_arg),
			  void *closed_arg)
{
	socket->closing = true;
	socket->closed = closed;
	socket->closed_arg = closed_arg;
	unlink(socket->path);
	for (struct control_client *c = socket->clients; c; c = c->next)
		client_close(c);
	uv_close((uv_handle_t *)&socket->pipe, on_listener_closed);
}
