/*
 * Named keys in the store: never themselves, but their SHA-256.
 */
#ifndef DAEMON_KEYS_KEY_ROWS_H
#define DAEMON_KEYS_KEY_ROWS_H

#include <sqlite3.h>

#include "daemon/keys/key_scope.h"
#include "daemon/peer_name.h"

#define KEY_HASH_SIZE 32

struct key_row {
	char name[PEER_NAME_MAX + 1];
	uint8_t hash[KEY_HASH_SIZE];
	struct key_scope scope;
	int64_t created_ms;
	int64_t used_ms; /* when it was presented last; 0: never */
};

/* On a connection to the store. Each returns 0 or -errno. */
int key_rows_put(sqlite3 *db, const struct key_row *row); /* replaces the one of that name */
int key_rows_remove(sqlite3 *db, const char *name);       /* none is no error */
int key_rows_use(sqlite3 *db, const char *name, int64_t now_ms);
/* `found` for each, by name; a row that makes no sense is left out. It may end it with -errno. */
int key_rows_load(sqlite3 *db, int (*found)(void *arg, const struct key_row *row), void *arg);

#endif
