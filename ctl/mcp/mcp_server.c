#include "ctl/mcp/mcp_server.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "ctl/mcp/mcp_method.h"
#include "ctl/mcp/mcp_subscriptions.h"
#include "ctl/mcp/rpc.h"
#include "ctl/monotonic.h"

#define READ_SIZE    (64 * 1024)
#define BATCH_MAX    64
#define UNREAD_MAX   (4 * 1024 * 1024) /* bytes of replies; then no more requests are read */
#define DROP_ABOVE   (256 * 1024)      /* bytes of replies; then progress is not told */
#define FINISH_MS    250               /* calls under way have so long when the input ends */
#define END_MS       500               /* … and then so long to end what they started on peers */
#define LAST_LINE_MS 150               /* … and the client to read what there is */
#define LEFT_MS      500               /* a client that sends no more and reads nothing has gone */

enum { POLL_WAKE, POLL_SIGNAL, POLL_OUTPUT, POLL_INPUT, N_POLL };

/* --- lines out -------------------------------------------------------------------------------- */

/* Nothing is told if there is no memory for it: the client sees no reply. Locked. */
static void queue_line(struct mcp_server *server, const void *text, size_t size)
{
	size_t before = server->outgoing.size;
	const uint64_t one = 1;

	if (buffer_append(&server->outgoing, text, size) < 0 ||
	    buffer_append(&server->outgoing, "\n", 1) < 0) {
		server->outgoing.size = before;
		return;
	}
	while (write(server->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

static char *dump(json_t *message)
{
	char *text = message ? json_dumps(message, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;

	json_decref(message);
	return text;
}

/* Locked. */
static void add_to_batch(struct mcp_server *server, struct mcp_batch *batch, const char *text)
{
	if (text) {
		buffer_append(&batch->replies, batch->replies.size > 0 ? "," : "[", 1);
		buffer_append(&batch->replies, text, strlen(text));
	}
	if (--batch->n_pending > 0)
		return;
	if (batch->replies.size > 0 && buffer_append(&batch->replies, "]", 1) == 0)
		queue_line(server, batch->replies.data, batch->replies.size);
	buffer_deinit(&batch->replies);
	free(batch);
}

static void send_text(struct mcp_server *server, struct mcp_batch *batch, const char *text)
{
	pthread_mutex_lock(&server->lock);
	if (batch)
		add_to_batch(server, batch, text);
	else if (text)
		queue_line(server, text, strlen(text));
	pthread_mutex_unlock(&server->lock);
}

void mcp_server_reply(struct mcp_call *call, json_t *reply)
{
	char *text = dump(reply);

	if (atomic_load(&call->cancelled)) {
		free(text);
		text = NULL;
	}
	send_text(call->server, call->batch, text);
	free(text);
}

void mcp_server_notify(struct mcp_server *server, json_t *notification, bool may_drop)
{
	char *text = dump(notification);

	pthread_mutex_lock(&server->lock);
	if (text && !(may_drop && server->outgoing.size > DROP_ABOVE))
		queue_line(server, text, strlen(text));
	pthread_mutex_unlock(&server->lock);
	free(text);
}

/* --- messages in ------------------------------------------------------------------------------ */

static void send_error(struct mcp_server *server, struct mcp_batch *batch, json_t *id, int code,
		       const char *message, json_t *data)
{
	char *text = dump(rpc_error(id, code, message, data));

	send_text(server, batch, text);
	free(text);
}

static void take_notification(struct mcp_server *server, const struct rpc_message *message)
{
	if (strcmp(message->method, "notifications/cancelled") == 0) {
		const json_t *id = json_object_get(message->params, "requestId");

		if (id) {
			mcp_pool_cancel(&server->pool, id);
			mcp_subscriptions_cancel(&server->subscriptions, id);
		}
	}
}

/* Whether the request may be made: its version, and whether that has the method. Returns 0 or an
 * RPC code. */
static int check_request(struct mcp_server *server, const struct rpc_message *message,
			 const struct mcp_method *method, bool in_batch,
			 enum mcp_version *ret_version, const char **ret_text, json_t **ret_data)
{
	int r = mcp_version_of_request(message->params, server->session, ret_version, ret_text,
				       ret_data);

	if (r != 0)
		return r;
	*ret_text = "Method not found";
	if (!method)
		return RPC_METHOD_NOT_FOUND;
	if (method->first == MCP_2026_07_28 && *ret_version < MCP_2026_07_28) {
		*ret_text = "_meta: io.modelcontextprotocol/protocolVersion is missing";
		return RPC_INVALID_PARAMS;
	}
	if (*ret_version < method->first || *ret_version > method->last)
		return RPC_METHOD_NOT_FOUND;
	*ret_text = "a batch is of 2025-03-26 only";
	if (in_batch && mcp_version_is_modern(*ret_version))
		return RPC_INVALID_REQUEST;
	*ret_text = "a request with this id is under way";
	return mcp_pool_has(&server->pool, message->id) ||
		       mcp_subscriptions_has(&server->subscriptions, message->id)
		   ? RPC_INVALID_REQUEST
		   : 0;
}

/* Takes the reference of `value`: the only one, because a thread that has the call reads and frees
 * it without a lock. */
static void take_request(struct mcp_server *server, json_t *value,
			 const struct rpc_message *message, struct mcp_batch *batch)
{
	const struct mcp_method *method = mcp_method_find(message->method);
	enum mcp_version version = server->session;
	struct mcp_call *call;
	const char *text;
	json_t *data;
	int code = check_request(server, message, method, batch != NULL, &version, &text, &data);

	call = code == 0 ? mcp_call_new(server, value, message->id, message->params) : NULL;
	if (!call) {
		send_error(server, batch, message->id, code ? code : RPC_INTERNAL_ERROR,
			   code ? text : "out of memory", data);
		json_decref(value);
		return;
	}
	call->method = method;
	call->version = version;
	call->batch = batch;
	if (!method->waits) {
		method->run(call);
		mcp_call_free(call);
	} else if (mcp_pool_add(&server->pool, call) < 0) {
		mcp_call_error(call, RPC_INTERNAL_ERROR,
			       "too many requests at once: wait for replies");
		mcp_call_free(call);
	}
}

/* Takes the reference. */
static void take_message(struct mcp_server *server, json_t *value, struct mcp_batch *batch)
{
	struct rpc_message message;

	rpc_read(value, &message);
	switch (message.kind) {
	case RPC_REQUEST:
		take_request(server, value, &message, batch);
		return;
	case RPC_INVALID:
		send_error(server, batch, message.id, RPC_INVALID_REQUEST, message.error, NULL);
		break;
	case RPC_NOTIFICATION:
		take_notification(server, &message);
		send_text(server, batch, NULL);
		break;
	case RPC_RESPONSE:
		send_text(server, batch, NULL);
		break;
	}
	json_decref(value);
}

/* Only the version of 2025-03-26 has them; each element counts until it is answered, and the loop
 * itself as one more, so that the batch does not end early. */
static void take_batch(struct mcp_server *server, json_t *array)
{
	json_t *values[BATCH_MAX];
	size_t n = json_array_size(array);
	struct mcp_batch *batch;

	if (server->session != MCP_2025_03_26 || n == 0 || n > BATCH_MAX) {
		send_error(server, NULL, NULL, RPC_INVALID_REQUEST,
			   n > BATCH_MAX ? "a batch of more than 64 messages"
			   : n == 0      ? "an empty batch"
					 : "this version of MCP has no batches",
			   NULL);
		return;
	}
	batch = calloc(1, sizeof(*batch));
	if (!batch) {
		send_error(server, NULL, NULL, RPC_INTERNAL_ERROR, "out of memory", NULL);
		return;
	}
	batch->n_pending = (unsigned)n + 1;
	for (size_t i = 0; i < n; i++)
		values[i] = json_incref(json_array_get(array, i));
	json_array_clear(array);
	for (size_t i = 0; i < n; i++)
		take_message(server, values[i], batch);
	send_text(server, batch, NULL);
}

static void take_line(struct mcp_server *server, struct bytes line)
{
	char error[JSON_ERROR_TEXT_LENGTH];
	json_t *value = rpc_parse(line, error);

	if (!value) {
		send_error(server, NULL, NULL, RPC_PARSE_ERROR, error, NULL);
	} else if (json_is_array(value)) {
		take_batch(server, value);
		json_decref(value);
	} else {
		take_message(server, value, NULL);
	}
}

/* Bytes of replies that the client has not read. */
static size_t unread(struct mcp_server *server)
{
	size_t n = output_pending(&server->output);

	pthread_mutex_lock(&server->lock);
	n += server->outgoing.size;
	pthread_mutex_unlock(&server->lock);
	return n;
}

/* Those that were read, until the replies have become too many. */
static void take_lines(struct mcp_server *server)
{
	enum mcp_line found;
	struct bytes line;

	while (unread(server) <= UNREAD_MAX) {
		found = mcp_lines_next(&server->lines, &line);
		if (found == MCP_LINE_TOO_LONG)
			send_error(server, NULL, NULL, RPC_PARSE_ERROR, "a line of more than 4 MiB",
				   NULL);
		else if (found == MCP_LINE_WHOLE && line.size > 0)
			take_line(server, line);
		server->has_lines = found != MCP_LINE_NONE;
		if (!server->has_lines)
			return;
	}
}

/* Returns 0, or -ENODATA when the input has ended, or -errno. */
static int take_input(struct mcp_server *server)
{
	uint8_t data[READ_SIZE];
	ssize_t n = read(server->in, data, sizeof(data));

	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? 0 : -errno;
	if (n == 0)
		return -ENODATA;
	if (mcp_lines_add(&server->lines, (struct bytes){data, (size_t)n}) < 0)
		return -ENOMEM;
	server->has_lines = true;
	return 0;
}

/* --- the loop --------------------------------------------------------------------------------- */

/* What was handed over goes to the output; while the client does not read it stays where that is
 * seen by those who would rather drop a line. Returns 0, or -errno when nobody reads it. */
static int send_outgoing(struct mcp_server *server)
{
	struct buffer lines;
	uint64_t count;
	ssize_t n = 0;

	while (read(server->wake_fd, &count, sizeof(count)) < 0 && errno == EINTR)
		;
	if (output_pending(&server->output) > 0)
		n = output_flush(&server->output);
	if (n < 0 || output_pending(&server->output) > DROP_ABOVE)
		return n < 0 ? (int)n : 0;
	pthread_mutex_lock(&server->lock);
	lines = server->outgoing;
	server->outgoing = (struct buffer){0};
	pthread_mutex_unlock(&server->lock);
	n = output_write(&server->output, (struct bytes){lines.data, lines.size});
	buffer_deinit(&lines);
	return n < 0 ? (int)n : 0;
}

/* What is to be waited for. While lines wait for the client to read replies, no more are taken in,
 * but that it has closed its end is still seen. */
static void fill_poll(const struct mcp_server *server, bool reads, struct pollfd fds[N_POLL])
{
	fds[POLL_WAKE] = (struct pollfd){server->wake_fd, POLLIN, 0};
	fds[POLL_SIGNAL] = (struct pollfd){server->signal_fd, POLLIN, 0};
	fds[POLL_OUTPUT] = (struct pollfd){server->output.fd, 0, 0};
	fds[POLL_INPUT] = (struct pollfd){server->in, POLLIN, 0};
	if (output_pending(&server->output) > 0)
		fds[POLL_OUTPUT].events = POLLOUT;
	if (server->has_lines)
		fds[POLL_INPUT].events = POLLRDHUP;
	if (!reads || (server->has_lines && server->is_closed))
		fds[POLL_INPUT].fd = -1;
}

/* Returns 0 to go on, 1 when it is over, or -errno. */
static int turn(struct mcp_server *server, int timeout_ms, bool reads)
{
	bool is_left = reads && server->has_lines && server->is_closed;
	struct pollfd fds[N_POLL];
	int n, r = 0;

	fill_poll(server, reads, fds);
	n = poll(fds, N_POLL, is_left ? LEFT_MS : timeout_ms);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	if (fds[POLL_SIGNAL].revents || fds[POLL_OUTPUT].revents & (POLLERR | POLLNVAL) ||
	    (n == 0 && is_left))
		return 1;
	if (fds[POLL_WAKE].revents || fds[POLL_OUTPUT].revents & POLLOUT)
		r = send_outgoing(server);
	if (server->has_lines && fds[POLL_INPUT].revents)
		server->is_closed = true;
	else if (r == 0 && fds[POLL_INPUT].revents)
		r = take_input(server);
	if (r == 0 && reads && server->has_lines)
		take_lines(server);
	return r == -ENODATA ? 1 : r;
}

/* The client reads what it is still to have, if it does so soon. */
static void send_last(struct mcp_server *server)
{
	int64_t end = monotonic_ms() + LAST_LINE_MS;

	if (send_outgoing(server) < 0)
		return;
	while (output_pending(&server->output) > 0 && monotonic_ms() < end)
		if (turn(server, (int)(end - monotonic_ms()), false) != 0)
			return;
}

static int open_signals(sigset_t *ret_before)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	/* Before there are threads: they inherit it. */
	pthread_sigmask(SIG_BLOCK, &set, ret_before);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static struct mcp_server *server_free(struct mcp_server *server)
{
	mcp_pool_deinit(&server->pool);
	mcp_subscriptions_deinit(&server->subscriptions);
	mcp_lines_deinit(&server->lines);
	output_deinit(&server->output);
	buffer_deinit(&server->outgoing);
	pthread_mutex_destroy(&server->lock);
	if (server->wake_fd >= 0)
		close(server->wake_fd);
	free(server->socket);
	if (server->key)
		explicit_bzero(server->key, strlen(server->key));
	free(server->key);
	free(server);
	return NULL;
}

static int server_new(const struct mcp_config *config, struct mcp_server **ret_server)
{
	struct mcp_server *server = calloc(1, sizeof(*server));

	if (!server)
		return -ENOMEM;
	json_object_seed(0); /* else the first object does it, on any thread */
	server->in = config->in;
	server->session = MCP_LAST_SESSION;
	server->signal_fd = -1;
	server->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	server->socket = strdup(config->socket);
	server->key = config->key ? strdup(config->key) : NULL;
	pthread_mutex_init(&server->lock, NULL);
	output_init(&server->output, config->out);
	if (mcp_subscriptions_init(&server->subscriptions, server) < 0 ||
	    mcp_pool_init(&server->pool, server) < 0 || server->wake_fd < 0 || !server->socket ||
	    (config->key && !server->key)) {
		server_free(server);
		return -ENOMEM;
	}
	*ret_server = server;
	return 0;
}

int mcp_server_run(const struct mcp_config *config)
{
	struct mcp_server *server;
	sigset_t before;
	bool finished;
	int r = server_new(config, &server);

	if (r < 0)
		return r;
	server->signal_fd = open_signals(&before);
	while ((r = turn(server, -1, true)) == 0)
		;
	/* Whoever pipes requests in and ends there gets answers that come at once. */
	mcp_pool_wait(&server->pool, r == 1 ? FINISH_MS : 0);
	finished = mcp_pool_stop(&server->pool, END_MS);
	finished &= mcp_subscriptions_stop(&server->subscriptions, END_MS);
	send_last(server);
	if (server->signal_fd >= 0)
		close(server->signal_fd);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	/* A thread that still waits has it. */
	if (!finished)
		return 1;
	server_free(server);
	return 0;
}
