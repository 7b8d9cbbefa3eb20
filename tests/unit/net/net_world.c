#include "net_world.h"

#include <unistd.h>

static const uint8_t *pattern(void)
{
	static uint8_t bytes[2 * OPS_IO_MAX];

	if (bytes[1] == 0)
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (uint8_t)(i * 7 + i / 251);
	return bytes;
}

/* --- relay ------------------------------------------------------------------------------------ */

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

/* --- room ------------------------------------------------------------------------------------- */

static void on_payload_released(void *arg)
{
	struct room *room = arg;

	room->n_released++;
}

struct listing {
	struct room *room;
	struct request_stream *stream;
	size_t left;
	bool lends; /* every other piece */
};

static void on_returned(void *arg)
{
	((struct room *)arg)->n_lent--;
}

static void lend(struct listing *listing, size_t n)
{
	listing->room->n_lent++;
	listing->room->has_lent = true;
	cr_assert_eq(request_stream_lend(listing->stream, 0, (struct bytes){pattern(), n},
					 on_returned, listing->room),
		     0);
}

static void listing_write(struct listing *listing)
{
	struct request_stream *stream = listing->stream;

	while (listing->left > 0) {
		size_t n = request_stream_room(stream);

		n = n < listing->left ? n : listing->left;
		n = n < 50000 ? n : 50000;
		if (n == 0)
			return;
		listing->lends = !listing->lends;
		if (!listing->lends)
			cr_assert_eq(request_stream_write(stream, 0, (struct bytes){pattern(), n}),
				     0);
		else
			lend(listing, n);
		listing->left -= n;
		listing->room->n_streamed += (unsigned)n;
	}
	free(listing);
	request_stream_end(stream, 0);
}

static void on_ready(void *arg, int error)
{
	struct listing *listing = arg;

	if (error < 0) {
		listing->room->n_broken++;
		listing->room->broken_error = error;
		free(listing);
	} else if (listing->stream) {
		listing_write(listing);
	}
}

static void serve_readdir(struct room *room, struct request *request, uint64_t size)
{
	struct result_readdir result = {.entries = {pattern(), size < 1000 ? size : 1000}};
	struct request_stream *stream;
	struct listing *listing;

	result.more = size > 1000;
	if (!result.more) {
		request_reply(request, &result, NULL, NULL);
		return;
	}
	listing = calloc(1, sizeof(*listing));
	*listing = (struct listing){.room = room, .left = size - 1000};
	stream = request_reply_stream(request, &result, on_ready, listing);
	if (!stream)
		return;
	listing->stream = stream;
	listing_write(listing);
}

void room_answer(struct room *room, struct request *request)
{
	union {
		struct result_getattr getattr;
		struct result_read read;
		struct result_write write;
		struct result_mkdir mkdir;
		struct result_lock lock;
	} result = {0};
	const struct args_read *read = request->args;
	const struct args_write *write = request->args;
	const struct args_readdir *readdir = request->args;

	switch (request->op->number) {
	case OP_READ:
		result.read.data =
		    (struct bytes){pattern() + read->offset % OPS_IO_MAX, read->size};
		room->n_borrowed++;
		request_reply(request, &result, on_payload_released, room);
		return;
	case OP_WRITE:
		cr_assert_eq(memcmp(write->data.data, pattern() + write->offset % OPS_IO_MAX,
				    write->data.size),
			     0);
		result.write.written = write->data.size;
		break;
	case OP_READDIR:
		serve_readdir(room, request, readdir->node);
		return;
	case OP_GETATTR:
		result.getattr.attr.size = 42;
		break;
	case OP_MKDIR:
	case OP_LOCK:
	case OP_RELEASE:
		break;
	default:
		request_fail(request, -ENOENT);
		return;
	}
	request_reply(request, &result, NULL, NULL);
}

void room_answer_all(struct room *room)
{
	size_t n = room->n_held;

	room->n_held = 0;
	for (size_t i = 0; i < n; i++)
		room_answer(room, room->held[i]);
}

static int on_session_open(void *arg, struct session *session, void **ret_state)
{
	struct room *room = arg;

	room->n_opened++;
	*ret_state = room;
	return 0;
}

static void on_session_close(void *arg, void *state)
{
	((struct room *)arg)->n_closed++;
}

