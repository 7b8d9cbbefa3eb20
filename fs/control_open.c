/* Open control files. */
#include <errno.h>
#include <linux/fuse.h>
#include <stdlib.h>

#include "fs/control_job.h"
#include "fs/control_kv.h"
#include "fs/control_kv_known.h"
#include "fs/control_messages.h"
#include "fs/control_names.h"
#include "fs/control_private.h"
#include "fs/control_send.h"

static struct control_handle *handle_of(const struct fuse_file_info *info)
{
	return (struct control_handle *)(uintptr_t)info->fh;
}

void control_handle_free(struct control_handle *handle)
{
	struct fs *fs = handle->fs;

	control_follow_end(handle);
	control_value_forget(handle);
	control_input_closed(handle);
	control_send_closed(handle);
	*(handle->prev ? &handle->prev->next : &fs->control_handles) = handle->next;
	if (handle->next)
		handle->next->prev = handle->prev;
	buffer_deinit(&handle->text);
	control_lines_deinit(&handle->lines);
	control_job_unref(handle->job);
	node_drop(fs, handle->node);
	free(handle);
}

struct control_handle *control_handle_new(struct fs *fs, struct fs_node *node, int flags)
{
	struct control_handle *handle = calloc(1, sizeof(*handle));

	if (!handle)
		return NULL;
	handle->fs = fs;
	handle->node = node;
	node_hold(node);
	handle->row = node->control->row;
	handle->job = node->control->job ? control_job_ref(node->control->job) : NULL;
	handle->flags = flags;
	handle->next = fs->control_handles;
	if (handle->next)
		handle->next->prev = handle;
	fs->control_handles = handle;
	return handle;
}

void control_free_handles(struct fs *fs)
{
	while (fs->control_handles)
		control_handle_free(fs->control_handles);
	control_names_free_all(fs);
	control_kv_known_free_all(fs);
}

/* libfuse 3.14 has no name for FOPEN_STREAM, without which a read that waits would keep writes on
 * the same descriptor waiting; so the answer is made by hand. Nothing is cached: the kernel reads
 * text up to its end as of open, whatever size it was told before. */
void control_open_reply(fuse_req_t req, struct control_handle *handle)
{
	struct fuse_open_out out = {
	    .fh = (uint64_t)(uintptr_t)handle,
	    .open_flags = FOPEN_DIRECT_IO | (handle->row->is_stream ? FOPEN_STREAM : 0),
	};

	if (fuse_reply_buf(req, (const char *)&out, sizeof(out)))
		control_handle_free(handle);
}

static void on_content(struct control_ask *ask, const struct transport_reply *reply)
{
	struct control_content *content = (struct control_content *)ask;
	struct control_handle *handle = content->handle;
	fuse_req_t req = control_ask_take(ask);
	int error;

	if (!req)
		return;
	error = handle->row->text_of(handle->job, reply, &handle->text);
	if (error) {
		control_refuse(req, handle, ask->op, error, NULL);
		return;
	}
	content->handle = NULL;
	control_open_reply(req, handle);
}

/* Whether it may be opened so now. */
static int check_open(const struct control_handle *handle, const char **ret_why)
{
	const struct control *row = handle->row;
	int access = handle->flags & O_ACCMODE;

	if ((access != O_WRONLY && !(row->mode & 0400)) ||
	    (access != O_RDONLY && !(row->mode & 0200)))
		return -EACCES;
	*ret_why =
	    "it is written and read through one descriptor: exec 3<>exec; echo ls >&3; cat <&3";
	if (row->source == &control_exec_source && access != O_RDWR)
		return -EINVAL;
	*ret_why = "the job is not started yet: write a line to its cmd";
	if (row->needs_start && handle->job->state != CONTROL_JOB_STARTED)
		return -ENXIO;
	*ret_why = NULL;
	return 0;
}

void control_open(fuse_req_t req, struct fs_node *node, struct fuse_file_info *info)
{
	struct fs *fs = fs_of(req);
	struct fs_peer *peer = node_peer(fs, node);
	const struct control *row = node->control->row;
	struct control_handle *handle;
	const char *why = NULL;
	int error;

	if (node->is_stale || (peer && !peer->transport)) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	handle = control_handle_new(fs, node, info->flags);
	if (!handle) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	if (control_is_value(node)) {
		control_value_open(req, handle, info);
		return;
	}
	if (control_is_message(node)) {
		control_message_open(req, handle);
		return;
	}
	if (row->is_send) {
		control_send_open(req, handle);
		return;
	}
	error = check_open(handle, &why);
	if (!error && info->flags & O_TRUNC && row->truncate)
		row->truncate(handle->job);
	if (!error && row->text_of && handle->job->state == CONTROL_JOB_STARTED) {
		handle->text.limit = CONTROL_TEXT_MAX;
		error = control_ask_content(req, node, handle, on_content);
		if (!error)
			return;
	} else if (!error) {
		error = control_make_text(req, fs, node, &handle->text);
	}
	if (!error && row->source && row->source->starts_at_open)
		error = row->source->start(handle);
	if (error) {
		control_refuse(req, handle, 0, error, why);
		control_handle_free(handle);
		return;
	}
	control_open_reply(req, handle);
}

