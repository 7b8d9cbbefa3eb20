#include "daemon/keys/key_scope.h"

#include <errno.h>
#include <string.h>

bool key_scope_has(const struct key_scope *scope, const char *id)
{
	if (scope->is_for_all)
		return true;
	if (id[0] == '\0')
		return scope->is_for_self;
	for (size_t i = 0; i < scope->n_peers; i++)
		if (strcmp(scope->peers[i], id) == 0)
			return true;
	return false;
}

int key_scope_add(struct key_scope *scope, const char *id)
{
	if (id[0] == '\0')
		scope->is_for_self = true;
	if (key_scope_has(scope, id))
		return 0;
	if (scope->n_peers == KEY_SCOPE_PEERS_MAX || strlen(id) >= IDENTITY_ID_SIZE)
		return -E2BIG;
	strcpy(scope->peers[scope->n_peers++], id);
	return 0;
}

char *key_scope_print_peers(const struct key_scope *scope, char *text)
{
	strcpy(text, scope->is_for_all ? "*" : scope->is_for_self ? "." : "");
	for (size_t i = 0; i < scope->n_peers && !scope->is_for_all; i++) {
		if (text[0])
			strcat(text, ",");
		strcat(text, scope->peers[i]);
	}
	return text;
}

int key_scope_parse_peers(struct key_scope *scope, const char *text)
{
	int r = 0;

	scope->is_for_all = strcmp(text, "*") == 0;
	scope->is_for_self = false;
	scope->n_peers = 0;
	while (*text && r == 0 && !scope->is_for_all) {
		size_t n = strcspn(text, ",");
		char id[IDENTITY_ID_SIZE];

		if (n == 0 || n >= sizeof(id))
			return -EINVAL;
		memcpy(id, text, n);
		id[n] = '\0';
		r = key_scope_add(scope, strcmp(id, ".") == 0 ? "" : id);
		text += n + (text[n] == ',');
	}
	return r;
}
