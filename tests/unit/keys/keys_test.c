#include "daemon/keys/keys.h"

#include <errno.h>

#include "daemon/api_key.h"
#include "daemon/log.h"
#include "daemon/permissions.h"
#include "proto/ops_ctl.h"
#include "tests/unit/daemon/loop_until.h"
#include "tests/unit/daemon/scratch.h"

static uv_loop_t loop;
static struct store *store;
static struct keys *keys;
static struct failure failure;
static int n_done, n_closed, n_ended, last_status;
static char secret[API_KEY_LENGTH + 1], ended_name[64], ended_why[64];
static uint64_t ended_number;

static void on_closed(void *data)
{
	(void)data;
	n_closed++;
}

static void on_keys_closed(void *data)
{
	(void)data;
	store_close(store, on_closed, NULL);
}

static void on_ended(void *arg, const struct key *key, const char *why)
{
	(void)arg;
	ended_number = key->number;
	strcpy(ended_name, key->row.name);
	snprintf(ended_why, sizeof(ended_why), "%s", why);
	n_ended++;
}

static void on_made(void *data, int status, const char *text, const struct key *key)
{
	(void)data;
	if (status == 0) {
		cr_assert_eq(keys_find(keys, key->number), key);
		strcpy(secret, text);
	}
	last_status = status;
	n_done++;
}

static void on_done(void *data, int status)
{
	(void)data;
	last_status = status;
	n_done++;
}

static void open_all(void)
{
	struct keys_options options = {.loop = &loop, .ended = on_ended};

	n_closed = 0;
	log_set_level(LOG_LEVEL_ERROR);
	cr_assert_eq(uv_loop_init(&loop), 0);
	cr_assert_eq(store_open(&loop, scratch_path("loopsy.db"), &store, &failure), 0, "%s",
		     failure.text);
	options.store = store;
	options.file = scratch_path("api.key");
	cr_assert_eq(keys_new(&options, &keys, &failure), 0, "%s", failure.text);
}

static void close_all(void)
{
	keys_close(keys, on_keys_closed, NULL);
	loop_until(&loop, &n_closed, 1);
	cr_assert_eq(uv_loop_close(&loop), 0);
}

static void init(void)
{
	scratch_init();
	open_all();
}

TestSuite(keys, .init = init, .fini = scratch_fini);

static const char *generate(const char *name)
{
	struct key_scope scope = {.permissions = PERMISSION_KV};

	cr_assert_eq(key_scope_add(&scope, "11111111111111111111111111111111"), 0);
	n_done = 0;
	cr_assert_eq(keys_generate(keys, name, &scope, on_made, NULL), 0);
	loop_until(&loop, &n_done, 1);
	cr_assert_eq(last_status, 0);
	return secret;
}

static void put_file(const char *key)
{
	cr_assert_eq(api_key_save(scratch_path("api.key"), key, true, &failure), 0, "%s",
		     failure.text);
}

Test(keys, knows_a_key_that_was_made_and_no_other)
{
	const struct key *key;

	cr_assert_null(keys_present(keys, ""));
	generate("agent");
	key = keys_present(keys, secret);
	cr_assert_not_null(key);
	cr_assert_str_eq(key->row.name, "agent");
	cr_assert_eq(key->row.scope.permissions, PERMISSION_KV);
	cr_assert_eq(keys_find(keys, key->number), key);
	cr_assert_eq(keys_find_name(keys, "agent"), key);
	secret[0] ^= 1;
	cr_assert_null(keys_present(keys, secret));
	secret[0] ^= 1;
	secret[API_KEY_LENGTH - 1] = '\0';
	cr_assert_null(keys_present(keys, secret));
	cr_assert_null(keys_find(keys, 0));
	close_all();
}

Test(keys, knows_it_after_a_start_and_keeps_only_its_hash)
{
	char kept[API_KEY_LENGTH + 1], *file;
	struct stat st;

	strcpy(kept, generate("agent"));
	generate("other");
	cr_assert_not_null(keys_present(keys, kept));
	close_all();
	file = scratch_read(scratch_path("loopsy.db"));
	cr_assert_eq(stat(scratch_path("loopsy.db"), &st), 0);
	cr_assert_null(memmem(file, (size_t)st.st_size, kept, API_KEY_LENGTH));
	free(file);
	open_all();
	cr_assert_not_null(keys_present(keys, kept));
	cr_assert_gt(keys_find_name(keys, "agent")->row.used_ms, 0);
	cr_assert_eq(keys_find_name(keys, "other")->row.used_ms, 0);
	cr_assert_str_eq(keys_next(keys, NULL)->row.name, "agent");
	cr_assert_str_eq(keys_next(keys, keys_next(keys, NULL))->row.name, "other");
	cr_assert(key_scope_has(&keys_find_name(keys, "agent")->row.scope,
				"11111111111111111111111111111111"));
	close_all();
}

