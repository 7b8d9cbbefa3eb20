/* LIST, SHOW, STATUS and ACK: what the machine's own user asks. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/msg/msg_private.h"
#include "daemon/wall_clock.h"

#define LIST_BYTES (176 * 1024) /* fits into one call of loopsyctl */

/* The request's args stay valid until it is answered. */
struct looking {
	struct store_request store;
	struct msg *msg;
	struct request *request;
	char peer[IDENTITY_ID_SIZE]; /* of LIST and ACK; "": all */
	struct msg_rows rows;
	struct buffer body;
	bool rest;
};

static void looking_free(struct looking *looking)
{
	msg_rows_deinit(&looking->rows);
	buffer_deinit(&looking->body);
	free(looking);
}

/* --- on a thread: the store's for ACK, the reader's for the others ---------------------------- */

static int run_list(struct looking *looking, struct msg_sql *sql)
{
	const struct args_msg_list *args = looking->request->args;
	size_t limit = args->limit ? (size_t)args->limit : OPS_MSG_PAGE_MAX;

	return msg_sql_list(sql, (enum msg_box)args->box, looking->peer[0] ? looking->peer : NULL,
			    args->after, limit, args->bodies ? OPS_MSG_PAGE_BYTES : 0,
			    &looking->rows, &looking->rest);
}

static int run_show(struct looking *looking, struct msg_sql *sql)
{
	const struct args_msg_show *args = looking->request->args;
	int r = msg_sql_find(sql, (enum msg_box)args->box, args->id, &looking->rows);

	if (r < 0)
		return r;
	return msg_sql_body(sql, &looking->rows.rows[0], args->offset, OPS_IO_MAX, &looking->body);
}

static int run_ack(struct looking *looking, struct msg_sql *sql)
{
	const struct args_msg_ack *args = looking->request->args;
	struct list ids = args->ids;
	int64_t now_ns = wall_clock_ns();
	struct msg_id id;
	int r = 0;

	while (r == 0 && ids.n > 0) {
		if (codec_list_next(&ids, &msg_id_record, &id, NULL) < 0)
			return -EINVAL;
		r = msg_sql_acknowledge(sql, id.id, now_ns, &looking->rows);
		if (r == 0 && looking->peer[0] &&
		    strcmp(looking->rows.rows[looking->rows.n - 1].peer, looking->peer) != 0)
			r = -ENOENT; /* and what was changed is undone */
	}
	return r;
}

static int run(struct store_request *request, sqlite3 *db)
{
	struct looking *looking = (struct looking *)request;
	struct msg_sql *sql = request->reads ? &looking->msg->reads_sql : &looking->msg->sql;

	sql->db = db;
	switch (looking->request->op->number) {
	case OP_MSG_LIST:
		return run_list(looking, sql);
	case OP_MSG_SHOW:
		return run_show(looking, sql);
	case OP_MSG_ACK:
		return run_ack(looking, sql);
	default:
		return msg_sql_find(sql, MSG_OUTBOX,
				    ((const struct args_msg_status *)looking->request->args)->id,
				    &looking->rows);
	}
}

/* --- back on the loop ------------------------------------------------------------------------- */

static struct msg_info info_of(const struct msg *msg, const struct msg_row *row)
{
	const char *name = msg->options.peer_name(msg->options.arg, row->peer);
	struct bytes other = bytes_of_text(name ? name : row->peer),
		     own = bytes_of_text(msg->options.own_name);
	bool is_ours = row->box == MSG_OUTBOX;
	struct msg_info info = {
	    .number = (uint64_t)row->number,
	    .box = row->box,
	    .id = bytes_of_text(row->id),
	    .from = is_ours ? own : other,
	    .to = is_ours ? other : own,
	    .type = row->type,
	    .reply_to = bytes_of_text(row->reply_to),
	    .state = is_ours ? row->state : MSG_DELIVERED,
	    .sent = msg_time(row->sent_ns),
	    .delivered = msg_time(row->delivered_ns),
	    .read = msg_time(row->read_ns),
	    .expires = msg_time(row->expires_ns),
	    .size = row->size,
	    .has_body = row->body.size > 0,
	    .body = row->body,
	};

