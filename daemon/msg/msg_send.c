/* DRAFT, DISCARD and SEND: into the outbox. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "daemon/log.h"
#include "daemon/msg/msg_private.h"
#include "daemon/wall_clock.h"
#include "proto/cursor.h"

#define NS_PER_MS 1000000ll
#define LEFT_MS   10000

/* The request's args stay valid until it is answered. */
struct msg_sending {
	struct store_request store;
	TAILQ_ENTRY(msg_sending) entry; /* msg->failed */
	struct msg *msg;
	struct request *request; /* NULL: nobody waits for an answer */
	uint64_t draft;          /* 0: none */
	bool is_stored;          /* the draft, in the table */
	bool is_for_all;
	struct msg_rows rows; /* one for each peer; bodies are `body` */
	uint8_t *owned;       /* the body of a draft */
	struct bytes body;
};

static void sending_free(struct msg_sending *sending)
{
	msg_rows_deinit(&sending->rows);
	free(sending->owned);
	free(sending);
}

/* --- what is to be sent, and to whom ---------------------------------------------------------- */

static int check_body(struct bytes body)
{
	if (body.size == 0)
		return -EINVAL;
	return cursor_is_utf8(body) ? 0 : -EILSEQ;
}

/* 48 bits of time and 80 of chance, in the order of time: a ULID (github.com/ulid/spec) in lower
 * case. */
static int make_id(int64_t now_ns, char ret_id[OPS_MSG_ID_MAX + 1])
{
	static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
	uint64_t ms = (uint64_t)(now_ns / NS_PER_MS);
	uint8_t chance[16];

	if (getrandom(chance, sizeof(chance), 0) != sizeof(chance))
		return -EIO;
	for (int i = 9; i >= 0; i--, ms >>= 5)
		ret_id[i] = digits[ms & 31];
	for (size_t i = 0; i < sizeof(chance); i++)
		ret_id[10 + i] = digits[chance[i] & 31];
	ret_id[10 + sizeof(chance)] = '\0';
	return 0;
}

static int add_row(struct msg_sending *sending, const char *peer, int64_t now_ns)
{
	struct msg_row *row = msg_rows_add(&sending->rows);

	if (!row)
		return -ENOMEM;
	strcpy(row->peer, peer);
	row->sent_ns = now_ns;
	row->box = MSG_OUTBOX;
	row->body = sending->body;
	row->size = sending->body.size;
	return make_id(now_ns, row->id);
}

static int add_each(void *arg, const char *id)
{
	return add_row(arg, id, wall_clock_ns());
}

/* A row for that peer, or for each if the name is empty. */
static int address(struct msg_sending *sending, struct bytes peer)
{
	struct msg *msg = sending->msg;
	const struct msg_options *options = &msg->options;
	const char *id;
	char *name;
	int r;

	sending->is_for_all = peer.size == 0;
	if (sending->is_for_all) {
		r = msg_peers_each(msg, add_each, sending);
		return r < 0 ? r : sending->rows.n == 0 ? -ENOENT : 0;
	}
	name = bytes_to_text(peer);
	id = name ? options->find_peer(options->arg, name) : NULL;
	free(name);
	if (!id)
		return -ENOENT;
	if (!sending->is_stored && options->is_refused(options->arg, id))
		return -EACCES;
	return add_row(sending, id, wall_clock_ns());
}

static void describe(struct msg_sending *sending, const struct args_msg_send *args)
{
	uint64_t ttl_ms = args->ttl_ms ? args->ttl_ms : sending->msg->options.ttl_ms;

	for (size_t i = 0; i < sending->rows.n; i++) {
		struct msg_row *row = &sending->rows.rows[i];

		row->type = args->type;
		if (args->reply_to.size)
			memcpy(row->reply_to, args->reply_to.data, args->reply_to.size);
		if (ttl_ms <= OPS_MSG_TTL_MAX)
			row->expires_ns = row->sent_ns + (int64_t)ttl_ms * NS_PER_MS;
	}
}

