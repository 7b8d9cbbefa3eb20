#include "fs/entries.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "fs/attr_map.h"
#include "fs/dir.h"
#include "fs/listing.h"
#include "fs/file.h"

/* Sends, or answers ENOMEM. */
static void start(fuse_req_t req, struct fs_node *node, uint16_t op, void *args,
		  void (*done)(struct peer_call *call, const struct transport_reply *reply))
{
	struct peer_call *call = peer_call_new(fs_of(req), sizeof(*call), node, req);

	if (!call) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	call->done = done;
	peer_call_send(call, op, args);
}

/* --- lookup ----------------------------------------------------------------------------------- */

/* Of a LOOKUP that was sent (its arguments are kept then). */
static struct bytes name_of(const struct peer_call *call)
{
	return ((const struct args_lookup *)call->args)->name;
}

static void reply_absent(struct peer_call *call)
{
	struct fs *fs = call->peer->fs;
	struct fuse_entry_param entry = {.entry_timeout =
					     (double)fs->config.trust / (double)FS_SECOND};
	fuse_req_t req;

	if ((int32_t)(call->sent - call->node->changed) < 0 ||
	    dir_is_asked_each_time(fs, call->node))
		entry.entry_timeout = 0;
	req = peer_call_take(call);
	if (req)
		fuse_reply_entry(req, &entry);
	dir_was_asked(fs, call->node, name_of(call), true);
}

static void on_lookup(struct peer_call *call, const struct transport_reply *reply)
{
	const struct result_lookup *result = reply->result;
	struct fs *fs = call->peer->fs;
	struct fs_node *node;
	fuse_req_t req;

	if (reply->error == -ENOENT) {
		reply_absent(call);
		return;
	}
	if (reply->error) {
		peer_call_fail(call, reply->error);
		return;
	}
	node = node_enter(call->peer, call->node, name_of(call), &result->entry);
	if (!node) {
		peer_call_fail(call, -EIO);
		return;
	}
	node_hold(node);
	req = peer_call_take(call);
	if (req)
		attr_map_reply_entry(req, node, &result->entry.attr, call->sent);
	node_drop(fs, node);
	dir_was_asked(fs, call->node, name_of(call), false);
}

static void ask(fuse_req_t req, struct fs_node *parent, struct bytes name)
{
	struct args_lookup args = {.name = name};

	start(req, parent, OP_LOOKUP, &args, on_lookup);
}

/* A LOOKUP that waits for the listing of its directory: one question for all that come. */
struct lookup_wait {
	struct listing_reader reader;
	struct parked parked;
	struct fs_node *parent; /* held by the listing */
	uint8_t name_size;
	uint8_t name[OPS_NAME_MAX];
};

static void stop_waiting(struct lookup_wait *wait)
{
	listing_reader_end(&wait->reader);
	free(wait);
}

static void on_gave_up(struct parked *parked)
{
	stop_waiting((struct lookup_wait *)((char *)parked - offsetof(struct lookup_wait, parked)));
}

static void on_listed(struct listing_reader *reader)
{
	struct lookup_wait *wait = (struct lookup_wait *)reader; /* the first */
	struct bytes name = {wait->name, wait->name_size};
	fuse_req_t req = parked_take(&wait->parked);

	if (!dir_lookup(req, wait->parent, name))
		ask(req, wait->parent, name);
	stop_waiting(wait);
}

/* False: it has to be asked for alone. */
static bool wait_for_listing(fuse_req_t req, struct fs_node *parent, struct bytes name)
{
	struct fs *fs = fs_of(req);
	struct listing *listing = dir_listing_soon(fs, parent);
	struct lookup_wait *wait = listing ? calloc(1, sizeof(*wait)) : NULL;

	if (wait) {
		wait->parent = parent;
		wait->name_size = (uint8_t)name.size;
		memcpy(wait->name, name.data, name.size);
		wait->reader.more = on_listed;
		listing_reader_start(&wait->reader, listing);
		wait->reader.position = UINT64_MAX; /* all of it */
		if (parked_start(&wait->parked, fs, req, PARKED_FILE, on_gave_up))
			listing_wait(&wait->reader);
		else
			stop_waiting(wait);
	}
	if (listing)
		listing_drop(listing);
	return wait != NULL;
}

void entries_lookup(fuse_req_t req, struct fs_node *parent, struct bytes name)
{
	if (parent->type != S_IFDIR)
		fuse_reply_err(req, ENOTDIR);
	else if (name.size > OPS_NAME_MAX)
		fuse_reply_err(req, ENAMETOOLONG);
	else if (!dir_lookup(req, parent, name) && !wait_for_listing(req, parent, name))
		ask(req, parent, name);
}

/* --- getattr ---------------------------------------------------------------------------------- */

static void on_getattr(struct peer_call *call, const struct transport_reply *reply)
{
	const struct result_getattr *result = reply->result;
	fuse_req_t req;

	if (reply->error) {
		peer_call_fail(call, reply->error);
		return;
	}
	req = peer_call_take(call);
	if (req)
		attr_map_reply(req, call->node, &result->attr, call->sent);
}

