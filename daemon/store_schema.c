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