static struct msg_sending *sending_new(struct msg *msg, struct request *request,
				       int (*run)(struct store_request *request, sqlite3 *db),
				       void (*done)(struct store_request *request, int status))
{
	struct msg_sending *sending = calloc(1, sizeof(*sending));

	if (!sending)
		return NULL;
	sending->store = (struct store_request){.run = run, .done = done};
	sending->msg = msg;
	sending->request = request;
	return sending;
}

/* --- SEND ------------------------------------------------------------------------------------- */

static int run_send(struct store_request *request, sqlite3 *db)
{
	struct msg_sending *sending = (struct msg_sending *)request;
	struct msg *msg = sending->msg;
	int r = 0;

	msg->sql.db = db;
	for (size_t i = 0; r == 0 && i < sending->rows.n; i++)
		r = msg_sql_send(&msg->sql, &sending->rows.rows[i], &msg->limits);
	if (r == 0 && sending->is_stored)
		r = msg_sql_drop_draft(&msg->sql, sending->draft);
	return r;
}

static void reply(struct msg_sending *sending)
{
	const struct msg_options *options = &sending->msg->options;
	struct result_msg_send result = {0};
	struct buffer elements = {0};
	int r = 0;

	for (size_t i = 0; r == 0 && i < sending->rows.n; i++) {
		const struct msg_row *row = &sending->rows.rows[i];
		const char *name = options->peer_name(options->arg, row->peer);
		struct msg_sent sent = {
		    .id = {(const uint8_t *)row->id, strlen(row->id)},
		    .peer = {(const uint8_t *)(name ? name : row->peer),
			     strlen(name ? name : row->peer)},
		};

		r = codec_list_append(&result.sent, &elements, &msg_sent_record, &sent);
	}
	codec_list_finish(&result.sent, &elements);
	if (r < 0)
		request_fail(sending->request, r);
	else
		request_reply(sending->request, &result, NULL, NULL);
	buffer_deinit(&elements);
}

/* They are in the outbox. */
static void tell_sent(struct msg_sending *sending)
{
	struct msg *msg = sending->msg;

	for (size_t i = 0; i < sending->rows.n; i++) {
		const struct msg_row *row = &sending->rows.rows[i];

		msg_expires_at(msg, row->expires_ns);
		msg_events_tell(msg, MSG_EVENT_QUEUED, row);
		msg_audit(msg, true, "send", row);
		msg_deliver_wake(msg, row->peer);
	}
}

static void try_again(struct msg *msg)
{
	msg->left_at = uv_now(msg->options.loop) + LEFT_MS;
	msg_arm(msg);
}

static void on_sent(struct store_request *request, int status)
{
	struct msg_sending *sending = (struct msg_sending *)request;
	struct msg *msg = sending->msg;

	msg->n_sending -= sending->request != NULL;
	if (sending->request && status == 0)
		reply(sending);
	else if (sending->request)
		request_fail(sending->request, status);
	sending->request = NULL;
	if (status == 0)
		tell_sent(sending);
	if (status < 0 && sending->is_stored) {
		/* Its writer was told that it is accepted. */
		log_warning("msg", "op=send error=%s", strerror(-status));
		TAILQ_INSERT_TAIL(&msg->failed, sending, entry);
		try_again(msg);
	} else {
		sending_free(sending);
	}
	msg_drop(msg);
}

/* Takes the draft, or the request's own body. */
static int take_body(struct msg_sending *sending, const struct args_msg_send *args)
{
	struct msg *msg = sending->msg;
	struct msg_draft *draft;
	struct bytes body;

	sending->body = args->body;
	if (args->draft == 0)
		return check_body(args->body);
	draft = msg_draft_find(msg, args->draft);
	if (!draft)
		return -ENOKEY;
	body = msg_draft_body(draft);
	if (args->body.size > 0 || check_body(body) < 0)
		return args->body.size > 0 ? -EINVAL : check_body(body);
	sending->owned = malloc(body.size);
	if (!sending->owned)
		return -ENOMEM;
	memcpy(sending->owned, body.data, body.size);
	sending->body = (struct bytes){sending->owned, body.size};
	sending->draft = args->draft;
	sending->is_stored = msg_draft_is_kept(draft);
	return 0;
}

