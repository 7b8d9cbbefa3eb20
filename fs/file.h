/*
 * Files: open files and their contents; and what the rest of the mount asks of them.
 */
#ifndef FS_FILE_H
#define FS_FILE_H

#include "fs/peer.h"

/* --- FUSE operations (rows of fuse_ops.c); nodes are remote ones ---------------------------- */
void file_open(fuse_req_t req, struct fs_node *node, struct fuse_file_info *info);
void file_create(fuse_req_t req, struct fs_node *parent, struct bytes name, mode_t mode,
		 struct fuse_file_info *info);
void file_read(fuse_req_t req, struct fs_node *node, size_t size, off_t offset,
	       struct fuse_file_info *info);
void file_write(fuse_req_t req, struct fs_node *node, const char *data, size_t size, off_t offset,
		struct fuse_file_info *info);
void file_flush(fuse_req_t req, struct fs_node *node, struct fuse_file_info *info);
void file_release(fuse_req_t req, struct fs_node *node, struct fuse_file_info *info);
void file_fsync(fuse_req_t req, struct fs_node *node, bool data_only, struct fuse_file_info *info);
void file_fallocate(fuse_req_t req, struct fs_node *node, int mode, off_t offset, off_t size,
		    struct fuse_file_info *info);
void file_lseek(fuse_req_t req, struct fs_node *node, off_t offset, int whence,
		struct fuse_file_info *info);
void file_copy_range(fuse_req_t req, struct fs_node *node, off_t offset,
		     struct fuse_file_info *info, struct fs_node *to_node, off_t to_offset,
		     struct fuse_file_info *to_info, size_t size, int flags);

/* --- for the rest of the mount ---------------------------------------------------------------- */

/* While the node has writes that the peer has not acknowledged, its size and times are ours:
 * changes them in `stat` and returns true (nothing is to be cached then). */
bool file_overlay(const struct fs_node *node, struct stat *stat);

/* It has such writes. */
bool file_is_being_written(const struct fs_node *node);

/* The server's handle behind an open file, or 0 if there is none in this session. */
uint64_t file_handle(const struct fs_peer *peer, const struct fuse_file_info *info);

/* SETATTR was answered: `attr` is what the server has now, `valid` what was set. */
void file_attr_was_set(struct fs_node *node, const struct attr *attr, unsigned valid);

/* Whether the peer has read it since this was last asked, so that what is known of its attributes
 * may have an old atime. */
bool file_was_read(struct fs_node *node);

/* Whether an open file surely has no extended attributes: a write(2) asks for one each time, also
 * while the attributes are not to be believed. */
bool file_is_plain(const struct fs *fs, const struct fs_node *node);
/* They were changed from here. */
void file_xattrs_changed(struct fs *fs, struct fs_node *node);

/* The mount ends with files open: releases them all. The caller holds the node. */
void file_node_close(struct fs_node *node);

/* The node is freed: so is node->file. Nothing is open then. */
void file_node_free(struct fs *fs, struct fs_node *node);

#endif
