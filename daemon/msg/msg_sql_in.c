/* The inbox, and receipts for what was in it. */
#include <errno.h>
#include <string.h>

#include "daemon/msg/msg_sql_private.h"
#include "daemon/store_thread.h"

int msg_sql_received(struct msg_sql *sql, const char *peer, uint64_t epoch, uint64_t *ret_seq)
{
	struct msg_peer_row row = {0};
	int r = msg_sql_peer(sql, peer, &row);

	*ret_seq = (uint64_t)row.in_epoch == epoch ? (uint64_t)row.in_seq : 0;
	return r;
}

static int is_so(struct msg_sql *sql, enum msg_statement which, const struct msg_row *row,
		 bool *ret_is)
{
	int r, step;
	sqlite3_stmt *statement = msg_sql_take(sql, which, &r);

	if (!statement)
		return r;
	msg_sql_bind_text(statement, 1, row->id);
	if (which == MSG_ID_IS_KNOWN)
		msg_sql_bind_text(statement, 2, row->peer);
	step = sqlite3_step(statement);
	*ret_is = step == SQLITE_ROW && sqlite3_column_int(statement, 0);
	return msg_sql_end(statement, store_thread_errno(step));
}

static int set_seq(struct msg_sql *sql, const char *peer, uint64_t epoch, uint64_t seq)
{
	int r;
	sqlite3_stmt *statement = msg_sql_take(sql, MSG_SET_IN_SEQ, &r);

	if (!statement)
		return r;
	msg_sql_bind_text(statement, 1, peer);
	sqlite3_bind_int64(statement, 2, (int64_t)epoch);
	sqlite3_bind_int64(statement, 3, (int64_t)seq);
	return msg_sql_run(statement);
}

int msg_sql_receive(struct msg_sql *sql, uint64_t epoch, struct msg_row *row, uint64_t seq,
		    const struct msg_limits *limits)
{
	bool is_taken = false, is_known = false;
	struct msg_peer_row peer;
	int r = msg_sql_peer(sql, row->peer, &peer);

	if (r == 0)
		r = is_so(sql, MSG_ID_IS_TAKEN, row, &is_taken);
	if (r == 0 && is_taken)
		r = is_so(sql, MSG_ID_IS_KNOWN, row, &is_known);
	if (r < 0)
		return r;
	if (is_known) {
		r = set_seq(sql, row->peer, epoch, seq);
		return r < 0 ? r : -EALREADY;
	}
	if (is_taken)
		return -EEXIST;
	if ((uint64_t)peer.in_n >= limits->messages ||
	    (uint64_t)peer.in_bytes + row->body.size > limits->bytes)
		return -ENOSPC;
	r = msg_sql_add(sql, row, MSG_INBOX);
	return r < 0 ? r : set_seq(sql, row->peer, epoch, seq);
}

int msg_sql_acknowledge(struct msg_sql *sql, struct bytes id, int64_t now_ns,
			struct msg_rows *changed)
{
	size_t n = changed->n;
	int r;
	sqlite3_stmt *statement = msg_sql_take(sql, MSG_TAKE_IN, &r);

	if (!statement)
		return r;
	msg_sql_bind_id(statement, 1, id);
	r = msg_sql_read_rows(statement, MSG_INBOX, changed);
	if (r < 0)
		return r;
	if (changed->n == n)
		return -ENOENT;
	statement = msg_sql_take(sql, MSG_ADD_RECEIPT, &r);
	if (!statement)
		return r;
	msg_sql_bind_text(statement, 1, changed->rows[n].id);
	msg_sql_bind_text(statement, 2, changed->rows[n].peer);
	sqlite3_bind_int64(statement, 3, now_ns);
	return msg_sql_run(statement);
}

int msg_sql_receipts(struct msg_sql *sql, const char *peer, struct msg_receipt_row *rows,
		     size_t max_n, size_t *ret_n)
{
	int r, step;
	sqlite3_stmt *statement = msg_sql_take(sql, MSG_GET_RECEIPTS, &r);

	*ret_n = 0;
	if (!statement)
		return r;
	msg_sql_bind_text(statement, 1, peer);
	sqlite3_bind_int64(statement, 2, (int64_t)max_n);
	while ((step = sqlite3_step(statement)) == SQLITE_ROW && *ret_n < max_n) {
		struct msg_receipt_row *row = &rows[*ret_n];
		const char *id = (const char *)sqlite3_column_text(statement, 0);

		if (!id || strlen(id) >= sizeof(row->id))
			return msg_sql_end(statement, -EBADMSG);
		strcpy(row->id, id);
		row->read_ns = sqlite3_column_int64(statement, 1);
		++*ret_n;
	}
	return msg_sql_end(statement, store_thread_errno(step));
}

int msg_sql_drop_receipt(struct msg_sql *sql, const char *id)
{
	return msg_sql_run_with(sql, MSG_DROP_RECEIPT, id);
}