void msg_send_handle(struct msg_guest *guest, struct request *request)
{
	const struct args_msg_send *args = request->args;
	struct msg *msg = guest->msg;
	struct msg_sending *sending = sending_new(msg, request, run_send, on_sent);
	int r = sending ? take_body(sending, args) : -ENOMEM;

	if (r == 0 && args->reply_to.size > 0 && !msg_id_is_valid(args->reply_to))
		r = -EINVAL;
	if (r == 0)
		r = address(sending, args->peer);
	if (r == 0) {
		describe(sending, args);
		r = msg_submit(msg, &sending->store);
	}
	msg->n_sending += r == 0;
	if (r == 0 && args->draft)
		msg_draft_free(msg, msg_draft_find(msg, args->draft));
	if (r == 0)
		return;
	if (sending)
		sending_free(sending);
	request_fail(request, r);
}

/* --- DRAFT ------------------------------------------------------------------------------------ */

static int run_draft(struct store_request *request, sqlite3 *db)
{
	struct msg_sending *sending = (struct msg_sending *)request;
	enum msg_type type = sending->is_for_all ? MSG_BROADCAST : MSG_CHAT;
	struct msg_sql *sql = &sending->msg->sql;
	int r = 0;

	sql->db = db;
	for (size_t i = 0; r == 0 && i < sending->rows.n; i++) {
		const char *peer = sending->rows.rows[i].peer;

		r = msg_sql_room(sql, peer, sending->body.size, &sending->msg->limits);
		if (r == 0)
			r = msg_sql_put_draft(sql, sending->draft, peer, type, sending->body);
	}
	return r;
}

static void on_draft(struct store_request *request, int status)
{
	struct msg_sending *sending = (struct msg_sending *)request;
	struct result_msg_draft result = {.size = sending->body.size};
	struct msg *msg = sending->msg;

	if (status < 0)
		request_fail(sending->request, status);
	else
		request_reply(sending->request, &result, NULL, NULL);
	sending_free(sending);
	msg_drop(msg);
}

static int store_draft(struct msg *msg, struct request *request, struct msg_draft *draft)
{
	const struct args_msg_draft *args = request->args;
	struct bytes body = msg_draft_body(draft);
	int r = check_body(body);
	struct msg_sending *sending;

	if (r < 0)
		return r;
	sending = sending_new(msg, request, run_draft, on_draft);
	if (!sending)
		return -ENOMEM;
	/* A copy: it may grow while the thread writes it. */
	sending->owned = malloc(body.size);
	sending->draft = args->draft;
	r = -ENOMEM;
	if (sending->owned) {
		memcpy(sending->owned, body.data, body.size);
		sending->body = (struct bytes){sending->owned, body.size};
		r = address(sending, args->peer);
	}
	if (r == 0)
		r = msg_submit(msg, &sending->store);
	if (r == 0)
		msg_draft_keep(draft);
	else
		sending_free(sending);
	return r;
}

static int check_peer(struct msg *msg, struct bytes peer)
{
	struct msg_sending *sending = sending_new(msg, NULL, NULL, NULL);
	int r = sending ? address(sending, peer) : -ENOMEM;

	if (sending)
		sending_free(sending);
	return r;
}

void msg_draft_handle(struct msg_guest *guest, struct request *request)
{
	const struct args_msg_draft *args = request->args;
	struct result_msg_draft result = {0};
	struct msg_draft *draft;
	int r;

	if (args->draft == 0) {
		r = args->body.size > 0 ? -EINVAL : check_peer(guest->msg, args->peer);
		if (r < 0)
			request_fail(request, r);
		else
			request_reply(request, &result, NULL, NULL);
		return;
	}
	r = msg_draft_write(guest->msg, args->draft, args->offset, args->body, &draft);
	if (r == 0 && args->store) {
		r = store_draft(guest->msg, request, draft);
		if (r == 0)
			return;
	}
	if (r < 0) {
		request_fail(request, r);
		return;
	}
	result.size = msg_draft_body(draft).size;
	request_reply(request, &result, NULL, NULL);
}

