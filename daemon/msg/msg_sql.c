#include "daemon/msg/msg_sql_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/store_thread.h"

#define OUT_COLUMNS                                                                                \
	"seq, id, peer, type, reply_to, state, sent_ns, delivered_ns, read_ns, expires_ns, size"
#define IN_COLUMNS  "number, id, peer, type, reply_to, 0, sent_ns, received_ns, 0, 0, size"
#define OUT_CHANGED "RETURNING " OUT_COLUMNS ", NULL"

static const char *const texts[MSG_N_STATEMENTS] = {
    [MSG_ADD_PEER] = "INSERT INTO msg_peer (peer, out_epoch)"
		     " VALUES (?1, (random() & 0x3fffffffffffffff) + 1)"
		     " ON CONFLICT (peer) DO NOTHING",
    [MSG_READ_PEER] = "SELECT out_epoch, in_epoch, in_seq, out_n, out_bytes, in_n, in_bytes"
		      " FROM msg_peer WHERE peer = ?1",
    [MSG_NEW_EPOCH] = "UPDATE msg_peer SET out_epoch = (random() & 0x3fffffffffffffff) + 1"
		      " WHERE peer = ?1",
    [MSG_LAST_SEQ] = "SELECT seq FROM sqlite_sequence WHERE name = 'msg_out'",
    [MSG_FREE_ROOM] = "DELETE FROM msg_out WHERE seq IN (SELECT seq FROM msg_out"
		      " WHERE peer = ?1 AND state IN (2, 3) ORDER BY seq LIMIT 64)",
    [MSG_ADD_OUT] = "INSERT INTO msg_out (id, peer, type, reply_to, state, sent_ns, expires_ns,"
		    " size, body) VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6, ?7, ?8)",
    [MSG_PUT_DRAFT] = "INSERT INTO msg_draft (draft, peer, type, body) VALUES (?1, ?2, ?3, ?4)"
		      " ON CONFLICT (draft, peer) DO UPDATE SET body = excluded.body",
    [MSG_DROP_DRAFT] = "DELETE FROM msg_draft WHERE draft = ?1",
    [MSG_NEXT_DRAFT] = "SELECT number, peer, type, body FROM msg_draft WHERE number <= ?1"
		       " ORDER BY number LIMIT 1",
    [MSG_LAST_DRAFT] = "SELECT ifnull(max(number), 0) FROM msg_draft",
    [MSG_DROP_ONE_DRAFT] = "DELETE FROM msg_draft WHERE number = ?1",
    [MSG_SET_DELIVERED] = "UPDATE msg_out SET state = 1, delivered_ns = ?3, final_ns = 0"
			  " WHERE peer = ?1 AND seq <= ?2"
			  " AND (state = 0 OR (state = 3 AND settled = 0)) " OUT_CHANGED,
    [MSG_SETTLE] = "UPDATE msg_out SET settled = 1"
		   " WHERE peer = ?1 AND state = 3 AND settled = 0",
    [MSG_HAS_WORK] = "SELECT EXISTS (SELECT 1 FROM msg_out WHERE peer = ?1 AND state = 0)"
		     " OR EXISTS (SELECT 1 FROM msg_out"
		     "  WHERE peer = ?1 AND state = 3 AND settled = 0)",
    [MSG_GET_QUEUED] = "SELECT " OUT_COLUMNS ", body FROM msg_out"
		       " WHERE peer = ?1 AND state = 0 ORDER BY seq LIMIT ?2",
    [MSG_SET_READ] = "UPDATE msg_out SET state = 2, read_ns = max(?3, sent_ns), final_ns = ?4,"
		     " delivered_ns = CASE delivered_ns WHEN 0 THEN ?4 ELSE delivered_ns END"
		     " WHERE id = ?2 AND peer = ?1 AND state <> 2 " OUT_CHANGED,
    [MSG_EXPIRE] = "UPDATE msg_out SET state = 3, final_ns = ?1"
		   " WHERE state = 0 AND expires_ns > 0 AND expires_ns <= ?1 " OUT_CHANGED,
    [MSG_NEXT_EXPIRY] = "SELECT ifnull(min(expires_ns), 0) FROM msg_out"
			" WHERE state = 0 AND expires_ns > 0",
    [MSG_PRUNE] = "DELETE FROM msg_out WHERE final_ns > 0 AND final_ns < ?1",
    [MSG_ID_IS_TAKEN] = "SELECT EXISTS (SELECT 1 FROM msg_in WHERE id = ?1)"
			" OR EXISTS (SELECT 1 FROM msg_out WHERE id = ?1)"
			" OR EXISTS (SELECT 1 FROM msg_receipt WHERE id = ?1)",
    [MSG_ID_IS_KNOWN] = "SELECT EXISTS (SELECT 1 FROM msg_in WHERE id = ?1 AND peer = ?2)"
			" OR EXISTS (SELECT 1 FROM msg_receipt WHERE id = ?1 AND peer = ?2)",
    [MSG_ADD_IN] = "INSERT INTO msg_in (id, peer, type, reply_to, sent_ns, received_ns, size,"
		   " body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [MSG_SET_IN_SEQ] = "UPDATE msg_peer SET in_epoch = ?2, in_seq = ?3 WHERE peer = ?1",
    [MSG_TAKE_IN] = "DELETE FROM msg_in WHERE id = ?1 RETURNING " IN_COLUMNS ", NULL",
    [MSG_ADD_RECEIPT] = "INSERT INTO msg_receipt (id, peer, read_ns) VALUES (?1, ?2, ?3)",
    [MSG_GET_RECEIPTS] = "SELECT id, read_ns FROM msg_receipt WHERE peer = ?1 LIMIT ?2",
    [MSG_DROP_RECEIPT] = "DELETE FROM msg_receipt WHERE id = ?1",
    [MSG_FIND_OUT] = "SELECT " OUT_COLUMNS ", NULL FROM msg_out WHERE id = ?1",
    [MSG_FIND_IN] = "SELECT " IN_COLUMNS ", NULL FROM msg_in WHERE id = ?1",
    [MSG_BODY_OUT] = "SELECT substr(body, ?2 + 1, ?3) FROM msg_out WHERE seq = ?1",
    [MSG_BODY_IN] = "SELECT substr(body, ?2 + 1, ?3) FROM msg_in WHERE number = ?1",
    [MSG_LIST_OUT] = "SELECT " OUT_COLUMNS ", body FROM msg_out WHERE seq > ?1 ORDER BY seq",
    [MSG_LIST_OUT_PEER] = "SELECT " OUT_COLUMNS ", body FROM msg_out"
			  " WHERE peer = ?2 AND seq > ?1 ORDER BY seq",
    [MSG_LIST_IN] = "SELECT " IN_COLUMNS ", body FROM msg_in WHERE number > ?1 ORDER BY number",
    [MSG_LIST_IN_PEER] = "SELECT " IN_COLUMNS ", body FROM msg_in"
			 " WHERE peer = ?2 AND number > ?1 ORDER BY number",
};

