#include "daemon/keys/key_rows.h"

#include <string.h>

#include "daemon/log.h"
#include "daemon/permissions.h"
#include "daemon/store_thread.h"

/* Steps once, finishes. */
static int finish(sqlite3_stmt *statement)
{
	int r = sqlite3_step(statement);

	sqlite3_finalize(statement);
	return store_thread_errno(r);
}

int key_rows_put(sqlite3 *db, const struct key_row *row)
{
	char permissions[PERMISSIONS_TEXT_MAX], peers[KEY_SCOPE_TEXT_MAX];
	sqlite3_stmt *statement;
	int r = sqlite3_prepare_v2(db,
				   "INSERT OR REPLACE INTO api_key (name, hash, permissions, peers,"
				   " created_ms, used_ms) VALUES (?, ?, ?, ?, ?, ?)",
				   -1, &statement, NULL);

	if (r != SQLITE_OK)
		return store_thread_errno(r);
	sqlite3_bind_text(statement, 1, row->name, -1, SQLITE_STATIC);
	sqlite3_bind_blob(statement, 2, row->hash, sizeof(row->hash), SQLITE_STATIC);
	sqlite3_bind_text(statement, 3, permissions_print(row->scope.permissions, permissions), -1,
			  SQLITE_STATIC);
	sqlite3_bind_text(statement, 4, key_scope_print_peers(&row->scope, peers), -1,
			  SQLITE_STATIC);
	sqlite3_bind_int64(statement, 5, row->created_ms);
	sqlite3_bind_int64(statement, 6, row->used_ms);
	return finish(statement);
}

int key_rows_remove(sqlite3 *db, const char *name)
{
	sqlite3_stmt *statement;
	int r = sqlite3_prepare_v2(db, "DELETE FROM api_key WHERE name = ?", -1, &statement, NULL);

	if (r != SQLITE_OK)
		return store_thread_errno(r);
	sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
	return finish(statement);
}

int key_rows_use(sqlite3 *db, const char *name, int64_t now_ms)
{
	sqlite3_stmt *statement;
	int r = sqlite3_prepare_v2(db, "UPDATE api_key SET used_ms = ? WHERE name = ?", -1,
				   &statement, NULL);

	if (r != SQLITE_OK)
		return store_thread_errno(r);
	sqlite3_bind_int64(statement, 1, now_ms);
	sqlite3_bind_text(statement, 2, name, -1, SQLITE_STATIC);
	return finish(statement);
}

static const char *column(sqlite3_stmt *statement, int number)
{
	const char *text = (const char *)sqlite3_column_text(statement, number);

	return text ? text : "";
}

static bool read_row(sqlite3_stmt *statement, struct key_row *ret_row)
{
	const char *name = column(statement, 0);

	*ret_row = (struct key_row){.created_ms = sqlite3_column_int64(statement, 4),
				    .used_ms = sqlite3_column_int64(statement, 5)};
	if (!peer_name_is_valid(name) || sqlite3_column_bytes(statement, 1) != KEY_HASH_SIZE)
		return false;
	strcpy(ret_row->name, name);
	memcpy(ret_row->hash, sqlite3_column_blob(statement, 1), KEY_HASH_SIZE);
	return permissions_parse(column(statement, 2), &ret_row->scope.permissions, NULL) == 0 &&
	       key_scope_parse_peers(&ret_row->scope, column(statement, 3)) == 0;
}

int key_rows_load(sqlite3 *db, int (*found)(void *arg, const struct key_row *row), void *arg)
{
	sqlite3_stmt *statement;
	int step, r = sqlite3_prepare_v2(db,
					 "SELECT name, hash, permissions, peers, created_ms,"
					 " used_ms FROM api_key ORDER BY name",
					 -1, &statement, NULL);

	if (r != SQLITE_OK)
		return store_thread_errno(r);
	r = 0;
	while (r == 0 && (step = sqlite3_step(statement)) == SQLITE_ROW) {
		struct key_row row;

		if (read_row(statement, &row))
			r = found(arg, &row);
		else
			log_warning("keys", "key=%s error=\"row makes no sense\"",
				    LOG_VALUE(column(statement, 0)));
	}
	sqlite3_finalize(statement);
	return r < 0 ? r : store_thread_errno(step);
}
