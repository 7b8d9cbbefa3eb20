/*
 * What a user writes of a key's scope, and reads of it: peers by their names, "." for this machine.
 */
#ifndef DAEMON_KEYS_KEY_NAMES_H
#define DAEMON_KEYS_KEY_NAMES_H

#include "daemon/failure.h"
#include "daemon/keys/key_scope.h"
#include "daemon/peer_name.h"

struct key_names {
	/* The id of the paired peer that is called so, by name or id; NULL: nobody. */
	const char *(*find_peer)(void *arg, const char *name);
	/* What the paired peer of that id is called; NULL: there is none (any more). */
	const char *(*peer_name)(void *arg, const char *id);
	void *arg;
};

#define KEY_NAMES_TEXT_MAX (KEY_SCOPE_PEERS_MAX * (PEER_NAME_MAX + 1) + 4)

/* Names of the peers in the scope that there are, with commas between; "" if it is for all. Returns
 * `text` (KEY_NAMES_TEXT_MAX bytes). */
char *key_names_print(const struct key_names *names, const struct key_scope *scope, char *text);

/*
 * The scope of a key: what is given in place of what was (`old`, or NULL: everything). An empty
 * text is not given. Returns 0, or -EINVAL, -ENOENT, -E2BIG with a line in failure.
 */
int key_names_parse(const struct key_names *names, const struct key_scope *old,
		    const char *permissions, const char *peers, struct key_scope *ret_scope,
		    struct failure *failure);

#endif
