/*
 * Locks: taken on the peer, so that its own programs and every client see them.
 */
#ifndef FS_LOCK_H
#define FS_LOCK_H

#include "fs/peer.h"

/* FUSE operations (rows of fuse_ops.c). */
void lock_get(fuse_req_t req, struct fs_node *node, struct fuse_file_info *info,
	      struct flock *lock);
void lock_set(fuse_req_t req, struct fs_node *node, struct fuse_file_info *info, struct flock *lock,
	      bool wait);
void lock_flock(fuse_req_t req, struct fs_node *node, struct fuse_file_info *info, int op);

#endif
