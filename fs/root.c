#include "fs/root.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/control_files.h"

#define ROOT_TRUST 1.0 /* seconds that the kernel believes local state */
#define ACL_ACCESS "system.posix_acl_access"

/* --- a peer's directory ----------------------------------------------------------------------- */

static void on_top_attr(struct peer_call *call, const struct transport_reply *reply)
{
	const struct result_getattr *result = reply->result;
	struct fs_peer *peer = call->peer;
	struct attr before = peer->top_attr;

	peer->top_asked = fs_now(peer->fs);
	if (reply->error)
		return;
	peer->top_attr = result->attr;
	if (before.mode != result->attr.mode || before.uid != result->attr.uid ||
	    before.gid != result->attr.gid)
		notify_attr(peer, call->node);
}

static void on_top_acl(struct peer_call *call, const struct transport_reply *reply)
{
	const struct result_getxattr *result = reply->result;
	struct buffer *acl = &call->peer->top_acl;
	struct bytes now = {0};

	if (!reply->error)
		now = result->value;
	else if (reply->error != -ENODATA && reply->error != -EOPNOTSUPP)
		return;
	if (now.size == acl->size && (!now.size || memcmp(now.data, acl->data, now.size) == 0))
		return;
	acl->size = 0;
	acl->limit = OPS_XATTR_MAX;
	if (buffer_append(acl, now.data, now.size) == 0)
		notify_attr(call->peer, call->node);
}

static bool send_top(struct fs_peer *peer, uint16_t op, void *args,
		     void (*done)(struct peer_call *call, const struct transport_reply *reply))
{
	struct peer_call *call = peer_call_new(peer->fs, sizeof(*call), peer->top, NULL);

	if (!call)
		return false;
	call->done = done;
	peer_call_send(call, op, args);
	return true;
}

void root_top_ask(struct fs_peer *peer)
{
	struct args_getattr getattr = {0};
	struct args_getxattr getxattr = {.name = {(const uint8_t *)ACL_ACCESS, strlen(ACL_ACCESS)}};

	if (!peer->fs->config.allow_other)
		return;
	send_top(peer, OP_GETXATTR, &getxattr, on_top_acl);
	peer->top_asked = UINT64_MAX;
	if (!send_top(peer, OP_GETATTR, &getattr, on_top_attr))
		peer->top_asked = fs_now(peer->fs);
}

/* The mounting user's view of it, or everybody's. */
static void stat_top(struct fs_peer *peer, struct stat *ret_stat)
{
	uint64_t asked = peer->top_asked;

	if (!peer->fs->config.allow_other || !peer->transport)
		return;
	if (asked != UINT64_MAX && fs_now(peer->fs) - asked >= peer->fs->config.trust &&
	    peer->transport->ops->state(peer->transport) == TRANSPORT_UP)
		root_top_ask(peer);
	if (!peer->top_attr.mode)
		return;
	ret_stat->st_mode = S_IFDIR | (peer->top_attr.mode & 07777);
	ret_stat->st_uid = (uid_t)peer->top_attr.uid;
	ret_stat->st_gid = (gid_t)peer->top_attr.gid;
}

void root_getxattr(fuse_req_t req, struct fs_node *node, struct bytes name, size_t size)
{
	const struct fs_peer *peer = node_peer(fs_of(req), node);
	bool is_acl =
	    name.size == strlen(ACL_ACCESS) && memcmp(name.data, ACL_ACCESS, name.size) == 0;

	if (node->kind != NODE_IS_TOP || !is_acl || !peer->top_acl.size)
		fuse_reply_err(req, ENODATA);
	else if (!size)
		fuse_reply_xattr(req, peer->top_acl.size);
	else if (size < peer->top_acl.size)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, (const char *)peer->top_acl.data, peer->top_acl.size);
}

/* --- all of them ------------------------------------------------------------------------------ */

/* The attributes of a local node. Of control files, the size is that of the text as of now. */
static void stat_local(fuse_req_t req, const struct fs_node *node, struct stat *ret_stat)
{
	struct fs *fs = fs_of(req);
	struct fs_peer *peer = node_peer(fs, node);
	uint64_t time = node->kind == NODE_IS_TOP ? peer->added : fs->peers_changed;

	*ret_stat = (struct stat){
	    .st_ino = node->ino,
	    .st_mode = (mode_t)(node->type | 0700),
	    .st_nlink = 2,
	    .st_uid = fs->config.uid,
	    .st_gid = fs->config.gid,
	    .st_blksize = 4096,
	};
	if (node->kind == NODE_IS_TOP)
		stat_top(peer, ret_stat);
	else if (fs->config.allow_other)
		ret_stat->st_mode |= 0055;
	if (node->kind == NODE_IS_ROOT)
		for (unsigned i = 0; i < fs->n_peers; i++)
			ret_stat->st_nlink += fs->peers[i] && fs->peers[i]->transport;
	if (node->kind == NODE_IS_CONTROL)
		control_stat(req, fs, node, ret_stat);
	if (!ret_stat->st_mtim.tv_sec) {
		ret_stat->st_mtim.tv_sec = (time_t)(time / FS_SECOND);
		ret_stat->st_mtim.tv_nsec = (long)(time % FS_SECOND);
	}
	ret_stat->st_atim = ret_stat->st_ctim = ret_stat->st_mtim;
}