static void on_handle(void *arg, void *state, struct request *request)
{
	struct room *room = arg;
	struct served *served = &room->log[room->n_log++ % WORLD_LOG];
	const struct args_write *write = request->args;
	uint64_t node = *(const uint64_t *)request->args;

	*served = (struct served){.op = request->op->number, .node = node};
	if (request->op->number == OP_WRITE) {
		served->offset = write->offset;
		room->n_write++;
		room->written += write->data.size;
	}
	room->n_mkdir += request->op->number == OP_MKDIR;
	if (room->holds_all || request->op->number == OP_LOCK || node == WORLD_HOLD_NODE) {
		cr_assert_lt(room->n_held, WORLD_HELD);
		room->held[room->n_held++] = request;
		if (room->n_held > room->n_held_most)
			room->n_held_most = room->n_held;
		return;
	}
	room_answer(room, request);
}

static void on_event(void *arg, void *state, uint16_t op, const void *args)
{
	struct room *room = arg;

	room->n_forget += op == OP_FORGET;
}

static void on_cancel(void *arg, void *state, struct request *request)
{
	struct room *room = arg;

	room->n_cancelled++;
	for (size_t i = 0; i < room->n_held; i++)
		if (room->held[i] == request) {
			room->held[i] = room->held[--room->n_held];
			request_fail(request, -EINTR);
			return;
		}
}

/* --- world ------------------------------------------------------------------------------------ */

static struct end *end_of(void *arg, struct net_peer *peer)
{
	return net_peer_data(peer);
}

static void on_answered(void *arg, struct net_peer *peer, const struct op *op, int error,
			bool denied)
{
	struct end *end = arg;

	cr_assert(op && error <= 0);
	end->n_answered++;
	end->n_failed += error < 0;
	end->n_denied += denied;
}

static void on_state(void *arg, struct net_peer *peer, enum transport_state state)
{
	struct end *end = end_of(arg, peer);

	end->n_states++;
	end->n_up += state == TRANSPORT_UP;
	end->n_lost += state == TRANSPORT_LOST;
	end->n_down += state == TRANSPORT_DOWN;
}

static void on_address(void *arg, struct net_peer *peer, const char *address)
{
	end_of(arg, peer)->n_addresses++;
}

static void on_proved(void *arg, struct net_peer *peer)
{
	end_of(arg, peer)->n_proved++;
}

static void on_unpaired(void *arg, struct net_peer *peer)
{
	end_of(arg, peer)->n_unpaired++;
}

static void on_stranger(void *arg, const char *address,
			const uint8_t fingerprint[IDENTITY_FINGERPRINT_SIZE])
{
	((struct end *)arg)->n_strangers++;
}

static void on_session_new(void *arg, uint32_t uid, uint32_t gid)
{
	struct end *end = arg;

	cr_assert_eq(uid, geteuid());
	end->n_session_new++;
}

static void on_session_lost(void *arg)
{
	((struct end *)arg)->n_session_lost++;
}

static const struct transport_listener listener = {.session_new = on_session_new,
						   .session_lost = on_session_lost};

void world_listen(struct end *end)
{
	end->transport->ops->listen(end->transport, &listener, end);
}

static void end_open(struct world *world, struct end *end, const char *name, uint16_t port)
{
	struct net_options options = {
	    .loop = &world->loop,
	    .services = &end->room.service,
	    .n_services = 1,
	    .name = name,
	    .times = world->times,
	    .limits = world->limits,
	    .observer = &end->observer,
	    .arg = end,
	};

	if (!end->identity)
		cr_assert_eq(identity_generate(&end->identity), 0);
	options.identity = end->identity;
	if (!end->observer.pairing)
		end->observer = (struct net_observer){.answered = on_answered,
						      .state = on_state,
						      .address = on_address,
						      .proved = on_proved,
						      .unpaired = on_unpaired,
						      .stranger = on_stranger};
	end->room.service = (struct service){
	    .name = "files",
	    .first_op = OP_LOOKUP,
	    .last_op = OP_ACCESS,
	    .session_open = on_session_open,
	    .session_close = on_session_close,
	    .handle = on_handle,
	    .event = on_event,
	    .cancel = on_cancel,
	    .arg = &end->room,
	};
	cr_assert_eq(net_new(&end->net, &options), 0);
	cr_assert_eq(net_listen(end->net, false, port), 0);
}

