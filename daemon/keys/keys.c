/*
 * A key is in the list from the moment that the disk has it until it is revoked, replaced or read
 * again; only then is its memory freed, after `ended` was told. What is asked of the store's thread
 * carries copies, and counts: the room ends after the last of it.
 */
#include "daemon/keys/keys.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/api_key.h"
#include "daemon/log.h"
#include "daemon/permissions.h"
#include "daemon/store_thread.h"
#include "daemon/wall_clock.h"
#include "proto/ops_ctl.h"

#define USE_STEP_MS 60000 /* how exact the store knows when a key was used */

struct keys {
	struct keys_options options;
	char *file;
	struct key *named; /* by name */
	size_t n_named;
	struct key *own; /* of the file; NULL: there is none */
	uint64_t last_number;
	uv_fs_event_t watch;
	unsigned n_pending; /* requests to the store, and the handle */
	void (*closed)(void *data);
	void *closed_data;
};

static int hash_text(const char *text, uint8_t ret_hash[KEY_HASH_SIZE])
{
	return EVP_Digest(text, strlen(text), ret_hash, NULL, EVP_sha256(), NULL) == 1 ? 0
										       : -ENOMEM;
}

static struct key *key_new(struct keys *keys, const struct key_row *row)
{
	struct key *key = malloc(sizeof(*key));

	if (key)
		*key = (struct key){
		    .row = *row, .number = ++keys->last_number, .written_ms = row->used_ms};
	return key;
}

static void key_end(struct keys *keys, struct key *key, const char *why)
{
	log_info("keys", "key=%s ended=\"%s\"", key->row.name[0] ? key->row.name : "api.key", why);
	if (keys->options.ended)
		keys->options.ended(keys->options.arg, key, why);
	free(key);
}

/* --- the list --------------------------------------------------------------------------------- */

static void list_insert(struct keys *keys, struct key *key)
{
	struct key **at = &keys->named;

	while (*at && strcmp((*at)->row.name, key->row.name) < 0)
		at = &(*at)->next;
	key->next = *at;
	*at = key;
	keys->n_named++;
}

/* Takes it out; NULL if there is none. */
static struct key *list_take(struct keys *keys, const char *name)
{
	struct key **at = &keys->named, *key;

	while (*at && strcmp((*at)->row.name, name) != 0)
		at = &(*at)->next;
	key = *at;
	if (key) {
		*at = key->next;
		keys->n_named--;
	}
	return key;
}

const struct key *keys_find_name(const struct keys *keys, const char *name)
{
	for (const struct key *key = keys->named; key; key = key->next)
		if (strcmp(key->row.name, name) == 0)
			return key;
	return NULL;
}

const struct key *keys_find(const struct keys *keys, uint64_t number)
{
	if (keys->own && keys->own->number == number)
		return keys->own;
	for (const struct key *key = keys->named; key; key = key->next)
		if (key->number == number)
			return key;
	return NULL;
}

const struct key *keys_next(const struct keys *keys, const struct key *key)
{
	return key ? key->next : keys->named;
}

static void forget_all(struct keys *keys)
{
	struct key *key;

	while ((key = keys->named)) {
		keys->named = key->next;
		free(key);
	}
	free(keys->own);
	keys->own = NULL;
}

/* --- the file --------------------------------------------------------------------------------- */

/* What the file holds now takes the place of what it held. */
static void read_file(struct keys *keys)
{
	struct key_row row = {.scope = {.permissions = PERMISSIONS_DEFAULT, .is_for_all = true}};
	char text[API_KEY_LENGTH + 1];
	struct failure failure = {""};
	int r = api_key_load(keys->file, text, &failure);
	struct key *old = keys->own;

	if (r == 0)
		r = hash_text(text, row.hash);
	explicit_bzero(text, sizeof(text));
	if (r == 0 && old && CRYPTO_memcmp(row.hash, old->row.hash, KEY_HASH_SIZE) == 0)
		return;
	if (r < 0 && r != -ENOENT)
		log_warning("keys", "file=%s error=%s", LOG_VALUE(keys->file),
			    LOG_VALUE(failure.text));
	keys->own = r == 0 ? key_new(keys, &row) : NULL;
	if (old)
		key_end(keys, old, r == 0 ? "was replaced by a new one" : "was taken away");
}

