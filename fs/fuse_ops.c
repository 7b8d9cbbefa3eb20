/*
 * A request goes to the room of its node's kind: the root and control nodes are local (root.c,
 * control_files.c), a peer's top has local attributes and remote contents, the rest is remote.
 * libfuse's table has one signature per operation; beyond sorting, nothing happens here.
 */
#include "fs/fuse_ops.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "fs/changes.h"
#include "fs/control_files.h"
#include "fs/dir.h"
#include "fs/entries.h"
#include "fs/file.h"
#include "fs/lock.h"
#include "fs/root.h"
#include "fs/xattr.h"

/* Bytes of one FUSE WRITE, or of a READ past the page cache: as much as the kernel offers. The
 * mount splits them for the wire; a program that writes much is woken less often. */
#define WRITE_MAX (1024 * 1024)

static struct fs_node *node_of(fuse_req_t req, fuse_ino_t id)
{
	return node_of_id(fs_of(req), id);
}

static struct bytes text(const char *text)
{
	return (struct bytes){.data = (const uint8_t *)text, .size = strlen(text)};
}

/* Names and contents below it are a peer's. */
static bool is_peers(const struct fs_node *node)
{
	return node->kind == NODE_IS_TOP || node->kind == NODE_IS_REMOTE;
}

static bool is_control(const struct fs_node *node)
{
	return node->kind == NODE_IS_CONTROL;
}

static bool is_remote(const struct fs_node *node)
{
	return node->kind == NODE_IS_REMOTE;
}

/* Whether names in it may be changed, or the errno: not in local directories, and never the hidden
 * one. */
static int check_change(const struct fs_node *parent, const char *name)
{
	if (!is_peers(parent))
		return EPERM;
	return parent->kind == NODE_IS_TOP && control_is_hidden(text(name)) ? EPERM : 0;
}

static void init(void *arg, struct fuse_conn_info *conn)
{
	struct fs *fs = arg;

	conn->max_write = WRITE_MAX;
	conn->max_background = fs->config.max_background ? fs->config.max_background : 512;
	conn->congestion_threshold = conn->max_background * 3 / 4;
	/* The writeback cache stays off: with it, remote growth of a file is never seen. Replies go
	 * from our buffers, for which splice costs more than it saves. */
	conn->want &= ~(unsigned)(FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_SPLICE_READ |
				  FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
	conn->want |= conn->capable &
		      (FUSE_CAP_ASYNC_READ | FUSE_CAP_POSIX_LOCKS | FUSE_CAP_FLOCK_LOCKS |
		       FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_DONT_MASK | FUSE_CAP_AUTO_INVAL_DATA |
		       FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_PARALLEL_DIROPS |
		       FUSE_CAP_ASYNC_DIO);
	/* The kernel checks modes then, and so it must know the ACLs. */
	if (fs->config.allow_other)
		conn->want |= conn->capable & FUSE_CAP_POSIX_ACL;
}

/* --- names ------------------------------------------------------------------------------------ */

static void lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs_node *node = node_of(req, parent);

	if (node->kind == NODE_IS_ROOT)
		root_lookup(req, text(name));
	else if (node->kind == NODE_IS_CONTROL ||
		 (node->kind == NODE_IS_TOP && control_is_hidden(text(name))))
		control_lookup(req, node, text(name));
	else
		entries_lookup(req, node, text(name));
}

static void forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
	node_forgotten(fs_of(req), node_of(req, ino), count);
	fuse_reply_none(req);
}

static void forget_multi(fuse_req_t req, size_t n, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < n; i++)
		node_forgotten(fs_of(req), node_of(req, forgets[i].ino), forgets[i].nlookup);
	fuse_reply_none(req);
}

static void getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
	struct fs_node *node = node_of(req, ino);

	if (is_remote(node))
		entries_getattr(req, node);
	else if (is_control(node))
		control_getattr(req, node);
	else
		root_getattr(req, node);
}

static void setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int valid,
		    struct fuse_file_info *info)
{
	struct fs_node *node = node_of(req, ino);

	if (is_control(node))
		control_setattr(req, node, attr, valid, info);
	else
		changes_setattr(req, node, attr, valid, info);
}

static void readlink_(fuse_req_t req, fuse_ino_t ino)
{
	struct fs_node *node = node_of(req, ino);

	if (is_remote(node))
		entries_readlink(req, node);
	else
		fuse_reply_err(req, EINVAL);
}

static void mknod_(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	struct fs_node *node = node_of(req, parent);
	int error = check_change(node, name);

	if (error)
		fuse_reply_err(req, error);
	else
		changes_mknod(req, node, text(name), mode, rdev);
}

static void mkdir_(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct fs_node *node = node_of(req, parent);
	int error = check_change(node, name);

	if (is_control(node))
		control_mkdir(req, node, text(name));
	else if (error)
		fuse_reply_err(req, error);
	else
		changes_mkdir(req, node, text(name), mode);
}