Test(keys, ends_a_key_that_is_revoked_at_once_and_for_good)
{
	uint64_t number;
	char kept[API_KEY_LENGTH + 1];

	strcpy(kept, generate("agent"));
	number = keys_find_name(keys, "agent")->number;
	n_done = 0;
	cr_assert_eq(keys_revoke(keys, "agent", on_done, NULL), 0);
	cr_assert_eq(n_ended, 1);
	cr_assert_eq(ended_number, number);
	cr_assert_str_eq(ended_why, "was revoked");
	cr_assert_null(keys_present(keys, kept));
	cr_assert_null(keys_find(keys, number));
	cr_assert_eq(keys_revoke(keys, "agent", on_done, NULL), -ENOENT);
	loop_until(&loop, &n_done, 1);
	cr_assert_eq(last_status, 0);
	close_all();
	open_all();
	cr_assert_null(keys_present(keys, kept));
	close_all();
}

Test(keys, puts_a_new_key_in_the_place_of_one_of_that_name)
{
	char old[API_KEY_LENGTH + 1];
	uint64_t number;

	strcpy(old, generate("agent"));
	number = keys_find_name(keys, "agent")->number;
	generate("agent");
	cr_assert_eq(n_ended, 1);
	cr_assert_eq(ended_number, number);
	cr_assert_str_eq(ended_why, "was replaced by a new one");
	cr_assert_null(keys_present(keys, old));
	cr_assert_not_null(keys_present(keys, secret));
	cr_assert_neq(keys_find_name(keys, "agent")->number, number);
	cr_assert_null(keys_next(keys, keys_next(keys, NULL)));
	close_all();
}

Test(keys, follows_the_file)
{
	char first[API_KEY_LENGTH + 1], second[API_KEY_LENGTH + 1];
	const struct key *key;

	cr_assert_eq(api_key_generate(first), 0);
	cr_assert_eq(api_key_generate(second), 0);
	cr_assert_null(keys_present(keys, first));
	put_file(first);
	key = keys_present(keys, first);
	cr_assert_not_null(key, "also before the loop has heard of it");
	cr_assert_str_empty(key->row.name);
	cr_assert(key->row.scope.is_for_all);
	put_file(second);
	loop_until(&loop, &n_ended, 1);
	cr_assert_str_empty(ended_name);
	cr_assert_str_eq(ended_why, "was replaced by a new one");
	cr_assert_null(keys_present(keys, first));
	cr_assert_not_null(keys_present(keys, second));
	cr_assert_eq(unlink(scratch_path("api.key")), 0);
	loop_until(&loop, &n_ended, 2);
	cr_assert_str_eq(ended_why, "was taken away");
	cr_assert_null(keys_present(keys, second));
	close_all();
}

Test(keys, refuses_names_and_numbers_of_keys_that_cannot_be)
{
	struct key_scope scope = {0};
	char name[32];

	cr_assert_eq(keys_generate(keys, "", &scope, on_made, NULL), -EINVAL);
	cr_assert_eq(keys_generate(keys, "a/b", &scope, on_made, NULL), -EINVAL);
	n_done = 0;
	for (int i = 0; i < OPS_CTL_KEYS_MAX; i++) {
		snprintf(name, sizeof(name), "key-%d", i);
		cr_assert_eq(keys_generate(keys, name, &scope, on_made, NULL), 0);
	}
	loop_until(&loop, &n_done, OPS_CTL_KEYS_MAX);
	cr_assert_eq(keys_generate(keys, "more", &scope, on_made, NULL), -ENOSPC);
	generate("key-7");
	close_all();
}

Test(keys, ends_after_what_was_asked_of_the_store)
{
	struct key_scope scope = {0};

	n_done = 0;
	cr_assert_eq(keys_generate(keys, "agent", &scope, on_made, NULL), 0);
	cr_assert_not_null(keys);
	keys_close(keys, on_keys_closed, NULL);
	loop_until(&loop, &n_closed, 1);
	cr_assert_eq(n_done, 1);
	cr_assert_eq(uv_loop_close(&loop), 0);
	open_all();
	cr_assert_not_null(keys_find_name(keys, "agent"));
	close_all();
}
