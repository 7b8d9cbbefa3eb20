/*
 * What a peer is to be told: messages, in the order of their numbers, and receipts. For each peer
 * one thing at a time is under way:
 *
 *         wake
 *     IDLE ──► STORE ──► nothing to do: IDLE
 *      ▲       ▲   │
 *      │ fails │   └──► ASK: DELIVER without messages (after each new link), DELIVER, READ
 *      └───────┴─────────┘ answered
 *
 * STORE writes down what the last answer said and loads what comes next, in one transaction. What
 * is loaded is sent in as many requests as it takes, each behind the answer to the one before; an
 * answer says how far the peer has come, and the next request goes on from there, so that whatever
 * was lost is sent again. What failed on the way is tried again when the link comes back, else
 * after a while.
 *
 * A message that expires may be under way, or may have arrived while its answer was lost. It is
 * expired for the time being, and delivered after all if the next answer says so (msg_sql_stored):
 * answers come from the peer's disk, behind all that it was sent before.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/log.h"
#include "daemon/msg/msg_private.h"
#include "daemon/wall_clock.h"
#include "proto/errors.h"

#define RETRY_MIN_MS 100
#define RETRY_MAX_MS 60000
#define LOAD_N       OPS_MSG_BATCH_MAX
#define LOAD_BYTES   (1024 * 1024)

enum step { IDLE, STORE, ASK };

struct msg_peer {
	struct store_request store;
	TAILQ_ENTRY(msg_peer) entry;
	struct msg *msg;
	char id[IDENTITY_ID_SIZE];
	struct transport *transport; /* NULL: removed, freed when it is back from the thread */
	struct transport_call *call; /* while it ASKs */
	enum step step;
	bool is_woken;     /* again, while something was under way */
	bool is_synced;    /* nothing that was sent before can still arrive */
	bool is_full;      /* it has said so: what it did take is written down, then it rests */
	uint64_t retry_at; /* uv_now; 0: it is not to be tried again */
	uint64_t retry_ms; /* how long it was waited last */

	/* What the last answers said, for STORE. */
	bool has_stored;
	uint64_t stored;
	size_t n_read; /* of receipts, at the front: the peer knows them */

	/* What STORE has loaded. */
	bool has_work;
	uint64_t epoch;
	struct msg_rows rows;    /* to be sent */
	size_t at, offset;       /* the first byte of them that is not sent yet */
	struct msg_rows changed; /* have become delivered */
	struct msg_receipt_row receipts[OPS_MSG_BATCH_MAX];
	size_t n_receipts;
};

static void store(struct msg_peer *peer);
static void ask(struct msg_peer *peer);

static void peer_free(struct msg_peer *peer)
{
	msg_rows_deinit(&peer->rows);
	msg_rows_deinit(&peer->changed);
	free(peer);
}

static struct msg_peer *find(struct msg *msg, const char *id)
{
	struct msg_peer *peer;

	TAILQ_FOREACH(peer, &msg->peers, entry)
	if (strcmp(peer->id, id) == 0)
		return peer;
	return NULL;
}

static bool is_reachable(const struct msg_peer *peer)
{
	return peer->transport->ops->state(peer->transport) == TRANSPORT_UP;
}

/* --- ends of a step --------------------------------------------------------------------------- */

static void wake(struct msg_peer *peer)
{
	peer->is_woken = true;
	if (peer->step != IDLE || peer->msg->is_closing || !is_reachable(peer))
		return;
	store(peer);
}

static void rest(struct msg_peer *peer)
{
	peer->step = IDLE;
	if (peer->is_woken)
		wake(peer);
}

/* It is tried again after a while, longer each time. */
static void put_off(struct msg_peer *peer)
{
	struct msg *msg = peer->msg;

	peer->step = IDLE;
	peer->retry_ms = peer->retry_ms ? 2 * peer->retry_ms : RETRY_MIN_MS;
	if (peer->retry_ms > RETRY_MAX_MS)
		peer->retry_ms = RETRY_MAX_MS;
	peer->retry_at = uv_now(msg->options.loop) + peer->retry_ms;
	msg_arm(msg);
}

/* --- STORE ------------------------------------------------------------------------------------ */

static int run_stored(struct msg_peer *peer, struct msg_sql *sql)
{
	int r = 0;

	if (peer->has_stored)
		r = msg_sql_stored(sql, peer->id, peer->stored, wall_clock_ns(), &peer->changed);
	for (size_t i = 0; r == 0 && i < peer->n_read; i++)
		r = msg_sql_drop_receipt(sql, peer->receipts[i].id);
	return r;
}