static void on_file_event(uv_fs_event_t *watch, const char *name, int events, int status)
{
	read_file(watch->data);
}

/* In its directory: the file itself is replaced. */
static void watch_file(struct keys *keys)
{
	char *directory = strdup(keys->file);
	char *slash = directory ? strrchr(directory, '/') : NULL;
	int r = -ENOMEM;

	if (slash) {
		*slash = '\0';
		r = uv_fs_event_start(&keys->watch, on_file_event, directory, 0);
	}
	if (r < 0)
		log_warning("keys", "watch=%s error=%s", LOG_VALUE(keys->file),
			    LOG_VALUE(uv_strerror(r)));
	free(directory);
}

/* --- the store -------------------------------------------------------------------------------- */

struct change {
	struct store_request request;
	struct keys *keys;
	struct key *key; /* of a new one; else NULL */
	struct key_row row;
	char secret[API_KEY_LENGTH + 1];
	keys_made_fn made;
	store_done_fn done;
	void *data;
};

static void drop(struct keys *keys)
{
	if (--keys->n_pending > 0)
		return;
	if (keys->closed)
		keys->closed(keys->closed_data);
	forget_all(keys);
	free(keys->file);
	free(keys);
}

static struct change *change_new(struct keys *keys, const char *name)
{
	struct change *change = calloc(1, sizeof(*change));

	if (!change)
		return NULL;
	change->keys = keys;
	change->row.created_ms = wall_clock_ms();
	snprintf(change->row.name, sizeof(change->row.name), "%s", name);
	return change;
}

static void change_free(struct change *change)
{
	explicit_bzero(change->secret, sizeof(change->secret));
	free(change->key);
	free(change);
}

/* Frees it if that fails. */
static int submit(struct change *change)
{
	int r =
	    store_thread_submit(store_get_thread(change->keys->options.store), &change->request);

	if (r < 0)
		change_free(change);
	else
		change->keys->n_pending++;
	return r;
}

static int run_use(struct store_request *request, sqlite3 *db)
{
	const struct key_row *row = &((struct change *)request)->row;

	return key_rows_use(db, row->name, row->used_ms);
}

static void on_written(struct store_request *request, int status)
{
	struct change *change = (struct change *)request;
	struct keys *keys = change->keys;

	if (status < 0)
		log_error("keys", "key=%s error=%s", change->row.name, strerror(-status));
	if (change->done)
		change->done(change->data, status);
	change_free(change);
	drop(keys);
}

static void use(struct keys *keys, struct key *key)
{
	struct change *change;

	key->row.used_ms = wall_clock_ms();
	/* A clock that was set back counts as long ago. */
	if (key == keys->own || (key->row.used_ms >= key->written_ms &&
				 key->row.used_ms - key->written_ms < USE_STEP_MS))
		return;
	change = change_new(keys, key->row.name);
	if (!change)
		return;
	change->row.used_ms = key->written_ms = key->row.used_ms;
	change->request = (struct store_request){.run = run_use, .done = on_written};
	submit(change);
}

/* --- presenting ------------------------------------------------------------------------------- */

static struct key *find_hash(const struct keys *keys, const uint8_t *hash)
{
	if (keys->own && CRYPTO_memcmp(keys->own->row.hash, hash, KEY_HASH_SIZE) == 0)
		return keys->own;
	for (struct key *key = keys->named; key; key = key->next)
		if (CRYPTO_memcmp(key->row.hash, hash, KEY_HASH_SIZE) == 0)
			return key;
	return NULL;
}

