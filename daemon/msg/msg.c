/*
 * Sessions, dispatch, the timer, beginning and end. A handler hands its request to the store's
 * thread; when it is back, and so on the disk, it is answered and others are told. What only looks
 * goes to the reader's thread: it sees what is on the disk, and does not wait for it.
 *
 *     SEND ─► store ─► answered, peers woken (msg_deliver.c) ─► DELIVER ─► store: delivered
 *     DELIVER of a peer ─► store ─► answered, watchers told
 *     ACK ─► store ─► answered, the peer is told: READ
 */
#include "daemon/msg/msg.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/log.h"
#include "daemon/msg/msg_private.h"
#include "daemon/wall_clock.h"

#define PRUNE_NS    3600000000000ll
#define EXPIRE_MS   86400000ll /* the timer looks at the clock so often at least: it may be set */
#define NS_PER_MS   1000000ll
#define SECONDS_MAX 9000000000ll /* the year 2255; in ns it fits */

/* --- what is under way ------------------------------------------------------------------------ */

static void on_timer_closed(uv_handle_t *handle)
{
	struct msg *msg = handle->data;
	struct msg_draft *draft;

	while ((draft = msg_draft_oldest(msg)))
		msg_draft_free(msg, draft);
	msg_send_end(msg);
	msg->closed(msg->closed_arg);
	free(msg);
}

static void settle(struct msg *msg)
{
	if (!msg->is_closing || msg->n_under_way > 0)
		return;
	msg->is_closing = false;
	uv_close((uv_handle_t *)&msg->timer, on_timer_closed);
}

void msg_hold(struct msg *msg)
{
	msg->n_under_way++;
}

void msg_drop(struct msg *msg)
{
	assert(msg->n_under_way > 0);
	msg->n_under_way--;
	settle(msg);
}

int msg_submit(struct msg *msg, struct store_request *request)
{
	struct store_thread *thread = request->reads ? msg->options.reader : msg->options.thread;
	int r = store_thread_submit(thread, request);

	if (r == 0)
		msg_hold(msg);
	return r;
}

