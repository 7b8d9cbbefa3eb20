/*
 * Operations on ranges of open files that are no reads or writes.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "fs/file_call.h"

/* One COPY_RANGE at most: so that it ends within io_timeout, and can be interrupted in between.
 * Programs go on by themselves: it is a short copy. */
#define COPY_MAX (64u * 1024 * 1024)

struct range_call {
	struct file_call call;
	union {
		struct args_fallocate fallocate;
		struct args_lseek lseek;
		struct args_copy_range copy;
	};
	/* COPY_RANGE */
	struct open_file *to; /* referenced */
	struct write_wait wait;
};

static struct range_call *range_new(fuse_req_t req, struct fuse_file_info *info,
				    void (*answer)(struct file_call *call,
						   const struct transport_reply *reply))
{
	struct range_call *range =
	    file_call_new(fs_of(req), sizeof(*range), open_file_of(info), req);

	if (!range) {
		fuse_reply_err(req, ENOMEM);
		return NULL;
	}
	range->call.answer = answer;
	return range;
}

/* What the peer did to the contents of `node`. */
static void contents_changed(struct fs *fs, struct fs_node *node, const struct attr *attr)
{
	file_data_changed(node->file);
	node_changed(fs, node);
	if (attr && !write_behind_is_pending(&node->file->writes))
		node_attr_set(fs, node, attr, fs->change);
}

/* --- fallocate, lseek ------------------------------------------------------------------------- */

static void on_fallocated(struct file_call *call, const struct transport_reply *reply)
{
	const struct result_fallocate *result = reply->result;
	fuse_req_t req;

	contents_changed(call->call.peer->fs, call->call.node, reply->error ? NULL : &result->attr);
	if (reply->error) {
		peer_call_fail(&call->call, reply->error);
		return;
	}
	req = peer_call_take(&call->call);
	if (req)
		fuse_reply_err(req, 0);
}

void file_fallocate(fuse_req_t req, struct fs_node *node, int mode, off_t offset, off_t size,
		    struct fuse_file_info *info)
{
	struct range_call *range;

	if (offset < 0 || size <= 0) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	range = range_new(req, info, on_fallocated);
	if (!range)
		return;
	file_data_changed(node->file);
	range->fallocate.mode = (unsigned)mode;
	range->fallocate.offset = (uint64_t)offset;
	range->fallocate.size = (uint64_t)size;
	file_call_send(&range->call, OP_FALLOCATE, &range->fallocate);
}

static void on_sought(struct file_call *call, const struct transport_reply *reply)
{
	const struct result_lseek *result = reply->result;
	fuse_req_t req;

	if (reply->error) {
		peer_call_fail(&call->call, reply->error);
		return;
	}
	req = peer_call_take(&call->call);
	if (req)
		fuse_reply_lseek(req, (off_t)result->offset);
}

void file_lseek(fuse_req_t req, struct fs_node *node, off_t offset, int whence,
		struct fuse_file_info *info)
{
	struct range_call *range;

	if (whence != SEEK_DATA && whence != SEEK_HOLE) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	if (offset < 0) {
		fuse_reply_err(req, ENXIO);
		return;
	}
	range = range_new(req, info, on_sought);
	if (!range)
		return;
	range->lseek.offset = (uint64_t)offset;
	range->lseek.hole = whence == SEEK_HOLE;
	file_call_send(&range->call, OP_LSEEK, &range->lseek);
}

/* --- copy_file_range -------------------------------------------------------------------------- */

static void on_copied(struct file_call *call, const struct transport_reply *reply)
{
	struct range_call *range = (struct range_call *)call;
	const struct result_copy_range *result = reply->result;
	fuse_req_t req;

	contents_changed(call->call.peer->fs, range->to->node, reply->error ? NULL : &result->attr);
	if (reply->error) {
		peer_call_fail(&call->call, reply->error);
		return;
	}
	req = peer_call_take(&call->call);
	if (req)
		fuse_reply_write(req, result->copied);
}

static void on_copy_free(struct peer_call *call)
{
	struct range_call *range = (struct range_call *)call;

	open_file_unref(range->to);
	open_file_unref(range->call.handle);
}

static void on_target_written(struct write_wait *wait)
{
	struct range_call *range =
	    (struct range_call *)((char *)wait - offsetof(struct range_call, wait));

	range->copy.to_handle = range->to->number;
	file_call_send(&range->call, OP_COPY_RANGE, &range->copy);
}

void file_copy_range(fuse_req_t req, struct fs_node *node, off_t offset,
		     struct fuse_file_info *info, struct fs_node *to_node, off_t to_offset,
		     struct fuse_file_info *to_info, size_t size, int flags)
{
	struct open_file *to = open_file_of(to_info);
	struct range_call *range;

	/* The kernel copies by reading and writing then, which opens it again. */
	if (node->peer != to_node->peer || !open_file_is_current(to)) {
		fuse_reply_err(req, EXDEV);
		return;
	}
	if (offset < 0 || to_offset < 0 || flags != 0) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	range = range_new(req, info, on_copied);
	if (!range)
		return;
	range->to = to;
	open_file_ref(to);
	range->call.call.release = on_copy_free;
	peer_call_node2(&range->call.call, to_node);
	range->copy.offset = (uint64_t)offset;
	range->copy.to_offset = (uint64_t)to_offset;
	range->copy.size = size < COPY_MAX ? size : COPY_MAX;
	file_data_changed(to_node->file);
	/* The wire orders calls by their first node: writes to the other one must be there. */
	if (!write_behind_wait(&to_node->file->writes, &range->wait, false, on_target_written))
		on_target_written(&range->wait);
}
