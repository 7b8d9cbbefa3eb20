/*
 * Arguments of calls: where their node numbers are, and how to keep them.
 */
#ifndef FS_PEER_CALL_ARGS_H
#define FS_PEER_CALL_ARGS_H

#include "fs/peer.h"

/* Room for the args of any operation on nodes. */
struct peer_call_args {
	union {
		struct args_setattr setattr;
		struct args_write write;
		struct args_copy_range copy_range;
		struct args_rename rename;
		struct args_lock lock;
		uint64_t node;
		uint8_t bytes[256];
	};
};

/* `args` with the numbers of call->node and call->node2 filled in. */
void peer_call_args_fill(struct peer_call_args *ret_args, const struct peer_call *call,
			 const void *args);

/* A deep copy in one allocation, to be freed; a payload that stays the caller's is not copied. */
void *peer_call_args_copy(uint16_t op, const void *args, bool has_own_payload);

/* Whether the call may be sent again in another session. */
bool peer_call_args_are_kept(uint16_t op);
bool peer_call_args_have_handle(uint16_t op);

#endif
