/* Attributes of control files, and their contents where these are text. */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "fs/control_job.h"
#include "fs/control_kv.h"
#include "fs/control_messages.h"
#include "fs/control_private.h"
#include "fs/root.h"

int control_make_text(fuse_req_t req, struct fs *fs, const struct fs_node *node,
		      struct buffer *text)
{
	const struct control *row = node->control->row;
	struct fs_peer *peer = node_peer(fs, node);

	*text = (struct buffer){.limit = CONTROL_TEXT_MAX};
	if (peer && !peer->transport)
		return -ESTALE; /* removed */
	if (row->text)
		return row->text(node, req, text);
	return row->text_of ? row->text_of(node->control->job, NULL, text) : 0;
}

static void release(struct control_ask *ask)
{
	struct control_content *content = (struct control_content *)ask;

	if (content->handle)
		control_handle_free(content->handle);
	node_drop(ask->peer->fs, content->node);
}

int control_ask_content(fuse_req_t req, struct fs_node *node, struct control_handle *handle,
			void (*done)(struct control_ask *ask, const struct transport_reply *reply))
{
	struct control_content *ask =
	    control_ask_new(control_peer(fs_of(req), node), sizeof(*ask), req);
	union {
		struct args_job_status status;
		struct args_job_screen screen;
	} args = {0};

	if (!ask)
		return -ENOMEM;
	ask->node = node;
	node_hold(node);
	ask->handle = handle;
	ask->ask.done = done;
	ask->ask.release = release;
	args.status.job = node->control->job->number; /* the first of either */
	control_ask_send(&ask->ask, node->control->row->op, &args);
	return 0;
}

void control_stat(fuse_req_t req, struct fs *fs, const struct fs_node *node, struct stat *stat)
{
	const struct control *row = node->control->row;
	struct buffer text = {0};
	struct timespec now;

	stat->st_mode = row->mode;
	if (fs->config.allow_other && row->for_all)
		stat->st_mode |= (row->mode & 0500) >> 3 | (row->mode & 0500) >> 6;
	if (S_ISDIR(row->mode))
		return;
	stat->st_nlink = 1;
	if (control_is_value(node)) {
		stat->st_size = (off_t)node->control->value->size;
		stat->st_mtim = node->control->value->changed;
		return;
	}
	if (control_is_message(node)) {
		stat->st_size = (off_t)node->control->message->size;
		stat->st_mtim = node->control->message->changed;
		return;
	}
	if (row->is_log)
		stat->st_size = (off_t)node->control->job->size;
	else if (!row->is_stream && control_make_text(req, fs, node, &text) == 0)
		stat->st_size = (off_t)text.size;
	buffer_deinit(&text);
	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	stat->st_mtim = now;
}

/* What cannot be asked for now has the size that it had, or none. */
static uint64_t size_heard(const struct fs_node *node, const struct transport_reply *reply)
{
	struct control_job *job = node->control->job;
	const struct result_job_status *result = reply->result;
	struct buffer text = {.limit = CONTROL_TEXT_MAX};
	uint64_t size = 0;

	if (node->control->row->is_log) {
		if (!reply->error)
			job->size = result->info.end;
		size = job->size;
	} else if (node->control->row->text_of(job, reply, &text) == 0) {
		size = text.size;
	}
	buffer_deinit(&text);
	return size;
}

static void on_size(struct control_ask *ask, const struct transport_reply *reply)
{
	struct fs_node *node = ((struct control_content *)ask)->node;
	uint64_t size = size_heard(node, reply);
	fuse_req_t req = control_ask_take(ask);

	if (req)
		root_reply_attr(req, node, size);
}

static void on_entry(struct control_ask *ask, const struct transport_reply *reply)
{
	struct fs_node *node = ((struct control_content *)ask)->node;
	uint64_t size = size_heard(node, reply);
	fuse_req_t req = control_ask_take(ask);

	if (req)
		root_reply_entry_of(req, node, size);
}

/* Whether the peer is asked for the size; `done` then answers. */
static bool ask_size(fuse_req_t req, struct fs_node *node,
		     void (*done)(struct control_ask *ask, const struct transport_reply *reply))
{
	return node->control->row->op && !node->is_stale &&
	       control_peer(fs_of(req), node)->transport &&
	       node->control->job->state == CONTROL_JOB_STARTED &&
	       control_ask_content(req, node, NULL, done) == 0;
}

void control_reply_entry(fuse_req_t req, struct fs_node *node)
{
	if (!node || !ask_size(req, node, on_entry))
		root_reply_entry(req, node);
}

void control_getattr(fuse_req_t req, struct fs_node *node)
{
	if (control_is_value(node)) {
		control_kv_getattr(req, node);
		return;
	}
	if (control_is_message(node)) {
		control_message_getattr(req, node);
		return;
	}
	if (!ask_size(req, node, on_size))
		root_getattr(req, node);
}

/* Of what may be changed about them there is only ftruncate(fd, 0). */
void control_setattr(fuse_req_t req, struct fs_node *node, const struct stat *attr, int valid,
		     struct fuse_file_info *info)
{
	const struct control *row = node->control->row;

	if (control_is_value(node)) {
		control_kv_setattr(req, node, attr, valid, info);
		return;
	}

	if (valid != FUSE_SET_ATTR_SIZE || attr->st_size || !(row->mode & 0200) || row->box) {
		fuse_reply_err(req, EPERM);
		return;
	}
	if (row->truncate)
		row->truncate(node->control->job);
	root_getattr(req, node);
}

void control_getxattr(fuse_req_t req, struct fs_node *node, struct bytes name, size_t size)
{
	if (control_is_value(node))
		control_kv_getxattr(req, node, name, size);
	else
		root_getxattr(req, node, name, size);
}

void control_setxattr(fuse_req_t req, struct fs_node *node, struct bytes name, struct bytes value,
		      int flags)
{
	if (control_is_value(node))
		control_kv_setxattr(req, node, name, value, flags);
	else
		fuse_reply_err(req, EPERM);
}

void control_listxattr(fuse_req_t req, struct fs_node *node, size_t size)
{
	if (control_is_value(node))
		control_kv_listxattr(req, node, size);
	else if (size)
		fuse_reply_buf(req, NULL, 0);
	else
		fuse_reply_xattr(req, 0);
}

void control_removexattr(fuse_req_t req, struct fs_node *node, struct bytes name)
{
	if (control_is_value(node))
		control_kv_removexattr(req, node, name);
	else
		fuse_reply_err(req, EPERM);
}

void control_access(fuse_req_t req, struct fs_node *node, int mask)
{
	unsigned mode = node->control->row->mode >> 6;

	fuse_reply_err(req, (unsigned)mask & 07 & ~mode ? EACCES : 0);
}