bool msg_id_is_valid(struct bytes id)
{
	if (id.size < 1 || id.size > OPS_MSG_ID_MAX)
		return false;
	for (size_t i = 0; i < id.size; i++)
		if (!((id.data[i] >= '0' && id.data[i] <= '9') ||
		      (id.data[i] >= 'a' && id.data[i] <= 'z')))
			return false;
	return true;
}

/* --- rows ------------------------------------------------------------------------------------- */

void msg_rows_deinit(struct msg_rows *rows)
{
	for (size_t i = 0; i < rows->n; i++)
		free(rows->rows[i].owned);
	free(rows->rows);
	*rows = (struct msg_rows){0};
}

struct msg_row *msg_rows_add(struct msg_rows *rows)
{
	if (rows->n == rows->capacity) {
		size_t capacity = rows->capacity ? 2 * rows->capacity : 8;
		struct msg_row *grown = reallocarray(rows->rows, capacity, sizeof(*grown));

		if (!grown)
			return NULL;
		rows->rows = grown;
		rows->capacity = capacity;
	}
	memset(&rows->rows[rows->n], 0, sizeof(rows->rows[0]));
	return &rows->rows[rows->n++];
}

/* False if it is too long: then somebody else wrote the table. */
static bool copy_text(sqlite3_stmt *statement, int column, char *out, size_t size)
{
	const char *text = (const char *)sqlite3_column_text(statement, column);

	if (!text || strlen(text) >= size)
		return false;
	strcpy(out, text);
	return true;
}

static int read_body(sqlite3_stmt *statement, struct msg_rows *rows, struct msg_row *row)
{
	const void *body = sqlite3_column_blob(statement, 11);
	size_t size = (size_t)sqlite3_column_bytes(statement, 11);

	if (sqlite3_column_type(statement, 11) == SQLITE_NULL)
		return 0;
	if (!body || size != row->size)
		return -EBADMSG;
	row->owned = malloc(size);
	if (!row->owned)
		return -ENOMEM;
	memcpy(row->owned, body, size);
	row->body = (struct bytes){row->owned, size};
	rows->bytes += size;
	return 0;
}

static int read_row(sqlite3_stmt *statement, enum msg_box box, bool with_body,
		    struct msg_rows *rows)
{
	struct msg_row *row = msg_rows_add(rows);

