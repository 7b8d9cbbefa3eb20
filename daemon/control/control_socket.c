/*
 * The socket of loopsyctl: accepts, checks the uid, cuts bytes into frames.
 *
 * What is said to a client in one turn of the loop leaves in one write, before the loop waits: an
 * answer and what follows it wake loopsyctl once. Much leaves at once. (An idle handle, and no
 * prepare one: what is said while others prepare is not left until something happens.)
 *
 * A client is freed in its close callback, and only there are its calls cancelled: so nothing that
 * happens while the daemon answers a call (a write that fails) can cancel that call under it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
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
#define GATHERED_MAX   (32 * 1024)
#define GATHERED_PARTS 64

struct write {
	uv_write_t request;
	STAILQ_ENTRY(write) entry; /* client->gathered */
	struct buffer buffer;
};

struct control_client {
	struct control_connection connection;
	struct control_socket *socket;
	struct control_client *next;
	uv_pipe_t pipe;
	uint64_t heard; /* loop time of the last frame or of the start */
	uint8_t *input; /* bytes of the frame that is being received */
	size_t size, capacity;
	STAILQ_HEAD(, write) gathered; /* not given to libuv yet */
	size_t gathered_size;
	TAILQ_ENTRY(control_client) turn; /* socket->gathering */
	bool is_gathering;
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
	TAILQ_HEAD(, control_client) gathering; /* those that have something to say */
	uv_idle_t turn;                         /* active while there are any */
	uint64_t last_number;
	bool closing;
	unsigned n_handles; /* of its own: the listener, `turn` */
	void (*closed)(void *arg);
	void *closed_arg;
};

/* --- clients ---------------------------------------------------------------------------------- */

static void socket_free_when_closed(struct control_socket *socket)
{
	if (socket->n_handles > 0 || socket->clients)
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
	if (client->is_gathering)
		TAILQ_REMOVE(&socket->gathering, client, turn);
	socket->n_clients--;
	free(client->input);
	free(client);
	socket_free_when_closed(socket);
}

static void write_free(struct write *write)
{
	buffer_deinit(&write->buffer);
	free(write);
}

/* Writes as much of what is gathered as the socket takes. Returns how much of the first that is
 * left was written, or -errno. */
static ssize_t write_gathered(struct control_client *client)
{
	uv_buf_t bufs[GATHERED_PARTS];
	struct write *write;
	unsigned n = 0;
	int r;

	while (!STAILQ_EMPTY(&client->gathered)) {
		n = 0;
		STAILQ_FOREACH(write, &client->gathered, entry)
		{
			if (n == GATHERED_PARTS)
				break;
			bufs[n++] =
			    uv_buf_init((char *)write->buffer.data, (unsigned)write->buffer.size);
		}
		r = uv_try_write((uv_stream_t *)&client->pipe, bufs, n);
		if (r < 0)
			return r == UV_EAGAIN ? 0 : r;
		while ((write = STAILQ_FIRST(&client->gathered)) &&
		       (size_t)r >= write->buffer.size) {
			r -= (int)write->buffer.size;
			STAILQ_REMOVE_HEAD(&client->gathered, entry);
			client->gathered_size -= write->buffer.size;
			write_free(write);
		}
		if (r > 0)
			return r;
	}
	return 0;
}

static void drop_gathered(struct control_client *client)
{
	struct write *write;

	while ((write = STAILQ_FIRST(&client->gathered))) {
		STAILQ_REMOVE_HEAD(&client->gathered, entry);
		write_free(write);
	}
	client->gathered_size = 0;
}

static void client_close(struct control_client *client)
{
	if (client->closing)
		return;
	client->closing = true;
	write_gathered(client); /* the last words, if they fit */
	drop_gathered(client);
	uv_close((uv_handle_t *)&client->pipe, on_client_closed);
}