/* --- reading a log ---------------------------------------------------------------------------- */

struct log_ask {
	struct control_ask ask;
	struct control_handle *handle; /* there as long as its request is */
	size_t size;
};

static void on_log(struct control_ask *ask, const struct transport_reply *reply)
{
	struct log_ask *log = (struct log_ask *)ask;
	const struct result_job_read *result = reply->result;
	fuse_req_t req = control_ask_take(ask);
	int error = reply->error;

	if (!error && result->data.size > log->size)
		error = -EPROTO;
	if (!req)
		return;
	if (error)
		control_refuse(
		    req, log->handle, OP_JOB_READ, error,
		    error == -ERANGE
			? "what was written first is not kept any more: 'kept' in status "
			  "says from where on it is, and stdout begins there"
			: NULL);
	else
		fuse_reply_buf(req, (const char *)result->data.data, result->data.size);
}

static void read_log(fuse_req_t req, struct control_handle *handle, size_t size, off_t offset)
{
	struct args_job_read args = {.job = handle->job->number,
				     .offset = (uint64_t)offset,
				     .size = size < OPS_IO_MAX ? size : OPS_IO_MAX};
	struct log_ask *ask = control_ask_new(control_peer_of(handle), sizeof(*ask), req);

	if (!ask) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	ask->handle = handle;
	ask->size = args.size;
	ask->ask.done = on_log;
	control_ask_send(&ask->ask, OP_JOB_READ, &args);
}

/* --- operations on open files ----------------------------------------------------------------- */

void control_read(fuse_req_t req, size_t size, off_t offset, struct fuse_file_info *info)
{
	struct control_handle *handle = handle_of(info);
	size_t left = 0;

	if (handle->row->source) {
		control_follow_read(req, handle, size, info->flags);
		return;
	}
	if (handle->row->is_log) {
		read_log(req, handle, size, offset);
		return;
	}
	if ((uint64_t)offset < handle->text.size)
		left = handle->text.size - (size_t)offset;
	if (left > size)
		left = size;
	fuse_reply_buf(req, left ? (const char *)handle->text.data + offset : NULL, left);
}

void control_write(fuse_req_t req, struct bytes data, off_t offset, struct fuse_file_info *info)
{
	struct control_handle *handle = handle_of(info);
	const struct fs_peer *peer = control_peer_of(handle);

	if (!data.size)
		fuse_reply_write(req, 0);
	else if (control_is_value(handle->node))
		control_value_write(req, handle, data, offset);
	else if (handle->row->is_send)
		control_send_write(req, handle, data);
	else if (!peer || !peer->transport)
		fuse_reply_err(req, ESTALE);
	else if (handle->row->is_input)
		control_input_write(req, handle, data, info->flags);
	else if (handle->row->line)
		control_write_lines(req, handle, data);
	else
		fuse_reply_err(req, EACCES);
}

void control_flush(fuse_req_t req, struct fuse_file_info *info)
{
	struct control_handle *handle = handle_of(info);

	if (control_is_value(handle->node))
		control_value_flush(req, handle);
	else if (handle->row->is_send)
		control_send_flush(req, handle, true);
	else if (handle->row->is_input)
		control_input_flush(req, handle);
	else if (handle->row->line)
		control_write_flush(req, handle);
	else
		fuse_reply_err(req, 0);
}

void control_fsync(fuse_req_t req, struct fuse_file_info *info)
{
	if (control_is_value(handle_of(info)->node))
		control_value_flush(req, handle_of(info));
	else if (handle_of(info)->row->is_send)
		control_send_flush(req, handle_of(info), false);
	else
		fuse_reply_err(req, 0);
}

void control_poll(fuse_req_t req, struct fuse_file_info *info, struct fuse_pollhandle *poll)
{
	control_follow_poll(req, handle_of(info), poll);
}

void control_release(fuse_req_t req, struct fuse_file_info *info)
{
	if (control_is_value(handle_of(info)->node))
		control_value_closed(handle_of(info));
	control_handle_free(handle_of(info));
	if (req)
		fuse_reply_err(req, 0);
}
