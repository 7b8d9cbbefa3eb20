/*
 * `messages/inbox` and `messages/outbox`: a file for each message, which reads as its envelope.
 *
 * They are this machine's own boxes, which fs->self is asked for; in a peer's .loopsy, what came
 * from it or goes to it. rm in the inbox acknowledges.
 */
#ifndef FS_CONTROL_MESSAGES_H
#define FS_CONTROL_MESSAGES_H

#include "fs/control_private.h"

/* What was last heard of a message: control_node's. */
struct control_message {
	uint64_t size;           /* of its text */
	struct timespec changed; /* when it came; of one that was sent, its state */
	size_t body_text;        /* bytes of the text that the body takes; it never changes */
	bool has_body_text;
};

/* Operations on a message. */
void control_message_getattr(fuse_req_t req, struct fs_node *node);
void control_message_open(fuse_req_t req, struct control_handle *handle);

/* Whether this machine's messages may be asked for, there; if not, ESTALE was answered. */
bool control_messages_can_ask(fuse_req_t req, const struct fs_node *node);
/* The machine whose messages are shown there; empty: all. */
struct bytes control_messages_peer(const struct fs *fs, const struct fs_node *node);

static inline bool control_is_message(const struct fs_node *node)
{
	return node->kind == NODE_IS_CONTROL && node->control->row->box && !node->control->row->dir;
}

#endif