	if (!row)
		return -ENOMEM;
	row->box = box;
	row->number = sqlite3_column_int64(statement, 0);
	row->type = (uint64_t)sqlite3_column_int64(statement, 3);
	row->state = (uint64_t)sqlite3_column_int64(statement, 5);
	row->sent_ns = sqlite3_column_int64(statement, 6);
	row->delivered_ns = sqlite3_column_int64(statement, 7);
	row->read_ns = sqlite3_column_int64(statement, 8);
	row->expires_ns = sqlite3_column_int64(statement, 9);
	row->size = (size_t)sqlite3_column_int64(statement, 10);
	if (!copy_text(statement, 1, row->id, sizeof(row->id)) ||
	    !copy_text(statement, 2, row->peer, sizeof(row->peer)) ||
	    !copy_text(statement, 4, row->reply_to, sizeof(row->reply_to)) ||
	    row->type > MSG_TYPE_MAX || row->state > MSG_STATE_MAX || row->size > OPS_MSG_BODY_MAX)
		return -EBADMSG;
	return with_body ? read_body(statement, rows, row) : 0;
}

int msg_sql_read_row(sqlite3_stmt *statement, enum msg_box box, struct msg_rows *rows)
{
	return read_row(statement, box, true, rows);
}

int msg_sql_read_rows(sqlite3_stmt *statement, enum msg_box box, struct msg_rows *rows)
{
	int step, r = 0;

	while (r == 0 && (step = sqlite3_step(statement)) != SQLITE_DONE) {
		r = store_thread_errno(step);
		if (r == 0)
			r = read_row(statement, box, true, rows);
	}
	return msg_sql_end(statement, r);
}

/* --- statements ------------------------------------------------------------------------------- */

sqlite3_stmt *msg_sql_take(struct msg_sql *sql, enum msg_statement which, int *ret_r)
{
	sqlite3_stmt **statement = &sql->statements[which];
	int r = SQLITE_OK;

	if (!*statement)
		r = sqlite3_prepare_v3(sql->db, texts[which], -1, SQLITE_PREPARE_PERSISTENT,
				       statement, NULL);
	*ret_r = store_thread_errno(r);
	return r == SQLITE_OK ? *statement : NULL;
}

int msg_sql_end(sqlite3_stmt *statement, int r)
{
	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
	return r;
}

int msg_sql_run(sqlite3_stmt *statement)
{
	return msg_sql_end(statement, store_thread_errno(sqlite3_step(statement)));
}

void msg_sql_bind_text(sqlite3_stmt *statement, int index, const char *text)
{
	sqlite3_bind_text(statement, index, text, -1, SQLITE_STATIC);
}

void msg_sql_bind_id(sqlite3_stmt *statement, int index, struct bytes id)
{
	sqlite3_bind_text(statement, index, id.size ? (const char *)id.data : "", (int)id.size,
			  SQLITE_STATIC);
}

void msg_sql_bind_bytes(sqlite3_stmt *statement, int index, struct bytes bytes)
{
	sqlite3_bind_blob(statement, index, bytes.size > 0 ? (const void *)bytes.data : "",
			  (int)bytes.size, SQLITE_STATIC);
}

int msg_sql_run_with(struct msg_sql *sql, enum msg_statement which, const char *text)
{
	int r;
	sqlite3_stmt *statement = msg_sql_take(sql, which, &r);

	if (!statement)
		return r;
	msg_sql_bind_text(statement, 1, text);
	return msg_sql_run(statement);
}

/* --- peers and their boxes -------------------------------------------------------------------- */

static int read_peer(struct msg_sql *sql, const char *peer, struct msg_peer_row *ret_row)
{
	int r, step;
	sqlite3_stmt *statement = msg_sql_take(sql, MSG_READ_PEER, &r);

	if (!statement)
		return r;
	msg_sql_bind_text(statement, 1, peer);
	step = sqlite3_step(statement);
	if (step != SQLITE_ROW)
		return msg_sql_end(statement,
				   step == SQLITE_DONE ? -ENOENT : store_thread_errno(step));
	ret_row->out_epoch = sqlite3_column_int64(statement, 0);
	ret_row->in_epoch = sqlite3_column_int64(statement, 1);
	ret_row->in_seq = sqlite3_column_int64(statement, 2);
	ret_row->out_n = sqlite3_column_int64(statement, 3);
	ret_row->out_bytes = sqlite3_column_int64(statement, 4);
	ret_row->in_n = sqlite3_column_int64(statement, 5);
	ret_row->in_bytes = sqlite3_column_int64(statement, 6);
	return msg_sql_end(statement, 0);
}

