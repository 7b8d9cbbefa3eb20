/* The directory kv/, listed: OPENDIR, READDIR and RELEASEDIR. */
#ifndef FS_CONTROL_KV_LIST_H
#define FS_CONTROL_KV_LIST_H

#include "fs/fs_private.h"

void control_kv_list_open(fuse_req_t req, struct fs_node *node);
void control_kv_list_read(fuse_req_t req, struct fs_node *node, size_t size, off_t offset,
			  struct fuse_file_info *info, bool plus);
void control_kv_list_release(fuse_req_t req, struct fuse_file_info *info);
/* The mount ends. */
void control_kv_list_free_handles(struct fs *fs);

#endif
