/*
 * Control files: the hidden `.loopsy` of the root and of each peer's directory.
 *
 * One table of rows; a control file is a row with its functions (control_private.h). A node of kind
 * NODE_IS_CONTROL knows its row, and the job whose directory it is in; its peer is that of the
 * directory, or none for the local machine.
 */
#ifndef FS_CONTROL_FILES_H
#define FS_CONTROL_FILES_H

#include "fs/peer.h"

/* Whether that name is the hidden directory's. */
bool control_is_hidden(struct bytes name);

/* FUSE operations on control nodes. `parent` is the root, a peer's top, or a control directory. */
void control_lookup(fuse_req_t req, struct fs_node *parent, struct bytes name);
void control_getattr(fuse_req_t req, struct fs_node *node);
void control_setattr(fuse_req_t req, struct fs_node *node, const struct stat *attr, int valid,
		     struct fuse_file_info *info);
void control_access(fuse_req_t req, struct fs_node *node, int mask);
void control_mkdir(fuse_req_t req, struct fs_node *parent, struct bytes name);
void control_rmdir(fuse_req_t req, struct fs_node *parent, struct bytes name);
void control_create(fuse_req_t req, struct fs_node *parent, struct bytes name,
		    struct fuse_file_info *info);
void control_unlink(fuse_req_t req, struct fs_node *parent, struct bytes name);
void control_rename(fuse_req_t req, struct fs_node *parent, struct bytes name,
		    struct fs_node *new_parent, struct bytes new_name, unsigned flags);
void control_getxattr(fuse_req_t req, struct fs_node *node, struct bytes name, size_t size);
void control_setxattr(fuse_req_t req, struct fs_node *node, struct bytes name, struct bytes value,
		      int flags);
void control_listxattr(fuse_req_t req, struct fs_node *node, size_t size);
void control_removexattr(fuse_req_t req, struct fs_node *node, struct bytes name);
void control_opendir(fuse_req_t req, struct fs_node *node, struct fuse_file_info *info);
void control_readdir(fuse_req_t req, struct fs_node *node, size_t size, off_t offset,
		     struct fuse_file_info *info, bool plus);
void control_releasedir(fuse_req_t req, struct fs_node *node, struct fuse_file_info *info);
void control_open(fuse_req_t req, struct fs_node *node, struct fuse_file_info *info);
void control_read(fuse_req_t req, size_t size, off_t offset, struct fuse_file_info *info);
void control_write(fuse_req_t req, struct bytes data, off_t offset, struct fuse_file_info *info);
void control_flush(fuse_req_t req, struct fuse_file_info *info);
void control_fsync(fuse_req_t req, struct fuse_file_info *info);
void control_release(fuse_req_t req, struct fuse_file_info *info);
void control_poll(fuse_req_t req, struct fuse_file_info *info, struct fuse_pollhandle *poll);

/* Mode and link count of a control node, and the size that is known here. */
void control_stat(fuse_req_t req, struct fs *fs, const struct fs_node *node, struct stat *stat);
/* Whether its name is to be looked up each time. */
bool control_is_fleeting(const struct fs_node *node);
/* An element of a control directory: as root.c's child_at. */
int control_child(struct fs *fs, const struct fs_node *node, uint64_t index, const char **ret_name,
		  struct stat *ret_stat);

/* The node is freed. */
void control_node_free(struct fs_node *node);
/* The mount ends: what is still open is closed. */
void control_free_handles(struct fs *fs);

#endif
