/*
 * Each change has the same end: what we remember of the directory and of the objects is dropped
 * when the answer comes (node_changed, dir_changed: replies to what was sent before are not
 * believed either), nodes follow their names, and the kernel hears of what it cannot know itself.
 */
#include "fs/changes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/attr_map.h"
#include "fs/dir.h"
#include "fs/file.h"

/* A change of one or two names. */
struct change {
	struct peer_call call;
	struct bytes name, new_name; /* in `names` */
	struct fs_node *child;       /* held: what `name` was when it was sent, if known */
	struct fs_node *target;      /* held: what `new_name` was */
	unsigned flags;
	uint8_t names[];
};

static void release(struct peer_call *call)
{
	struct change *change = (struct change *)call;

	if (change->child)
		node_drop(call->peer->fs, change->child);
	if (change->target)
		node_drop(call->peer->fs, change->target);
}

/* NULL: ENOMEM was answered. */
static struct change *
new_change(fuse_req_t req, struct fs_node *node, struct bytes name, struct bytes new_name,
	   void (*done)(struct peer_call *call, const struct transport_reply *reply))
{
	struct change *change;

	if (name.size > OPS_NAME_MAX || new_name.size > OPS_NAME_MAX) {
		fuse_reply_err(req, ENAMETOOLONG);
		return NULL;
	}
	change = peer_call_new(fs_of(req), sizeof(*change) + name.size + new_name.size, node, req);
	if (!change) {
		fuse_reply_err(req, ENOMEM);
		return NULL;
	}
	memcpy(change->names, name.data, name.size);
	change->name = (struct bytes){change->names, name.size};
	if (new_name.size)
		memcpy(change->names + name.size, new_name.data, new_name.size);
	change->new_name = (struct bytes){change->names + name.size, new_name.size};
	change->call.done = done;
	change->call.release = release;
	return change;
}

static const struct bytes no_name;

/* --- making ----------------------------------------------------------------------------------- */

struct fs_node *changes_made(struct fs_peer *peer, struct fs_node *parent, struct bytes name,
			     const struct entry *entry)
{
	struct fs_node *node;

	dir_name_changed(peer->fs, parent, name);
	node = node_enter(peer, parent, name, entry);
	if (!node)
		return NULL;
	node_hold(node);
	node_changed(peer->fs, node);
	return node;
}

static void reply_made(struct change *change, struct fs_node *parent, const struct entry *entry)
{
	struct fs_peer *peer = change->call.peer;
	struct fs_node *node = changes_made(peer, parent, change->name, entry);
	fuse_req_t req;

	if (!node) {
		peer_call_fail(&change->call, -EIO);
		return;
	}
	if (change->call.op == OP_MKDIR && node->type == S_IFDIR)
		dir_was_made(peer->fs, node);
	req = peer_call_take(&change->call);
	if (req)
		attr_map_reply_entry(req, node, &entry->attr, peer->fs->change);
	node_drop(peer->fs, node);
}

static void fail_in(struct peer_call *call, struct fs_node *parent, int error)
{
	/* The kernel was told otherwise, or nobody knows what was done. */
	if (error == -EEXIST || error == -EIO || error == -EINTR || error == -ENOENT)
		dir_changed(call->peer->fs, parent);
	peer_call_fail(call, error);
}

/* The results of MKNOD, MKDIR and SYMLINK are one entry each. */
static void on_made(struct peer_call *call, const struct transport_reply *reply)
{
	if (reply->error)
		fail_in(call, call->node, reply->error);
	else
		reply_made((struct change *)call, call->node,
			   &((const struct result_mknod *)reply->result)->entry);
}

_Static_assert(offsetof(struct result_mknod, entry) == offsetof(struct result_mkdir, entry) &&
		   offsetof(struct result_mknod, entry) == offsetof(struct result_symlink, entry),
	       "on_made reads the results of all three");

void changes_mknod(fuse_req_t req, struct fs_node *parent, struct bytes name, mode_t mode,
		   dev_t rdev)
{
	struct args_mknod args = {.name = name,
				  .mode = mode,
				  .rdev = (uint32_t)rdev,
				  .umask = fuse_req_ctx(req)->umask & 07777};
	struct change *change = new_change(req, parent, name, no_name, on_made);

	if (change)
		peer_call_send(&change->call, OP_MKNOD, &args);
}

void changes_mkdir(fuse_req_t req, struct fs_node *parent, struct bytes name, mode_t mode)
{
	struct args_mkdir args = {
	    .name = name, .mode = mode & 07777, .umask = fuse_req_ctx(req)->umask & 07777};
	struct change *change = new_change(req, parent, name, no_name, on_made);

	if (change)
		peer_call_send(&change->call, OP_MKDIR, &args);
}

