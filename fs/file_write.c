/*
 * Writing: each FUSE WRITE becomes WRITEs of at most OPS_IO_MAX, sent at once. The program is
 * answered as soon as there is room for its next one, if the bytes need not be on the peer:
 *
 *     write ──► pieces sent ──► has room ──► answered      (the ordinary case, at once)
 *                  │ └──────► no room ─(answers of others)─► answered
 *                  └─ append, O_SYNC, handle void ─(answers of all its pieces)─► answered
 *
 * What fails after its program was answered is kept in every handle open then, until the next
 * write, flush or fsync there reports it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/file_call.h"
#include "fs/fuse_channel.h"
#include "proto/errors.h"

/* Beyond it the peer's file system may say that files do not grow so far (EFBIG; ext4 from 4 TiB
 * on, by its block size): the program hears it then, and not when it closes. */
#define BEHIND_END_MAX ((uint64_t)2 << 40)

/* Writes of so many bytes are sent from where the kernel put them; it holds 1 MiB, however small
 * the write, so others are copied. */
#define KEEP_MIN (512 * 1024)

/* A FUSE WRITE that is not answered yet. */
struct write_request {
	struct parked parked;
	struct write_wait wait;
	struct open_file *handle; /* referenced */
	size_t size;
	unsigned n_pieces; /* whose answer is awaited */
	size_t failed_at;  /* bytes before the first failure */
	int error;         /* of that */
};

struct write_piece {
	struct peer_call call; /* first */
	struct args_write args;
	struct write_record record;
	struct write_request *request; /* that waits for it, or NULL: write-behind */
	size_t at;                     /* offset within the request */
	struct fuse_memory *memory;    /* where the bytes are; NULL: they are copied */
};

static struct write_request *request_new(struct fs *fs, struct open_file *handle, size_t size)
{
	struct write_request *request = calloc(1, sizeof(*request));

	if (!request)
		return NULL;
	request->handle = handle;
	open_file_ref(handle);
	request->size = size;
	request->failed_at = size;
	return request;
}

static void request_free(struct write_request *request)
{
	open_file_unref(request->handle);
	free(request);
}

static void reply_written(fuse_req_t req, struct open_file *handle, size_t size, int error)
{
	if (!req)
		return;
	if (error)
		peer_reply_error(req, node_peer(handle->node->file->fs, handle->node), error);
	else
		fuse_reply_write(req, size);
}

/* --- answers ---------------------------------------------------------------------------------- */

/* Bytes that a program believes written are not. */
static void report_failure(struct peer_call *call, int error)
{
	struct file *file = call->node->file;

	for (struct open_file *handle = file->handles; handle; handle = handle->next)
		if (!handle->write_error)
			handle->write_error = error;
	file_data_changed(file);
	notify_pages(call->peer, call->node, NULL);
}

/* Why a piece was not written whole: -ENOSPC from servers that do not say. */
static int error_of_short(const struct result_write *result)
{
	return result->error ? error_to_errno(result->error) : -ENOSPC;
}

static void request_answered(struct write_piece *piece, size_t written, int error)
{
	struct write_request *request = piece->request;

	if (error) {
		size_t at = piece->at + written;

		if (at < request->failed_at) {
			request->failed_at = at;
			request->error = error;
		}
	}
	if (--request->n_pieces > 0)
		return;
	if (piece->args.append)
		notify_pages(piece->call.peer, piece->call.node, NULL);
	reply_written(parked_take(&request->parked), request->handle, request->failed_at,
		      request->failed_at > 0 ? 0 : request->error);
	request_free(request);
}

/* The peer does writes side by side: the last answer is not always the last look at the file. */
static void remember_newest(struct file *file, const struct attr *attr)
{
	struct attr *newest = &file->newest;

	if (file_time_is_before(newest->ctime, attr->ctime)) {
		*newest = *attr;
	} else if (!file_time_is_before(attr->ctime, newest->ctime)) {
		/* Within one tick of its clock; writes only add. */
		if (newest->size < attr->size)
			newest->size = attr->size;
		if (newest->blocks < attr->blocks)
			newest->blocks = attr->blocks;
	}
}

