/* The outbox. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/msg/msg_sql_private.h"
#include "daemon/store_thread.h"

static int free_some(struct msg_sql *sql, const char *peer, bool *ret_any)
{
	int r = msg_sql_run_with(sql, MSG_FREE_ROOM, peer);

	*ret_any = r == 0 && sqlite3_changes(sql->db) > 0;
	return r;
}

int msg_sql_room(struct msg_sql *sql, const char *peer, size_t size,
		 const struct msg_limits *limits)
{
	struct msg_peer_row row;
	bool any = true;
	int r;

	for (;;) {
		r = msg_sql_peer(sql, peer, &row);
		if (r < 0 || ((uint64_t)row.out_n < limits->messages &&
			      (uint64_t)row.out_bytes + size <= limits->bytes))
			return r;
		if (!any)
			return -ENOSPC;
		r = free_some(sql, peer, &any);
		if (r < 0)
			return r;
	}
}

int msg_sql_send(struct msg_sql *sql, struct msg_row *row, const struct msg_limits *limits)
{
	int r = msg_sql_room(sql, row->peer, row->body.size, limits);

	return r < 0 ? r : msg_sql_add(sql, row, MSG_OUTBOX);
}

/* --- drafts ----------------------------------------------------------------------------------- */

int msg_sql_put_draft(struct msg_sql *sql, uint64_t draft, const char *peer, enum msg_type type,
		      struct bytes body)
{
	int r;
	sqlite3_stmt *statement = msg_sql_take(sql, MSG_PUT_DRAFT, &r);

	if (!statement)
		return r;
	sqlite3_bind_int64(statement, 1, (int64_t)draft);
	msg_sql_bind_text(statement, 2, peer);
	sqlite3_bind_int(statement, 3, (int)type);
	msg_sql_bind_bytes(statement, 4, body);
	r = msg_sql_run(statement);
	return r == -EEXIST ? -ENOENT : r; /* a constraint: there is no such peer */
}

static int run_with_number(struct msg_sql *sql, enum msg_statement which, int64_t number)
{
	int r;
	sqlite3_stmt *statement = msg_sql_take(sql, which, &r);

	if (!statement)
		return r;
	sqlite3_bind_int64(statement, 1, number);
	return msg_sql_run(statement);
}

static int read_number(struct msg_sql *sql, enum msg_statement which, int64_t *ret_number)
{
	int r, step;
	sqlite3_stmt *statement = msg_sql_take(sql, which, &r);

	if (!statement)
		return r;
	step = sqlite3_step(statement);
	*ret_number = step == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
	return msg_sql_end(statement, store_thread_errno(step));
}

int msg_sql_drop_draft(struct msg_sql *sql, uint64_t draft)
{
	return run_with_number(sql, MSG_DROP_DRAFT, (int64_t)draft);
}

int msg_sql_last_draft(struct msg_sql *sql, int64_t *ret_number)
{
	return read_number(sql, MSG_LAST_DRAFT, ret_number);
}

int msg_sql_take_draft(struct msg_sql *sql, int64_t last, struct msg_row *row)
{
	const char *peer;
	int64_t number;
	int r, step;
	sqlite3_stmt *statement = msg_sql_take(sql, MSG_NEXT_DRAFT, &r);

	if (!statement)
		return r;
	sqlite3_bind_int64(statement, 1, last);
	step = sqlite3_step(statement);
	if (step != SQLITE_ROW)
		return msg_sql_end(statement,
				   step == SQLITE_DONE ? -ENOENT : store_thread_errno(step));
	number = sqlite3_column_int64(statement, 0);
	peer = (const char *)sqlite3_column_text(statement, 1);
	row->type = (uint64_t)sqlite3_column_int64(statement, 2);
	row->size = (size_t)sqlite3_column_bytes(statement, 3);
	row->owned = malloc(row->size + 1);
	r = !row->owned ? -ENOMEM : !peer || strlen(peer) >= sizeof(row->peer) ? -EBADMSG : 0;
	if (r == 0) {
		strcpy(row->peer, peer);
		if (row->size > 0)
			memcpy(row->owned, sqlite3_column_blob(statement, 3), row->size);
		row->body = (struct bytes){row->owned, row->size};
	}
	msg_sql_end(statement, 0);
	return r < 0 ? r : run_with_number(sql, MSG_DROP_ONE_DRAFT, number);
}

