/*
 * Control jobs: the directory `jobs`: its names are those of the peer's jobs, and of those that are
 * yet to be started.
 */
#ifndef FS_CONTROL_JOBS_H
#define FS_CONTROL_JOBS_H

#include "fs/control_private.h"

/* FUSE operations; `node` is the directory. */
void control_jobs_lookup(fuse_req_t req, struct fs_node *node, struct bytes name);
void control_jobs_mkdir(fuse_req_t req, struct fs_node *node, struct bytes name);
void control_jobs_rmdir(fuse_req_t req, struct fs_node *node, struct bytes name);
/* Lists them; READDIR shows what was there then. */
void control_jobs_open(fuse_req_t req, struct fs_node *node, struct fuse_file_info *info);
void control_jobs_read(fuse_req_t req, struct fs_node *node, size_t size, off_t offset,
		       struct fuse_file_info *info, bool plus);
void control_jobs_release(fuse_req_t req, struct fuse_file_info *info);
/* The mount ends: those still open are closed. */
void control_jobs_free_handles(struct fs *fs);

#endif
