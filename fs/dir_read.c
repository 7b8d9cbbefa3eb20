/*
 * Reading directories: what programs have open. A READDIR is answered from a listing, of which
 * others may be readers too; where that is still coming, the request is parked.
 */
#include "fs/dir_private.h"

#include <errno.h>
#include <stdlib.h>

#include "fs/attr_map.h"
#include "fs/root.h"

#define DIR_RESTARTS 3

/* An open directory: fuse_file_info's fh. */
struct dir_handle {
	struct listing_reader reader;
	struct parked parked; /* the READDIR, or OPENDIR, that waits */
	struct fs *fs;
	struct fs_node *node;           /* held */
	struct dir_handle *prev, *next; /* fs->dir_handles */
	size_t size;
	uint64_t offset;
	bool plus;
	bool is_opening;
	struct fuse_file_info info; /* while opening */
	unsigned n_restarts;
};

static struct dir_handle *handle_of(const struct fuse_file_info *info)
{
	return (struct dir_handle *)(uintptr_t)info->fh;
}

static void free_handle(struct dir_handle *handle)
{
	struct fs *fs = handle->fs;
	struct fs_node *node = handle->node;

	listing_reader_end(&handle->reader);
	*(handle->prev ? &handle->prev->next : &fs->dir_handles) = handle->next;
	if (handle->next)
		handle->next->prev = handle->prev;
	if (handle->parked.req)
		fuse_reply_err(parked_take(&handle->parked), EINTR);
	free(handle);
	node_drop(fs, node);
}

/* One entry into the buffer: its size there, which may be too large for it. `ret_node` is what was
 * looked up with it, or NULL. */
static size_t add_entry(fuse_req_t req, struct dir_handle *handle, struct listing_entry *entry,
			uint64_t position, char *buffer, size_t room, struct fs_node **ret_node)
{
	struct listing *listing = handle->reader.listing;
	const struct fs_peer *peer = listing->peer;
	struct fs *fs = handle->fs;
	const struct attr *attr = &entry->entry.attr;
	const char *name = (const char *)entry->name.data;
	off_t next = (off_t)position + 3;
	struct fuse_entry_param param = {.attr = {.st_ino = attr_map_ino(peer, attr->fs, attr->ino),
						  .st_mode = (mode_t)(attr->mode & S_IFMT)}};
	uint64_t now = fs_now(fs), until = entry->until, left;
	struct fs_node *node;
	size_t need;

	*ret_node = NULL;
	if (!handle->plus)
		return fuse_add_direntry(req, buffer, room, name, &param.attr, next);
	need = fuse_add_direntry_plus(req, NULL, 0, name, NULL, 0);
	if (need > room)
		return need;
	node = listing_enter(listing, entry);
	if (node && !node_attr_is_new(fs, node, attr, listing->sent)) {
		/* Changed from here since: what is listed of it must not reach the kernel. */
		node_unused(fs, node);
		node = NULL;
	}
	if (node) {
		/* A lookup would be told so. */
		if (listing->is_complete && listing->until > until)
			until = listing->until;
		left = now < until ? until - now : 0;
		attr_map_entry(fs, node, attr, left, &param);
		node_looked_up(node);
		*ret_node = node;
	}
	return fuse_add_direntry_plus(req, buffer, room, name, &param, next);
}

static size_t add_dots(fuse_req_t req, struct dir_handle *handle, uint64_t *offset, char *buffer)
{
	size_t used = 0;

	while (*offset < 2) {
		const struct fs_node *node = handle->node;
		struct fuse_entry_param param = {.attr = {.st_mode = S_IFDIR}};
		size_t need;

		if (*offset == 1 && node->parent)
			node = node->parent;
		param.attr.st_ino = node->ino;
		need = handle->plus
			   ? fuse_add_direntry_plus(req, buffer + used, handle->size - used,
						    &".."[1 - *offset], &param, (off_t)*offset + 1)
			   : fuse_add_direntry(req, buffer + used, handle->size - used,
					       &".."[1 - *offset], &param.attr, (off_t)*offset + 1);
		if (need > handle->size - used)
			break;
		used += need;
		++*offset;
	}
	return used;
}