/* Bytes that it has not taken yet. */
static size_t unsent(const struct control_client *client)
{
	return client->gathered_size +
	       uv_stream_get_write_queue_size((const uv_stream_t *)&client->pipe);
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
		if (unsent(client) > UNSENT_MAX) {
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

/* It has taken something. */
static void client_go_on(struct control_client *client)
{
	if (!client->paused || client->closing || unsent(client) > UNSENT_MAX)
		return;
	client->paused = false;
	if (uv_read_start((uv_stream_t *)&client->pipe, on_alloc, on_read) < 0)
		client_close(client);
	else
		client_process(client);
}

static void on_written(uv_write_t *request, int status)
{
	struct control_client *client = request->handle->data;

	write_free(request->data);
	if (status < 0)
		client_close(client);
	else
		client_go_on(client);
}

/* What is gathered leaves; libuv waits with what the socket does not take. */
static void client_flush(struct control_client *client)
{
	ssize_t done = client->closing ? 0 : write_gathered(client);
	struct write *write;

	while (done >= 0 && (write = STAILQ_FIRST(&client->gathered))) {
		uv_buf_t buf = uv_buf_init((char *)write->buffer.data + done,
					   (unsigned)(write->buffer.size - (size_t)done));

		STAILQ_REMOVE_HEAD(&client->gathered, entry);
		client->gathered_size -= write->buffer.size;
		done = uv_write(&write->request, (uv_stream_t *)&client->pipe, &buf, 1, on_written);
		if (done < 0)
			write_free(write);
	}
	if (done < 0)
		client_close(client);
}

static void on_turn(uv_idle_t *turn)
{
	struct control_socket *socket = turn->data;
	struct control_client *client;

	while ((client = TAILQ_FIRST(&socket->gathering))) {
		TAILQ_REMOVE(&socket->gathering, client, turn);
		client->is_gathering = false;
		client_flush(client);
		client_go_on(client);
	}
	uv_idle_stop(turn);
}

static void client_gather(struct control_client *client, struct write *write)
{
	struct control_socket *socket = client->socket;

	STAILQ_INSERT_TAIL(&client->gathered, write, entry);
	client->gathered_size += write->buffer.size;
	if (client->gathered_size >= GATHERED_MAX) {
		client_flush(client);
	} else if (!client->is_gathering) {
		client->is_gathering = true;
		TAILQ_INSERT_TAIL(&socket->gathering, client, turn);
		uv_idle_start(&socket->turn, on_turn);
	}
}

static void client_send(void *arg, struct buffer *frame)
{
	struct control_client *client = arg;
	size_t most = UNSENT_ALL_MAX + (size_t)client->connection.n_calls * OPS_CTL_WINDOW;
	struct write *write = NULL;

	if (!client->closing && unsent(client) <= most)
		write = malloc(sizeof(*write));
	if (!write) {
		buffer_deinit(frame);
		client_close(client);
		return;
	}
	write->buffer = *frame;
	write->request.data = write;
	client_gather(client, write);
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
	STAILQ_INIT(&client->gathered);
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

static void on_handle_closed(uv_handle_t *handle)
{
	struct control_socket *socket = handle->data;

	socket->n_handles--;
	socket_free_when_closed(socket);
}

static void close_handles(struct control_socket *socket)
{
	socket->closing = true;
	uv_close((uv_handle_t *)&socket->pipe, on_handle_closed);
	uv_close((uv_handle_t *)&socket->turn, on_handle_closed);
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
	uv_idle_init(loop, &socket->turn);
	socket->pipe.data = socket->turn.data = socket;
	socket->n_handles = 2;
	TAILQ_INIT(&socket->gathering);
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
		close_handles(socket);
		return r;
	}
	*ret_socket = socket;
	return 0;
}

void control_end_key(struct control_socket *socket, uint64_t key, const char *why)
{
	for (struct control_client *c = socket->clients; c; c = c->next) {
		if (c->connection.key != key || c->closing)
			continue;
		control_connection_tell_end(&c->connection, why);
		client_close(c);
	}
}

void control_socket_close(struct control_socket *socket, void (*closed)(void *closed_arg),
			  void *closed_arg)
{
	socket->closed = closed;
	socket->closed_arg = closed_arg;
	unlink(socket->path);
	for (struct control_client *c = socket->clients; c; c = c->next)
		client_close(c);
	close_handles(socket);
}