static double trust(const struct fs_node *node)
{
	return node->kind == NODE_IS_CONTROL && node->type != S_IFDIR ? 0 : ROOT_TRUST;
}

void root_getattr(fuse_req_t req, struct fs_node *node)
{
	struct stat stat;

	if (node->is_stale) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	stat_local(req, node, &stat);
	fuse_reply_attr(req, &stat, trust(node));
}

void root_reply_attr(fuse_req_t req, struct fs_node *node, uint64_t size)
{
	struct stat stat;

	stat_local(req, node, &stat);
	stat.st_size = (off_t)size;
	fuse_reply_attr(req, &stat, trust(node));
}

static void entry_of(fuse_req_t req, struct fs_node *node, struct fuse_entry_param *ret_entry)
{
	bool is_fleeting = node->kind == NODE_IS_CONTROL && control_is_fleeting(node);

	*ret_entry = (struct fuse_entry_param){
	    .ino = node_id(fs_of(req), node),
	    .generation = node->generation,
	    .attr_timeout = trust(node),
	    .entry_timeout = is_fleeting ? 0 : ROOT_TRUST,
	};
	stat_local(req, node, &ret_entry->attr);
}

static void reply_entry(fuse_req_t req, struct fs_node *node, const struct fuse_entry_param *entry)
{
	struct fs *fs = fs_of(req);

	node_looked_up(node);
	if (fuse_reply_entry(req, entry))
		node_forgotten(fs, node, 1);
}

void root_reply_entry(fuse_req_t req, struct fs_node *node)
{
	struct fuse_entry_param entry;

	if (!node) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	entry_of(req, node, &entry);
	reply_entry(req, node, &entry);
}

void root_reply_entry_of(fuse_req_t req, struct fs_node *node, uint64_t size)
{
	struct fuse_entry_param entry;

	entry_of(req, node, &entry);
	entry.attr.st_size = (off_t)size;
	reply_entry(req, node, &entry);
}

int root_reply_create(fuse_req_t req, struct fs_node *node, const struct fuse_file_info *info)
{
	struct fs *fs = fs_of(req);
	struct fuse_entry_param entry;
	int r;

	entry_of(req, node, &entry);
	node_looked_up(node);
	r = fuse_reply_create(req, &entry, info);
	if (r)
		node_forgotten(fs, node, 1);
	return r;
}

void root_lookup(fuse_req_t req, struct bytes name)
{
	struct fs *fs = fs_of(req);

	if (control_is_hidden(name)) {
		control_lookup(req, fs->root, name);
		return;
	}
	for (unsigned i = 0; i < fs->n_peers; i++) {
		struct fs_peer *peer = fs->peers[i];

		if (peer && peer->transport && strlen(peer->name) == name.size &&
		    memcmp(peer->name, name.data, name.size) == 0) {
			root_reply_entry(req, peer->top);
			return;
		}
	}
	/* Not cached: a peer may be paired at any moment. */
	fuse_reply_err(req, ENOENT);
}

/* The child at `index`: 1, 0 for a gap, -1 at the end. */
static int child_at(fuse_req_t req, const struct fs_node *node, uint64_t index,
		    const char **ret_name, struct fs_node **ret_node, struct stat *ret_stat)
{
	struct fs *fs = fs_of(req);

	*ret_node = NULL;
	if (node->kind == NODE_IS_CONTROL)
		return control_child(fs, node, index, ret_name, ret_stat);
	if (index >= fs->n_peers)
		return -1;
	if (!fs->peers[index] || !fs->peers[index]->transport)
		return 0;
	*ret_name = fs->peers[index]->name;
	*ret_node = fs->peers[index]->top;
	stat_local(req, *ret_node, ret_stat);
	return 1;
}

void root_read(fuse_req_t req, struct fs_node *node, size_t size, off_t offset, bool plus)
{
	struct fs *fs = fs_of(req);
	char *buffer = malloc(size);
	size_t used = 0, n_nodes = 0;
	struct fs_node **nodes = malloc((size / 128 + 1) * sizeof(*nodes));

	if (!buffer || !nodes) {
		fuse_reply_err(req, ENOMEM);
		goto out;
	}
	for (uint64_t at = (uint64_t)offset;; at++) {
		const char *name = &".."[at == 0];
		struct fs_node *child = NULL;
		struct fuse_entry_param entry = {.attr = {.st_ino = node->ino, .st_mode = S_IFDIR}};
		int is_there = at < 2 ? 1 : child_at(req, node, at - 2, &name, &child, &entry.attr);
		size_t need;

		if (is_there < 0)
			break;
		if (!is_there)
			continue;
		if (child && plus)
			entry_of(req, child, &entry);
		need = plus ? fuse_add_direntry_plus(req, buffer + used, size - used, name, &entry,
						     (off_t)at + 1)
			    : fuse_add_direntry(req, buffer + used, size - used, name, &entry.attr,
						(off_t)at + 1);
		if (need > size - used)
			break;
		used += need;
		if (child && plus) {
			node_looked_up(child);
			nodes[n_nodes++] = child;
		}
	}
	if (fuse_reply_buf(req, buffer, used))
		while (n_nodes)
			node_forgotten(fs, nodes[--n_nodes], 1);
out:
	free(nodes);
	free(buffer);
}