static void symlink_(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	struct fs_node *node = node_of(req, parent);
	int error = check_change(node, name);

	if (error)
		fuse_reply_err(req, error);
	else
		changes_symlink(req, node, text(name), text(target));
}

static void link_(fuse_req_t req, fuse_ino_t ino, fuse_ino_t new_parent, const char *name)
{
	struct fs_node *parent = node_of(req, new_parent);
	int error = check_change(parent, name);

	if (error)
		fuse_reply_err(req, error);
	else
		changes_link(req, node_of(req, ino), parent, text(name));
}

static void unlink_(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs_node *node = node_of(req, parent);
	int error = check_change(node, name);

	if (is_control(node))
		control_unlink(req, node, text(name));
	else if (error)
		fuse_reply_err(req, error);
	else
		changes_unlink(req, node, text(name));
}

static void rmdir_(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs_node *node = node_of(req, parent);
	int error = check_change(node, name);

	if (is_control(node))
		control_rmdir(req, node, text(name));
	else if (error)
		fuse_reply_err(req, error);
	else
		changes_rmdir(req, node, text(name));
}

static void rename_(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
		    const char *new_name, unsigned flags)
{
	struct fs_node *node = node_of(req, parent), *new_node = node_of(req, new_parent);
	int error = check_change(node, name);

	if (!error)
		error = check_change(new_node, new_name);
	if (is_control(node))
		control_rename(req, node, text(name), new_node, text(new_name), flags);
	else if (error)
		fuse_reply_err(req, error);
	else
		changes_rename(req, node, text(name), new_node, text(new_name), flags);
}

static void access_(fuse_req_t req, fuse_ino_t ino, int mask)
{
	struct fs_node *node = node_of(req, ino);

	if (is_peers(node))
		entries_access(req, node, mask);
	else if (is_control(node))
		control_access(req, node, mask);
	else
		fuse_reply_err(req, mask & W_OK ? EACCES : 0);
}

static void statfs_(fuse_req_t req, fuse_ino_t ino)
{
	struct fs_node *node = node_of(req, ino);
	struct statvfs stat = {.f_bsize = 4096, .f_frsize = 4096, .f_namemax = OPS_NAME_MAX};

	if (is_peers(node))
		entries_statfs(req, node);
	else
		fuse_reply_statfs(req, &stat);
}

/* --- directories ------------------------------------------------------------------------------ */

static void opendir_(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
	struct fs_node *node = node_of(req, ino);

	if (is_control(node))
		control_opendir(req, node, info);
	else
		dir_open(req, node, info);
}

static void readdir_(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		     struct fuse_file_info *info)
{
	struct fs_node *node = node_of(req, ino);

	if (is_control(node))
		control_readdir(req, node, size, offset, info, false);
	else
		dir_read(req, node, size, offset, info, false);
}

static void readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
			struct fuse_file_info *info)
{
	struct fs_node *node = node_of(req, ino);

	if (is_control(node))
		control_readdir(req, node, size, offset, info, true);
	else
		dir_read(req, node, size, offset, info, true);
}

static void releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
	struct fs_node *node = node_of(req, ino);

	if (is_control(node))
		control_releasedir(req, node, info);
	else
		dir_release(req, node, info);
}

static void fsyncdir(fuse_req_t req, fuse_ino_t ino, int data_only, struct fuse_file_info *info)
{
	dir_fsync(req, node_of(req, ino), data_only);
}

/* --- files ------------------------------------------------------------------------------------ */

static void open_(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
	struct fs_node *node = node_of(req, ino);

	if (is_remote(node))
		file_open(req, node, info);
	else
		control_open(req, node, info);
}

static void create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		   struct fuse_file_info *info)
{
	struct fs_node *node = node_of(req, parent);
	int error = check_change(node, name);

	if (!error && strlen(name) > OPS_NAME_MAX)
		error = ENAMETOOLONG;
	if (is_control(node))
		control_create(req, node, text(name), info);
	else if (error)
		fuse_reply_err(req, error);
	else
		file_create(req, node, text(name), mode, info);
}

static void read_(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		  struct fuse_file_info *info)
{
	struct fs_node *node = node_of(req, ino);

	if (is_remote(node))
		file_read(req, node, size, offset, info);
	else
		control_read(req, size, offset, info);
}

static void write_(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset,
		   struct fuse_file_info *info)
{
	struct fs_node *node = node_of(req, ino);

	if (is_remote(node))
		file_write(req, node, data, size, offset, info);
	else
		control_write(req, (struct bytes){(const uint8_t *)data, size}, offset, info);
}

static void flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
	struct fs_node *node = node_of(req, ino);

	if (is_remote(node))
		file_flush(req, node, info);
	else
		control_flush(req, info);
}

static void poll_(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info,
		  struct fuse_pollhandle *handle)
{
	if (is_control(node_of(req, ino))) {
		control_poll(req, info, handle);
		return;
	}
	/* As of any regular file. */
	if (handle)
		fuse_pollhandle_destroy(handle);
	fuse_reply_poll(req, POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM);
}

