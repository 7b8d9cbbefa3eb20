/*
 * The store is opened as the daemon would, under the daemon's lock and on a loop of our own, which
 * runs until what was asked for is on the disk.
 */
#include "daemon/key_verbs.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/api_key.h"
#include "daemon/instance.h"
#include "daemon/keys/key_names.h"
#include "daemon/keys/keys.h"
#include "daemon/paths.h"
#include "daemon/permissions.h"

struct desk {
	struct paths *paths;
	struct instance *instance;
	uv_loop_t loop;
	bool has_loop;
	struct store *store;
	struct keys *keys;
	struct store_peer *peers;
	size_t n_peers;
	struct failure failure;
	char secret[API_KEY_LENGTH + 1];
	int status;
};

static const char *find_peer(void *arg, const char *name)
{
	const struct desk *desk = arg;

	for (size_t i = 0; i < desk->n_peers; i++)
		if (desk->peers[i].state == STORE_PEER_PAIRED &&
		    strcmp(desk->peers[i].name, name) == 0)
			return desk->peers[i].id;
	return NULL;
}

static const char *peer_name(void *arg, const char *id)
{
	const struct desk *desk = arg;

	for (size_t i = 0; i < desk->n_peers; i++)
		if (strcmp(desk->peers[i].id, id) == 0)
			return desk->peers[i].name;
	return NULL;
}

static void on_keys_closed(void *data)
{
	struct desk *desk = data;

	store_close(desk->store, NULL, NULL);
}

/* Ends what was begun, in any state; the exit status. */
static int desk_deinit(struct desk *desk, int r)
{
	if (desk->keys)
		keys_close(desk->keys, on_keys_closed, desk);
	else if (desk->store)
		store_close(desk->store, NULL, NULL);
	if (desk->has_loop) {
		uv_run(&desk->loop, UV_RUN_DEFAULT);
		uv_loop_close(&desk->loop);
	}
	free(desk->peers);
	instance_free(desk->instance);
	paths_free(desk->paths);
	explicit_bzero(desk->secret, sizeof(desk->secret));
	if (r < 0)
		fprintf(stderr, "loopsyd: %s\n",
			desk->failure.text[0] ? desk->failure.text : strerror(-r));
	return r < 0 ? 1 : 0;
}

static int desk_init(struct desk *desk, const char *home)
{
	struct keys_options options;
	int r;

	*desk = (struct desk){.failure = {""}};
	r = paths_new(home, &desk->paths, &desk->failure);
	if (r == 0)
		r = paths_create(desk->paths, &desk->failure);
	if (r == 0)
		r = instance_take(desk->paths->lock, &desk->instance, NULL, &desk->failure);
	if (r == 0)
		r = uv_loop_init(&desk->loop);
	desk->has_loop = r == 0;
	if (r == 0)
		r = store_open(&desk->loop, desk->paths->database, &desk->store, &desk->failure);
	if (r == 0)
		r = store_load_peers(desk->store, 0, &desk->peers, &desk->n_peers);
	if (r < 0)
		return r;
	options = (struct keys_options){
	    .loop = &desk->loop, .store = desk->store, .file = desk->paths->api_key};
	return keys_new(&options, &desk->keys, &desk->failure);
}

static void on_done(void *data, int status)
{
	struct desk *desk = data;

	desk->status = status;
	uv_stop(&desk->loop);
}

static void on_made(void *data, int status, const char *secret, const struct key *key)
{
	struct desk *desk = data;

	if (status == 0)
		snprintf(desk->secret, sizeof(desk->secret), "%s", secret);
	on_done(data, status);
}

/* Once it is asked for. */
static int await(struct desk *desk)
{
	uv_run(&desk->loop, UV_RUN_DEFAULT);
	if (desk->status < 0)
		failure_set(&desk->failure, desk->status, "cannot write %s: %s",
			    desk->paths->database, strerror(-desk->status));
	return desk->status;
}

int key_verbs_generate(const char *home, const char *name, const char *allow, const char *peers)
{
	struct desk desk;
	const struct key_names names = {find_peer, peer_name, &desk};
	const struct key *old;
	struct key_scope scope;
	int r = desk_init(&desk, home);

	if (r < 0)
		return desk_deinit(&desk, r);
	old = keys_find_name(desk.keys, name);
	r = key_names_parse(&names, old ? &old->row.scope : NULL, allow ? allow : "",
			    peers ? peers : "", &scope, &desk.failure);
	if (r < 0)
		return desk_deinit(&desk, r);
	r = keys_generate(desk.keys, name, &scope, on_made, &desk);
	if (r == -EINVAL)
		failure_set(&desk.failure, r,
			    "that is no name for a key: 1 to 63 of A-Z a-z 0-9 . _ -, not starting "
			    "with a dot");
	else if (r == -ENOSPC)
		failure_set(&desk.failure, r, "there are too many keys: revoke one");
	if (r == 0)
		r = await(&desk);
	if (r == 0)
		puts(desk.secret);
	return desk_deinit(&desk, r);
}

static void print_key(const struct key_names *names, const struct key_row *row)
{
	char permissions[PERMISSIONS_TEXT_MAX], peers[KEY_NAMES_TEXT_MAX];
	json_t *line = json_pack(
	    "{s:s, s:s, s:o, s:I, s:I}", "name", row->name, "permissions",
	    permissions_print(row->scope.permissions, permissions), "peers",
	    row->scope.is_for_all ? json_null()
				  : json_string(key_names_print(names, &row->scope, peers)),
	    "created_ms", (json_int_t)row->created_ms, "used_ms", (json_int_t)row->used_ms);
	char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;

	if (text)
		puts(text);
	free(text);
	json_decref(line);
}

int key_verbs_list(const char *home)
{
	struct desk desk;
	const struct key_names names = {find_peer, peer_name, &desk};
	int r = desk_init(&desk, home);

	for (const struct key *key = r == 0 ? keys_next(desk.keys, NULL) : NULL; key;
	     key = keys_next(desk.keys, key))
		print_key(&names, &key->row);
	return desk_deinit(&desk, r);
}

int key_verbs_revoke(const char *home, const char *name)
{
	struct desk desk;
	int r = desk_init(&desk, home);

	if (r == 0) {
		r = keys_revoke(desk.keys, name, on_done, &desk);
		if (r == -ENOENT)
			failure_set(&desk.failure, r,
				    "no key is called '%.200s': 'loopsyctl key list' lists them",
				    name);
		else if (r == 0)
			r = await(&desk);
	}
	return desk_deinit(&desk, r);
}
