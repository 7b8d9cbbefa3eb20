/* DELIVER and READ: what peers tell. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/msg/msg_private.h"
#include "daemon/wall_clock.h"
#include "proto/cursor.h"
#include "proto/errors.h"

struct receiving {
	struct store_request store;
	struct msg *msg;
	struct request *request; /* whose args the bodies point into, unless they are owned */
	char peer[IDENTITY_ID_SIZE];
	uint64_t epoch;
	struct msg_rows rows; /* whole messages; number is their sequence number */
	size_t n_new;         /* of them were not there yet: their box is set */
	struct result_msg_deliver result;
};

static void receiving_free(struct receiving *receiving)
{
	msg_rows_deinit(&receiving->rows);
	free(receiving);
}

/* --- on the store's thread -------------------------------------------------------------------- */

static int run_deliver(struct store_request *request, sqlite3 *db)
{
	struct receiving *receiving = (struct receiving *)request;
	struct result_msg_deliver *result = &receiving->result;
	struct msg *msg = receiving->msg;
	int r;

	msg->sql.db = db;
	receiving->n_new = 0;
	r = msg_sql_received(&msg->sql, receiving->peer, receiving->epoch, &result->stored);
	for (size_t i = 0; r == 0 && i < receiving->rows.n; i++) {
		struct msg_row *row = &receiving->rows.rows[i];
		uint64_t seq = (uint64_t)row->number;

		if (seq <= result->stored)
			continue;
		r = msg_sql_receive(&msg->sql, receiving->epoch, row, seq, &msg->limits);
		if (r == 0 || r == -EALREADY)
			result->stored = seq;
		if (r == 0)
			receiving->n_new++;
		if (r == -EALREADY)
			r = 0;
	}
	/* What fitted is kept, unless the disk is full: then the transaction is no more. */
	if (r < 0 && !sqlite3_get_autocommit(db) && (r == -ENOSPC || r == -EEXIST)) {
		result->error = error_from_errno(r);
		result->seq = result->taken = 0;
		r = 0;
	}
	return r;
}

static void on_delivered(struct store_request *request, int status)
{
	struct receiving *receiving = (struct receiving *)request;
	struct msg *msg = receiving->msg;

	if (status < 0)
		request_fail(receiving->request, status);
	else
		request_reply(receiving->request, &receiving->result, NULL, NULL);
	for (size_t i = 0; status == 0 && receiving->n_new > 0 && i < receiving->rows.n; i++) {
		struct msg_row *row = &receiving->rows.rows[i];

		if (row->box != MSG_INBOX)
			continue;
		msg_events_tell(msg, MSG_EVENT_RECEIVED, row);
		msg_audit(msg, false, "receive", row);
	}
	receiving_free(receiving);
	msg_drop(msg);
}

/* --- parts ------------------------------------------------------------------------------------ */

static bool is_sound(const struct msg_part *part)
{
	return part->seq > 0 && msg_id_is_valid(part->id) &&
	       (part->reply_to.size == 0 || msg_id_is_valid(part->reply_to)) && part->size > 0 &&
	       part->body.size > 0 && part->offset + part->body.size <= part->size;
}

static void drop_part(struct msg_guest *guest)
{
	free(guest->part.body);
	guest->part = (struct msg_part_head){0};
}

/* Keeps a part of a body. Returns 1 if it is whole now, 0, or -EAGAIN: it does not go on where the
 * last one ended. */
static int keep_part(struct msg_guest *guest, uint64_t epoch, const struct msg_part *part)
{
	struct msg_part_head *head = &guest->part;
	uint8_t *grown;

	if (part->offset == 0) {
		drop_part(guest);
		head->epoch = epoch;
		head->seq = part->seq;
		head->size = part->size;
	} else if (head->seq != part->seq || head->epoch != epoch || head->size != part->size ||
		   head->taken != part->offset) {
		return -EAGAIN;
	}
	/* Not all at once: what has come backs it. */
	grown = realloc(head->body, head->taken + part->body.size);
	if (!grown)
		return -ENOMEM;
	head->body = grown;
	memcpy(head->body + head->taken, part->body.data, part->body.size);
	head->taken += part->body.size;
	return head->taken == head->size;
}

static int add_row(struct receiving *receiving, const struct msg_part *part, struct bytes body,
		   uint8_t *owned)
{
	struct msg_row *row = msg_rows_add(&receiving->rows);

	if (!row) {
		free(owned);
		return -ENOMEM;
	}
	row->number = (int64_t)part->seq;
	memcpy(row->id, part->id.data, part->id.size);
	if (part->reply_to.size)
		memcpy(row->reply_to, part->reply_to.data, part->reply_to.size);
	strcpy(row->peer, receiving->peer);
	row->type = part->type;
	row->sent_ns = msg_time_ns(part->ts);
	row->delivered_ns = wall_clock_ns();
	row->body = body;
	row->size = body.size;
	row->owned = owned;
	return cursor_is_utf8(body) ? 0 : -EILSEQ;
}