/* The attributes after the last write that was under way. */
static void settle(struct fs *fs, struct fs_node *node)
{
	struct file *file = node->file;

	node_attr_set(fs, node, &file->newest, fs->change);
	file->settled = file->newest;
	file->settled_until = fs_now(fs) + FS_SECOND;
}

static void on_written(struct peer_call *call, const struct transport_reply *reply)
{
	struct write_piece *piece = (struct write_piece *)call;
	const struct result_write *result = reply->result;
	struct fs *fs = call->peer->fs;
	struct file *file = call->node->file;
	size_t written = reply->error ? 0 : result->written;
	int error = reply->error;

	/* Never tried again: whether it was done is not known. */
	if (error == -ESTALE && call->session != call->peer->session)
		error = -EIO;
	if (!error)
		open_file_saw_attr(fs, file, &result->attr, call->sent);
	node_changed(fs, call->node);
	file->n_writes--;
	if (!error)
		remember_newest(file, &result->attr);
	if (!error && !piece->args.append && file->n_writes == 0)
		settle(fs, call->node);
	/* The rest cannot be sent later: what follows is on its way. */
	if (!error && written < piece->args.data.size)
		error = error_of_short(result);
	if (piece->request) {
		request_answered(piece, written, error);
		return;
	}
	if (error)
		report_failure(call, error);
	/* Those who wait find the error, or the attributes. */
	write_behind_answered(&file->writes, &piece->record);
}

/* --- writes ----------------------------------------------------------------------------------- */

static void on_payload_done(struct peer_call *call)
{
	struct write_piece *piece = (struct write_piece *)call;

	fuse_memory_unref(piece->memory);
	piece->memory = NULL;
}

/* Sends the bytes, which are in `memory` or copied; those of write-behind are booked. Stops at what
 * cannot be sent. */
static void send_pieces(struct open_file *handle, struct write_request *request, bool append,
			struct fuse_memory *memory, const uint8_t *data, size_t size,
			uint64_t offset)
{
	struct file *file = handle->node->file;
	struct timespec now;
	size_t n;

	clock_gettime(CLOCK_REALTIME, &now);
	for (size_t at = 0; at < size; at += n) {
		struct write_piece *piece =
		    peer_call_new(file->fs, sizeof(*piece), handle->node, NULL);

		n = size - at < OPS_IO_MAX ? size - at : OPS_IO_MAX;
		if (!piece) {
			if (request && at < request->failed_at) {
				request->failed_at = at;
				request->error = -ENOMEM;
			} else if (!request) {
				handle->write_error = -ENOMEM;
			}
			return;
		}
		piece->call.done = on_written;
		piece->request = request;
		piece->at = at;
		piece->args = (struct args_write){.handle = handle->number,
						  .offset = offset + at,
						  .append = append,
						  .data = {data + at, n}};
		if (memory) {
			memory->n_refs++;
			piece->memory = memory;
			piece->call.payload_done = on_payload_done;
		}
		if (request)
			request->n_pieces++;
		else
			write_behind_sent(&file->writes, &piece->record, offset + at, n, now);
		if (file->n_writes++ == 0)
			file->newest = (struct attr){0};
		/* From here on the piece may be gone. */
		peer_call_send(&piece->call, OP_WRITE, &piece->args);
		if (request ? request->failed_at < size : handle->write_error != 0)
			return;
	}
}