struct timespec msg_time(int64_t ns)
{
	return (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
}

int64_t msg_time_ns(struct timespec time)
{
	if (time.tv_sec < 0 || time.tv_sec >= SECONDS_MAX)
		return 0;
	return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* --- the timer -------------------------------------------------------------------------------- */

struct expiring {
	struct store_request store;
	struct msg *msg;
	bool prunes;
	struct msg_rows changed;
	int64_t next_ns;
};

static int run_expire(struct store_request *request, sqlite3 *db)
{
	struct expiring *expiring = (struct expiring *)request;
	struct msg *msg = expiring->msg;
	int64_t now_ns = wall_clock_ns();
	int r;

	msg->sql.db = db;
	r = msg_sql_expire(&msg->sql, now_ns, &expiring->changed, &expiring->next_ns);
	if (r == 0 && expiring->prunes)
		r = msg_sql_prune(&msg->sql, now_ns - (int64_t)msg->options.keep_ms * NS_PER_MS);
	return r;
}

static void on_expired(struct store_request *request, int status)
{
	struct expiring *expiring = (struct expiring *)request;
	struct msg *msg = expiring->msg;

	msg->is_expiring = false;
	if (status < 0) {
		log_warning("msg", "op=expire error=%s", strerror(-status));
		expiring->next_ns = wall_clock_ns() + 60 * 1000 * NS_PER_MS;
	} else {
		msg_events_tell_all(msg, MSG_EVENT_EXPIRED, &expiring->changed);
	}
	if (!msg->expires_ns || (expiring->next_ns && expiring->next_ns < msg->expires_ns))
		msg->expires_ns = expiring->next_ns;
	msg_rows_deinit(&expiring->changed);
	free(expiring);
	msg_arm(msg);
	msg_drop(msg);
}

static void expire(struct msg *msg, int64_t now_ns)
{
	struct expiring *expiring;

	if (msg->is_expiring || msg->is_closing)
		return;
	expiring = calloc(1, sizeof(*expiring));
	if (!expiring)
		return;
	expiring->store = (struct store_request){.run = run_expire, .done = on_expired};
	expiring->msg = msg;
	expiring->prunes = msg->prune_ns <= now_ns;
	if (msg_submit(msg, &expiring->store) < 0) {
		free(expiring);
		return;
	}
	if (expiring->prunes)
		msg->prune_ns = now_ns + PRUNE_NS;
	msg->expires_ns = 0;
	msg->is_expiring = true;
}

static void on_timer(uv_timer_t *timer)
{
	struct msg *msg = timer->data;
	int64_t now_ns = wall_clock_ns();

	if ((msg->expires_ns && msg->expires_ns <= now_ns) || msg->prune_ns <= now_ns)
		expire(msg, now_ns);
	if (msg->left_at && msg->left_at <= uv_now(msg->options.loop))
		msg_send_left(msg);
	msg_deliver_try(msg);
	msg_arm(msg);
}

void msg_arm(struct msg *msg)
{
	uint64_t retry = msg_deliver_retry(msg), now = uv_now(msg->options.loop);
	int64_t now_ns = wall_clock_ns(), left = EXPIRE_MS;
	int64_t at_ns = msg->prune_ns;

	if (msg->is_closing || uv_is_closing((uv_handle_t *)&msg->timer))
		return;
	if (msg->expires_ns && msg->expires_ns < at_ns)
		at_ns = msg->expires_ns;
	/* One ms more: the wall clock is finer than the loop's. */
	if (!msg->is_expiring && (at_ns - now_ns) / NS_PER_MS + 1 < left)
		left = at_ns > now_ns ? (at_ns - now_ns) / NS_PER_MS + 1 : 1;
	if (msg->left_at && (!retry || msg->left_at < retry))
		retry = msg->left_at;
	if (retry && (int64_t)(retry - now) < left)
		left = retry > now ? (int64_t)(retry - now) : 1;
	uv_timer_start(&msg->timer, on_timer, (uint64_t)left, 0);
}

void msg_expires_at(struct msg *msg, int64_t ns)
{
	if (!ns || (msg->expires_ns && msg->expires_ns <= ns))
		return;
	msg->expires_ns = ns;
	msg_arm(msg);
}

/* --- the service ------------------------------------------------------------------------------ */

static int session_open(void *arg, struct session *session, void **ret_state)
{
	struct msg_guest *guest = calloc(1, sizeof(*guest));
	struct msg *msg = arg;

	if (!guest)
		return -ENOMEM;
	guest->msg = msg;
	guest->is_local = session_is_local(session);
	if (!guest->is_local)
		msg->options.identify(msg->options.arg, session, guest->peer);
	*ret_state = guest;
	return 0;
}

/* Requests that are with the thread know what they need of it. */
static void session_close(void *arg, void *state)
{
	struct msg_guest *guest = state;

	free(guest->part.body);
	free(guest);
}

static void handle(void *arg, void *state, struct request *request)
{
	struct msg_guest *guest = state;

	switch (request->op->number) {
	case OP_MSG_DELIVER:
	case OP_MSG_READ:
		if (guest->is_local)
			request_fail(request, -EOPNOTSUPP); /* of a peer only */
		else if (request->op->number == OP_MSG_DELIVER)
			msg_receive_handle(guest, request);
		else
			msg_read_handle(guest, request);
		break;
	case OP_MSG_DRAFT:
		msg_draft_handle(guest, request);
		break;
	case OP_MSG_DISCARD:
		msg_discard_handle(guest, request);
		break;
	case OP_MSG_SEND:
		msg_send_handle(guest, request);
		break;
	case OP_MSG_EVENTS:
		msg_events_handle(guest, request);
		break;
	default:
		msg_look_handle(guest, request);
	}
}

int msg_new(const struct msg_options *options, struct msg **ret_msg)
{
	struct msg *msg = calloc(1, sizeof(*msg));

	if (!msg)
		return -ENOMEM;
	msg->options = *options;
	msg->limits = (struct msg_limits){options->max_messages, options->max_bytes};
	TAILQ_INIT(&msg->peers);
	TAILQ_INIT(&msg->drafts);
	TAILQ_INIT(&msg->failed);
	TAILQ_INIT(&msg->watchers);
	msg->left_last = -1;
	uv_timer_init(options->loop, &msg->timer);
	msg->timer.data = msg;
	msg->service = (struct service){
	    .name = "msg",
	    .first_op = OP_MSG_DELIVER,
	    .last_op = OP_MSG_DISCARD,
	    .session_open = session_open,
	    .session_close = session_close,
	    .handle = handle,
	    .arg = msg,
	};
	msg_send_left(msg);
	expire(msg, wall_clock_ns());
	msg_arm(msg);
	*ret_msg = msg;
	return 0;
}

const struct service *msg_service(const struct msg *msg)
{
	return &msg->service;
}

void msg_close(struct msg *msg, void (*closed)(void *arg), void *arg)
{
	msg->is_closing = true;
	msg->closed = closed;
	msg->closed_arg = arg;
	uv_timer_stop(&msg->timer);
	settle(msg);
}
