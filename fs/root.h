/*
 * Root: what is answered from local state, always at once: the mount point itself and the peers'
 * directories in it; and the attributes of control files.
 */
#ifndef FS_ROOT_H
#define FS_ROOT_H

#include "fs/peer.h"

/* FUSE operations on the root, on peers' directories (attributes only) and on control nodes. */
void root_lookup(fuse_req_t req, struct bytes name);
void root_getattr(fuse_req_t req, struct fs_node *node);
/* READDIR of the root or a control directory. */
void root_read(fuse_req_t req, struct fs_node *node, size_t size, off_t offset, bool plus);

/* Answers with the entry of a local node (see node_new_local); NULL: ENOMEM. */
void root_reply_entry(fuse_req_t req, struct fs_node *node);

#endif
