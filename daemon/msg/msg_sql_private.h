/* Statements, kept prepared: shared by the msg_sql*.c files. */
#ifndef DAEMON_MSG_MSG_SQL_PRIVATE_H
#define DAEMON_MSG_MSG_SQL_PRIVATE_H

#include "daemon/msg/msg_sql.h"

enum msg_statement {
	MSG_ADD_PEER,
	MSG_READ_PEER,
	MSG_NEW_EPOCH,
	MSG_LAST_SEQ,
	MSG_FREE_ROOM,
	MSG_ADD_OUT,
	MSG_PUT_DRAFT,
	MSG_DROP_DRAFT,
	MSG_NEXT_DRAFT,
	MSG_LAST_DRAFT,
	MSG_DROP_ONE_DRAFT,
	MSG_SET_DELIVERED,
	MSG_SETTLE,
	MSG_HAS_WORK,
	MSG_GET_QUEUED,
	MSG_SET_READ,
	MSG_EXPIRE,
	MSG_NEXT_EXPIRY,
	MSG_PRUNE,
	MSG_ID_IS_TAKEN,
	MSG_ID_IS_KNOWN,
	MSG_ADD_IN,
	MSG_SET_IN_SEQ,
	MSG_TAKE_IN,
	MSG_ADD_RECEIPT,
	MSG_GET_RECEIPTS,
	MSG_DROP_RECEIPT,
	MSG_FIND_OUT,
	MSG_FIND_IN,
	MSG_BODY_OUT,
	MSG_BODY_IN,
	MSG_LIST_OUT,
	MSG_LIST_OUT_PEER,
	MSG_LIST_IN,
	MSG_LIST_IN_PEER,
	MSG_N_STATEMENTS,
};
_Static_assert((int)MSG_N_STATEMENTS <= MSG_SQL_STATEMENTS, "raise MSG_SQL_STATEMENTS");

/* Of a row of msg_peer. */
struct msg_peer_row {
	int64_t out_epoch, in_epoch, in_seq;
	int64_t out_n, out_bytes, in_n, in_bytes;
};

/* Ready to be bound; NULL and *ret_r if it cannot be made. */
sqlite3_stmt *msg_sql_take(struct msg_sql *sql, enum msg_statement which, int *ret_r);
/* Lets go of what was bound and of what is locked. Returns r. */
int msg_sql_end(sqlite3_stmt *statement, int r);
/* Steps one that gives no row, and ends it. */
int msg_sql_run(sqlite3_stmt *statement);
/* The same of one whose only parameter is a text: a peer, an id. */
int msg_sql_run_with(struct msg_sql *sql, enum msg_statement which, const char *text);

void msg_sql_bind_text(sqlite3_stmt *statement, int index, const char *text);
/* An id as it came; none is ''. */
void msg_sql_bind_id(sqlite3_stmt *statement, int index, struct bytes id);
void msg_sql_bind_bytes(sqlite3_stmt *statement, int index, struct bytes bytes);

/* The peer's row, made if it is not there. -ENOENT: there is no such peer. */
int msg_sql_peer(struct msg_sql *sql, const char *peer, struct msg_peer_row *ret_row);

/* Adds it to that box; its number and box are set. */
int msg_sql_add(struct msg_sql *sql, struct msg_row *row, enum msg_box box);
/* Appends the row that the statement is at; with its body, if there is one. */
int msg_sql_read_row(sqlite3_stmt *statement, enum msg_box box, struct msg_rows *rows);
/* All rows of a statement, which is ended. */
int msg_sql_read_rows(sqlite3_stmt *statement, enum msg_box box, struct msg_rows *rows);

#endif
