/*
 * A request of the peer is PARKED, RUNNING in its room, or STREAMING.
 *
 *                        ┌────────► answered (and kept, if it may not be done twice)
 *     PARKED ──► RUNNING ┤
 *                        └────────► STREAMING ──► ended, or broken with its link
 *
 * It is parked while the peer is slow to take replies, or while too much is running; only requests
 * whose replies carry payload are, and those that would overtake a parked one of the same node.
 * (Why we do not stop reading instead is in link.c.)
 *
 * A request id that comes again, after a resumption, is let through only if it has no effect: one
 * that still runs goes on and answers on the new link, one that was answered is answered from what
 * was kept, one that may have been and changes something gets EIO.
 */
#include "daemon/net/session.h"

#include <assert.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/log.h"
#include "daemon/net/limits.h"
#include "daemon/net/request_private.h"

static unsigned node_bucket(uint64_t node)
{
	return (unsigned)((node * 0x9E3779B97F4A7C15u) >> 56) % REQUEST_NODE_BUCKETS;
}

const struct service *session_service(const struct session *session, const struct op *op,
				      void **ret_state)
{
	for (size_t i = 0; i < session->options.n_services; i++) {
		const struct service *service = &session->options.services[i];

		if (op->number >= service->first_op && op->number <= service->last_op) {
			*ret_state = session->states[i];
			return service;
		}
	}
	return NULL;
}

static struct request_entry *find(struct session *session, uint64_t id)
{
	struct request_entry *entry;

	LIST_FOREACH(entry, &session->requests[id % REQUEST_BUCKETS], bucket)
	if (entry->id == id)
		return entry;
	return NULL;
}

/* --- dispatch --------------------------------------------------------------------------------- */

/* Bytes that the answer may have, if it may have many. */
static size_t promise(const struct op *op)
{
	const struct record *result = op->result;
	const struct field *last = &result->fields[result->n_fields - (result->n_fields > 0)];

	if (last->kind == FIELD_PAYLOAD)
		return last->bound;
	return last->kind == FIELD_LIST ? FRAME_MAX : 0;
}

/* May it run now, as far as memory is concerned? If not, it may after another one was answered
 * (session_unpark_soon), or when the link has drained, which it tells after having been above its
 * mark. */
static bool may_run(const struct session *session, const struct request_entry *entry)
{
	const struct op *op = entry->request.op;
	const struct limits *limits = &session->options.limits;

	if (session->n_running >= limits->calls)
		return false;
	if (session->running_write_bytes > 0 &&
	    session->running_write_bytes + entry->write_size > limits->write_bytes)
		return false;
	if (promise(op) == 0)
		return true;
	return session->promised + promise(op) <= LIMITS_PROMISED && session->link &&
	       link_queue_size(session->link) < LINK_QUEUE_MARK;
}

static void run(struct session *session, struct request_entry *entry)
{
	const struct service *service;
	void *state;

	entry->state = REQUEST_RUNNING;
	entry->promised = promise(entry->request.op);
	session->n_running++;
	session->promised += entry->promised;
	session->running_write_bytes += entry->write_size;
	service = session_service(session, entry->request.op, &state);
	service->handle(service->arg, state, &entry->request);
}

static void count_nodes(struct session *session, struct request_entry *entry, int step)
{
	uint64_t nodes[MESSAGE_KEYS];
	unsigned n = message_nodes(entry->request.op->args, entry->request.args, nodes);

	for (unsigned i = 0; i < n; i++)
		session->n_parked_nodes[node_bucket(nodes[i])] += (uint16_t)step;
}

static bool is_behind_parked(struct session *session, struct request_entry *entry)
{
	uint64_t nodes[MESSAGE_KEYS];
	unsigned n = message_nodes(entry->request.op->args, entry->request.args, nodes);

	for (unsigned i = 0; i < n; i++)
		if (session->n_parked_nodes[node_bucket(nodes[i])] > 0)
			return true;
	return promise(entry->request.op) > 0 && !TAILQ_EMPTY(&session->parked);
}

void session_take_parked(struct session *session, struct request_entry *entry)
{
	TAILQ_REMOVE(&session->parked, entry, entry);
	count_nodes(session, entry, -1);
}

