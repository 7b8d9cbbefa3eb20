/*
 * Keys: who may use the control socket for what, as far as a program presents a key at all.
 *
 * There is one key without limits, in the file api.key, and named ones with a scope, in the store.
 * All are known here by their SHA-256. A key that is revoked or replaced holds no more from then
 * on, and `ended` is told. The file is watched: whoever changes it, its old key ends.
 */
#ifndef DAEMON_KEYS_KEYS_H
#define DAEMON_KEYS_KEYS_H

#include <uv.h>

#include "daemon/failure.h"
#include "daemon/keys/key_rows.h"
#include "daemon/store.h"

struct keys;

struct key {
	struct key_row row; /* name "": that of api.key */
	uint64_t number;    /* never 0, and never used again */
	int64_t written_ms; /* what the store knows as row.used_ms */
	struct key *next;
};

struct keys_options {
	uv_loop_t *loop;
	struct store *store;
	const char *file; /* api.key; borrowed */
	/* That key holds no more; `why` follows its name ("was revoked"). May be NULL. */
	void (*ended)(void *arg, const struct key *key, const char *why);
	void *arg;
};

/* Loads them: at the start, before the store's first change. 0 or -errno with failure. */
int keys_new(const struct keys_options *options, struct keys **ret_keys, struct failure *failure);
/* Ends it once what is asked of the store is done; then calls closed(data). */
void keys_close(struct keys *keys, void (*closed)(void *data), void *data);

/* The key that this text is, which is now used; or NULL. */
const struct key *keys_present(struct keys *keys, const char *text);
/* The one of that number, if it still holds; or NULL. */
const struct key *keys_find(const struct keys *keys, uint64_t number);
/* The named one; or NULL. */
const struct key *keys_find_name(const struct keys *keys, const char *name);
/* The named ones: the first (`key` NULL), the next. */
const struct key *keys_next(const struct keys *keys, const struct key *key);

/* Makes a named key, in place of an older one of that name. Returns 0, then done(data, status,
 * secret, key) is called, once, later: with 0 and what was made, when it is on the disk; or -EINVAL
 * (the name), -ENOSPC (there are too many) or another -errno. */
typedef void (*keys_made_fn)(void *data, int status, const char *secret, const struct key *key);
int keys_generate(struct keys *keys, const char *name, const struct key_scope *scope,
		  keys_made_fn done, void *data);

/* It holds no more at once; done(data, status) when the disk knows. 0, -ENOENT or another -errno.
 */
int keys_revoke(struct keys *keys, const char *name, store_done_fn done, void *data);

#endif