const struct key *keys_present(struct keys *keys, const char *text)
{
	uint8_t hash[KEY_HASH_SIZE];
	struct key *key;

	if (hash_text(text, hash) < 0)
		return NULL;
	key = find_hash(keys, hash);
	if (!key) {
		/* It may be that of a file that was written a moment ago. */
		read_file(keys);
		key = find_hash(keys, hash);
	}
	if (key)
		use(keys, key);
	return key;
}

/* --- making and revoking ---------------------------------------------------------------------- */

static int run_put(struct store_request *request, sqlite3 *db)
{
	return key_rows_put(db, &((struct change *)request)->row);
}

static void on_put(struct store_request *request, int status)
{
	struct change *change = (struct change *)request;
	struct keys *keys = change->keys;
	struct key *key = change->key, *old;

	if (status < 0) {
		change->made(change->data, status, NULL, NULL);
	} else {
		old = list_take(keys, key->row.name);
		list_insert(keys, key);
		change->key = NULL;
		if (old)
			key_end(keys, old, "was replaced by a new one");
		change->made(change->data, 0, change->secret, key);
	}
	change_free(change);
	drop(keys);
}

int keys_generate(struct keys *keys, const char *name, const struct key_scope *scope,
		  keys_made_fn done, void *data)
{
	struct change *change;
	int r;

	if (!peer_name_is_valid(name))
		return -EINVAL;
	if (keys->n_named >= OPS_CTL_KEYS_MAX && !keys_find_name(keys, name))
		return -ENOSPC;
	change = change_new(keys, name);
	if (!change)
		return -ENOMEM;
	change->row.scope = *scope;
	r = api_key_generate(change->secret);
	if (r == 0)
		r = hash_text(change->secret, change->row.hash);
	if (r == 0) {
		change->key = key_new(keys, &change->row);
		r = change->key ? 0 : -ENOMEM;
	}
	if (r < 0) {
		change_free(change);
		return r;
	}
	change->made = done;
	change->data = data;
	change->request = (struct store_request){.run = run_put, .done = on_put};
	return submit(change);
}

static int run_remove(struct store_request *request, sqlite3 *db)
{
	return key_rows_remove(db, ((struct change *)request)->row.name);
}

int keys_revoke(struct keys *keys, const char *name, store_done_fn done, void *data)
{
	struct change *change;

	if (!keys_find_name(keys, name))
		return -ENOENT;
	change = change_new(keys, name);
	if (!change)
		return -ENOMEM;
	key_end(keys, list_take(keys, name), "was revoked");
	change->done = done;
	change->data = data;
	change->request = (struct store_request){.run = run_remove, .done = on_written};
	return submit(change);
}

/* --- life ------------------------------------------------------------------------------------- */

static int on_row(void *arg, const struct key_row *row)
{
	struct keys *keys = arg;
	struct key *key = key_new(keys, row);

	if (!key)
		return -ENOMEM;
	list_insert(keys, key);
	return 0;
}

static void on_watch_closed(uv_handle_t *handle)
{
	drop(handle->data);
}

int keys_new(const struct keys_options *options, struct keys **ret_keys, struct failure *failure)
{
	struct keys *keys = calloc(1, sizeof(*keys));
	int r = -ENOMEM;

	if (keys) {
		keys->options = *options;
		keys->file = strdup(options->file);
	}
	if (keys && keys->file)
		r = key_rows_load(store_get_db(options->store), on_row, keys);
	if (r < 0) {
		if (keys) {
			forget_all(keys);
			free(keys->file);
		}
		free(keys);
		return failure_set(failure, r, "cannot read the API keys: %s", strerror(-r));
	}
	uv_fs_event_init(options->loop, &keys->watch);
	keys->watch.data = keys;
	keys->n_pending = 1;
	watch_file(keys);
	read_file(keys); /* behind the watch: nothing is missed */
	*ret_keys = keys;
	return 0;
}

void keys_close(struct keys *keys, void (*closed)(void *data), void *data)
{
	keys->closed = closed;
	keys->closed_data = data;
	keys->options.ended = NULL;
	uv_close((uv_handle_t *)&keys->watch, on_watch_closed);
}
