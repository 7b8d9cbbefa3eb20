/*
 * Extended attributes, of the peer's objects.
 */
#ifndef FS_XATTR_H
#define FS_XATTR_H

#include "fs/peer.h"

/* FUSE operations (rows of fuse_ops.c). */
void xattr_get(fuse_req_t req, struct fs_node *node, struct bytes name, size_t size);
void xattr_set(fuse_req_t req, struct fs_node *node, struct bytes name, struct bytes value,
	       int flags);
void xattr_list(fuse_req_t req, struct fs_node *node, size_t size);
void xattr_remove(fuse_req_t req, struct fs_node *node, struct bytes name);

#endif
