/*
 * A path on a peer, as a tool's arguments and the addresses of resources have it, and whether it
 * may be touched now.
 */
#ifndef CTL_MCP_PEER_PATH_H
#define CTL_MCP_PEER_PATH_H

#include "ctl/mcp/mcp_call.h"

struct peer_path {
	char *there; /* below what the peer shows at its top; "" is that itself */
	char *here;  /* in the mount */
};
void peer_path_deinit(struct peer_path *path);

#define PEER_PATH_REASON_MAX 600

/* `given` is relative to the peer's top, or a path in the mount; ".." and .loopsy are refused.
 * Returns 0, or -errno and why in `reason`. Touches nothing. */
int peer_path_find(const char *mount, const char *peer, const char *given,
		   struct peer_path *ret_path, char reason[PEER_PATH_REASON_MAX]);

/* Whether the peer is there, and lets us, as the key does, do that ("fs:ro"): returns 0 or -errno;
 * *ret_reason (valid until the next question) may be empty. A peer that is not there is not to be
 * touched in the mount: that would wait. */
int peer_path_may(struct remote *remote, const char *peer, const char *permission,
		  const char **ret_reason);

/* Both, for tools: returns 0, or -errno having failed the call. */
int peer_path_take(struct mcp_call *call, const char *peer, const char *given,
		   const char *permission, struct peer_path *ret_path);

#endif
