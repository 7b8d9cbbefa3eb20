#include "fs/file_call.h"

#include <assert.h>
#include <errno.h>

#include "fs/attr_map.h"

/* Of one call: a peer that restarts all the time is no use. */
#define OPENS_MAX 3

/* Every operation through a handle begins so. */
struct args_of_handle {
	uint64_t node;
	uint64_t handle;
};

#define BEGINS_SO(name)                                                                            \
	static_assert(offsetof(struct args_##name, handle) ==                                      \
			  offsetof(struct args_of_handle, handle),                                 \
		      "begins with node and handle");
BEGINS_SO(read)
BEGINS_SO(write)
BEGINS_SO(flush)
BEGINS_SO(fsync)
BEGINS_SO(release)
BEGINS_SO(fallocate)
BEGINS_SO(lseek)
BEGINS_SO(copy_range)
BEGINS_SO(lock)

static void on_call_release(struct peer_call *call)
{
	open_file_unref(((struct file_call *)call)->handle);
}

/* The file was opened again, or not. Several calls may do so at once: the first one counts. */
static int take_opened(struct file_call *call, const struct transport_reply *reply)
{
	struct open_file *handle = call->handle;
	const struct result_open *result = reply->result;
	int error = reply->error;

	if (error)
		return error;
	if (handle->node->ino != attr_map_ino(call->call.peer, result->attr.fs, result->attr.ino))
		error = -ESTALE;
	else if (handle->locked)
		error = -EIO; /* somebody else may have had it meanwhile */
	if (error || handle->released || open_file_is_current(handle)) {
		open_file_give_back(call->call.peer, call->call.node, result->handle,
				    call->call.session);
		return error;
	}
	handle->number = result->handle;
	handle->session = call->call.session;
	file_data_changed(handle->node->file);
	return 0;
}

/* What a reply means whose call was under way when the session ended. */
static int error_of_lost(const struct file_call *call, int error)
{
	bool is_repeatable = op_find(&ops_peer, call->op)->flags & OP_REPEATABLE;

	return error == -ESTALE && !open_file_is_current(call->handle) && !is_repeatable ? -EIO
											 : error;
}

static void on_done(struct peer_call *peer_call, const struct transport_reply *reply)
{
	struct file_call *call = (struct file_call *)peer_call;
	struct transport_reply failed = {0};

	if (call->opening) {
		call->opening = false;
		failed.error = take_opened(call, reply);
		if (!failed.error && call->op) {
			file_call_send(call, call->op, call->args);
			return;
		}
		call->answer(call, &failed);
		return;
	}
	failed.error = error_of_lost(call, reply->error);
	if (failed.error == -ESTALE && !open_file_is_current(call->handle) &&
	    call->n_opened < OPENS_MAX) {
		file_call_send(call, call->op, call->args);
		return;
	}
	call->answer(call, failed.error ? &failed : reply);
}

void *file_call_new(struct fs *fs, size_t size, struct open_file *handle, fuse_req_t req)
{
	struct file_call *call = peer_call_new(fs, size, handle->node, req);

	if (!call)
		return NULL;
	call->handle = handle;
	open_file_ref(handle);
	call->call.done = on_done;
	call->call.release = on_call_release;
	return call;
}

static void send_open(struct file_call *call)
{
	struct args_open args = {.flags = (unsigned)call->handle->flags &
					  ~(unsigned)(O_CREAT | O_EXCL | O_TRUNC)};

	call->opening = true;
	call->n_opened++;
	peer_call_send(&call->call, OP_OPEN, &args);
}

void file_call_send(struct file_call *call, uint16_t op, void *args)
{
	call->op = op;
	call->args = args;
	if (!open_file_is_current(call->handle)) {
		send_open(call);
		return;
	}
	((struct args_of_handle *)args)->handle = call->handle->number;
	peer_call_send(&call->call, op, args);
}

void file_call_reopen(struct file_call *call)
{
	call->op = 0;
	send_open(call);
}
