/*
 * Opening files, and what the rest of the mount asks about open ones.
 *
 * Pages stay cached over close and open while (ctime, mtime, size) is what it was, and that ctime
 * was settled when it was read: within one tick of the peer's clock a file can change twice and
 * look the same.
 */
#include "fs/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/attr_map.h"
#include "fs/changes.h"
#include "fs/dir.h"
#include "fs/open_file.h"

/* The flags that the server takes (ops_peer.h). O_DIRECT is ours alone: it says what is cached on
 * this machine, and the server's buffers are not aligned as it wants them. */
#define FLAGS_SENT                                                                                 \
	(O_ACCMODE | O_APPEND | O_TRUNC | O_EXCL | O_SYNC | O_DSYNC | O_NOATIME | OPS_OPEN_EXECUTE)

/* Of one open: where a file is replaced without end, it fails in the end. */
#define LOOKS_MAX 20

struct open_call {
	struct peer_call call;
	struct fuse_file_info info;
	uint64_t last_write; /* when it was sent: content is as old as that */
	unsigned n_looks;    /* how often the name was looked up again before */
};

/* A LOOKUP on behalf of an open. */
struct look_call {
	struct peer_call call; /* of the directory */
	struct fuse_file_info info;
	struct fs_node *node; /* held: to be opened */
	unsigned n_looks;
};

/* An open, until the kernel has dropped the attributes of the file whose place another took. */
struct taken_place {
	struct notify_done done; /* first */
	struct parked parked;
	struct fuse_file_info info;
	struct fs_node *node; /* held */
	unsigned n_looks;
};

struct create_call {
	struct peer_call call;
	struct fuse_file_info info;
	char name[OPS_NAME_MAX];
	size_t name_size;
};

