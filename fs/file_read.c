/*
 * Reading: a FUSE READ is a wait in the handle's read-ahead; a block of that is a call to the peer.
 * The reply goes to the kernel from the frames that the peer sent.
 */
#include <errno.h>
#include <stdlib.h>

#include "fs/attr_map.h"
#include "fs/file_call.h"

/* A FUSE READ. One that was interrupted stays until its data comes or fails. */
struct read_request {
	struct read_wait wait; /* first */
	struct parked parked;
	struct open_file *handle; /* referenced */
};

struct fetch_call {
	struct file_call call;
	struct args_read args;
	struct read_block *block;
	int *ret_error; /* while it is being sent */
};

static uint64_t now_us(const struct fs *fs)
{
	return fs_now(fs) / 1000;
}

/* --- the pool --------------------------------------------------------------------------------- */

static void on_pool_timer(struct fs *fs, struct fs_timer *timer)
{
	read_pool_expire(&fs->read_pool, now_us(fs));
	if (read_pool_is_used(&fs->read_pool))
		fs_timer_set(fs, timer, FS_SECOND);
}

static void pool_watch(struct fs *fs)
{
	if (fs->read_timer.at || !read_pool_is_used(&fs->read_pool))
		return;
	fs->read_timer.fn = on_pool_timer;
	fs_timer_set(fs, &fs->read_timer, FS_SECOND);
}

/* --- what read_ahead.h asks for --------------------------------------------------------------- */

static void on_fetched(struct file_call *call, const struct transport_reply *reply)
{
	struct fetch_call *fetch = (struct fetch_call *)call;
	const struct result_read *result = reply->result;
	struct fs *fs = call->call.peer->fs;
	struct bytes data = {NULL, 0};

	if (fetch->ret_error) {
		*fetch->ret_error = reply->error ? reply->error : -EIO;
		return;
	}
	if (!reply->error)
		data = result->data;
	read_ahead_fetched(fetch->block, reply->error, data, reply->frame, now_us(fs));
	pool_watch(fs);
}

/* A disk keeps the time of an access if the one that it has is before the last change (relatime).
 * What came with OPEN was read before its attributes were looked at. */
static void note_access(struct fs_node *node)
{
	uint64_t left;
	const struct attr *attr = node_attr_get(node->file->fs, node, &left);

	if (!attr || !file_time_is_before(attr->mtime, attr->atime) ||
	    !file_time_is_before(attr->ctime, attr->atime))
		node->file->was_read = true;
}

static int start_fetch(void *arg, struct read_block *block)
{
	struct open_file *handle = arg;
	struct fetch_call *fetch =
	    file_call_new(handle->node->file->fs, sizeof(*fetch), handle, NULL);
	int error = 0;

	if (!fetch)
		return -ENOMEM;
	fetch->call.answer = on_fetched;
	fetch->args.offset = block->offset;
	fetch->args.size = block->size;
	fetch->block = block;
	fetch->ret_error = &error;
	block->fetch = fetch;
	note_access(handle->node);
	file_call_send(&fetch->call, OP_READ, &fetch->args);
	if (error)
		return error; /* and it is freed */
	fetch->ret_error = NULL;
	return 0;
}

static void abandon_fetch(void *arg, struct read_block *block)
{
	struct fetch_call *fetch = block->fetch;

	peer_call_abandon(&fetch->call.call);
}

static void keep_frame(void *arg, void *frame)
{
	const struct open_file *handle = arg;

	handle->ops->frame_ref(frame);
}

static void release_frame(void *arg, void *frame)
{
	const struct open_file *handle = arg;

	handle->ops->frame_unref(frame);
}

static void answer_read(void *arg, struct read_wait *wait, int error, const struct iovec *iov,
			unsigned n_iov)
{
	struct read_request *request = (struct read_request *)wait;
	struct open_file *handle = request->handle;
	fuse_req_t req = parked_take(&request->parked);

	if (req && error)
		peer_reply_error(req, node_peer(handle->node->file->fs, handle->node), error);
	else if (req)
		fuse_reply_iov(req, iov, (int)n_iov);
	free(request);
	open_file_unref(handle);
}

static const struct read_ahead_ops read_ops = {.fetch = start_fetch,
					       .abandon = abandon_fetch,
					       .keep = keep_frame,
					       .release = release_frame,
					       .answer = answer_read};

/* --- for the other rooms ---------------------------------------------------------------------- */

void file_read_init(struct open_file *handle)
{
	struct fs *fs = handle->node->file->fs;

	if (!fs->read_pool.limit)
		read_pool_init(&fs->read_pool, READ_AHEAD_MEMORY);
	read_ahead_init(&handle->ahead, &fs->read_pool, &read_ops, handle);
	handle->ahead.window.max = fs->config.read_ahead_max;
}

void file_read_seed(struct open_file *handle, struct bytes content, void *frame)
{
	struct fs *fs = handle->node->file->fs;

	read_ahead_seed(&handle->ahead, content, frame, now_us(fs));
	pool_watch(fs);
}

/* The size as far as it is known; without that, nothing is read ahead. */
static uint64_t known_size(struct fs *fs, struct fs_node *node)
{
	uint64_t left;
	const struct attr *attr = node_attr_get(fs, node, &left);
	const struct write_behind *writes = &node->file->writes;
	uint64_t size = attr ? attr->size : 0;

	if (write_behind_is_pending(writes) && writes->end > size)
		size = writes->end;
	return size;
}

void file_read(fuse_req_t req, struct fs_node *node, size_t size, off_t offset,
	       struct fuse_file_info *info)
{
	struct fs *fs = fs_of(req);
	struct open_file *handle = open_file_of(info);
	struct transport *transport = node_peer(fs, node)->transport;
	struct read_request *request;
	uint64_t rtt_us = 0, rate;
	bool prefetch;

	if (offset < 0 || size == 0 || (uint64_t)offset > INT64_MAX - size) {
		if (size == 0)
			fuse_reply_buf(req, NULL, 0);
		else
			fuse_reply_err(req, EINVAL);
		return;
	}
	request = calloc(1, sizeof(*request));
	if (!request) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	if (!parked_start(&request->parked, fs, req, PARKED_FILE, NULL)) {
		free(request);
		return;
	}
	request->handle = handle;
	open_file_ref(handle);
	prefetch = !handle->direct && !(info->flags & O_DIRECT) && transport &&
		   open_file_is_current(handle);
	if (prefetch)
		transport->ops->measure(transport, &rtt_us, &rate);
	read_ahead_read(&handle->ahead, &request->wait, (uint64_t)offset, size, prefetch,
			known_size(fs, node), now_us(fs), rtt_us);
}
