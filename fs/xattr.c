#include "fs/xattr.h"

#include <errno.h>
#include <string.h>

#include "fs/dir.h"
#include "fs/file.h"

/* GETXATTR and LISTXATTR: `size` is the room that the program has; 0: it asks how much it needs. */
struct xattr_call {
	struct peer_call call; /* first */
	size_t size;
	bool is_search; /* it may change who may search the directory */
};

static void answer(struct xattr_call *call, struct bytes value)
{
	fuse_req_t req;

	if (call->size > 0 && value.size > call->size) {
		peer_call_fail(&call->call, -ERANGE);
		return;
	}
	req = peer_call_take(&call->call);
	if (!req)
		return;
	if (call->size == 0)
		fuse_reply_xattr(req, value.size);
	else
		fuse_reply_buf(req, (const char *)value.data, value.size);
}

/* The kernel that checks ACLs asks for them on the way to each file, and takes only ENODATA for
 * "there is none": a file system without ACLs could not be entered. */
static bool is_acl_nowhere(const struct peer_call *call, int error)
{
	static const char prefix[] = "system.posix_acl_";
	const struct args_getxattr *args = call->args; /* NULL where it was never sent */
	struct bytes name = args ? args->name : (struct bytes){0};

	return error == -EOPNOTSUPP && call->peer->fs->config.allow_other &&
	       name.size > strlen(prefix) && memcmp(name.data, prefix, strlen(prefix)) == 0;
}

static void get_done(struct peer_call *call, const struct transport_reply *reply)
{
	const struct result_getxattr *result = reply->result;

	if (reply->error < 0)
		peer_call_fail(call, is_acl_nowhere(call, reply->error) ? -ENODATA : reply->error);
	else
		answer((struct xattr_call *)call, result->value);
}

static void list_done(struct peer_call *call, const struct transport_reply *reply)
{
	const struct result_listxattr *result = reply->result;

	if (reply->error < 0)
		peer_call_fail(call, reply->error);
	else
		answer((struct xattr_call *)call, result->names);
}

/* SETXATTR and REMOVEXATTR: modes (ACLs) and ctime change with them. */
static void change_done(struct peer_call *call, const struct transport_reply *reply)
{
	fuse_req_t req;

	node_changed(call->peer->fs, call->node);
	file_xattrs_changed(call->peer->fs, call->node);
	if (reply->error < 0) {
		peer_call_fail(call, reply->error);
		return;
	}
	if (((struct xattr_call *)call)->is_search)
		dir_search_changed(call->peer->fs, call->node);
	req = peer_call_take(call);
	if (req)
		fuse_reply_err(req, 0);
}

static struct xattr_call *begin(fuse_req_t req, struct fs_node *node, size_t size,
				void (*done)(struct peer_call *call,
					     const struct transport_reply *reply))
{
	struct xattr_call *call = peer_call_new(fs_of(req), sizeof(*call), node, req);

	if (!call) {
		fuse_reply_err(req, ENOMEM);
		return NULL;
	}
	call->size = size;
	call->call.done = done;
	return call;
}

static bool is_text(struct bytes name, const char *text)
{
	return name.size == strlen(text) && memcmp(name.data, text, name.size) == 0;
}

/* Names that are absent where there are none; others are the peer's to judge. */
static bool is_ordinary(struct bytes name)
{
	static const char *const prefixes[] = {"security.", "system.posix_acl_", "user."};

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		size_t size = strlen(prefixes[i]);

		if (name.size > size && memcmp(name.data, prefixes[i], size) == 0)
			return true;
	}
	return false;
}

/* Whether it has none, as was said within the last second. */
static bool is_plain(struct fs *fs, struct fs_node *node)
{
	uint64_t left;
	const struct attr *known = node_attr_get(fs, node, &left);
	struct attr listed;

	if (node->is_stale || !node_peer(fs, node)->transport)
		return false;
	if (known)
		return known->plain;
	return file_is_plain(fs, node) || (dir_attr(fs, node, &listed, &left) && listed.plain);
}

void xattr_get(fuse_req_t req, struct fs_node *node, struct bytes name, size_t size)
{
	struct args_getxattr args = {.name = name};
	struct xattr_call *call;

	if (is_ordinary(name) && is_plain(fs_of(req), node)) {
		/* A kernel with SELinux answers for it by itself. Without, ls -l asks for it of
		 * each file, until it hears that there is no such thing. */
		fuse_reply_err(req, is_text(name, "security.selinux") ? EOPNOTSUPP : ENODATA);
		return;
	}
	call = begin(req, node, size, get_done);
	if (call)
		peer_call_send(&call->call, OP_GETXATTR, &args);
}

void xattr_list(fuse_req_t req, struct fs_node *node, size_t size)
{
	struct args_listxattr args = {0};
	struct xattr_call *call;

	if (is_plain(fs_of(req), node)) {
		if (size)
			fuse_reply_buf(req, NULL, 0);
		else
			fuse_reply_xattr(req, 0);
		return;
	}
	call = begin(req, node, size, list_done);
	if (call)
		peer_call_send(&call->call, OP_LISTXATTR, &args);
}

void xattr_set(fuse_req_t req, struct fs_node *node, struct bytes name, struct bytes value,
	       int flags)
{
	struct args_setxattr args = {.name = name, .flags = (uint64_t)flags & 3, .value = value};
	struct xattr_call *call = begin(req, node, 0, change_done);

	if (!call)
		return;
	call->is_search = node->type == S_IFDIR && is_text(name, "system.posix_acl_access");
	peer_call_send(&call->call, OP_SETXATTR, &args);
}

void xattr_remove(fuse_req_t req, struct fs_node *node, struct bytes name)
{
	struct args_removexattr args = {.name = name};
	struct xattr_call *call = begin(req, node, 0, change_done);

	if (call)
		peer_call_send(&call->call, OP_REMOVEXATTR, &args);
}