static bool time_is(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* Whether the pages that the kernel may have are those of a file with `attr`; what it caches from
 * now on is. */
static bool stamp_matches(struct file *file, const struct attr *attr)
{
	if (file->has_stamp && time_is(file->stamp.ctime, attr->ctime) &&
	    time_is(file->stamp.mtime, attr->mtime) && file->stamp.size == attr->size)
		return true;
	file_data_changed(file);
	if (!write_behind_is_pending(&file->writes) && attr->settled) {
		file->has_stamp = true;
		file->stamp = (struct file_stamp){attr->ctime, attr->mtime, attr->size};
	}
	return false;
}

/* Through the page cache, a record that is appended is torn at a page boundary. */
static bool is_direct(int flags)
{
	return (flags & O_APPEND) && (flags & O_ACCMODE) != O_RDONLY;
}

/* --- open ------------------------------------------------------------------------------------- */

/* The open file, or NULL without memory: then it is closed again. */
static struct open_file *handle_made(struct peer_call *call, struct fs_node *node, uint64_t number,
				     struct fuse_file_info *info)
{
	struct file *file = file_of_node(call->peer->fs, node);
	struct open_file *handle = NULL;

	if (file)
		handle = open_file_new(file, number, call->session, info->flags);
	if (!handle) {
		open_file_give_back(call->peer, node, number, call->session);
		return NULL;
	}
	info->fh = (uintptr_t)handle;
	info->direct_io = is_direct(info->flags);
	return handle;
}

static void send_open(fuse_req_t req, struct fs_node *node, const struct fuse_file_info *info,
		      unsigned n_looks);

/* The kernel looks the name up again. */
static void fail_stale(struct peer_call *call, struct fs_node *parent)
{
	if (parent)
		dir_is_replacing(call->peer->fs, parent);
	peer_call_fail(call, -ESTALE);
}

/* The name leads to a file that is to be opened instead. 0, or -ESTALE. Takes over the server's
 * reference. ret_is_other: it is not the one that the kernel looked up. */
static int take_place(struct peer_call *call, struct fs_node *node, const struct entry *entry,
		      bool *ret_is_other)
{
	const struct args_lookup *args = call->args;
	struct fs_peer *peer = call->peer;
	struct file *file = node->file;
	struct bytes name = node_name(node);
	bool is_same = node->ino == attr_map_ino(peer, entry->attr.fs, entry->attr.ino);
	int error;

	if (node->parent != call->node || name.size != args->name.size ||
	    memcmp(name.data, args->name.data, name.size) != 0 ||
	    (!is_same && (file->handles || file->n_writes))) {
		peer_forget(peer, entry->node, 1);
		return -ESTALE;
	}
	error = node_rebind(peer, node, entry);
	if (!error && !is_same) {
		file_data_changed(file);
		file->settled_until = file->plain_until = 0;
	}
	*ret_is_other = !is_same;
	return error;
}

static void on_dropped(struct notify_done *done)
{
	struct taken_place *taken = (struct taken_place *)done;
	struct fs *fs = taken->parked.fs;
	fuse_req_t req = parked_take(&taken->parked);

	if (req)
		send_open(req, taken->node, &taken->info, taken->n_looks);
	node_drop(fs, taken->node);
	free(taken);
}

/* What the kernel knows is the size of the other file, and it reads no further than that. */
static void open_when_dropped(struct look_call *look, fuse_req_t req)
{
	struct fs_peer *peer = look->call.peer;
	struct taken_place *taken = calloc(1, sizeof(*taken));

	if (!taken) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	taken->done.fn = on_dropped;
	taken->info = look->info;
	taken->n_looks = look->n_looks;
	taken->node = look->node;
	if (!parked_start(&taken->parked, peer->fs, req, PARKED_FILE, NULL)) {
		free(taken);
		return;
	}
	node_hold(taken->node);
	notify_attr_then(peer, taken->node, &taken->done);
}

static void on_looked(struct peer_call *call, const struct transport_reply *reply)
{
	struct look_call *look = (struct look_call *)call;
	const struct result_lookup *result = reply->result;
	int error = reply->error;
	bool is_other;
	fuse_req_t req;

	if (!error)
		error = take_place(call, look->node, &result->entry, &is_other);
	if (error) {
		fail_stale(call, call->node);
		return;
	}
	req = peer_call_take(call);
	if (req && is_other)
		open_when_dropped(look, req);
	else if (req)
		send_open(req, look->node, &look->info, look->n_looks);
}

static void on_look_release(struct peer_call *call)
{
	node_drop(call->peer->fs, ((struct look_call *)call)->node);
}

/*
 * Another file took the place of this one after it was looked up. The kernel would look the name up
 * once more, and then give up: which is not enough where a file is replaced all the time, so that
 * its readers would find it missing.
 */
static void look_again(struct open_call *open)
{
	struct fs_node *node = open->call.node;
	struct fs *fs = open->call.peer->fs;
	struct args_lookup args = {.name = node_name(node)};
	struct look_call *look;
	uint64_t left;
	const struct attr *attr = node_attr_get(fs, node, &left);
	fuse_req_t req;

	if (!node->parent || open->n_looks == LOOKS_MAX || (attr && attr->nlink > 1)) {
		fail_stale(&open->call, node->parent);
		return;
	}
	req = peer_call_take(&open->call);
	if (!req)
		return;
	look = peer_call_new(fs, sizeof(*look), node->parent, req);
	if (!look) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	look->info = open->info;
	look->n_looks = open->n_looks + 1;
	look->node = node;
	node_hold(node);
	look->call.done = on_looked;
	look->call.release = on_look_release;
	peer_call_send(&look->call, OP_LOOKUP, &args);
}

static void on_opened(struct peer_call *call, const struct transport_reply *reply)
{
	struct open_call *open = (struct open_call *)call;
	const struct result_open *result = reply->result;
	struct fs *fs = call->peer->fs;
	struct open_file *handle;
	struct file *file;
	fuse_req_t req;

	if (reply->error == -ESTALE) {
		look_again(open);
		return;
	}
	if (reply->error) {
		peer_call_fail(call, reply->error);
		return;
	}
	handle = handle_made(call, call->node, result->handle, &open->info);
	if (!handle) {
		peer_call_fail(call, -ENOMEM);
		return;
	}
	file = call->node->file;
	if (open->info.flags & O_TRUNC) {
		node_changed(fs, call->node);
		file->writes.end = result->attr.size;
	}
	node_attr_set(fs, call->node, &result->attr,
		      open->info.flags & O_TRUNC ? fs->change : call->sent);
	open_file_saw_attr(fs, file, &result->attr, call->sent);
	open->info.keep_cache = stamp_matches(file, &result->attr) && !open->info.direct_io;
	if (result->whole && result->content.size == result->attr.size &&
	    file->writes.last == open->last_write)
		file_read_seed(handle, result->content, reply->frame);
	req = peer_call_take(call);
	if (!req || fuse_reply_open(req, &open->info) != 0)
		open_file_release(handle);
}

static void send_open(fuse_req_t req, struct fs_node *node, const struct fuse_file_info *info,
		      unsigned n_looks)
{
	struct fs *fs = fs_of(req);
	struct args_open args = {.flags = (unsigned)info->flags & FLAGS_SENT};
	struct file *file = file_of_node(fs, node);
	struct open_call *open = file ? peer_call_new(fs, sizeof(*open), node, req) : NULL;

	if (!open) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	open->call.done = on_opened;
	open->info = *info;
	open->n_looks = n_looks;
	open->last_write = file->writes.last;
	/* What the kernel is likely to have is not sent again. */
	if ((info->flags & (O_ACCMODE | O_TRUNC | O_DIRECT)) == O_RDONLY && !file->has_stamp)
		args.content_max = OPS_CONTENT_MAX;
	peer_call_send(&open->call, OP_OPEN, &args);
}

void file_open(fuse_req_t req, struct fs_node *node, struct fuse_file_info *info)
{
	send_open(req, node, info, 0);
}

/* --- create ----------------------------------------------------------------------------------- */

static void on_created(struct peer_call *call, const struct transport_reply *reply)
{
	struct create_call *create = (struct create_call *)call;
	const struct result_create *result = reply->result;
	struct bytes name = {(const uint8_t *)create->name, create->name_size};
	struct fs *fs = call->peer->fs;
	struct fuse_entry_param entry;
	struct open_file *handle = NULL;
	struct fs_node *node;
	fuse_req_t req;

	if (reply->error) {
		dir_changed(fs, call->node);
		peer_call_fail(call, reply->error);
		return;
	}
	node = changes_made(call->peer, call->node, name, &result->entry);
	if (node && node->type == S_IFREG)
		handle = handle_made(call, node, result->handle, &create->info);
	if (!handle) {
		peer_call_fail(call, -EIO);
		goto out;
	}
	/* It may have been there before, under other nodes' pages. */
	file_data_changed(node->file);
	open_file_saw_attr(fs, node->file, &result->entry.attr, call->sent);
	req = peer_call_take(call);
	if (req) {
		uint64_t left =
		    node_attr_set(fs, node, &result->entry.attr, fs->change) ? fs->config.trust : 0;

		attr_map_entry(fs, node, &result->entry.attr, left, &entry);
		node_looked_up(node);
		if (fuse_reply_create(req, &entry, &create->info) != 0) {
			node_forgotten(fs, node, 1);
			req = NULL;
		}
	}
	if (!req)
		open_file_release(handle);
out:
	if (node)
		node_drop(fs, node);
}

void file_create(fuse_req_t req, struct fs_node *parent, struct bytes name, mode_t mode,
		 struct fuse_file_info *info)
{
	struct args_create args = {
	    .name = name,
	    .flags = (unsigned)info->flags & FLAGS_SENT,
	    .mode = mode & UINT16_MAX,
	    .umask = fuse_req_ctx(req)->umask & 07777,
	};
	struct create_call *create = peer_call_new(fs_of(req), sizeof(*create), parent, req);

	if (!create) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	create->call.done = on_created;
	create->info = *info;
	create->name_size = name.size < OPS_NAME_MAX ? name.size : OPS_NAME_MAX;
	for (size_t i = 0; i < create->name_size; i++)
		create->name[i] = (char)name.data[i];
	peer_call_send(&create->call, OP_CREATE, &args);
}

void file_release(fuse_req_t req, struct fs_node *node, struct fuse_file_info *info)
{
	/* Nobody waits for it in the end: what could fail was said at flush. */
	fuse_reply_err(req, 0);
	open_file_release(open_file_of(info));
}

/* --- for the rest of the mount ---------------------------------------------------------------- */

bool file_is_being_written(const struct fs_node *node)
{
	return node->file && write_behind_is_pending(&node->file->writes);
}

bool file_overlay(const struct fs_node *node, struct stat *stat)
{
	const struct file *file = node->file;

	if (!file)
		return false;
	if (write_behind_is_pending(&file->writes)) {
		if ((uint64_t)stat->st_size < file->writes.end)
			stat->st_size = (off_t)file->writes.end;
		stat->st_mtim = stat->st_ctim = file->writes.mtime;
		return true;
	}
	/* Asked by another way (a listing) and overtaken by a write: it knows less. */
	if (file->settled_until > fs_now(file->fs) &&
	    file_time_is_before(stat->st_ctim, file->settled.ctime)) {
		stat->st_size = (off_t)file->settled.size;
		stat->st_blocks = (blkcnt_t)file->settled.blocks;
		stat->st_mtim = file->settled.mtime;
		stat->st_ctim = file->settled.ctime;
		return true;
	}
	return false;
}

uint64_t file_handle(const struct fs_peer *peer, const struct fuse_file_info *info)
{
	const struct open_file *handle = open_file_of(info);

	return handle->session == peer->session ? handle->number : 0;
}

void file_attr_was_set(struct fs_node *node, const struct attr *attr, unsigned valid)
{
	struct file *file = node->file;

	/* Its ctime changed: what the kernel has is not told apart from a change by others. */
	file->has_stamp = false;
	if (!(valid & SETATTR_SIZE))
		return;
	file_data_changed(file);
	file->writes.end = attr->size;
}

bool file_is_plain(const struct fs *fs, const struct fs_node *node)
{
	return node->type == S_IFREG && node->file && node->file->plain_until > fs_now(fs);
}

bool file_was_read(struct fs_node *node)
{
	bool was_read = node->type == S_IFREG && node->file && node->file->was_read;

	if (was_read)
		node->file->was_read = false;
	return was_read;
}

void file_xattrs_changed(struct fs *fs, struct fs_node *node)
{
	if (node->type != S_IFREG || !node->file)
		return;
	node->file->plain_until = 0;
	node->file->xattrs_changed = fs->change;
}

void file_node_close(struct fs_node *node)
{
	while (node->file && node->file->handles)
		open_file_release(node->file->handles);
}

void file_node_free(struct fs *fs, struct fs_node *node)
{
	free(node->file);
	node->file = NULL;
}