static void unpark(struct session *session)
{
	struct request_entry *entry;

	while ((entry = TAILQ_FIRST(&session->parked)) && may_run(session, entry)) {
		session_take_parked(session, entry);
		run(session, entry);
	}
}

static void on_soon(uv_timer_t *timer)
{
	unpark(timer->data);
}

void session_unpark_soon(struct session *session)
{
	if (!TAILQ_EMPTY(&session->parked))
		uv_timer_start(&session->soon, on_soon, 0, 0);
}

void session_drained(struct session *session)
{
	unsigned n = session->n_streams;

	unpark(session);
	for (; n > 0 && !TAILQ_EMPTY(&session->streams); n--) {
		struct request_entry *entry = TAILQ_FIRST(&session->streams);

		TAILQ_REMOVE(&session->streams, entry, entry);
		TAILQ_INSERT_TAIL(&session->streams, entry, entry);
		entry->stream.ready(entry->stream.arg, 0);
	}
}

/* --- what comes ------------------------------------------------------------------------------- */

static bool is_permitted(const struct session *session, const struct op *op)
{
	uint16_t held = *session->options.permissions;

	if (held & PERMISSION_FS_RW)
		held |= PERMISSION_FS_RO;
	return (op->permission & held) == op->permission;
}

/* Who may only read sees a read-only file system. */
static int refusal(const struct session *session, const struct op *op)
{
	return op->permission == PERMISSION_FS_RW &&
		       (*session->options.permissions & PERMISSION_FS_RO)
		   ? -EROFS
		   : -EACCES;
}

/* Refuses what no room is to see. */
static void refuse(struct session *session, const struct op *op, uint64_t id, int error,
		   bool denied)
{
	request_refuse(session, id, error);
	if (session->options.answered)
		session->options.answered(session->options.arg, op, error, denied);
}

/* Answers a request that came before, or that never gets as far as a room. */
static bool is_settled(struct session *session, const struct op *op, const struct frame *frame)
{
	struct message *reply;

	if (find(session, frame->id))
		return true; /* still at it */
	reply = kept_find(&session->kept, frame->id);
	if (reply) {
		if (!reply->is_queued && session->link)
			link_push(session->link, reply);
		return true;
	}
	if (!op || (op->flags & OP_EVENT) || op->number == 0)
		request_refuse(session, frame->id, -ENOSYS);
	else if (!is_permitted(session, op))
		refuse(session, op, frame->id, refusal(session, op), true);
	else if ((op->flags & OP_MUTATES) && kept_may_have_dropped(&session->kept, frame->id))
		refuse(session, op, frame->id, -EIO, false);
	else if ((op->flags & OP_STREAMS) &&
		 session->n_streaming >= session->options.limits.streams)
		refuse(session, op, frame->id, -ENFILE, false);
	else
		return false;
	return true;
}

static int take_request(struct session *session, const struct frame *frame, struct chunk *chunk,
			const char **ret_why)
{
	const struct op *op = op_find(session->options.ops, frame->op);
	struct request_entry *entry;
	void *state;
	int r;

	session->is_used = true;
	if (op && (op->flags & OP_TYPED) && frame->body.size < LIMITS_KEY && session->link)
		link_note_key(session->link);
	if (frame->lowest > session->lowest) {
		kept_free_below(&session->kept, session->lowest, frame->lowest);
		session->lowest = frame->lowest;
	}
	if (frame->id < session->lowest)
		return 0; /* its answer has arrived */
	*ret_why = "more calls in flight than a session may have";
	if (session->n_requests + (session->link ? link_n_replies(session->link) : 0) >=
	    limits_hard(session->options.limits.calls, LIMITS_CALLS))
		return -EPROTO;
	if (op && !session_service(session, op, &state))
		op = NULL;
	if (is_settled(session, op, frame))
		return 0;
	r = request_new(session, op, frame, chunk, &entry, ret_why);
	if (r < 0)
		return r;
	LIST_INSERT_HEAD(&session->requests[entry->id % REQUEST_BUCKETS], entry, bucket);
	session->n_requests++;
	session->n_streaming += (op->flags & OP_STREAMS) != 0;
	session->bytes += entry->size;
	*ret_why = "more bytes in flight than a session may have";
	if (session->bytes > limits_hard(session->options.limits.write_bytes, LIMITS_WRITE_BYTES)) {
		TAILQ_INSERT_TAIL(&session->parked, entry, entry);
		count_nodes(session, entry, 1);
		return -EPROTO;
	}
	if (may_run(session, entry) && !is_behind_parked(session, entry)) {
		run(session, entry);
		return 0;
	}
	TAILQ_INSERT_TAIL(&session->parked, entry, entry);
	count_nodes(session, entry, 1);
	return 0;
}

