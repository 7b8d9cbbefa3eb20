/*
 * Locks. What a lock protects is read after it was granted: so the node's cached pages and
 * attributes go before the program hears of it. An unlock follows the node's writes on the wire,
 * where calls of one node keep their order.
 */
#include "fs/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>

#include "fs/file.h"

struct lock_call {
	struct peer_call call; /* first */
	struct args_lock args;
};

/* Before its call is made: it waits until the node's writes are sent. */
struct lock_send {
	struct file_waiter waiter;
	struct lock_call *call;
};

/* A granted lock, until the kernel has dropped its pages. */
struct lock_granted {
	struct notify_done done;
	fuse_req_t req;
};

static void on_sent(struct file_waiter *waiter)
{
	struct lock_send *send = (struct lock_send *)waiter;
	struct lock_call *call = send->call;

	free(send);
	peer_call_send(&call->call, OP_LOCK, &call->args);
}

static void on_dropped(struct notify_done *done)
{
	struct lock_granted *granted = (struct lock_granted *)done;

	fuse_reply_err(granted->req, 0);
	free(granted);
}

/* Nobody waits for the lock any more that was granted nevertheless. */
static void give_back(struct lock_call *call)
{
	struct fs_peer *peer = call->call.peer;
	struct lock_call *unlock = peer_call_new(peer->fs, sizeof(*unlock), call->call.node, NULL);

	if (!unlock)
		return;
	unlock->args = call->args;
	unlock->args.type = F_UNLCK;
	unlock->args.command = LOCK_SET;
	unlock->call.done = call->call.done;
	peer_call_send(&unlock->call, OP_LOCK, &unlock->args);
}

static void set_done(struct peer_call *peer_call, const struct transport_reply *reply)
{
	struct lock_call *call = (struct lock_call *)peer_call;
	struct lock_granted *granted;
	fuse_req_t req;

	if (reply->error < 0) {
		peer_call_fail(peer_call, reply->error);
		return;
	}
	req = peer_call_take(peer_call);
	if (call->args.type == F_UNLCK) {
		if (req)
			fuse_reply_err(req, 0);
		return;
	}
	if (!req) {
		give_back(call);
		return;
	}
	node_changed(peer_call->peer->fs, peer_call->node); /* nothing older is believed */
	granted = calloc(1, sizeof(*granted));
	if (!granted) {
		notify_pages(peer_call->peer, peer_call->node, NULL);
		fuse_reply_err(req, 0);
		return;
	}
	granted->done.fn = on_dropped;
	granted->req = req;
	notify_pages(peer_call->peer, peer_call->node, &granted->done);
}

static void get_done(struct peer_call *call, const struct transport_reply *reply)
{
	const struct result_lock *result = reply->result;
	struct flock lock;
	fuse_req_t req;

	if (reply->error < 0) {
		peer_call_fail(call, reply->error);
		return;
	}
	lock = (struct flock){
	    .l_type = (short)result->type,
	    .l_whence = SEEK_SET,
	    .l_start = (off_t)result->offset,
	    .l_len = (off_t)result->size,
	    .l_pid = (pid_t)result->pid,
	};
	req = peer_call_take(call);
	if (req)
		fuse_reply_lock(req, &lock);
}

static void begin(fuse_req_t req, struct fs_node *node, struct fuse_file_info *info,
		  const struct args_lock *args,
		  void (*done)(struct peer_call *call, const struct transport_reply *reply))
{
	struct fs *fs = fs_of(req);
	struct fs_peer *peer = node_peer(fs, node);
	uint64_t handle = file_handle(peer, info);
	struct lock_call *call;
	struct lock_send *send;

	if (handle == 0) {
		peer_reply_error(req, peer, -ESTALE);
		return;
	}
	call = peer_call_new(fs, sizeof(*call), node, req);
	if (!call) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	call->args = *args;
	call->args.handle = handle;
	call->args.owner = info->lock_owner;
	call->call.done = done;
	send = calloc(1, sizeof(*send));
	if (!send) {
		peer_call_fail(&call->call, -ENOMEM);
		peer_call_abandon(&call->call);
		return;
	}
	send->waiter.fn = on_sent;
	send->call = call;
	file_when_sent(node, &send->waiter);
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
	};
}

void lock_get(fuse_req_t req, struct fs_node *node, struct fuse_file_info *info, struct flock *lock)
{
	struct args_lock args = args_of(lock, LOCK_GET);

	begin(req, node, info, &args, get_done);
}

void lock_set(fuse_req_t req, struct fs_node *node, struct fuse_file_info *info, struct flock *lock,
	      bool wait)
{
	struct args_lock args = args_of(lock, wait ? LOCK_SET_WAIT : LOCK_SET);

	begin(req, node, info, &args, set_done);
}

void lock_flock(fuse_req_t req, struct fs_node *node, struct fuse_file_info *info, int op)
{
	struct args_lock args = {
	    .command = op & LOCK_NB ? LOCK_SET : LOCK_SET_WAIT,
	    .kind = LOCK_KIND_FLOCK,
	    .type = op & LOCK_UN   ? F_UNLCK
		    : op & LOCK_EX ? F_WRLCK
				   : F_RDLCK,
	};

	begin(req, node, info, &args, set_done);
}
