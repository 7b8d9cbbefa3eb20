#include "proto/ops_msg.h"

#include <errno.h>
#include <string.h>

#include "proto/ops_peer.h"

static const char *const type_names[] = {
    [MSG_CHAT] = "chat",
    [MSG_REQUEST] = "request",
    [MSG_RESPONSE] = "response",
    [MSG_BROADCAST] = "broadcast",
};

static const char *const state_names[] = {
    [MSG_QUEUED] = "queued",
    [MSG_DELIVERED] = "delivered",
    [MSG_READ_THERE] = "read",
    [MSG_EXPIRED] = "expired",
};

static const char *const event_names[] = {
    [MSG_EVENT_RECEIVED] = "received",   [MSG_EVENT_QUEUED] = "queued",
    [MSG_EVENT_DELIVERED] = "delivered", [MSG_EVENT_READ] = "read",
    [MSG_EVENT_EXPIRED] = "expired",     [MSG_EVENT_ACKNOWLEDGED] = "acknowledged",
};

const char *ops_msg_type_name(uint64_t type)
{
	return type <= MSG_TYPE_MAX ? type_names[type] : "?";
}

const char *ops_msg_state_name(uint64_t state)
{
	return state <= MSG_STATE_MAX ? state_names[state] : "?";
}

const char *ops_msg_event_name(uint64_t kind)
{
	return kind <= MSG_EVENT_MAX ? event_names[kind] : "?";
}

uint64_t ops_msg_type_find(const char *name)
{
	uint64_t type = 0;

	while (type <= MSG_TYPE_MAX && strcmp(type_names[type], name) != 0)
		type++;
	return type;
}

const char *ops_msg_error(uint16_t op, int error)
{
	switch (error) {
	case -EACCES:
		return "the peer does not take messages of this machine ('msg' of loopsyctl peers "
		       "allow, there)";
	case -ENOENT:
		return op == OP_MSG_SEND || op == OP_MSG_DRAFT || op == OP_MSG_LIST ||
			       op == OP_MSG_EVENTS
			   ? "no such peer of %s"
			   : "no such message on %s";
	case -ENOSPC:
		return "the outbox is full, or the disk of %s (msg_max and msg_max_bytes in its "
		       "loopsy.conf)";
	case -EFBIG:
		return "a message is not larger than 1 MiB";
	case -EILSEQ:
		return "a message is UTF-8 text, without NUL";
	case -EINVAL:
		return "a message is not empty";
	case -EMSGSIZE:
		return "too much happened on %s at once: look at everything again";
	default:
		return NULL;
	}
}