/* The program waits until the peer has answered. */
static void write_through(fuse_req_t req, struct open_file *handle, bool append,
			  const uint8_t *data, size_t size, uint64_t offset)
{
	struct fs *fs = fs_of(req);
	struct write_request *request = request_new(fs, handle, size);

	if (!request) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	if (!parked_start(&request->parked, fs, req, PARKED_FILE, NULL)) {
		request_free(request);
		return;
	}
	/* Held by one more than its pieces while they are being sent. */
	request->n_pieces = 1;
	send_pieces(handle, request, append, NULL, data, size, offset);
	if (--request->n_pieces > 0)
		return;
	reply_written(parked_take(&request->parked), handle, request->failed_at,
		      request->failed_at > 0 ? 0 : request->error);
	request_free(request);
}

/* A failure is said when nothing is under way any more: what was sent behind it fails as well, and
 * would be said again. */
static void reply_taken(fuse_req_t req, struct open_file *handle, size_t size)
{
	int error = req ? open_file_take_error(handle) : 0;

	if (error)
		file_reply_when_written(req, handle, error);
	else
		reply_written(req, handle, size, 0);
}

static void on_room(struct write_wait *wait)
{
	struct write_request *request =
	    (struct write_request *)((char *)wait - offsetof(struct write_request, wait));

	reply_taken(parked_take(&request->parked), request->handle, request->size);
	request_free(request);
}

static void write_behind_it(fuse_req_t req, struct open_file *handle, struct fuse_memory *memory,
			    const uint8_t *data, size_t size, uint64_t offset)
{
	struct fs *fs = fs_of(req);
	struct file *file = handle->node->file;
	struct transport *transport = node_peer(fs, handle->node)->transport;
	struct write_request *request;
	uint64_t rtt_us, rate;

	if (transport) {
		transport->ops->measure(transport, &rtt_us, &rate);
		write_budget_delay(file->writes.budget, rtt_us);
	}
	send_pieces(handle, NULL, false, memory, data, size, offset);
	if (handle->write_error || write_behind_has_room(&file->writes)) {
		reply_taken(req, handle, size);
		return;
	}
	request = request_new(fs, handle, size);
	if (!request) {
		/* It is sent: only the bound is exceeded. */
		fuse_reply_write(req, size);
		return;
	}
	if (!parked_start(&request->parked, fs, req, PARKED_FILE, NULL) ||
	    !write_behind_wait(&file->writes, &request->wait, true, on_room))
		request_free(request);
}

/* --- writes through a handle that must be opened again first ---------------------------------- */

struct late_write {
	struct file_call call; /* first */
	uint64_t offset;
	bool append, through;
	size_t size;
	uint8_t data[];
};

static void on_opened_again(struct file_call *call, const struct transport_reply *reply)
{
	struct late_write *late = (struct late_write *)call;
	fuse_req_t req;

	if (reply->error) {
		peer_call_fail(&call->call, reply->error);
		return;
	}
	req = peer_call_take(&call->call);
	if (!req)
		return;
	if (late->through)
		write_through(req, call->handle, late->append, late->data, late->size,
			      late->offset);
	else
		write_behind_it(req, call->handle, NULL, late->data, late->size, late->offset);
}

static void write_late(fuse_req_t req, struct open_file *handle, bool append, bool through,
		       const uint8_t *data, size_t size, uint64_t offset)
{
	struct late_write *late = file_call_new(fs_of(req), sizeof(*late) + size, handle, req);

	if (!late) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	late->call.answer = on_opened_again;
	late->append = append;
	late->through = through;
	late->offset = offset;
	late->size = size;
	memcpy(late->data, data, size);
	file_call_reopen(&late->call);
}

void file_write(fuse_req_t req, struct fs_node *node, const char *data, size_t size, off_t offset,
		struct fuse_file_info *info)
{
	struct open_file *handle = open_file_of(info);
	const uint8_t *bytes = (const uint8_t *)data;
	int error = open_file_take_error(handle);
	struct fuse_memory *memory = NULL;
	/* Pages of a shared mapping know where they belong. */
	bool append = (info->flags & O_APPEND) && !info->writepage;
	bool through = append || (info->flags & (O_SYNC | O_DSYNC)) ||
		       (uint64_t)offset + size > BEHIND_END_MAX;

