#include "net_relay.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

struct relay_end {
	uv_tcp_t tcp;
	struct relay_pipe *pipe;
	struct relay_end *other;
	bool is_reading;
	bool has_ended; /* nothing comes from there any more */
};

struct relay_pipe {
	struct relay *relay;
	struct relay_pipe *next;
	struct relay_end ends[2];
	uv_connect_t connect;
	bool is_connected, is_closing;
	unsigned n_handles;
};

struct relay_write {
	uv_write_t write;
	struct relay_end *from;
	char data[];
};

static void on_pipe_closed(uv_handle_t *handle)
{
	struct relay_end *end = handle->data;

	if (--end->pipe->n_handles == 0)
		free(end->pipe);
}

static void pipe_close(struct relay_pipe *pipe)
{
	struct relay_pipe **at = &pipe->relay->pipes;

	if (pipe->is_closing)
		return;
	pipe->is_closing = true;
	while (*at != pipe)
		at = &(*at)->next;
	*at = pipe->next;
	for (int i = 0; i < 2; i++)
		uv_close((uv_handle_t *)&pipe->ends[i].tcp, on_pipe_closed);
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
	struct relay_end *end = handle->data;
	struct relay *relay = end->pipe->relay;

	if (relay->budget >= 0 && (int64_t)size > relay->budget + 1)
		size = (size_t)relay->budget + 1;
	*buf = uv_buf_init(malloc(size), (unsigned)size);
}

static void pipe_read(struct relay_end *end);

static void on_written(uv_write_t *write, int status)
{
	struct relay_write *request = (struct relay_write *)write;
	struct relay_end *from = request->from;

	free(request);
	if (status < 0)
		pipe_close(from->pipe);
	else if (!from->pipe->is_closing && !from->pipe->relay->is_stopped)
		pipe_read(from);
}

static void on_shut_down(uv_shutdown_t *request, int status)
{
	free(request);
}

/* One side has said all that it had to say; the other may not have got it yet, nor be at its end.
 */
static void pass_end_on(struct relay_end *end)
{
	uv_shutdown_t *request;

	uv_read_stop((uv_stream_t *)&end->tcp);
	end->has_ended = true;
	if (end->other->has_ended) {
		pipe_close(end->pipe);
		return;
	}
	request = malloc(sizeof(*request));
	if (uv_shutdown(request, (uv_stream_t *)&end->other->tcp, on_shut_down) < 0) {
		free(request);
		pipe_close(end->pipe);
	}
}

static void on_relay_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct relay_end *end = stream->data;
	struct relay *relay = end->pipe->relay;
	struct relay_write *request;
	uv_buf_t out;

	if (n > 0) {
		relay->n_bytes += (uint64_t)n;
		if (relay->budget >= 0 && (relay->budget -= n) < 0) {
			relay->budget = -1;
			free(buf->base);
			relay_cut(relay);
			return;
		}
		request = malloc(sizeof(*request) + (size_t)n);
		request->from = end;
		memcpy(request->data, buf->base, (size_t)n);
		out = uv_buf_init(request->data, (unsigned)n);
		uv_write(&request->write, (uv_stream_t *)&end->other->tcp, &out, 1, on_written);
		if (uv_stream_get_write_queue_size((uv_stream_t *)&end->other->tcp) > 0) {
			uv_read_stop(stream); /* goes on when it is written: back pressure */
			end->is_reading = false;
		}
	}
	free(buf->base);
	if (n == UV_EOF)
		pass_end_on(end);
	else if (n < 0)
		pipe_close(end->pipe);
}

static void pipe_read(struct relay_end *end)
{
	if (end->is_reading || end->has_ended)
		return;
	end->is_reading = true;
	uv_read_start((uv_stream_t *)&end->tcp, on_alloc, on_relay_read);
}

static void pipe_go(struct relay_pipe *pipe)
{
	if (pipe->is_connected && !pipe->is_closing && !pipe->relay->is_stopped)
		for (int i = 0; i < 2; i++)
			pipe_read(&pipe->ends[i]);
}

static void on_relay_connected(uv_connect_t *connect, int status)
{
	struct relay_pipe *pipe = connect->data;

	if (pipe->is_closing)
		return;
	if (status < 0) {
		pipe_close(pipe);
		return;
	}
	pipe->is_connected = true;
	pipe_go(pipe);
}

static void on_relay_accept(uv_stream_t *listener, int status)
{
	struct relay *relay = listener->data;
	struct relay_pipe *pipe = calloc(1, sizeof(*pipe));
	struct sockaddr_in to;

	pipe->relay = relay;
	for (int i = 0; i < 2; i++) {
		uv_tcp_init(relay->loop, &pipe->ends[i].tcp);
		pipe->ends[i].tcp.data = &pipe->ends[i];
		pipe->ends[i].pipe = pipe;
		pipe->ends[i].other = &pipe->ends[1 - i];
		pipe->n_handles++;
	}
	pipe->connect.data = pipe;
	pipe->next = relay->pipes;
	relay->pipes = pipe;
	relay->n_accepted++;
	cr_assert_eq(uv_accept(listener, (uv_stream_t *)&pipe->ends[0].tcp), 0);
	uv_tcp_nodelay(&pipe->ends[0].tcp, 1);
	uv_ip4_addr("127.0.0.1", relay->to_port, &to);
	uv_tcp_connect(&pipe->connect, &pipe->ends[1].tcp, (struct sockaddr *)&to,
		       on_relay_connected);
	uv_tcp_nodelay(&pipe->ends[1].tcp, 1);
}

void relay_open(struct relay *relay, uv_loop_t *loop, int to_port)
{
	struct sockaddr_in address;
	int size = sizeof(address);

	relay->loop = loop;
	relay->to_port = to_port;
	relay->budget = -1;
	uv_tcp_init(loop, &relay->listener);
	relay->listener.data = relay;
	uv_ip4_addr("127.0.0.1", 0, &address);
	cr_assert_eq(uv_tcp_bind(&relay->listener, (struct sockaddr *)&address, 0), 0);
	cr_assert_eq(uv_listen((uv_stream_t *)&relay->listener, 64, on_relay_accept), 0);
	uv_tcp_getsockname(&relay->listener, (struct sockaddr *)&address, &size);
	relay->port = ntohs(address.sin_port);
}

void relay_cut(struct relay *relay)
{
	while (relay->pipes)
		pipe_close(relay->pipes);
}

void relay_stop(struct relay *relay)
{
	relay->is_stopped = true;
	for (struct relay_pipe *pipe = relay->pipes; pipe; pipe = pipe->next)
		for (int i = 0; i < 2; i++) {
			uv_read_stop((uv_stream_t *)&pipe->ends[i].tcp);
			pipe->ends[i].is_reading = false;
		}
}

void relay_go_on(struct relay *relay)
{
	relay->is_stopped = false;
	for (struct relay_pipe *pipe = relay->pipes; pipe; pipe = pipe->next)
		pipe_go(pipe);
}

void relay_close(struct relay *relay)
{
	relay_cut(relay);
	uv_close((uv_handle_t *)&relay->listener, NULL);
}
