/*
 * Which operations of peers (ops_peer.h) a key's scope lets through. One on messages, which this
 * machine keeps for all its peers, is asked at the peer that it is about.
 */
#ifndef DAEMON_KEYS_KEY_GUARD_H
#define DAEMON_KEYS_KEY_GUARD_H

#include "daemon/keys/key_names.h"
#include "proto/ops_peer.h"

enum key_guard_answer {
	KEY_GUARD_YES,
	KEY_GUARD_PERMISSION, /* it lacks the permission */
	KEY_GUARD_PEER,       /* it is not for that peer */
	KEY_GUARD_UNNAMED,    /* it is not for all, and no peer was named */
};

/* What was asked for. */
struct key_guard_request {
	uint16_t permission;
	struct bytes about; /* the peer that it names, of an operation on messages; else empty */
};

/* Before it is asked of the peer of that id ("": this machine). `args` are the operation's. */
enum key_guard_answer key_guard_ask(const struct key_scope *scope, const struct key_names *names,
				    const char *peer, const struct op *op, const void *args,
				    struct key_guard_request *ret_request);

/* Whether the answer may be told: what was asked by an id may be about another peer. */
bool key_guard_reply(const struct key_scope *scope, const struct key_names *names,
		     const struct op *op, const void *result);

#endif