/* Fills one reply with what there is. */
static void reply_entries(fuse_req_t req, struct dir_handle *handle)
{
	size_t n_nodes = 0, max_nodes = handle->size / 128 + 1, used;
	char *buffer = malloc(handle->size);
	struct fs_node **nodes = malloc(max_nodes * sizeof(*nodes));
	uint64_t offset = handle->offset;
	struct listing_entry entry;

	if (!buffer || !nodes) {
		fuse_reply_err(req, ENOMEM);
		goto out;
	}
	used = add_dots(req, handle, &offset, buffer);
	while (offset >= 2 && listing_get(handle->reader.listing, offset - 2, &entry) == 1) {
		size_t room = handle->size - used;
		struct fs_node *node;
		size_t need;

		/* Those who go on with READDIRPLUS want to know more (listing_want_attrs). */
		if (handle->plus && entry.is_bare && used > 0)
			break;
		need = add_entry(req, handle, &entry, offset - 2, buffer + used, room, &node);

		if (need > room)
			break;
		if (node)
			nodes[n_nodes++] = node;
		used += need;
		offset++;
	}
	if (fuse_reply_buf(req, buffer, used))
		while (n_nodes)
			node_forgotten(handle->fs, nodes[--n_nodes], 1);
out:
	free(nodes);
	free(buffer);
}

static void on_more(struct listing_reader *reader);

static int start(struct dir_handle *handle, bool anew)
{
	struct listing *listing = anew ? NULL : dir_believed(handle->fs, handle->node);

	listing_reader_end(&handle->reader);
	if (listing && listing_get(listing, 0, &(struct listing_entry){0}) != -ESTALE)
		listing_hold(listing);
	else
		listing = dir_ask(handle->fs, handle->node);
	if (!listing)
		return -ENOMEM;
	handle->reader.more = on_more;
	listing_reader_start(&handle->reader, listing);
	listing_drop(listing);
	return 0;
}

/* The parked request goes on: an answer, or waiting for more. */
static void go_on(struct dir_handle *handle)
{
	struct listing *listing = handle->reader.listing;
	uint64_t wanted = handle->offset > 2 ? handle->offset - 2 : 0;
	struct listing_entry entry;
	fuse_req_t req;
	int error = 0, there;

	if (!handle->parked.req)
		return;
	there = listing_get(listing, wanted, &entry);
	while (!there && listing->error && handle->n_restarts < DIR_RESTARTS &&
	       (listing->error == -ENOTCONN || listing->session != listing->peer->session)) {
		handle->n_restarts++;
		error = start(handle, true);
		if (error)
			break;
		listing = handle->reader.listing;
		there = listing_get(listing, wanted, &entry);
	}
	if (!error && !there && !listing->is_complete && !listing->error) {
		handle->reader.position = wanted;
		listing_wait(&handle->reader);
		return;
	}
	if (!error && there <= 0)
		error = listing->error;
	req = parked_take(&handle->parked);
	if (error) {
		if (handle->is_opening)
			free_handle(handle);
		fuse_reply_err(req, -error);
	} else if (handle->is_opening) {
		handle->is_opening = false;
		if (fuse_reply_open(req, &handle->info))
			dir_release(NULL, handle->node, &handle->info);
	} else {
		reply_entries(req, handle);
	}
}

static void on_more(struct listing_reader *reader)
{
	go_on((struct dir_handle *)((char *)reader - offsetof(struct dir_handle, reader)));
}

/* An OPENDIR was interrupted: there is no handle then. */
static void opening_gave_up(struct parked *parked)
{
	struct dir_handle *handle =
	    (struct dir_handle *)((char *)parked - offsetof(struct dir_handle, parked));

	if (handle->is_opening)
		dir_release(NULL, handle->node, &handle->info);
}

