#include "daemon/keys/key_names.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "proto/ops.h"

/* desk is 1…, nas 2…; nobody is called otherwise. */
static const char *const ids[][2] = {{"desk", "11111111111111111111111111111111"},
				     {"nas", "22222222222222222222222222222222"}};

static const char *find_peer(void *arg, const char *name)
{
	for (size_t i = 0; i < 2; i++)
		if (strcmp(ids[i][0], name) == 0)
			return ids[i][1];
	return NULL;
}

static const char *peer_name(void *arg, const char *id)
{
	for (size_t i = 0; i < 2; i++)
		if (strcmp(ids[i][1], id) == 0)
			return ids[i][0];
	return NULL;
}

static const struct key_names names = {find_peer, peer_name, NULL};

static int parse(const struct key_scope *old, const char *permissions, const char *peers,
		 struct key_scope *ret_scope)
{
	struct failure failure = {""};
	int r = key_names_parse(&names, old, permissions, peers, ret_scope, &failure);

	cr_assert((r < 0) == (failure.text[0] != '\0'));
	return r;
}

Test(key_names, is_everything_unless_something_is_said)
{
	struct key_scope scope;
	char text[KEY_NAMES_TEXT_MAX];

	cr_assert_eq(parse(NULL, "", "", &scope), 0);
	cr_assert(scope.is_for_all);
	cr_assert(scope.permissions & PERMISSION_EXEC);
	cr_assert_not(scope.permissions & PERMISSION_FS_IDS);
	cr_assert_str_eq(key_names_print(&names, &scope, text), "");
	cr_assert(key_scope_has(&scope, "") && key_scope_has(&scope, ids[0][1]));
}

Test(key_names, reads_peers_and_this_machine)
{
	struct key_scope scope;
	char text[KEY_NAMES_TEXT_MAX];

	cr_assert_eq(parse(NULL, "fs:ro,kv", "nas,.,nas", &scope), 0);
	cr_assert_eq(scope.permissions, PERMISSION_FS_RO | PERMISSION_KV);
	cr_assert_eq(scope.n_peers, 1);
	cr_assert(key_scope_has(&scope, "") && key_scope_has(&scope, ids[1][1]));
	cr_assert_not(key_scope_has(&scope, ids[0][1]));
	cr_assert_str_eq(key_names_print(&names, &scope, text), ".,nas");
}

Test(key_names, keeps_of_an_older_key_what_is_not_said)
{
	struct key_scope old, scope;

	cr_assert_eq(parse(NULL, "kv", "desk", &old), 0);
	cr_assert_eq(parse(&old, "msg", "", &scope), 0);
	cr_assert_eq(scope.permissions, PERMISSION_MSG);
	cr_assert(key_scope_has(&scope, ids[0][1]) && !scope.is_for_all);
	cr_assert_eq(parse(&old, "", "nas", &scope), 0);
	cr_assert_eq(scope.permissions, PERMISSION_KV);
	cr_assert_not(key_scope_has(&scope, ids[0][1]));
}

Test(key_names, refuses_what_it_does_not_know)
{
	static const char *const bad[] = {"nobody", "desk,", "desk,,nas", ",", " desk", "..", "*"};
	char many[8192] = "desk";
	struct key_scope scope = {.permissions = 4711};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert(parse(NULL, "", bad[i], &scope) ==
			      (strcmp(bad[i], "desk,") ? -ENOENT : 0),
			  "%s", bad[i]);
	cr_assert_eq(parse(NULL, "all", "", &scope), -EINVAL);
	memset(many + 4, 'x', sizeof(many) - 5);
	cr_assert_eq(parse(NULL, "", many, &scope), -ENOENT);
}

Test(key_names, prints_no_peer_that_is_gone)
{
	struct key_scope scope = {.permissions = PERMISSION_KV};
	char text[KEY_NAMES_TEXT_MAX];

	cr_assert_eq(key_scope_add(&scope, "33333333333333333333333333333333"), 0);
	cr_assert_str_eq(key_names_print(&names, &scope, text), "");
	cr_assert_not(key_scope_has(&scope, ids[0][1]), "it is for nobody, not for all");
}

Test(key_names, is_stored_as_ids_and_comes_back)
{
	struct key_scope scope = {0}, again = {0};
	char text[KEY_SCOPE_TEXT_MAX], id[IDENTITY_ID_SIZE];

	cr_assert_eq(key_scope_add(&scope, ""), 0);
	for (unsigned i = 0; i < KEY_SCOPE_PEERS_MAX; i++) {
		snprintf(id, sizeof(id), "%032u", i);
		cr_assert_eq(key_scope_add(&scope, id), 0);
	}
	cr_assert_eq(key_scope_add(&scope, ids[0][1]), -E2BIG);
	cr_assert_eq(key_scope_parse_peers(&again, key_scope_print_peers(&scope, text)), 0);
	cr_assert(again.is_for_self && !again.is_for_all);
	cr_assert_eq(again.n_peers, KEY_SCOPE_PEERS_MAX);
	cr_assert_eq(memcmp(again.peers, scope.peers, sizeof(again.peers)), 0);
	cr_assert_eq(key_scope_parse_peers(&again, ""), 0);
	cr_assert(!again.is_for_self && !again.is_for_all && again.n_peers == 0);
	cr_assert_eq(key_scope_parse_peers(&again, "*"), 0);
	cr_assert(again.is_for_all);
	cr_assert_eq(key_scope_parse_peers(&again, "a,,b"), -EINVAL);
	memset(text, 'x', IDENTITY_ID_SIZE);
	text[IDENTITY_ID_SIZE] = '\0';
	cr_assert_eq(key_scope_parse_peers(&again, text), -EINVAL);
}