void entries_getattr(fuse_req_t req, struct fs_node *node)
{
	struct fs *fs = fs_of(req);
	bool is_to_ask =
	    file_was_read(node) || (node->parent && dir_is_asked_each_time(fs, node->parent));
	uint64_t left = 0;
	const struct attr *known = is_to_ask ? NULL : node_attr_get(fs, node, &left);
	struct args_getattr args = {0};
	struct attr listed;
	struct stat stat;

	if (!known && !is_to_ask && dir_attr(fs, node, &listed, &left))
		known = &listed;
	/* A write that is under way clears set-id bits there. */
	if (known && node->type == S_IFREG && (known->mode & (S_ISUID | S_ISGID)) &&
	    file_is_being_written(node))
		known = NULL;
	if (!known || node->is_stale || !node_peer(fs, node)->transport) {
		start(req, node, OP_GETATTR, &args, on_getattr);
		return;
	}
	left = attr_map_stat(fs, node, known, left, &stat);
	fuse_reply_attr(req, &stat, (double)left / (double)FS_SECOND);
}

/* --- readlink --------------------------------------------------------------------------------- */

static void reply_target(fuse_req_t req, const struct fs_node *node)
{
	struct fs *fs = fs_of(req);
	struct fs_peer *peer = node_peer(fs, node);
	char target[PATH_MAX];
	int n;

	if (fs->config.raw_symlinks) {
		fuse_reply_readlink(req, node->target);
		return;
	}
	n = attr_map_target(node->target, strlen(node->target), node_depth(node), &peer->places,
			    target);
	if (n < 0) {
		peer_reply_error(req, peer, n);
		return;
	}
	target[n] = '\0';
	fuse_reply_readlink(req, target);
}

static void on_places(struct peer_call *call, const struct transport_reply *reply)
{
	int error = peer_places_take(call->peer, reply);
	fuse_req_t req;

	if (error) {
		peer_call_fail(call, error);
		return;
	}
	req = peer_call_take(call);
	if (req)
		reply_target(req, call->node);
}

/* What an absolute target means is known once the peer has told what it exports. */
static bool waits_for_places(const struct fs *fs, const struct fs_node *node)
{
	return node->target[0] == '/' && !fs->config.raw_symlinks &&
	       !node_peer(fs, node)->places.is_known;
}

static void on_readlink(struct peer_call *call, const struct transport_reply *reply)
{
	const struct result_readlink *result = reply->result;
	struct fs_node *node = call->node;
	fuse_req_t req;

	if (!reply->error && !node->target)
		node->target = bytes_to_text(result->target);
	if (reply->error || !node->target) {
		peer_call_fail(call, reply->error ? reply->error : -ENOMEM);
		return;
	}
	if (waits_for_places(call->peer->fs, node)) {
		struct args_exports args = {0};

		call->done = on_places;
		peer_call_send(call, OP_EXPORTS, &args);
		return;
	}
	req = peer_call_take(call);
	if (req)
		reply_target(req, node);
}

void entries_readlink(fuse_req_t req, struct fs_node *node)
{
	struct args_readlink args = {0};
	struct args_exports exports = {0};

	if (node->type != S_IFLNK)
		fuse_reply_err(req, EINVAL);
	else if (!node->target || !*node->target || node->is_stale)
		start(req, node, OP_READLINK, &args, on_readlink);
	else if (waits_for_places(fs_of(req), node))
		start(req, node, OP_EXPORTS, &exports, on_places);
	else
		reply_target(req, node);
}

/* --- access ----------------------------------------------------------------------------------- */

static void on_access(struct peer_call *call, const struct transport_reply *reply)
{
	peer_call_fail(call, reply->error);
}

/* Whether reading and searching is surely granted, so that the peer need not be asked. (Writing
 * depends on more: read-only file systems, what we were granted.) */
static bool is_surely_granted(struct fs *fs, struct fs_node *node, int mask)
{
	const struct fs_peer *peer = node_peer(fs, node);
	uint64_t left;
	const struct attr *attr = node_attr_get(fs, node, &left);

	return attr && !fs->config.allow_other && !(mask & W_OK) && attr->uid == peer->uid &&
	       ((attr->mode >> 6) & (unsigned)mask) == (unsigned)mask;
}

void entries_access(fuse_req_t req, struct fs_node *node, int mask)
{
	struct args_access args = {.mask = (unsigned)mask & 7};

	if (node->kind == NODE_IS_TOP || is_surely_granted(fs_of(req), node, mask & 7))
		fuse_reply_err(req, 0);
	else
		start(req, node, OP_ACCESS, &args, on_access);
}

/* --- statfs ----------------------------------------------------------------------------------- */

static void on_statfs(struct peer_call *call, const struct transport_reply *reply)
{
	const struct result_statfs *result = reply->result;
	struct statvfs stat = {0};
	fuse_req_t req;

	if (reply->error) {
		peer_call_fail(call, reply->error);
		return;
	}
	stat.f_bsize = result->block_size;
	stat.f_frsize = result->fragment_size;
	stat.f_blocks = result->blocks;
	stat.f_bfree = result->blocks_free;
	stat.f_bavail = result->blocks_available;
	stat.f_files = result->files;
	stat.f_ffree = result->files_free;
	stat.f_favail = result->files_free;
	stat.f_namemax = result->name_max < OPS_NAME_MAX ? result->name_max : OPS_NAME_MAX;
	req = peer_call_take(call);
	if (req)
		fuse_reply_statfs(req, &stat);
}

void entries_statfs(fuse_req_t req, struct fs_node *node)
{
	struct args_statfs args = {0};

	start(req, node, OP_STATFS, &args, on_statfs);
}
