/*
 * Where in the mount the whole of a thing is: the paths of control files (loopsy-control(7)). All
 * are malloc'ed; NULL: there is no mount, or the name is too long for a file.
 */
#ifndef CTL_MCP_CONTROL_PATH_H
#define CTL_MCP_CONTROL_PATH_H

#include "ctl/mcp/mcp_call.h"
#include "proto/codec.h"

/* Of a value of that machine ("": this one). */
char *control_path_kv(struct mcp_call *call, const char *peer, struct bytes key);
/* Of a message in the inbox, from that peer. */
char *control_path_inbox(struct mcp_call *call, const char *peer, const char *id);

/* Adds it to the object as "path", and frees it. */
void control_path_add(json_t *object, char *path);

#endif
