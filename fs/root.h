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
/* Answers GETATTR for a control node whose size is known elsewhere. */
void root_reply_attr(fuse_req_t req, struct fs_node *node, uint64_t size);
/* READDIR of the root or a control directory. */
void root_read(fuse_req_t req, struct fs_node *node, size_t size, off_t offset, bool plus);

/* An extended attribute of a local node. */
void root_getxattr(fuse_req_t req, struct fs_node *node, struct bytes name, size_t size);

/*
 * With allow_other the kernel decides by mode, owner and ACL who may enter a peer's directory, so
 * these are what the peer says of its own; what has become of it is asked now and then, and nobody
 * waits for the answer. Until the first one it is the mounting user's alone.
 */
void root_top_ask(struct fs_peer *peer);

/* Answers with the entry of a local node (see node_new_local); NULL: ENOMEM. */
void root_reply_entry(fuse_req_t req, struct fs_node *node);
/* The same with a size that is known elsewhere. */
void root_reply_entry_of(fuse_req_t req, struct fs_node *node, uint64_t size);

/* Answers CREATE with an open file; -errno: nobody waits for it, the file is not open. */
int root_reply_create(fuse_req_t req, struct fs_node *node, const struct fuse_file_info *info);

#endif
