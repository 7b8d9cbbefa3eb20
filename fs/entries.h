/*
 * Entries: what is asked about names and nodes of a peer, without changing anything.
 */
#ifndef FS_ENTRIES_H
#define FS_ENTRIES_H

#include "fs/peer.h"

/* FUSE operations; nodes are a peer's (its top or remote ones). */
void entries_lookup(fuse_req_t req, struct fs_node *parent, struct bytes name);
void entries_getattr(fuse_req_t req, struct fs_node *node);
void entries_readlink(fuse_req_t req, struct fs_node *node);
void entries_access(fuse_req_t req, struct fs_node *node, int mask);
void entries_statfs(fuse_req_t req, struct fs_node *node);

#endif