static int run(struct store_request *request, sqlite3 *db)
{
	struct msg_peer *peer = (struct msg_peer *)request;
	struct msg_sql *sql = &peer->msg->sql;
	int r;

	sql->db = db;
	r = run_stored(peer, sql);
	if (r == 0)
		r = msg_sql_has_work(sql, peer->id, &peer->has_work);
	if (r == 0 && peer->has_work)
		r = msg_sql_epoch(sql, peer->id, &peer->epoch);
	if (r == 0 && peer->has_work && peer->is_synced)
		r = msg_sql_queued(sql, peer->id, LOAD_N, LOAD_BYTES, &peer->rows);
	if (r == 0)
		r = msg_sql_receipts(sql, peer->id, peer->receipts, OPS_MSG_BATCH_MAX,
				     &peer->n_receipts);
	return r;
}

static void done(struct store_request *request, int status)
{
	struct msg_peer *peer = (struct msg_peer *)request;
	struct msg *msg = peer->msg;

	if (status == 0)
		msg_events_tell_all(msg, MSG_EVENT_DELIVERED, &peer->changed);
	msg_rows_deinit(&peer->changed);
	if (!peer->transport) {
		peer_free(peer);
	} else if (status < 0) {
		log_warning("msg", "op=store error=%s", strerror(-status));
		/* What the peer said is asked for once more. */
		peer->has_stored = peer->is_synced = false;
		peer->n_read = peer->n_receipts = 0;
		put_off(peer);
	} else {
		peer->retry_at = 0;
		ask(peer);
	}
	msg_drop(msg);
}

static void store(struct msg_peer *peer)
{
	peer->is_woken = false;
	peer->step = STORE;
	msg_rows_deinit(&peer->rows);
	peer->at = peer->offset = 0;
	peer->store = (struct store_request){.run = run, .done = done};
	if (msg_submit(peer->msg, &peer->store) < 0)
		peer->step = IDLE; /* the daemon ends */
}

/* --- ASK -------------------------------------------------------------------------------------- */

static void failed(struct msg_peer *peer, int error)
{
	log_debug("msg", "op=deliver error=%s", strerror(-error));
	peer->call = NULL;
	peer->has_stored = false;
	peer->n_read = 0;
	peer->is_synced = false;
	put_off(peer);
}

/* Bytes of `row` from `offset` on, as many as `room`. */
static int add_part(struct list *parts, struct buffer *elements, const struct msg_row *row,
		    size_t offset, size_t room, size_t *ret_taken)
{
	size_t left = row->size - offset, n = left < room ? left : room;
	struct msg_part part = {
	    .seq = (uint64_t)row->number,
	    .id = {(const uint8_t *)row->id, strlen(row->id)},
	    .type = row->type,
	    .reply_to = {(const uint8_t *)row->reply_to, strlen(row->reply_to)},
	    .ts = msg_time(row->sent_ns),
	    .size = row->size,
	    .offset = offset,
	    .body = {row->body.data + offset, n},
	};

	*ret_taken = n;
	return codec_list_append(parts, elements, &msg_part_record, &part);
}

/* As much as fits into one request, from where the peer is. */
static int fill(struct msg_peer *peer, struct list *parts, struct buffer *elements)
{
	size_t room = OPS_MSG_BATCH_BYTES, at = peer->at, offset = peer->offset, n;
	int r = 0;

	while (r == 0 && at < peer->rows.n && room > 0 && parts->n < OPS_MSG_BATCH_MAX) {
		r = add_part(parts, elements, &peer->rows.rows[at], offset, room, &n);
		room -= n;
		offset += n;
		if (offset == peer->rows.rows[at].size) {
			at++;
			offset = 0;
		}
	}
	codec_list_finish(parts, elements);
	return r;
}

/* To where the peer says that it is. Returns whether that is further than it was. */
static bool go_on(struct msg_peer *peer, const struct result_msg_deliver *result)
{
	size_t at = 0, offset = 0;
	bool is_further;

	while (at < peer->rows.n && (uint64_t)peer->rows.rows[at].number <= result->stored)
		at++;
	if (at < peer->rows.n && (uint64_t)peer->rows.rows[at].number == result->seq &&
	    result->taken < peer->rows.rows[at].size)
		offset = (size_t)result->taken;
	is_further = at > peer->at || (at == peer->at && offset > peer->offset);
	peer->at = at;
	peer->offset = offset;
	return is_further;
}

static void on_delivered(void *arg, const struct transport_reply *reply)
{
	const struct result_msg_deliver *result = reply->result;
	struct msg_peer *peer = arg;
	bool was_synced = peer->is_synced, is_further;

	if (reply->error < 0) {
		failed(peer, reply->error);
		return;
	}
	peer->call = NULL;
	peer->has_stored = true;
	peer->stored = result->stored;
	peer->is_synced = true;
	is_further = go_on(peer, result);
	if (was_synced && (result->error || !is_further)) {
		/* Or it makes no sense. */
		log_warning("msg", "peer=%s op=deliver error=%s", peer->id,
			    strerror(-error_to_errno(result->error)));
		peer->is_full = true;
		store(peer);
		return;
	}
	peer->retry_ms = 0;
	if (was_synced && peer->at < peer->rows.n)
		ask(peer);
	else
		store(peer);
}