static void release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
	struct fs_node *node = node_of(req, ino);

	if (is_remote(node))
		file_release(req, node, info);
	else
		control_release(req, info);
}

static void fsync_(fuse_req_t req, fuse_ino_t ino, int data_only, struct fuse_file_info *info)
{
	struct fs_node *node = node_of(req, ino);

	if (is_remote(node))
		file_fsync(req, node, data_only, info);
	else if (is_control(node))
		control_fsync(req, info);
	else
		fuse_reply_err(req, 0);
}

static void fallocate_(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t size,
		       struct fuse_file_info *info)
{
	struct fs_node *node = node_of(req, ino);

	if (is_remote(node))
		file_fallocate(req, node, mode, offset, size, info);
	else
		fuse_reply_err(req, EOPNOTSUPP);
}

static void lseek_(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence,
		   struct fuse_file_info *info)
{
	struct fs_node *node = node_of(req, ino);

	if (is_remote(node))
		file_lseek(req, node, offset, whence, info);
	else
		fuse_reply_err(req, EINVAL);
}

static void copy_file_range_(fuse_req_t req, fuse_ino_t ino, off_t offset,
			     struct fuse_file_info *info, fuse_ino_t to_ino, off_t to_offset,
			     struct fuse_file_info *to_info, size_t size, int flags)
{
	struct fs_node *node = node_of(req, ino), *to_node = node_of(req, to_ino);

	/* The kernel copies by reading and writing then. */
	if (!is_remote(node) || !is_remote(to_node) || node->peer != to_node->peer)
		fuse_reply_err(req, EXDEV);
	else
		file_copy_range(req, node, offset, info, to_node, to_offset, to_info, size, flags);
}

static void getlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info, struct flock *lock)
{
	struct fs_node *node = node_of(req, ino);

	if (is_remote(node))
		lock_get(req, node, info, lock);
	else
		fuse_reply_err(req, EOPNOTSUPP);
}

static void setlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info, struct flock *lock,
		  int wait)
{
	struct fs_node *node = node_of(req, ino);

	if (is_remote(node))
		lock_set(req, node, info, lock, wait);
	else
		fuse_reply_err(req, EOPNOTSUPP);
}

static void flock_(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info, int op)
{
	struct fs_node *node = node_of(req, ino);

	if (is_remote(node))
		lock_flock(req, node, info, op);
	else
		fuse_reply_err(req, EOPNOTSUPP);
}

/* --- extended attributes ---------------------------------------------------------------------- */

static void getxattr_(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct fs_node *node = node_of(req, ino);

	if (is_remote(node))
		xattr_get(req, node, text(name), size);
	else if (is_control(node))
		control_getxattr(req, node, text(name), size);
	else
		root_getxattr(req, node, text(name), size);
}

static void setxattr_(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
		      size_t size, int flags)
{
	struct fs_node *node = node_of(req, ino);

	if (is_remote(node))
		xattr_set(req, node, text(name), (struct bytes){(const uint8_t *)value, size},
			  flags);
	else if (is_control(node))
		control_setxattr(req, node, text(name),
				 (struct bytes){(const uint8_t *)value, size}, flags);
	else
		fuse_reply_err(req, EPERM);
}

static void listxattr_(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	struct fs_node *node = node_of(req, ino);

	if (is_remote(node))
		xattr_list(req, node, size);
	else if (is_control(node))
		control_listxattr(req, node, size);
	else if (size)
		fuse_reply_buf(req, NULL, 0);
	else
		fuse_reply_xattr(req, 0);
}

static void removexattr_(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	struct fs_node *node = node_of(req, ino);

	if (is_remote(node))
		xattr_remove(req, node, text(name));
	else if (is_control(node))
		control_removexattr(req, node, text(name));
	else
		fuse_reply_err(req, EPERM);
}

const struct fuse_lowlevel_ops fuse_ops_table = {
    .init = init,
    .lookup = lookup,
    .forget = forget,
    .forget_multi = forget_multi,
    .getattr = getattr,
    .setattr = setattr,
    .readlink = readlink_,
    .mknod = mknod_,
    .mkdir = mkdir_,
    .symlink = symlink_,
    .link = link_,
    .unlink = unlink_,
    .rmdir = rmdir_,
    .rename = rename_,
    .access = access_,
    .statfs = statfs_,
    .opendir = opendir_,
    .readdir = readdir_,
    .readdirplus = readdirplus,
    .releasedir = releasedir,
    .fsyncdir = fsyncdir,
    .open = open_,
    .create = create,
    .read = read_,
    .write = write_,
    .flush = flush,
    .poll = poll_,
    .release = release,
    .fsync = fsync_,
    .fallocate = fallocate_,
    .lseek = lseek_,
    .copy_file_range = copy_file_range_,
    .getlk = getlk,
    .setlk = setlk,
    .flock = flock_,
    .getxattr = getxattr_,
    .setxattr = setxattr_,
    .listxattr = listxattr_,
    .removexattr = removexattr_,
};
