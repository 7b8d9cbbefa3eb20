/* Until open files are there: weak functions in their places. */
#include <errno.h>

#include "fs/file.h"

#define STUB __attribute__((weak))

STUB void file_open(fuse_req_t req, struct fs_node *node, struct fuse_file_info *info)
{
	fuse_reply_err(req, ENOTSUP);
}
STUB void file_create(fuse_req_t req, struct fs_node *parent, struct bytes name, mode_t mode,
		      struct fuse_file_info *info)
{
	fuse_reply_err(req, ENOTSUP);
}
STUB void file_read(fuse_req_t req, struct fs_node *node, size_t size, off_t offset,
		    struct fuse_file_info *info)
{
	fuse_reply_err(req, ENOTSUP);
}
STUB void file_write(fuse_req_t req, struct fs_node *node, const char *data, size_t size,
		     off_t offset, struct fuse_file_info *info)
{
	fuse_reply_err(req, ENOTSUP);
}
STUB void file_flush(fuse_req_t req, struct fs_node *node, struct fuse_file_info *info)
{
	fuse_reply_err(req, ENOTSUP);
}
STUB void file_release(fuse_req_t req, struct fs_node *node, struct fuse_file_info *info)
{
	fuse_reply_err(req, ENOTSUP);
}
STUB void file_fsync(fuse_req_t req, struct fs_node *node, bool data_only,
		     struct fuse_file_info *info)
{
	fuse_reply_err(req, ENOTSUP);
}
STUB void file_fallocate(fuse_req_t req, struct fs_node *node, int mode, off_t offset, off_t size,
			 struct fuse_file_info *info)
{
	fuse_reply_err(req, ENOTSUP);
}
STUB void file_lseek(fuse_req_t req, struct fs_node *node, off_t offset, int whence,
		     struct fuse_file_info *info)
{
	fuse_reply_err(req, ENOTSUP);
}
STUB void file_copy_range(fuse_req_t req, struct fs_node *node, off_t offset,
			  struct fuse_file_info *info, struct fs_node *to_node, off_t to_offset,
			  struct fuse_file_info *to_info, size_t size, int flags)
{
	fuse_reply_err(req, ENOTSUP);
}
STUB bool file_overlay(const struct fs_node *node, struct stat *stat)
{
	return false;
}
STUB uint64_t file_handle(const struct fs_peer *peer, const struct fuse_file_info *info)
{
	return 0;
}
STUB void file_when_sent(struct fs_node *node, struct file_waiter *waiter)
{
	waiter->fn(waiter);
}
STUB void file_attr_was_set(struct fs_node *node, const struct attr *attr, unsigned valid)
{
}
STUB void file_node_free(struct fs *fs, struct fs_node *node)
{
}
STUB void file_session_new(struct fs_peer *peer)
{
}
