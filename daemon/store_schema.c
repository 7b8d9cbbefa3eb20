#include "daemon/store_schema.h"

#include <errno.h>
#include <stdio.h>

#include "daemon/store_thread.h"

/*
 * The step at index i brings user_version i to i + 1. A step that was released is never changed:
 * the next one is appended.
 */
static const char *const steps[] = {
    "CREATE TABLE peer ("
    " id TEXT NOT NULL PRIMARY KEY,"
    " fingerprint BLOB NOT NULL UNIQUE CHECK (length(fingerprint) = 32),"
    " name TEXT NOT NULL UNIQUE,"
    " remote_name BLOB NOT NULL," /* whatever bytes the peer sent */
    " permissions TEXT NOT NULL,"
    " state TEXT NOT NULL CHECK (state IN ('pending', 'paired')),"
    " pending_until_ms INTEGER NOT NULL,"
    " added_ms INTEGER NOT NULL,"
    " last_seen_ms INTEGER NOT NULL"
    ");"
    "CREATE TABLE peer_address ("
    " peer TEXT NOT NULL REFERENCES peer (id) ON DELETE CASCADE,"
    " position INTEGER NOT NULL," /* the last good one is 0 */
    " address TEXT NOT NULL,"
    " manual INTEGER NOT NULL,"
    " PRIMARY KEY (peer, position)"
    ");"
    "CREATE TABLE manual_address (address TEXT NOT NULL PRIMARY KEY);",

    /* Keys are blobs, so that they are compared by their bytes. Times are ns since 1970. */
    "CREATE TABLE kv ("
    " id INTEGER PRIMARY KEY,"
    " key BLOB NOT NULL UNIQUE,"
    " version INTEGER NOT NULL,"
    " size INTEGER NOT NULL,"
    " writer TEXT NOT NULL,"
    " created_ns INTEGER NOT NULL,"
    " changed_ns INTEGER NOT NULL,"
    " expires_ns INTEGER NOT NULL," /* 0: never */
    " value BLOB NOT NULL"          /* the last: what is before it is read without it */
    ");"
    "CREATE INDEX kv_expires ON kv (expires_ns) WHERE expires_ns > 0;"
    "CREATE TABLE kv_writer ("
    " writer TEXT NOT NULL PRIMARY KEY,"
    " entries INTEGER NOT NULL,"
    " bytes INTEGER NOT NULL" /* of keys and values */
    ") WITHOUT ROWID;"
    "CREATE TABLE kv_state (version INTEGER NOT NULL);" /* of the last change */
    "INSERT INTO kv_state VALUES (0);",

    "CREATE TABLE job (" /* that runs and outlives its client; when a daemon starts: a lost one */
    " peer TEXT NOT NULL REFERENCES peer (id) ON DELETE CASCADE,"
    " number INTEGER NOT NULL,"
    " name TEXT NOT NULL,"
    " cmd TEXT NOT NULL,"
    " tty INTEGER NOT NULL,"
    " started_s INTEGER NOT NULL,"
    " started_ns INTEGER NOT NULL,"
    " PRIMARY KEY (peer, number)"
    ");",

    /*
     * Messages. Times are ns since 1970, 0: not yet, never. Sequence numbers are never given twice,
     * so that a peer can tell by them what it has; the epoch says which ones are meant. Counts are
     * kept by triggers, for the limits. What belongs to a peer goes with it.
     */
    "CREATE TABLE msg_peer ("
    " peer TEXT NOT NULL PRIMARY KEY REFERENCES peer (id) ON DELETE CASCADE,"
    " out_epoch INTEGER NOT NULL,"
    " in_epoch INTEGER NOT NULL DEFAULT 0,"
    " in_seq INTEGER NOT NULL DEFAULT 0," /* the highest that was received */
    " out_n INTEGER NOT NULL DEFAULT 0,"
    " out_bytes INTEGER NOT NULL DEFAULT 0,"
    " in_n INTEGER NOT NULL DEFAULT 0,"
    " in_bytes INTEGER NOT NULL DEFAULT 0"
    ") WITHOUT ROWID;"
    "CREATE TABLE msg_out ("
    " seq INTEGER PRIMARY KEY AUTOINCREMENT,"
    " id TEXT NOT NULL UNIQUE,"
    " peer TEXT NOT NULL REFERENCES msg_peer (peer) ON DELETE CASCADE,"
    " type INTEGER NOT NULL,"
    " reply_to TEXT NOT NULL,"
    " state INTEGER NOT NULL," /* enum msg_state */
    " sent_ns INTEGER NOT NULL,"
    " delivered_ns INTEGER NOT NULL DEFAULT 0,"
    " read_ns INTEGER NOT NULL DEFAULT 0,"
    " expires_ns INTEGER NOT NULL,"
    " settled INTEGER NOT NULL DEFAULT 0,"  /* expired, and surely not delivered */
    " final_ns INTEGER NOT NULL DEFAULT 0," /* since when it is read or expired */
    " size INTEGER NOT NULL,"
    " body BLOB NOT NULL"
    ");"
    "CREATE INDEX msg_out_peer ON msg_out (peer, state, seq);"
    "CREATE INDEX msg_out_list ON msg_out (peer, seq);"
    "CREATE INDEX msg_out_expires ON msg_out (expires_ns) WHERE state = 0 AND expires_ns > 0;"
    "CREATE INDEX msg_out_final ON msg_out (final_ns) WHERE final_ns > 0;"
    "CREATE TABLE msg_in ("
    " number INTEGER PRIMARY KEY AUTOINCREMENT,"
    " id TEXT NOT NULL UNIQUE,"
    " peer TEXT NOT NULL REFERENCES msg_peer (peer) ON DELETE CASCADE,"
    " type INTEGER NOT NULL,"
    " reply_to TEXT NOT NULL,"
    " sent_ns INTEGER NOT NULL,"
    " received_ns INTEGER NOT NULL,"
    " size INTEGER NOT NULL,"
    " body BLOB NOT NULL"
    ");"
    "CREATE INDEX msg_in_list ON msg_in (peer, number);"
    "CREATE TABLE msg_receipt (" /* acknowledged here, and not yet known there */
    " id TEXT NOT NULL PRIMARY KEY,"
    " peer TEXT NOT NULL REFERENCES msg_peer (peer) ON DELETE CASCADE,"
    " read_ns INTEGER NOT NULL"
    ") WITHOUT ROWID;"
    "CREATE INDEX msg_receipt_peer ON msg_receipt (peer);"
    "CREATE TABLE msg_draft ("
    " number INTEGER PRIMARY KEY AUTOINCREMENT,"
    " draft INTEGER NOT NULL,"
    " peer TEXT NOT NULL REFERENCES peer (id) ON DELETE CASCADE,"
    " type INTEGER NOT NULL,"
    " body BLOB NOT NULL,"
    " UNIQUE (draft, peer)"
    ");"
    "CREATE TRIGGER msg_out_more AFTER INSERT ON msg_out BEGIN"
    " UPDATE msg_peer SET out_n = out_n + 1, out_bytes = out_bytes + new.size"
    " WHERE peer = new.peer; END;"
    "CREATE TRIGGER msg_out_less AFTER DELETE ON msg_out BEGIN"
    " UPDATE msg_peer SET out_n = out_n - 1, out_bytes = out_bytes - old.size"
    " WHERE peer = old.peer; END;"
    "CREATE TRIGGER msg_in_more AFTER INSERT ON msg_in BEGIN"
    " UPDATE msg_peer SET in_n = in_n + 1, in_bytes = in_bytes + new.size"
    " WHERE peer = new.peer; END;"
    "CREATE TRIGGER msg_in_less AFTER DELETE ON msg_in BEGIN"
    " UPDATE msg_peer SET in_n = in_n - 1, in_bytes = in_bytes - old.size"
    " WHERE peer = old.peer; END;",

    /* The last changes of kv, for those who watch. */
    "CREATE TABLE kv_change ("
    " version INTEGER PRIMARY KEY,"
    " size INTEGER NOT NULL,"
    " writer TEXT NOT NULL,"
    " created_ns INTEGER NOT NULL,"
    " changed_ns INTEGER NOT NULL,"
    " expires_ns INTEGER NOT NULL,"
    " key BLOB NOT NULL,"
    " kind INTEGER NOT NULL" /* enum kv_change_kind */
    ");",

    "CREATE TABLE api_key ("
    " name TEXT NOT NULL PRIMARY KEY,"
    " hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32)," /* SHA-256 of the key */
    " permissions TEXT NOT NULL,"
    " peers TEXT NOT NULL," /* ids, as daemon/keys/key_scope.h says */
    " created_ms INTEGER NOT NULL,"
    " used_ms INTEGER NOT NULL"
    ");",
};
#define N_STEPS ((int)(sizeof(steps) / sizeof(steps[0])))

