#include "daemon/keys/key_names.h"

#include <errno.h>
#include <string.h>

#include "daemon/permissions.h"

#define SELF "."

char *key_names_print(const struct key_names *names, const struct key_scope *scope, char *text)
{
	text[0] = '\0';
	if (scope->is_for_all)
		return text;
	if (scope->is_for_self)
		strcpy(text, SELF);
	for (size_t i = 0; i < scope->n_peers; i++) {
		const char *name = names->peer_name(names->arg, scope->peers[i]);

		if (!name)
			continue;
		if (text[0])
			strcat(text, ",");
		strcat(text, name);
	}
	return text;
}

static int parse_peers(const struct key_names *names, const char *text, struct key_scope *scope,
		       struct failure *failure)
{
	while (*text) {
		size_t n = strcspn(text, ",");
		char name[PEER_NAME_MAX + 1];
		const char *id = NULL;

		if (n < sizeof(name)) {
			memcpy(name, text, n);
			name[n] = '\0';
			id = strcmp(name, SELF) == 0 ? "" : names->find_peer(names->arg, name);
		}
		if (!id)
			return failure_set(failure, -ENOENT,
					   "no peer is called '%.*s': 'loopsyctl peers' lists them",
					   n > 200 ? 200 : (int)n, text);
		if (key_scope_add(scope, id) < 0)
			return failure_set(failure, -E2BIG, "a key may be for %d peers at most",
					   KEY_SCOPE_PEERS_MAX);
		text += n + (text[n] == ',');
	}
	return 0;
}

int key_names_parse(const struct key_names *names, const struct key_scope *old,
		    const char *permissions, const char *peers, struct key_scope *ret_scope,
		    struct failure *failure)
{
	struct key_scope scope = {.permissions = PERMISSIONS_DEFAULT, .is_for_all = true};
	int r = 0;

	if (old)
		scope = *old;
	if (peers[0]) {
		scope = (struct key_scope){.permissions = scope.permissions};
		r = parse_peers(names, peers, &scope, failure);
	}
	if (r == 0 && permissions[0])
		r = permissions_parse(permissions, &scope.permissions, failure);
	if (r == 0)
		*ret_scope = scope;
	return r;
}
