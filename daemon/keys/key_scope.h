/*
 * What a named key lets its holder do: which permissions, at which peers. As text: the ids of the
 * peers with commas between, "." for this machine itself, "*" for all of them.
 */
#ifndef DAEMON_KEYS_KEY_SCOPE_H
#define DAEMON_KEYS_KEY_SCOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/identity.h"

#define KEY_SCOPE_PEERS_MAX 60
#define KEY_SCOPE_TEXT_MAX  (KEY_SCOPE_PEERS_MAX * IDENTITY_ID_SIZE + 4)

struct key_scope {
	uint16_t permissions; /* enum permission */
	bool is_for_all;      /* peers, and this machine; else: */
	bool is_for_self;
	char peers[KEY_SCOPE_PEERS_MAX][IDENTITY_ID_SIZE];
	size_t n_peers;
};

/* That of the peer of that id; "": this machine. */
bool key_scope_has(const struct key_scope *scope, const char *id);

/* Adds a peer ("" as above), once. 0 or -E2BIG. */
int key_scope_add(struct key_scope *scope, const char *id);

/* The peers, as text; returns `text` (KEY_SCOPE_TEXT_MAX bytes). And back: 0, -EINVAL, -E2BIG. */
char *key_scope_print_peers(const struct key_scope *scope, char *text);
int key_scope_parse_peers(struct key_scope *scope, const char *text);

#endif