static void take_cancel(struct session *session, uint64_t id)
{
	struct request_entry *entry = find(session, id);
	const struct service *service;
	void *state;

	if (!entry)
		return;
	switch (entry->state) {
	case REQUEST_PARKED:
		request_unlist(entry);
		request_free(entry);
		request_refuse(session, id, -EINTR);
		break;
	case REQUEST_RUNNING:
		service = session_service(session, entry->request.op, &state);
		if (service->cancel)
			service->cancel(service->arg, state, &entry->request);
		break;
	case REQUEST_STREAMING:
		request_break_stream(entry, -EINTR);
		break;
	}
}

static int take_event(struct session *session, const struct frame *frame, const char **ret_why)
{
	const struct op *op = op_find(session->options.ops, frame->op);
	struct bytes body = frame->body;
	const struct service *service;
	void *args, *state;
	int r;

	if (!op || !(op->flags & OP_EVENT))
		return 0; /* of a newer peer */
	service = session_service(session, op, &state);
	if (!service || !service->event || !is_permitted(session, op))
		return 0;
	args = malloc(op->args->size);
	*ret_why = "out of memory";
	if (!args)
		return -ENOMEM;
	r = codec_decode(op->args, &body, args, ret_why);
	if (r == 0)
		service->event(service->arg, state, op->number, args);
	free(args);
	return r;
}

static int take_credit(struct session *session, const struct frame *frame, const char **ret_why)
{
	struct request_entry *entry = find(session, frame->id / 8);

	if (!entry || entry->state != REQUEST_STREAMING)
		return 0; /* it has ended meanwhile */
	*ret_why = "more credit than a stream's window";
	if (frame->status > LIMITS_WINDOW_MAX - entry->stream.credit)
		return -EPROTO;
	entry->stream.credit += frame->status;
	/* What was used comes in steps of little more than that; the rest is a larger window
	 * (stream_window.h). */
	if (frame->status > LIMITS_WINDOW / 4 + FRAME_STREAM_DATA_MAX)
		entry->stream.window += frame->status - LIMITS_WINDOW / 4;
	if (entry->stream.window < entry->stream.credit)
		entry->stream.window = entry->stream.credit;
	entry->stream.ready(entry->stream.arg, 0);
	return 0;
}

int session_frame(struct session *session, const struct frame *frame, struct chunk *chunk,
		  const char **ret_why)
{
	switch (frame->kind) {
	case FRAME_REQUEST:
		return take_request(session, frame, chunk, ret_why);
	case FRAME_EVENT:
		return take_event(session, frame, ret_why);
	case FRAME_CANCEL:
		take_cancel(session, frame->id);
		return 0;
	case FRAME_CREDIT:
		return take_credit(session, frame, ret_why);
	default:
		*ret_why = "a frame of no known use";
		return -EPROTO;
	}
}

/* --- links ------------------------------------------------------------------------------------ */

static void break_streams(struct session *session, int error)
{
	while (!TAILQ_EMPTY(&session->streams))
		request_break_stream(TAILQ_FIRST(&session->streams), error);
}

static void on_grace(uv_timer_t *timer)
{
	struct session *session = timer->data;

	session->options.expired(session->options.arg);
}

void session_detach(struct session *session)
{
	if (!session->link)
		return;
	session->link = NULL;
	session->kept.pinged = 0;
	break_streams(session, -ENOTCONN);
	uv_timer_start(&session->grace, on_grace, session->options.grace_ms, 0);
}

void session_attach(struct session *session, struct link *link)
{
	if (session->link == link)
		return;
	session_detach(session);
	session->link = link;
	uv_timer_stop(&session->grace);
	session_unpark_soon(session);
}

struct link *session_link(const struct session *session)
{
	return session->link;
}