int msg_sql_peer(struct msg_sql *sql, const char *peer, struct msg_peer_row *ret_row)
{
	int r = read_peer(sql, peer, ret_row);

	if (r != -ENOENT)
		return r;
	r = msg_sql_run_with(sql, MSG_ADD_PEER, peer);
	if (r == -EEXIST) /* a constraint: it refers to nobody */
		return -ENOENT;
	return r < 0 ? r : read_peer(sql, peer, ret_row);
}

int msg_sql_add(struct msg_sql *sql, struct msg_row *row, enum msg_box box)
{
	int r;
	sqlite3_stmt *statement =
	    msg_sql_take(sql, box == MSG_OUTBOX ? MSG_ADD_OUT : MSG_ADD_IN, &r);

	if (!statement)
		return r;
	msg_sql_bind_text(statement, 1, row->id);
	msg_sql_bind_text(statement, 2, row->peer);
	sqlite3_bind_int64(statement, 3, (int64_t)row->type);
	msg_sql_bind_text(statement, 4, row->reply_to);
	sqlite3_bind_int64(statement, 5, row->sent_ns);
	sqlite3_bind_int64(statement, 6, box == MSG_OUTBOX ? row->expires_ns : row->delivered_ns);
	sqlite3_bind_int64(statement, 7, (int64_t)row->body.size);
	msg_sql_bind_bytes(statement, 8, row->body);
	r = msg_sql_run(statement);
	row->number = sqlite3_last_insert_rowid(sql->db);
	row->box = box;
	return r;
}

/* --- looking ---------------------------------------------------------------------------------- */

static int find(struct msg_sql *sql, enum msg_box box, struct bytes id, struct msg_rows *rows)
{
	size_t n = rows->n;
	int r;
	sqlite3_stmt *statement =
	    msg_sql_take(sql, box == MSG_OUTBOX ? MSG_FIND_OUT : MSG_FIND_IN, &r);

	if (!statement)
		return r;
	msg_sql_bind_id(statement, 1, id);
	r = msg_sql_read_rows(statement, box, rows);
	return r < 0 ? r : rows->n == n ? -ENOENT : 0;
}

int msg_sql_find(struct msg_sql *sql, enum msg_box box, struct bytes id, struct msg_rows *rows)
{
	int r;

	if (box != MSG_ANY_BOX)
		return find(sql, box, id, rows);
	r = find(sql, MSG_INBOX, id, rows);
	return r == -ENOENT ? find(sql, MSG_OUTBOX, id, rows) : r;
}

int msg_sql_body(struct msg_sql *sql, const struct msg_row *row, size_t offset, size_t max,
		 struct buffer *ret_body)
{
	int r, step;
	sqlite3_stmt *statement =
	    msg_sql_take(sql, row->box == MSG_OUTBOX ? MSG_BODY_OUT : MSG_BODY_IN, &r);

	if (!statement)
		return r;
	sqlite3_bind_int64(statement, 1, row->number);
	sqlite3_bind_int64(statement, 2, (int64_t)offset);
	sqlite3_bind_int64(statement, 3, (int64_t)max);
	step = sqlite3_step(statement);
	r = step == SQLITE_ROW ? 0 : step == SQLITE_DONE ? -ENOENT : store_thread_errno(step);
	if (r == 0 && sqlite3_column_bytes(statement, 0) > 0)
		r = buffer_append(ret_body, sqlite3_column_blob(statement, 0),
				  (size_t)sqlite3_column_bytes(statement, 0));
	return msg_sql_end(statement, r);
}

int msg_sql_list(struct msg_sql *sql, enum msg_box box, const char *peer, uint64_t after,
		 size_t max_n, size_t max_bytes, struct msg_rows *rows, bool *ret_rest)
{
	enum msg_statement all = box == MSG_OUTBOX ? MSG_LIST_OUT : MSG_LIST_IN;
	enum msg_statement one = box == MSG_OUTBOX ? MSG_LIST_OUT_PEER : MSG_LIST_IN_PEER;
	int r, step;
	sqlite3_stmt *statement = msg_sql_take(sql, peer ? one : all, &r);

	if (!statement)
		return r;
	*ret_rest = false;
	sqlite3_bind_int64(statement, 1, (int64_t)after);
	if (peer)
		msg_sql_bind_text(statement, 2, peer);
	while (r == 0 && (step = sqlite3_step(statement)) == SQLITE_ROW) {
		size_t size = (size_t)sqlite3_column_int64(statement, 10);

		if (rows->n == max_n) {
			*ret_rest = true;
			break;
		}
		r = read_row(statement, box,
			     size <= OPS_MSG_PAGE_BYTES && rows->bytes + size <= max_bytes, rows);
	}
	if (r == 0)
		r = store_thread_errno(step);
	return msg_sql_end(statement, r);
}