static void end_pair(struct world *world, struct end *end, struct end *other, int port)
{
	char text[64];
	const char *address = text;
	struct net_peer_options options = {
	    .fingerprint = other->identity->fingerprint,
	    .name = "other",
	    .permissions = world->permissions,
	    .addresses = &address,
	    .n_addresses = port > 0,
	    .data = end,
	};

	snprintf(text, sizeof(text), "127.0.0.1:%d", port);
	cr_assert_eq(net_peer_add(end->net, &options, &end->peer), 0);
	end->transport = net_peer_transport(end->peer);
	world_listen(end);
}

static void on_tick(uv_timer_t *timer)
{
}

void world_open(struct world *world)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	sigaction(SIGPIPE, &ignore, NULL);
	if (!world->permissions)
		world->permissions = PERMISSION_FS_RW;
	uv_loop_init(&world->loop);
	uv_timer_init(&world->loop, &world->tick);
	uv_timer_start(&world->tick, on_tick, 20, 20); /* so that deadlines are looked at */
	end_open(world, &world->a, "a", 0);
	end_open(world, &world->b, "b", 0);
	if (!world->is_direct)
		relay_open(&world->relay, &world->loop, net_listen_port(world->b.net));
	if (!world->is_apart)
		world_pair(world);
}

void world_pair(struct world *world)
{
	int to_b = world->is_direct ? net_listen_port(world->b.net) : world->relay.port;

	end_pair(world, &world->b, &world->a, world->both_dial ? net_listen_port(world->a.net) : 0);
	end_pair(world, &world->a, &world->b, to_b);
}

static void on_net_closed(void *arg)
{
	++*(unsigned *)arg;
}

void world_restart(struct world *world, struct end *end)
{
	uint16_t port = net_listen_port(end->net);
	unsigned n = 0;
	struct end *other = end == &world->a ? &world->b : &world->a;

	net_close(end->net, on_net_closed, &n);
	world_until(world, n == 1);
	end_open(world, end, "again", port);
	end_pair(world, end, other, 0);
}

void world_close(struct world *world)
{
	unsigned n = 0;

	if (!world->is_direct)
		relay_close(&world->relay);
	net_close(world->a.net, on_net_closed, &n);
	net_close(world->b.net, on_net_closed, &n);
	room_answer_all(&world->a.room);
	room_answer_all(&world->b.room);
	world_until(world, n == 2);
	uv_close((uv_handle_t *)&world->tick, NULL);
	uv_run(&world->loop, UV_RUN_DEFAULT);
	cr_assert_eq(uv_loop_close(&world->loop), 0);
	cr_assert_eq(world->a.room.n_borrowed, world->a.room.n_released);
	cr_assert_eq(world->b.room.n_borrowed, world->b.room.n_released);
	cr_assert_eq(world->a.room.n_opened, world->a.room.n_closed);
	cr_assert_eq(world->b.room.n_opened, world->b.room.n_closed);
	identity_free(world->a.identity);
	identity_free(world->b.identity);
}

bool is_up(const struct end *end)
{
	return end->transport->ops->state(end->transport) == TRANSPORT_UP;
}

void world_until_up(struct world *world)
{
	world_until(world, is_up(&world->a) && is_up(&world->b));
}

void world_turns(struct world *world, unsigned n)
{
	while (n-- > 0)
		uv_run(&world->loop, UV_RUN_NOWAIT);
}

/* --- calls ------------------------------------------------------------------------------------ */

static uint64_t count_reply(void)
{
	static uint64_t n;

	return ++n;
}

static void take_reply(struct answer *answer, const struct transport_reply *reply)
{
	answer->n_replies++;
	answer->order = count_reply();
	answer->error = reply->error;
	answer->more = reply->more;
	cr_assert_eq(reply->error == 0, reply->result != NULL);
}

static void on_reply(void *arg, const struct transport_reply *reply)
{
	take_reply(arg, reply);
}

static void on_reply_getattr(void *arg, const struct transport_reply *reply)
{
	struct answer *answer = arg;
	const struct result_getattr *result = reply->result;

	take_reply(answer, reply);
	answer->is_right = result && result->attr.size == 42;
}

