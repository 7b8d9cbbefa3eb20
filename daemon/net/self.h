/*
 * Self: this machine as a peer of its own. What loopsyctl and the mount ask of our own rooms (kv,
 * messages) goes the way of calls to peers: a transport, the codec, a session, the rooms; only the
 * link is one within the process. The session holds all permissions, and PERMISSION_LOCAL, by which
 * a room knows the machine's own user (session_is_local).
 */
#ifndef DAEMON_NET_SELF_H
#define DAEMON_NET_SELF_H

#include "daemon/net/client.h"
#include "daemon/net/session.h"

struct self;

struct self_options {
	struct conn_room *room;
	const struct op_table *ops;
	const struct service *services; /* borrowed until closed */
	size_t n_services;
	uint64_t io_timeout_ms;
};

/* Opens the rooms to it. Returns 0, -ENOMEM or what a room said. */
int self_new(struct self **ret_self, const struct self_options *options);
/* Ends all calls with -ECONNABORTED, within this call; requests that are with a room are orphans
 * then. Freed later. */
void self_close(struct self *self);

/* Always up; valid until self_close. */
struct transport *self_transport(struct self *self);

#endif