void changes_symlink(fuse_req_t req, struct fs_node *parent, struct bytes name, struct bytes target)
{
	struct args_symlink args = {.name = name, .target = target};
	struct change *change;

	if (target.size > OPS_TARGET_MAX) {
		fuse_reply_err(req, ENAMETOOLONG);
		return;
	}
	change = new_change(req, parent, name, no_name, on_made);
	if (change)
		peer_call_send(&change->call, OP_SYMLINK, &args);
}

static void on_link(struct peer_call *call, const struct transport_reply *reply)
{
	const struct result_link *result = reply->result;

	node_changed(call->peer->fs, call->node);
	if (reply->error)
		fail_in(call, call->node2, reply->error);
	else
		reply_made((struct change *)call, call->node2, &result->entry);
}

void changes_link(fuse_req_t req, struct fs_node *node, struct fs_node *parent, struct bytes name)
{
	struct args_link args = {.name = name};
	struct change *change;

	if (node->kind != NODE_IS_REMOTE || node->peer != parent->peer) {
		fuse_reply_err(req, node->kind == NODE_IS_REMOTE ? EXDEV : EPERM);
		return;
	}
	change = new_change(req, node, name, no_name, on_link);
	if (!change)
		return;
	peer_call_node2(&change->call, parent);
	peer_call_send(&change->call, OP_LINK, &args);
}

/* --- removing --------------------------------------------------------------------------------- */

static struct fs_node *hold_child(struct fs *fs, struct fs_node *parent, struct bytes name)
{
	struct fs_node *child = node_find_child(fs, parent, name);

	if (child)
		node_hold(child);
	return child;
}

/* The node has lost that name. What else it has (links, open files) shows a new ctime and count,
 * of which the kernel only knows the latter. */
static void lost_name(struct fs_peer *peer, struct fs_node *node, struct fs_node *parent,
		      struct bytes name)
{
	if (node_find_child(peer->fs, parent, name) == node)
		node_forget_name(peer->fs, node);
	node_changed(peer->fs, node);
	if (node->nlookup && node->type != S_IFDIR)
		notify_attr(peer, node);
}

static void on_removed(struct peer_call *call, const struct transport_reply *reply)
{
	struct change *change = (struct change *)call;

	if (reply->error) {
		fail_in(call, call->node, reply->error);
		return;
	}
	dir_name_changed(call->peer->fs, call->node, change->name);
	if (change->child)
		lost_name(call->peer, change->child, call->node, change->name);
	else
		node_unknown_name_lost(call->peer);
	peer_call_fail(call, 0);
}

static void start_removal(fuse_req_t req, struct fs_node *parent, struct bytes name, uint16_t op,
			  void *args)
{
	struct change *change = new_change(req, parent, name, no_name, on_removed);

	if (!change)
		return;
	change->child = hold_child(fs_of(req), parent, name);
	peer_call_send(&change->call, op, args);
}

void changes_unlink(fuse_req_t req, struct fs_node *parent, struct bytes name)
{
	struct args_unlink args = {.name = name};

	start_removal(req, parent, name, OP_UNLINK, &args);
}

void changes_rmdir(fuse_req_t req, struct fs_node *parent, struct bytes name)
{
	struct args_rmdir args = {.name = name};

	start_removal(req, parent, name, OP_RMDIR, &args);
}

/* --- renaming --------------------------------------------------------------------------------- */

/* Nodes follow what the peer did. */
static void move_nodes(struct fs *fs, struct change *change)
{
	struct fs_peer *peer = change->call.peer;
	struct fs_node *parent = change->call.node;
	struct fs_node *new_parent = change->call.node2 ? change->call.node2 : parent;
	struct fs_node *child = change->child, *target = change->target;

	/* Two names of one object: rename does nothing. */
	if (child && child == target)
		return;
	if (target && !(change->flags & RENAME_EXCHANGE))
		lost_name(peer, target, new_parent, change->new_name);
	if (!child || (!target && !(change->flags & RENAME_NOREPLACE)))
		node_unknown_name_lost(peer);
	if (change->flags & RENAME_EXCHANGE) {
		if (target)
			node_forget_name(fs, target);
		if (child)
			node_rename(fs, child, new_parent, change->new_name);
		if (target) {
			node_rename(fs, target, parent, change->name);
			node_changed(fs, target);
		}
	} else if (child) {
		node_rename(fs, child, new_parent, change->new_name);
	}
	if (child)
		node_changed(fs, child);
}