/* Whether the peer's user may surely read it: then OPENDIR need not wait. */
static bool is_readable(struct fs *fs, struct fs_node *node)
{
	const struct fs_peer *peer = node_peer(fs, node);
	const struct attr *known;
	struct attr attr;
	uint64_t left;

	if (node->kind != NODE_IS_REMOTE)
		return true;
	known = node_attr_get(fs, node, &left);
	if (known)
		attr = *known;
	else if (!dir_attr(fs, node, &attr, &left))
		return false;
	return peer->uid == 0 || (attr.uid == peer->uid && (attr.mode & S_IRUSR)) ||
	       (attr.uid != peer->uid && (attr.mode & S_IROTH) && (attr.mode & S_IRGRP));
}

void dir_open(fuse_req_t req, struct fs_node *node, struct fuse_file_info *info)
{
	struct fs *fs = fs_of(req);
	struct dir_handle *handle = calloc(1, sizeof(*handle));
	int error;

	if (!handle) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	handle->fs = fs;
	handle->node = node;
	node_hold(node);
	handle->next = fs->dir_handles;
	if (handle->next)
		handle->next->prev = handle;
	fs->dir_handles = handle;
	info->fh = (uint64_t)(uintptr_t)handle;
	if (is_readable(fs, node) || !node_peer(fs, node)->transport) {
		if (fuse_reply_open(req, info))
			dir_release(NULL, node, info);
		return;
	}
	/* Whether it may be read is only known when it is. */
	error = start(handle, false);
	if (error) {
		dir_release(NULL, node, info);
		fuse_reply_err(req, -error);
		return;
	}
	handle->is_opening = true;
	handle->info = *info;
	if (parked_start(&handle->parked, fs, req, PARKED_FILE, opening_gave_up))
		go_on(handle);
	else
		dir_release(NULL, node, info);
}

void dir_read(fuse_req_t req, struct fs_node *node, size_t size, off_t offset,
	      struct fuse_file_info *info, bool plus)
{
	struct dir_handle *handle = handle_of(info);
	uint64_t wanted = offset > 2 ? (uint64_t)offset - 2 : 0;
	bool is_first;
	int error = 0;

	if (node->kind == NODE_IS_ROOT || node->kind == NODE_IS_CONTROL) {
		root_read(req, node, size, offset, plus);
		return;
	}
	if (handle->parked.req) {
		fuse_reply_err(req, EBUSY); /* the kernel reads one handle in turn */
		return;
	}
	handle->size = size;
	handle->offset = (uint64_t)offset;
	handle->plus = plus;
	is_first = !handle->reader.listing;
	/* rewinddir reads anew, as far as the cache's second allows. */
	if (is_first || (offset == 0 && !dir_believed(handle->fs, node) &&
			 fs_now(handle->fs) >= handle->reader.listing->until))
		error = start(handle, false);
	else if (listing_get(handle->reader.listing, wanted, &(struct listing_entry){0}) == -ESTALE)
		error = start(handle, true);
	if (error) {
		fuse_reply_err(req, -error);
		return;
	}
	if (is_first)
		dir_is_read(handle->fs, node, handle->reader.listing);
	listing_passed(&handle->reader, wanted);
	if (plus)
		listing_want_attrs(handle->reader.listing, wanted);
	if (parked_start(&handle->parked, handle->fs, req, PARKED_FILE, NULL))
		go_on(handle);
}

void dir_release(fuse_req_t req, struct fs_node *node, struct fuse_file_info *info)
{
	free_handle(handle_of(info));
	if (req)
		fuse_reply_err(req, 0);
}

void dir_free_handles(struct fs *fs)
{
	while (fs->dir_handles)
		free_handle(fs->dir_handles);
}

/* --- fsyncdir --------------------------------------------------------------------------------- */

static void on_fsync(struct peer_call *call, const struct transport_reply *reply)
{
	peer_call_fail(call, reply->error);
}

void dir_fsync(fuse_req_t req, struct fs_node *node, bool data_only)
{
	struct args_fsyncdir args = {.data_only = data_only};
	struct peer_call *call;

	if (node->kind == NODE_IS_ROOT || node->kind == NODE_IS_CONTROL) {
		fuse_reply_err(req, 0);
		return;
	}
	call = peer_call_new(fs_of(req), sizeof(*call), node, req);
	if (!call) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	call->done = on_fsync;
	peer_call_send(call, OP_FSYNCDIR, &args);
}