void session_pinged(struct session *session)
{
	session->kept.pinged = session->kept.sequence;
}

void session_confirmed(struct session *session)
{
	kept_confirm(&session->kept);
}

int session_event(struct session *session, uint16_t op, const void *args)
{
	struct frame frame = {.kind = FRAME_EVENT, .op = op};
	const struct op *info = op_find(session->options.ops, op);
	struct message *message;
	int r;

	assert(info && (info->flags & OP_EVENT));
	if (!session->link)
		return -ENOTCONN;
	r = message_new(&message, &frame, info->args, args, NULL, NULL);
	if (r < 0)
		return r;
	link_push(session->link, message);
	message_unref(message);
	return 0;
}

/* --- birth and death -------------------------------------------------------------------------- */

static void on_handle_closed(uv_handle_t *handle)
{
	struct session *session = handle->data;
	struct conn_room *room = session->options.room;

	if (--session->n_handles > 0)
		return;
	free(session->states);
	free(session);
	conn_room_drop(room);
}

static void close_services(struct session *session, size_t n)
{
	while (n-- > 0) {
		const struct service *service = &session->options.services[n];

		if (service->session_close)
			service->session_close(service->arg, session->states[n]);
	}
}

void session_close(struct session *session)
{
	struct request_entry *entry;

	session->link = NULL;
	break_streams(session, -ENOTCONN);
	while ((entry = TAILQ_FIRST(&session->parked))) {
		request_unlist(entry);
		request_free(entry);
	}
	close_services(session, session->options.n_services);
	kept_deinit(&session->kept); /* with what the services have answered now */
	for (size_t i = 0; i < REQUEST_BUCKETS; i++)
		while ((entry = LIST_FIRST(&session->requests[i]))) {
			request_unlist(entry);
			entry->request.session = NULL; /* an orphan */
		}
	OPENSSL_cleanse(session->secret, sizeof(session->secret));
	uv_close((uv_handle_t *)&session->grace, on_handle_closed);
	uv_close((uv_handle_t *)&session->soon, on_handle_closed);
}

int session_new(struct session **ret_session, const struct session_options *options)
{
	struct session *session = calloc(1, sizeof(*session));
	size_t n = 0;
	int r = -ENOMEM;

	if (!session)
		return -ENOMEM;
	session->options = *options;
	session->states = calloc(options->n_services + 1, sizeof(*session->states));
	if (!session->states)
		goto fail;
	r = -EIO;
	if (RAND_bytes(session->id, sizeof(session->id)) != 1 ||
	    RAND_bytes(session->secret, sizeof(session->secret)) != 1)
		goto fail;
	snprintf(session->name, sizeof(session->name), "%s", options->name);
	kept_init(&session->kept, (unsigned)options->limits.calls * 2);
	TAILQ_INIT(&session->parked);
	TAILQ_INIT(&session->streams);
	for (; n < options->n_services; n++) {
		const struct service *service = &options->services[n];

		if (!service->session_open)
			continue;
		r = service->session_open(service->arg, session, &session->states[n]);
		if (r < 0)
			goto fail;
	}
	uv_timer_init(options->room->loop, &session->grace);
	uv_timer_init(options->room->loop, &session->soon);
	session->grace.data = session->soon.data = session;
	session->n_handles = 2;
	conn_room_hold(options->room);
	*ret_session = session;
	return 0;
fail:
	close_services(session, n);
	free(session->states);
	free(session);
	return r;
}

const uint8_t *session_id(const struct session *session)
{
	return session->id;
}

const uint8_t *session_secret(const struct session *session)
{
	return session->secret;
}

bool session_matches(const struct session *session, struct bytes id, struct bytes secret)
{
	return id.size == SESSION_ID_SIZE && secret.size == SESSION_SECRET_SIZE &&
	       (CRYPTO_memcmp(session->id, id.data, id.size) |
		CRYPTO_memcmp(session->secret, secret.data, secret.size)) == 0;
}

uint64_t session_instance(const struct session *session)
{
	return session->options.instance;
}

bool session_is_unused(const struct session *session)
{
	return !session->is_used;
}

bool session_is_local(const struct session *session)
{
	return *session->options.permissions & PERMISSION_LOCAL;
}

const void *session_peer(const struct session *session)
{
	return session->options.arg;
}