static void on_renamed(struct peer_call *call, const struct transport_reply *reply)
{
	struct change *change = (struct change *)call;
	struct fs *fs = call->peer->fs;

	dir_name_changed(fs, call->node, change->name);
	dir_name_changed(fs, call->node2 ? call->node2 : call->node, change->new_name);
	if (!reply->error)
		move_nodes(fs, change);
	peer_call_fail(call, reply->error);
}

void changes_rename(fuse_req_t req, struct fs_node *parent, struct bytes name,
		    struct fs_node *new_parent, struct bytes new_name, unsigned flags)
{
	struct fs *fs = fs_of(req);
	struct args_rename args = {.name = name, .new_name = new_name, .flags = flags & 7};
	struct change *change;

	if (parent->peer != new_parent->peer) {
		fuse_reply_err(req, EXDEV);
		return;
	}
	change = new_change(req, parent, name, new_name, on_renamed);
	if (!change)
		return;
	change->flags = flags;
	change->child = hold_child(fs, parent, name);
	change->target = hold_child(fs, new_parent, new_name);
	peer_call_node2(&change->call, new_parent);
	peer_call_send(&change->call, OP_RENAME, &args);
}

/* --- setattr ---------------------------------------------------------------------------------- */

struct setattr_call {
	struct peer_call call;
	struct args_setattr args;
};

/* Its owner may not search it any more. */
static bool is_closed(const struct setattr_call *setattr, const struct attr *attr)
{
	return setattr->call.node->type == S_IFDIR && (setattr->args.valid & SETATTR_MODE) &&
	       !(attr->mode & S_IXUSR);
}

static void on_setattr(struct peer_call *call, const struct transport_reply *reply)
{
	const struct result_setattr *result = reply->result;
	struct setattr_call *setattr = (struct setattr_call *)call;
	struct fs_node *node = call->node;
	fuse_req_t req;

	node_changed(call->peer->fs, node);
	if (reply->error) {
		peer_call_fail(call, reply->error);
		return;
	}
	if (node->type == S_IFREG && node->file)
		file_attr_was_set(node, &result->attr, (unsigned)setattr->args.valid);
	if (is_closed(setattr, &result->attr))
		dir_search_changed(call->peer->fs, node);
	req = peer_call_take(call);
	if (req)
		attr_map_reply(req, node, &result->attr, call->peer->fs->change);
}

static const struct {
	int fuse;
	unsigned ours;
} valid_bits[] = {
    {FUSE_SET_ATTR_MODE, SETATTR_MODE},
    {FUSE_SET_ATTR_UID, SETATTR_UID},
    {FUSE_SET_ATTR_GID, SETATTR_GID},
    {FUSE_SET_ATTR_SIZE, SETATTR_SIZE},
    {FUSE_SET_ATTR_ATIME, SETATTR_ATIME},
    {FUSE_SET_ATTR_MTIME, SETATTR_MTIME},
    {FUSE_SET_ATTR_ATIME_NOW, SETATTR_ATIME | SETATTR_ATIME_NOW},
    {FUSE_SET_ATTR_MTIME_NOW, SETATTR_MTIME | SETATTR_MTIME_NOW},
};

void changes_setattr(fuse_req_t req, struct fs_node *node, const struct stat *attr, int valid,
		     struct fuse_file_info *info)
{
	struct fs *fs = fs_of(req);
	struct fs_peer *peer = node_peer(fs, node);
	struct setattr_call *setattr;

	if (node->kind != NODE_IS_REMOTE) {
		fuse_reply_err(req, EPERM);
		return;
	}
	setattr = peer_call_new(fs, sizeof(*setattr), node, req);
	if (!setattr) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	setattr->call.done = on_setattr;
	for (size_t i = 0; i < sizeof(valid_bits) / sizeof(valid_bits[0]); i++)
		if (valid & valid_bits[i].fuse)
			setattr->args.valid |= valid_bits[i].ours;
	setattr->args.handle = info && node->type == S_IFREG ? file_handle(peer, info) : 0;
	setattr->args.mode = attr->st_mode & 07777;
	if (setattr->args.valid & SETATTR_UID)
		setattr->args.uid = attr_map_uid_out(peer, attr->st_uid);
	if (setattr->args.valid & SETATTR_GID)
		setattr->args.gid = attr_map_gid_out(peer, attr->st_gid);
	if (setattr->args.valid & SETATTR_SIZE)
		setattr->args.size = (uint64_t)attr->st_size;
	if (valid & FUSE_SET_ATTR_ATIME)
		setattr->args.atime = attr->st_atim;
	if (valid & FUSE_SET_ATTR_MTIME)
		setattr->args.mtime = attr->st_mtim;
	/* Writes that were made before it are on the wire before it. */
	peer_call_send(&setattr->call, OP_SETATTR, &setattr->args);
}