static void on_read(void *arg, const struct transport_reply *reply)
{
	struct msg_peer *peer = arg;

	if (reply->error < 0) {
		failed(peer, reply->error);
		return;
	}
	peer->call = NULL;
	peer->n_read = peer->n_receipts;
	peer->retry_ms = 0;
	store(peer);
}

static const struct transport_handler on_deliver_handler = {.reply = on_delivered};
static const struct transport_handler on_read_handler = {.reply = on_read};

static int ask_deliver(struct msg_peer *peer)
{
	struct args_msg_deliver args = {.epoch = peer->epoch};
	struct buffer elements = {0};
	int r = peer->is_synced ? fill(peer, &args.parts, &elements) : 0;

	if (r == 0)
		r = peer->transport->ops->call(peer->transport, OP_MSG_DELIVER, &args, NULL,
					       &on_deliver_handler, peer, NULL, &peer->call);
	buffer_deinit(&elements);
	return r;
}

static int ask_read(struct msg_peer *peer)
{
	struct args_msg_read args = {0};
	struct buffer elements = {0};
	int r = 0;

	for (size_t i = 0; r == 0 && i < peer->n_receipts; i++) {
		const struct msg_receipt_row *row = &peer->receipts[i];
		struct msg_receipt receipt = {
		    .id = {(const uint8_t *)row->id, strlen(row->id)},
		    .read = msg_time(row->read_ns),
		};

		r = codec_list_append(&args.receipts, &elements, &msg_receipt_record, &receipt);
	}
	codec_list_finish(&args.receipts, &elements);
	if (r == 0)
		r = peer->transport->ops->call(peer->transport, OP_MSG_READ, &args, NULL,
					       &on_read_handler, peer, NULL, &peer->call);
	buffer_deinit(&elements);
	return r;
}

/* What was loaded; receipts first, they are small. */
static void ask(struct msg_peer *peer)
{
	struct msg *msg = peer->msg;
	bool may_deliver = !msg->options.is_refused(msg->options.arg, peer->id);
	int r;

	peer->step = ASK;
	peer->has_stored = false;
	peer->n_read = 0;
	if (msg->is_closing || !is_reachable(peer)) {
		peer->is_synced = false;
		peer->step = IDLE; /* until its link is back */
		return;
	}
	if (peer->is_full) {
		peer->is_full = false;
		put_off(peer);
		return;
	}
	if (peer->n_receipts > 0)
		r = ask_read(peer);
	else if (peer->has_work && may_deliver && (!peer->is_synced || peer->rows.n > peer->at))
		r = ask_deliver(peer);
	else {
		rest(peer);
		return;
	}
	if (r < 0)
		failed(peer, r);
}

/* --- from outside ----------------------------------------------------------------------------- */

void msg_deliver_wake(struct msg *msg, const char *id)
{
	struct msg_peer *peer = find(msg, id);

	if (peer)
		wake(peer);
}

int msg_peers_each(struct msg *msg, int (*each)(void *arg, const char *id), void *arg)
{
	struct msg_peer *peer;
	int r = 0;

	TAILQ_FOREACH(peer, &msg->peers, entry)
	if (r == 0)
		r = each(arg, peer->id);
	return r;
}

void msg_deliver_try(struct msg *msg)
{
	uint64_t now = uv_now(msg->options.loop);
	struct msg_peer *peer;

	TAILQ_FOREACH(peer, &msg->peers, entry)
	{
		if (!peer->retry_at || peer->retry_at > now)
			continue;
		peer->retry_at = 0;
		wake(peer);
	}
}

uint64_t msg_deliver_retry(const struct msg *msg)
{
	struct msg_peer *peer;
	uint64_t first = 0;

	TAILQ_FOREACH(peer, &msg->peers, entry)
	if (peer->retry_at && (!first || peer->retry_at < first))
		first = peer->retry_at;
	return first;
}

int msg_peer_add(struct msg *msg, const char *id, struct transport *transport)
{
	struct msg_peer *peer = calloc(1, sizeof(*peer));

	if (!peer)
		return -ENOMEM;
	peer->msg = msg;
	peer->transport = transport;
	strncpy(peer->id, id, sizeof(peer->id) - 1);
	TAILQ_INSERT_TAIL(&msg->peers, peer, entry);
	msg->n_peers++;
	wake(peer);
	return 0;
}

void msg_peer_remove(struct msg *msg, const char *id)
{
	struct msg_peer *peer = find(msg, id);

	if (!peer)
		return;
	TAILQ_REMOVE(&msg->peers, peer, entry);
	msg->n_peers--;
	if (peer->call)
		peer->transport->ops->abandon(peer->call);
	peer->transport = NULL;
	if (peer->step != STORE)
		peer_free(peer);
}

void msg_peer_changed(struct msg *msg, const char *id)
{
	struct msg_peer *peer = find(msg, id);

	if (!peer)
		return;
	peer->retry_at = peer->retry_ms = 0;
	wake(peer);
}