	if (error) {
		file_reply_when_written(req, handle, error);
		return;
	}
	if (offset < 0 || (uint64_t)offset > INT64_MAX - size) {
		fuse_reply_err(req, offset < 0 ? EINVAL : EFBIG);
		return;
	}
	if (size == 0) {
		fuse_reply_write(req, 0);
		return;
	}
	file_data_changed(node->file);
	if (!open_file_is_current(handle)) {
		write_late(req, handle, append, through, bytes, size, (uint64_t)offset);
	} else if (through) {
		write_through(req, handle, append, bytes, size, (uint64_t)offset);
	} else {
		if (size >= KEEP_MIN)
			memory = fuse_channel_keep(fs_of(req));
		write_behind_it(req, handle, memory, bytes, size, (uint64_t)offset);
		fuse_memory_unref(memory);
	}
}

/* --- flush and fsync -------------------------------------------------------------------------- */

/* A request that is answered when what was written before it is acknowledged. */
struct written_request {
	struct parked parked;
	struct write_wait wait;
	struct open_file *handle; /* referenced */
	int error;
};

static void reply_done(fuse_req_t req, struct open_file *handle, int error)
{
	int write_error;

	if (!req)
		return; /* what is to be reported stays */
	write_error = open_file_take_error(handle);
	if (write_error)
		error = write_error;
	if (error)
		peer_reply_error(req, node_peer(handle->node->file->fs, handle->node), error);
	else
		fuse_reply_err(req, 0);
}

static void on_all_written(struct write_wait *wait)
{
	struct written_request *request =
	    (struct written_request *)((char *)wait - offsetof(struct written_request, wait));

	reply_done(parked_take(&request->parked), request->handle, request->error);
	open_file_unref(request->handle);
	free(request);
}

void file_reply_when_written(fuse_req_t req, struct open_file *handle, int error)
{
	struct write_behind *writes = &handle->node->file->writes;
	struct written_request *request;

	if (!write_behind_is_pending(writes)) {
		reply_done(req, handle, error);
		return;
	}
	request = calloc(1, sizeof(*request));
	if (!request) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	if (!parked_start(&request->parked, fs_of(req), req, PARKED_FILE, NULL)) {
		free(request);
		return;
	}
	request->handle = handle;
	open_file_ref(handle);
	request->error = error;
	write_behind_wait(writes, &request->wait, false, on_all_written);
}

struct flush_call {
	struct file_call call;
	union {
		struct args_flush flush;
		struct args_fsync fsync;
	};
};

static void on_flushed(struct file_call *call, const struct transport_reply *reply)
{
	fuse_req_t req = peer_call_take(&call->call);

	if (req)
		file_reply_when_written(req, call->handle, reply->error);
}

void file_flush(fuse_req_t req, struct fs_node *node, struct fuse_file_info *info)
{
	struct open_file *handle = open_file_of(info);
	struct flush_call *call;

	/* One that was only read asks nobody. */
	if (!node->file->posix_locked) {
		file_reply_when_written(req, handle, 0);
		return;
	}
	call = file_call_new(fs_of(req), sizeof(*call), handle, req);
	if (!call) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	call->call.answer = on_flushed;
	call->flush.owner = info->lock_owner;
	file_call_send(&call->call, OP_FLUSH, &call->flush);
}

void file_fsync(fuse_req_t req, struct fs_node *node, bool data_only, struct fuse_file_info *info)
{
	struct open_file *handle = open_file_of(info);
	struct flush_call *call = file_call_new(fs_of(req), sizeof(*call), handle, req);

	if (!call) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	call->call.answer = on_flushed;
	call->fsync.data_only = data_only;
	file_call_send(&call->call, OP_FSYNC, &call->fsync);
}