	return info;
}

static void reply_list(struct looking *looking)
{
	struct result_msg_list result = {.rest = looking->rest};
	struct buffer elements = {.limit = LIST_BYTES};
	size_t size;
	int r = 0;

	for (size_t i = 0; i < looking->rows.n; i++) {
		struct msg_info info = info_of(looking->msg, &looking->rows.rows[i]);

		size = elements.size;
		r = codec_list_append(&result.messages, &elements, &msg_info_record, &info);
		if (r == -EMSGSIZE && i > 0) {
			elements.size = size; /* the rest is for the next page */
			result.rest = true;
			r = 0;
			break;
		}
		if (r < 0)
			break;
	}
	codec_list_finish(&result.messages, &elements);
	if (r < 0)
		request_fail(looking->request, r);
	else
		request_reply(looking->request, &result, NULL, NULL);
	buffer_deinit(&elements);
}

static void answer_ack(struct looking *looking)
{
	struct msg *msg = looking->msg;

	request_reply(looking->request, &(struct result_msg_ack){0}, NULL, NULL);
	for (size_t i = 0; i < looking->rows.n; i++) {
		const struct msg_row *row = &looking->rows.rows[i];

		msg_events_tell(msg, MSG_EVENT_ACKNOWLEDGED, row);
		msg_audit(msg, true, "acknowledge", row);
		msg_deliver_wake(msg, row->peer);
	}
}

static void answer(struct looking *looking)
{
	const struct msg_row *row = looking->rows.rows;

	switch (looking->request->op->number) {
	case OP_MSG_LIST:
		reply_list(looking);
		break;
	case OP_MSG_SHOW:
		request_reply(
		    looking->request,
		    &(struct result_msg_show){.info = info_of(looking->msg, row),
					      .body = {looking->body.data, looking->body.size}},
		    NULL, NULL);
		break;
	case OP_MSG_ACK:
		answer_ack(looking);
		break;
	default:
		request_reply(looking->request,
			      &(struct result_msg_status){.info = info_of(looking->msg, row)}, NULL,
			      NULL);
	}
}

static void done(struct store_request *request, int status)
{
	struct looking *looking = (struct looking *)request;
	struct msg *msg = looking->msg;

	if (status < 0)
		request_fail(looking->request, status);
	else
		answer(looking);
	looking_free(looking);
	msg_drop(msg);
}

/* --- asking ----------------------------------------------------------------------------------- */

static int prepare(struct looking *looking)
{
	const struct msg_options *options = &looking->msg->options;
	const void *args = looking->request->args;
	struct bytes peer = {0};
	const char *id;
	char *name;

	if (looking->request->op->number == OP_MSG_ACK)
		peer = ((const struct args_msg_ack *)args)->peer;
	if (looking->request->op->number == OP_MSG_LIST) {
		if (((const struct args_msg_list *)args)->box == MSG_ANY_BOX)
			return -EINVAL;
		peer = ((const struct args_msg_list *)args)->peer;
	}
	if (peer.size == 0)
		return 0;
	name = bytes_to_text(peer);
	id = name ? options->find_peer(options->arg, name) : NULL;
	free(name);
	if (!id)
		return -ENOENT;
	strcpy(looking->peer, id);
	return 0;
}

/* What is asked of the thread comes behind what it was given before. */
static bool reads(const struct msg *msg, const struct request *request)
{
	const struct args_msg_list *args = request->args;

	if (request->op->number == OP_MSG_LIST)
		return !args->fresh || msg->n_sending == 0;
	return request->op->number != OP_MSG_ACK;
}

void msg_look_handle(struct msg_guest *guest, struct request *request)
{
	struct looking *looking = calloc(1, sizeof(*looking));
	int r = -ENOMEM;

	if (looking) {
		looking->store = (struct store_request){
		    .run = run, .done = done, .reads = reads(guest->msg, request)};
		looking->msg = guest->msg;
		looking->request = request;
		r = prepare(looking);
	}
	if (r == 0)
		r = msg_submit(guest->msg, &looking->store);
	if (r == 0)
		return;
	free(looking);
	request_fail(request, r);
}