static int version(sqlite3 *db, int *ret_version)
{
	sqlite3_stmt *statement;
	int r = sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &statement, NULL);

	if (r == SQLITE_OK)
		r = sqlite3_step(statement);
	if (r == SQLITE_ROW)
		*ret_version = sqlite3_column_int(statement, 0);
	sqlite3_finalize(statement);
	return store_thread_errno(r);
}

int store_schema_migrate(sqlite3 *db, struct failure *failure)
{
	int at = 0, r = store_thread_errno(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL));

	if (r == 0)
		r = version(db, &at);
	if (r == 0 && (at < 0 || at > N_STEPS)) {
		sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
		return failure_set(failure, -EPROTONOSUPPORT,
				   "made by a newer loopsyd (version %d, this one knows %d)", at,
				   N_STEPS);
	}
	for (int i = at; r == 0 && i < N_STEPS; i++) {
		char set_version[64];

		r = store_thread_errno(sqlite3_exec(db, steps[i], NULL, NULL, NULL));
		snprintf(set_version, sizeof(set_version), "PRAGMA user_version = %d", i + 1);
		if (r == 0)
			r = store_thread_errno(sqlite3_exec(db, set_version, NULL, NULL, NULL));
	}
	if (r == 0)
		r = store_thread_errno(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL));
	if (r < 0) {
		failure_set(failure, r, "%.256s", sqlite3_errmsg(db));
		if (!sqlite3_get_autocommit(db))
			sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	}
	return r;
}
