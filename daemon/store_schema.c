#include "daemon/store_schema.h"

#include <errno.h>
#include <stdio.h>

#include "daemon/store_thread.h"

/*
 * The step at index i brings user_version i to i + 1. A step that was released is never changed:
 * the next one is appended (kv and messages will be such).
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