/* --- delivery --------------------------------------------------------------------------------- */

int msg_sql_stored(struct msg_sql *sql, const char *peer, uint64_t stored, int64_t now_ns,
		   struct msg_rows *changed)
{
	sqlite3_stmt *statement;
	int64_t last = 0;
	int r = read_number(sql, MSG_LAST_SEQ, &last);

	if (r < 0)
		return r;
	/* It has more than was ever sent: this database is an older copy. Numbers begin anew. */
	if (stored > (uint64_t)last)
		return msg_sql_run_with(sql, MSG_NEW_EPOCH, peer);
	statement = msg_sql_take(sql, MSG_SET_DELIVERED, &r);
	if (!statement)
		return r;
	msg_sql_bind_text(statement, 1, peer);
	sqlite3_bind_int64(statement, 2, (int64_t)stored);
	sqlite3_bind_int64(statement, 3, now_ns);
	r = msg_sql_read_rows(statement, MSG_OUTBOX, changed);
	return r < 0 ? r : msg_sql_run_with(sql, MSG_SETTLE, peer);
}

int msg_sql_epoch(struct msg_sql *sql, const char *peer, uint64_t *ret_epoch)
{
	struct msg_peer_row row = {0};
	int r = msg_sql_peer(sql, peer, &row);

	*ret_epoch = (uint64_t)row.out_epoch;
	return r;
}

int msg_sql_has_work(struct msg_sql *sql, const char *peer, bool *ret_has)
{
	int r, step;
	sqlite3_stmt *statement = msg_sql_take(sql, MSG_HAS_WORK, &r);

	if (!statement)
		return r;
	msg_sql_bind_text(statement, 1, peer);
	step = sqlite3_step(statement);
	*ret_has = step == SQLITE_ROW && sqlite3_column_int(statement, 0);
	return msg_sql_end(statement, store_thread_errno(step));
}

int msg_sql_queued(struct msg_sql *sql, const char *peer, size_t max_n, size_t max_bytes,
		   struct msg_rows *rows)
{
	int r, step;
	sqlite3_stmt *statement = msg_sql_take(sql, MSG_GET_QUEUED, &r);

	if (!statement)
		return r;
	msg_sql_bind_text(statement, 1, peer);
	sqlite3_bind_int64(statement, 2, (int64_t)max_n);
	while (r == 0 && (step = sqlite3_step(statement)) != SQLITE_DONE) {
		r = store_thread_errno(step);
		if (r == 0 && rows->n > 0 &&
		    rows->bytes + (size_t)sqlite3_column_int64(statement, 10) > max_bytes)
			break;
		if (r == 0)
			r = msg_sql_read_row(statement, MSG_OUTBOX, rows);
	}
	return msg_sql_end(statement, r);
}

int msg_sql_read(struct msg_sql *sql, const char *peer, struct bytes id, int64_t read_ns,
		 int64_t now_ns, struct msg_rows *changed)
{
	int r;
	sqlite3_stmt *statement = msg_sql_take(sql, MSG_SET_READ, &r);

	if (!statement)
		return r;
	msg_sql_bind_text(statement, 1, peer);
	msg_sql_bind_id(statement, 2, id);
	sqlite3_bind_int64(statement, 3, read_ns);
	sqlite3_bind_int64(statement, 4, now_ns);
	return msg_sql_read_rows(statement, MSG_OUTBOX, changed);
}

int msg_sql_expire(struct msg_sql *sql, int64_t now_ns, struct msg_rows *changed,
		   int64_t *ret_next_ns)
{
	int r;
	sqlite3_stmt *statement = msg_sql_take(sql, MSG_EXPIRE, &r);

	if (!statement)
		return r;
	sqlite3_bind_int64(statement, 1, now_ns);
	r = msg_sql_read_rows(statement, MSG_OUTBOX, changed);
	if (r < 0)
		return r;
	return read_number(sql, MSG_NEXT_EXPIRY, ret_next_ns);
}

int msg_sql_prune(struct msg_sql *sql, int64_t before_ns)
{
	return run_with_number(sql, MSG_PRUNE, before_ns);
}