static void on_reply_read(void *arg, const struct transport_reply *reply)
{
	struct answer *answer = arg;
	const struct result_read *result = reply->result;

	take_reply(answer, reply);
	if (!result)
		return;
	answer->size = result->data.size;
	answer->is_right =
	    memcmp(result->data.data, pattern() + answer->unconsumed, result->data.size) == 0;
}

static void on_reply_readdir(void *arg, const struct transport_reply *reply)
{
	struct answer *answer = arg;
	const struct result_readdir *result = reply->result;

	take_reply(answer, reply);
	if (result)
		answer->size = result->entries.size;
}

static void on_data(void *arg, unsigned channel, struct bytes data)
{
	struct answer *answer = arg;

	cr_assert_eq(memcmp(data.data, pattern(), data.size), 0);
	answer->streamed += data.size;
	if (answer->holds_credit)
		answer->unconsumed += data.size;
	else
		answer->end->transport->ops->consumed(answer->call, channel, data.size);
}

static void on_end(void *arg, unsigned channel, int error)
{
	struct answer *answer = arg;

	answer->n_ends++;
	answer->end_error = error;
}

static void on_payload_done(void *arg)
{
	struct answer *answer = arg;

	answer->n_done++;
	cr_assert_eq(answer->n_replies, 0, "the payload is done with before the reply");
}

static int ask(struct end *end, uint16_t op, const void *args, bool borrows,
	       const struct transport_handler *handler, struct answer *answer)
{
	answer->end = end;
	return end->transport->ops->call(end->transport, op, args, NULL, handler, answer,
					 borrows ? on_payload_done : NULL, &answer->call);
}

int ask_getattr(struct end *end, uint64_t node, struct answer *answer)
{
	static const struct transport_handler handler = {.reply = on_reply_getattr};
	struct args_getattr args = {.node = node};

	return ask(end, OP_GETATTR, &args, false, &handler, answer);
}

int ask_release(struct end *end, uint64_t node, struct answer *answer)
{
	static const struct transport_handler handler = {.reply = on_reply};
	struct args_release args = {.node = node, .handle = 1};

	return ask(end, OP_RELEASE, &args, false, &handler, answer);
}

int ask_read(struct end *end, uint64_t node, uint64_t offset, size_t size, struct answer *answer)
{
	static const struct transport_handler handler = {.reply = on_reply_read};
	struct args_read args = {.node = node, .offset = offset, .size = size};

	answer->unconsumed = offset % OPS_IO_MAX; /* where its bytes begin */
	return ask(end, OP_READ, &args, false, &handler, answer);
}

int ask_write(struct end *end, uint64_t node, uint64_t offset, size_t size, bool borrows,
	      struct answer *answer)
{
	static const struct transport_handler handler = {.reply = on_reply};
	struct args_write args = {
	    .node = node, .offset = offset, .data = {pattern() + offset % OPS_IO_MAX, size}};

	return ask(end, OP_WRITE, &args, borrows, &handler, answer);
}

int ask_mkdir(struct end *end, const char *name, struct answer *answer)
{
	static const struct transport_handler handler = {.reply = on_reply};
	struct args_mkdir args = {
	    .parent = 1, .name = {(const uint8_t *)name, strlen(name)}, .mode = 0755};

	return ask(end, OP_MKDIR, &args, false, &handler, answer);
}

int ask_readdir(struct end *end, uint64_t size, struct answer *answer)
{
	static const struct transport_handler handler = {
	    .reply = on_reply_readdir, .data = on_data, .end = on_end};
	struct args_readdir args = {.node = size};

	return ask(end, OP_READDIR, &args, false, &handler, answer);
}

int ask_lock(struct end *end, uint64_t node, struct answer *answer)
{
	static const struct transport_handler handler = {.reply = on_reply};
	struct args_lock args = {.node = node, .command = LOCK_SET_WAIT};

	return ask(end, OP_LOCK, &args, false, &handler, answer);
}

void forget(struct end *end, uint64_t node)
{
	struct forgotten one = {.node = node, .count = 1};
	struct buffer elements = {0};
	struct args_forget args = {0};

	cr_assert_eq(codec_list_append(&args.nodes, &elements, &forgotten_record, &one), 0);
	codec_list_finish(&args.nodes, &elements);
	cr_assert_eq(end->transport->ops->event(end->transport, OP_FORGET, &args), 0);
	buffer_deinit(&elements);
}
