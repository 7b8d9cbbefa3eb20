/*
 * Locks. What a lock protects is read after it was granted: so the node's cached pages and
 * attributes go before the program hears of it.
 *
 *     LOCK sent ──► granted ──► pages dropped ──► answered
 *         └──────► refused or interrupted ──────► answered
 *
 * An unlock follows the node's writes on the wire, where calls of one node keep their order. A lock
 * that is granted after its program was told EINTR is given back.
 */
#include "fs/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>

#include "fs/dir.h"
#include "fs/file_call.h"

struct lock_call {
	struct file_call call;         /* first */
	struct lock_call *prev, *next; /* file->locks */
	struct args_lock args;
};

/* A granted lock, until the kernel has dropped its pages. */
struct lock_granted {
	struct notify_done done; /* first */
	struct parked parked;
};

static void on_free(struct peer_call *peer_call)
{
	struct lock_call *call = (struct lock_call *)peer_call;
	struct file *file = peer_call->node->file;

	*(call->prev ? &call->prev->next : &file->locks) = call->next;
	if (call->next)
		call->next->prev = call->prev;
	open_file_unref(call->call.handle);
}

static struct lock_call *call_new(struct fs *fs, struct open_file *handle, fuse_req_t req,
				  void (*answer)(struct file_call *call,
						 const struct transport_reply *reply))
{
	struct lock_call *call = file_call_new(fs, sizeof(*call), handle, req);
	struct file *file = handle->node->file;

	if (!call)
		return NULL;
	call->call.answer = answer;
	call->call.call.release = on_free;
	call->next = file->locks;
	if (call->next)
		call->next->prev = call;
	file->locks = call;
	return call;
}

/* --- taking and releasing --------------------------------------------------------------------- */

static void on_given_back(struct file_call *call, const struct transport_reply *reply)
{
	/* If that failed, RELEASE does it. */
}

/* The same program has asked again meanwhile (its signal handler restarts calls): what was granted
 * is part of what it will have. */
static bool is_asked_again(const struct lock_call *call)
{
	const struct lock_call *other = call->call.handle->node->file->locks;

	for (; other; other = other->next)
		if (other != call && other->args.owner == call->args.owner &&
		    other->args.kind == call->args.kind)
			return true;
	return false;
}

/* Nobody waits for the lock any more that was granted nevertheless. */
static void give_back(struct lock_call *call)
{
	struct lock_call *unlock;

	if (is_asked_again(call))
		return;
	unlock = call_new(call->call.call.peer->fs, call->call.handle, NULL, on_given_back);
	if (!unlock)
		return;
	unlock->args = call->args;
	unlock->args.type = F_UNLCK;
	unlock->args.command = LOCK_SET;
	file_call_send(&unlock->call, OP_LOCK, &unlock->args);
}

static void on_dropped(struct notify_done *done)
{
	struct lock_granted *granted = (struct lock_granted *)done;
	fuse_req_t req = parked_take(&granted->parked);

	if (req)
		fuse_reply_err(req, 0);
	free(granted);
}

static void on_granted(struct lock_call *call, fuse_req_t req)
{
	struct fs_peer *peer = call->call.call.peer;
	struct fs_node *node = call->call.call.node;
	struct lock_granted *granted = calloc(1, sizeof(*granted));

	call->call.handle->locked |= 1u << call->args.kind;
	file_data_changed(node->file);
	node_changed(peer->fs, node);
	if (node->parent)
		dir_ask_each_time(peer->fs, node->parent);
	if (!granted) {
		notify_pages(peer, node, NULL);
		fuse_reply_err(req, 0);
		return;
	}
	granted->done.fn = on_dropped;
	/* The lock is there, and RELEASE or FLUSH frees it: an interrupt loses nothing. */
	parked_start(&granted->parked, peer->fs, req, PARKED_FILE, NULL);
	notify_pages(peer, node, &granted->done);
}

static void on_set(struct file_call *file_call, const struct transport_reply *reply)
{
	struct lock_call *call = (struct lock_call *)file_call;
	fuse_req_t req;

	if (reply->error) {
		peer_call_fail(&file_call->call, reply->error);
		return;
	}
	req = peer_call_take(&file_call->call);
	if (call->args.type == F_UNLCK) {
		if (call->args.kind == LOCK_KIND_FLOCK ||
		    (call->args.offset == 0 && call->args.size == 0))
			file_call->handle->locked &= ~(1u << call->args.kind);
		if (req)
			fuse_reply_err(req, 0);
	} else if (req) {
		on_granted(call, req);
	} else {
		give_back(call);
	}
}

static void on_got(struct file_call *call, const struct transport_reply *reply)
{
	const struct result_lock *result = reply->result;
	struct flock lock;
	fuse_req_t req;

	if (reply->error) {
		peer_call_fail(&call->call, reply->error);
		return;
	}
	lock = (struct flock){
	    .l_type = (short)result->type,
	    .l_whence = SEEK_SET,
	    .l_start = (off_t)result->offset,
	    .l_len = (off_t)result->size,
	    .l_pid = (pid_t)result->pid,
	};
	req = peer_call_take(&call->call);
	if (req)
		fuse_reply_lock(req, &lock);
}

/* --- FUSE operations -------------------------------------------------------------------------- */

static void begin(fuse_req_t req, struct fs_node *node, struct fuse_file_info *info,
		  const struct args_lock *args,
		  void (*answer)(struct file_call *call, const struct transport_reply *reply))
{
	struct lock_call *call = call_new(fs_of(req), open_file_of(info), req, answer);

	if (!call) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	if (args->kind == LOCK_KIND_POSIX && args->command != LOCK_GET)
		node->file->posix_locked = true;
	call->args = *args;
	call->args.owner = info->lock_owner;
	/* Who waits for a lock expects EINTR on any signal; the kernel restarts it where asked. */
	if (args->command == LOCK_SET_WAIT)
		call->call.call.parked.kind = PARKED_CONTROL;
	file_call_send(&call->call, OP_LOCK, &call->args);
}

/* The range of a lock as the kernel gives it: l_len 0 reaches to the end of the file. */
static struct args_lock args_of(const struct flock *lock, enum lock_command command)
{
	return (struct args_lock){
	    .command = command,
	    .kind = LOCK_KIND_POSIX,
	    .type = (uint64_t)lock->l_type,
	    .offset = (uint64_t)lock->l_start,
	    .size = (uint64_t)lock->l_len,
	    .pid = lock->l_pid > 0 ? (uint64_t)lock->l_pid : 0,
	};
}

void lock_get(fuse_req_t req, struct fs_node *node, struct fuse_file_info *info, struct flock *lock)
{
	struct args_lock args = args_of(lock, LOCK_GET);

	begin(req, node, info, &args, on_got);
}

void lock_set(fuse_req_t req, struct fs_node *node, struct fuse_file_info *info, struct flock *lock,
	      bool wait)
{
	struct args_lock args =
	    args_of(lock, wait && lock->l_type != F_UNLCK ? LOCK_SET_WAIT : LOCK_SET);

	begin(req, node, info, &args, on_set);
}

void lock_flock(fuse_req_t req, struct fs_node *node, struct fuse_file_info *info, int op)
{
	struct args_lock args = {
	    .command = op & (LOCK_NB | LOCK_UN) ? LOCK_SET : LOCK_SET_WAIT,
	    .kind = LOCK_KIND_FLOCK,
	    .type = op & LOCK_UN   ? F_UNLCK
		    : op & LOCK_EX ? F_WRLCK
				   : F_RDLCK,
	};

	begin(req, node, info, &args, on_set);
}