static int run_discard(struct store_request *request, sqlite3 *db)
{
	struct msg_sending *sending = (struct msg_sending *)request;

	sending->msg->sql.db = db;
	return msg_sql_drop_draft(&sending->msg->sql, sending->draft);
}

static void on_discarded(struct store_request *request, int status)
{
	struct msg_sending *sending = (struct msg_sending *)request;
	struct msg *msg = sending->msg;

	if (status < 0)
		request_fail(sending->request, status);
	else
		request_reply(sending->request, &(struct result_msg_discard){0}, NULL, NULL);
	sending_free(sending);
	msg_drop(msg);
}

void msg_discard_handle(struct msg_guest *guest, struct request *request)
{
	const struct args_msg_discard *args = request->args;
	struct msg_draft *draft = msg_draft_find(guest->msg, args->draft);
	struct msg_sending *sending;
	int r = -ENOMEM;

	if (!draft || !msg_draft_is_kept(draft)) {
		msg_draft_free(guest->msg, draft);
		request_reply(request, &(struct result_msg_discard){0}, NULL, NULL);
		return;
	}
	sending = sending_new(guest->msg, request, run_discard, on_discarded);
	if (sending) {
		sending->draft = args->draft;
		r = msg_submit(guest->msg, &sending->store);
	}
	if (r == 0) {
		msg_draft_free(guest->msg, draft);
		return;
	}
	if (sending)
		sending_free(sending);
	request_fail(request, r);
}

/* --- what is left ----------------------------------------------------------------------------- */

static int run_left(struct store_request *request, sqlite3 *db)
{
	struct msg_sending *sending = (struct msg_sending *)request;
	struct msg *msg = sending->msg;
	struct msg_row *row = msg_rows_add(&sending->rows);
	int r = 0;

	if (!row)
		return -ENOMEM;
	msg->sql.db = db;
	if (msg->left_last < 0)
		r = msg_sql_last_draft(&msg->sql, &msg->left_last);
	if (r == 0)
		r = msg_sql_take_draft(&msg->sql, msg->left_last, row);
	if (r < 0)
		return r;
	row->sent_ns = wall_clock_ns();
	row->expires_ns = row->sent_ns + (int64_t)msg->options.ttl_ms * NS_PER_MS;
	r = make_id(row->sent_ns, row->id);
	return r < 0 ? r : msg_sql_send(&msg->sql, row, &msg->limits);
}

static void send_next(struct msg *msg);

static void on_left(struct store_request *request, int status)
{
	struct msg_sending *sending = (struct msg_sending *)request;
	struct msg *msg = sending->msg;

	if (status == 0)
		tell_sent(sending);
	if (status == 0 && !msg->is_closing) {
		send_next(msg);
	} else if (status < 0 && status != -ENOENT) {
		log_warning("msg", "op=send-draft error=%s", strerror(-status));
		try_again(msg);
	}
	sending_free(sending);
	msg_drop(msg);
}

static void send_next(struct msg *msg)
{
	struct msg_sending *sending = sending_new(msg, NULL, run_left, on_left);

	if (sending && msg_submit(msg, &sending->store) == 0)
		return;
	free(sending);
	try_again(msg);
}

void msg_send_left(struct msg *msg)
{
	struct msg_sending *sending;

	msg->left_at = 0;
	while ((sending = TAILQ_FIRST(&msg->failed))) {
		if (msg_submit(msg, &sending->store) < 0)
			return;
		TAILQ_REMOVE(&msg->failed, sending, entry);
	}
	send_next(msg);
}

void msg_send_end(struct msg *msg)
{
	struct msg_sending *sending;

	while ((sending = TAILQ_FIRST(&msg->failed))) {
		TAILQ_REMOVE(&msg->failed, sending, entry);
		sending_free(sending);
	}
}
