/*
 * Msg: messages between machines. The room for operations 100 to 109: an outbox from which peers
 * are told what is for them, an inbox that keeps until its messages are acknowledged.
 */
#ifndef DAEMON_MSG_MSG_H
#define DAEMON_MSG_MSG_H

#include <sqlite3.h>

#include "daemon/net/request.h"
#include "fs/transport.h"
#include "proto/identity.h"

struct msg;
struct store_thread;

/* Something that a machine did; for the audit log. */
struct msg_told {
	const char *peer; /* who did it: its name here; NULL: this machine's own user */
	const char *what; /* "send", "receive", "acknowledge" */
	const char *with; /* name of the other machine, where peer is NULL */
	const char *id;
	uint64_t type;
	size_t size;
};

struct msg_options {
	uv_loop_t *loop;
	struct store_thread *thread, *reader; /* borrowed until msg_close's closed */
	uint64_t max_messages, max_bytes;     /* of one peer, in each of the two boxes */
	uint64_t ttl_ms;                      /* of messages that do not say */
	uint64_t keep_ms;     /* how long read and expired ones stay in the outbox */
	const char *own_name; /* borrowed */
	/* The id of a paired peer of that name, or NULL. */
	const char *(*find_peer)(void *arg, const char *name);
	/* What it is called now, or NULL: there is none of that id. */
	const char *(*peer_name)(void *arg, const char *id);
	/* Is it sure that it takes no messages of ours now? */
	bool (*is_refused)(void *arg, const char *id);
	/* The id of whose session that is; not called for our own. */
	void (*identify)(void *arg, const struct session *session, char ret_id[IDENTITY_ID_SIZE]);
	void (*told)(void *arg, const struct msg_told *told); /* may be NULL */
	void *arg;
};

/* Returns 0 or -ENOMEM. What was left of drafts is sent. */
int msg_new(const struct msg_options *options, struct msg **ret_msg);
/* The room, for daemon/net; valid until msg_close. */
const struct service *msg_service(const struct msg *msg);

/* A paired peer, and how it is asked: the transport is borrowed until msg_peer_remove. What waits
 * for it is delivered from now on. Returns 0 or -ENOMEM. */
int msg_peer_add(struct msg *msg, const char *id, struct transport *transport);
/* Nothing more is sent to it. What is stored goes with its row in the table of peers. */
void msg_peer_remove(struct msg *msg, const char *id);
/* Its link came or went, or what it grants us has changed. */
void msg_peer_changed(struct msg *msg, const char *id);

/* With all sessions closed and all peers removed: what is under way is finished, then `closed` is
 * called and all is freed. */
void msg_close(struct msg *msg, void (*closed)(void *arg), void *arg);

#endif