static int take_part(struct msg_guest *guest, struct receiving *receiving,
		     const struct msg_part *part)
{
	struct msg_part_head *head = &guest->part;
	uint8_t *owned;
	int r;

	if (!is_sound(part))
		return -EINVAL;
	if (part->offset == 0 && part->body.size == part->size)
		return add_row(receiving, part, part->body, NULL);
	r = keep_part(guest, receiving->epoch, part);
	if (r <= 0)
		return r;
	owned = head->body;
	head->body = NULL;
	drop_part(guest);
	return add_row(receiving, part, (struct bytes){owned, part->size}, owned);
}

/* Whole ones, up to the first that is not sound. */
static int take_parts(struct msg_guest *guest, struct receiving *receiving, struct list parts)
{
	struct msg_part part;
	uint64_t last = 0;
	int r = 0;

	while (r == 0 && parts.n > 0) {
		if (codec_list_next(&parts, &msg_part_record, &part, NULL) < 0)
			return -EBADMSG;
		if (part.seq <= last)
			return -EBADMSG;
		last = part.seq;
		r = take_part(guest, receiving, &part);
	}
	if (r == -EINVAL || r == -EILSEQ) {
		/* The row that is no good goes; those before it are stored. */
		if (r == -EILSEQ)
			free(receiving->rows.rows[--receiving->rows.n].owned);
		receiving->result.error = error_from_errno(r);
		r = 0;
	}
	return r == -EAGAIN ? 0 : r;
}

void msg_receive_handle(struct msg_guest *guest, struct request *request)
{
	const struct args_msg_deliver *args = request->args;
	struct receiving *receiving = calloc(1, sizeof(*receiving));
	int r = -ENOMEM;

	if (receiving) {
		receiving->store = (struct store_request){.run = run_deliver, .done = on_delivered};
		receiving->msg = guest->msg;
		receiving->request = request;
		receiving->epoch = args->epoch;
		strcpy(receiving->peer, guest->peer);
		r = take_parts(guest, receiving, args->parts);
	}
	if (r == 0) {
		receiving->result.seq = guest->part.epoch == args->epoch ? guest->part.seq : 0;
		receiving->result.taken = receiving->result.seq ? guest->part.taken : 0;
		r = msg_submit(guest->msg, &receiving->store);
	}
	if (r == 0)
		return;
	if (receiving)
		receiving_free(receiving);
	request_fail(request, r);
}

/* --- READ ------------------------------------------------------------------------------------- */

struct reading {
	struct store_request store;
	struct msg *msg;
	struct request *request;
	char peer[IDENTITY_ID_SIZE];
	struct msg_rows changed;
};

static int run_read(struct store_request *request, sqlite3 *db)
{
	struct reading *reading = (struct reading *)request;
	const struct args_msg_read *args = reading->request->args;
	struct list receipts = args->receipts;
	struct msg *msg = reading->msg;
	int64_t now_ns = wall_clock_ns();
	struct msg_receipt receipt;
	int r = 0;

	msg->sql.db = db;
	while (r == 0 && receipts.n > 0) {
		int64_t read_ns;

		if (codec_list_next(&receipts, &msg_receipt_record, &receipt, NULL) < 0)
			return -EBADMSG;
		/* By that machine's clock, which may be wrong: never in the future. */
		read_ns = msg_time_ns(receipt.read);
		r = msg_sql_read(&msg->sql, reading->peer, receipt.id,
				 read_ns && read_ns < now_ns ? read_ns : now_ns, now_ns,
				 &reading->changed);
	}
	return r;
}

static void on_read(struct store_request *request, int status)
{
	struct reading *reading = (struct reading *)request;
	struct msg *msg = reading->msg;

	if (status < 0)
		request_fail(reading->request, status);
	else
		request_reply(reading->request, &(struct result_msg_read){0}, NULL, NULL);
	if (status == 0)
		msg_events_tell_all(msg, MSG_EVENT_READ, &reading->changed);
	msg_rows_deinit(&reading->changed);
	free(reading);
	msg_drop(msg);
}

void msg_read_handle(struct msg_guest *guest, struct request *request)
{
	struct reading *reading = calloc(1, sizeof(*reading));
	int r = -ENOMEM;

	if (reading) {
		reading->store = (struct store_request){.run = run_read, .done = on_read};
		reading->msg = guest->msg;
		reading->request = request;
		strcpy(reading->peer, guest->peer);
		r = msg_submit(guest->msg, &reading->store);
	}
	if (r == 0)
		return;
	free(reading);
	request_fail(request, r);
}
