/*
 * The tables of messages: what can be done with one open database. Each function is a few
 * statements within the caller's transaction (daemon/store_thread) and knows neither loop nor
 * requests.
 */
#ifndef DAEMON_MSG_MSG_SQL_H
#define DAEMON_MSG_MSG_SQL_H

#include <sqlite3.h>

#include "proto/codec.h"
#include "proto/identity.h"
#include "proto/ops_peer.h"

#define MSG_SQL_STATEMENTS 48

/* A connection's prepared statements. Zero-initialised but for db; on the connection's thread only,
 * which finalises them when it ends. */
struct msg_sql {
	sqlite3 *db;
	sqlite3_stmt *statements[MSG_SQL_STATEMENTS];
};

struct msg_limits {
	uint64_t messages, bytes; /* of one peer, in each of the two boxes */
};

/* A message in one of the boxes. Times are ns since 1970; 0: not yet, never. */
struct msg_row {
	int64_t number; /* its sequence number, of the outbox */
	enum msg_box box;
	char id[OPS_MSG_ID_MAX + 1], reply_to[OPS_MSG_ID_MAX + 1];
	char peer[IDENTITY_ID_SIZE]; /* the other machine */
	uint64_t type, state;
	int64_t sent_ns, delivered_ns, read_ns, expires_ns;
	struct bytes body;
	uint8_t *owned; /* the body, if it is the row's own; msg_rows_deinit frees it */
	size_t size;    /* of the body, also where that is not loaded */
};

/* A list of them. Zero-initialised. */
struct msg_rows {
	struct msg_row *rows;
	size_t n, capacity;
	size_t bytes; /* of bodies */
};

void msg_rows_deinit(struct msg_rows *rows);
/* A zeroed row at the end, or NULL. */
struct msg_row *msg_rows_add(struct msg_rows *rows);

struct msg_receipt_row {
	char id[OPS_MSG_ID_MAX + 1];
	int64_t read_ns;
};

/* 1 to OPS_MSG_ID_MAX of [0-9a-z]. */
bool msg_id_is_valid(struct bytes id);

/* All return 0 or -errno. */

/* --- sending --- */

/* Queues it; number and box are set. -ENOSPC: more than the limits; -ENOENT: there is no such
 * peer. */
int msg_sql_send(struct msg_sql *sql, struct msg_row *row, const struct msg_limits *limits);
/* Is there room for a body of that size? 0 or -ENOSPC. */
int msg_sql_room(struct msg_sql *sql, const char *peer, size_t size,
		 const struct msg_limits *limits);
/* Stores the draft for that peer, or replaces its body. */
int msg_sql_put_draft(struct msg_sql *sql, uint64_t draft, const char *peer, enum msg_type type,
		      struct bytes body);
int msg_sql_drop_draft(struct msg_sql *sql, uint64_t draft);
/* The number of the last draft that was stored, 0: there is none. */
int msg_sql_last_draft(struct msg_sql *sql, int64_t *ret_number);
/* Takes the oldest draft up to that number out: peer, type and body of the row are set. -ENOENT:
 * there is none. */
int msg_sql_take_draft(struct msg_sql *sql, int64_t last, struct msg_row *row);

/* What a peer has: all up to `stored` of that epoch. Rows without bodies of what has become
 * delivered are appended. Nothing may be under way to the peer: what has expired and is not there
 * will not come there any more. */
int msg_sql_stored(struct msg_sql *sql, const char *peer, uint64_t stored, int64_t now_ns,
		   struct msg_rows *changed);
/* The epoch of what is sent to it. */
int msg_sql_epoch(struct msg_sql *sql, const char *peer, uint64_t *ret_epoch);
/* Are there messages whose fate is to be asked for, or that are to be sent? */
int msg_sql_has_work(struct msg_sql *sql, const char *peer, bool *ret_has);
/* Queued ones with bodies in their order, at least one, up to so many and so many bytes. */
int msg_sql_queued(struct msg_sql *sql, const char *peer, size_t max_n, size_t max_bytes,
		   struct msg_rows *rows);
/* The peer has acknowledged it; a row is appended if that was new. */
int msg_sql_read(struct msg_sql *sql, const char *peer, struct bytes id, int64_t read_ns,
		 int64_t now_ns, struct msg_rows *changed);
/* Those whose time is over; the time of the next (0: none). */
int msg_sql_expire(struct msg_sql *sql, int64_t now_ns, struct msg_rows *changed,
		   int64_t *ret_next_ns);
/* Removes what has been read or expired since before that time. */
int msg_sql_prune(struct msg_sql *sql, int64_t before_ns);

/* --- receiving --- */

/* The highest number that was received of that epoch, 0: none. */
int msg_sql_received(struct msg_sql *sql, const char *peer, uint64_t epoch, uint64_t *ret_seq);
/* Puts it into the inbox and its number into the peer's row. -EALREADY: that peer has sent it
 * before under another number; only the number is taken. -ENOSPC, -EEXIST (another one has that
 * id): nothing is changed. */
int msg_sql_receive(struct msg_sql *sql, uint64_t epoch, struct msg_row *row, uint64_t seq,
		    const struct msg_limits *limits);
/* Out of the inbox, and a receipt for it; a row is appended. -ENOENT. */
int msg_sql_acknowledge(struct msg_sql *sql, struct bytes id, int64_t now_ns,
			struct msg_rows *changed);
/* Receipts for that peer, at most max_n of them. */
int msg_sql_receipts(struct msg_sql *sql, const char *peer, struct msg_receipt_row *rows,
		     size_t max_n, size_t *ret_n);
int msg_sql_drop_receipt(struct msg_sql *sql, const char *id);

/* --- looking --- */

/* -ENOENT. Without the body; with a box of MSG_ANY_BOX, in either. */
int msg_sql_find(struct msg_sql *sql, enum msg_box box, struct bytes id, struct msg_rows *rows);
/* Appends a part of the body to `ret_body`. */
int msg_sql_body(struct msg_sql *sql, const struct msg_row *row, size_t offset, size_t max,
		 struct buffer *ret_body);
/* Those behind `after`, with bodies while they fit into max_bytes. `peer` NULL: of all. */
int msg_sql_list(struct msg_sql *sql, enum msg_box box, const char *peer, uint64_t after,
		 size_t max_n, size_t max_bytes, struct msg_rows *rows, bool *ret_rest);

#endif
