/*
 * Reading a directory, and what is remembered of it: `struct dir`, which hangs on its node.
 *
 * Its listing (listing.h) answers readers, lookups and getattr for a second after it was asked for.
 * Once something in the directory is changed from here, it answers no reader any more, but still
 * lookups of all names that were not touched: so those who fill a directory do not ask for each
 * name whether it is there. A new directory has an empty listing from the start. fs->listings is a
 * queue of all that are remembered, oldest first, bounded in bytes.
 */
#include "fs/dir.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/attr_map.h"
#include "fs/listing.h"
#include "fs/name_hash.h"
#include "fs/name_set.h"
#include "fs/root.h"
#include "fs/walk.h"

#define DIR_LISTINGS_MAX (48 * 1024 * 1024)
#define DIR_MISSES       3  /* single questions in a row, before all is asked for */
#define DIR_PER_MISS     32 /* entries that are worth one such question */
#define DIR_SMALL        64 /* entries: asking for all of them takes no longer than for one */
#define DIR_ASK_TIME     (60 * FS_SECOND)
#define DIR_TOLD         8
#define DIR_TRUST_MIN    (FS_SECOND / 10) /* below that, nothing is asked for ahead of need */
#define DIR_RESTARTS     3

struct dir {
	struct listing *listing;
	struct name_set touched; /* names changed from here, of which it says nothing */
	struct walk walk;
	uint64_t ask_until; /* it is asked each time until then */
	uint64_t missed_at; /* the last single question */
	uint32_t n_misses;
	uint64_t n_last; /* entries of the last listing */
	bool is_large;   /* one that was asked for ahead of need was given up */
	/* Names of which the kernel was told that they are absent: a ring. */
	uint8_t n_told;
	char *told[DIR_TOLD];
};

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

static struct dir *dir_of(struct fs_node *node)
{
	if (!node->dir)
		node->dir = calloc(1, sizeof(*node->dir));
	return node->dir;
}

/* --- remembered listings ---------------------------------------------------------------------- */

static void forget_listing(struct fs *fs, struct fs_node *node)
{
	struct listing *listing = node->dir ? node->dir->listing : NULL;

	if (!listing)
		return;
	node->dir->n_last = listing->n;
	if (listing->error == -EFBIG)
		node->dir->is_large = true;
	node->dir->listing = NULL;
	name_set_clear(&node->dir->touched);
	node->dir->walk = (struct walk){0};
	*(listing->older ? &listing->older->newer : &fs->listings_oldest) = listing->newer;
	*(listing->newer ? &listing->newer->older : &fs->listings_newest) = listing->older;
	listing->older = listing->newer = NULL;
	listing_drop(listing);
}

static void expire(struct fs *fs, struct fs_timer *timer)
{
	struct listing *listing = fs->listings_oldest, *newer;
	uint64_t now = fs_now(fs);

	/* How long one is believed is only known when it has come; who reads it wants the rest. */
	for (; listing; listing = newer) {
		newer = listing->newer;
		if (listing->until <= now &&
		    (listing->is_complete || listing->error || !listing->readers))
			forget_listing(fs, listing->node);
	}
	if (fs->listings_oldest)
		fs_timer_set(fs, timer, FS_SECOND);
}

/* Those that answer nothing new are not worth more memory than this. */
static void bound_memory(struct fs *fs)
{
	size_t bytes = 0;
	struct listing *listing = fs->listings_newest, *older;

	for (; listing; listing = older) {
		older = listing->older;
		bytes += listing->bytes;
		if (bytes > DIR_LISTINGS_MAX && listing != fs->listings_newest)
			forget_listing(fs, listing->node);
	}
}

static void remember_listing(struct fs *fs, struct fs_node *node, struct listing *listing)
{
	struct dir *dir = dir_of(node);

	if (!dir)
		return;
	forget_listing(fs, node);
	listing_hold(listing);
	dir->listing = listing;
	listing->older = fs->listings_newest;
	listing->newer = NULL;
	*(listing->older ? &listing->older->newer : &fs->listings_oldest) = listing;
	fs->listings_newest = listing;
	if (!fs->listings_timer.at) {
		fs->listings_timer.fn = expire;
		fs_timer_set(fs, &fs->listings_timer, fs->config.trust + FS_SECOND / 4);
	}
}

/* What is remembered and true but for touched names, complete or still coming; or NULL. */
static struct listing *fresh(struct fs *fs, const struct fs_node *node)
{
	struct listing *listing = node->dir ? node->dir->listing : NULL;

	if (!listing || listing->error || listing->session != listing->peer->session ||
	    fs_now(fs) >= listing->until || dir_is_asked_each_time(fs, node))
		return NULL;
	return listing;
}

/* The same where nothing was touched. */
static struct listing *believed(struct fs *fs, const struct fs_node *node)
{
	struct listing *listing = fresh(fs, node);

	return listing && (int32_t)(listing->sent - node->changed) >= 0 ? listing : NULL;
}

/* What tells of this name whether it is there, and what it is; or NULL. */
static struct listing *telling(struct fs *fs, const struct fs_node *node, struct bytes name)
{
	struct listing *listing = fresh(fs, node);

	return listing && listing->is_complete && listing->is_whole &&
		       !name_set_has(&node->dir->touched, name_hash(fs->seed, name))
		   ? listing
		   : NULL;
}

/* Asks for all of it. The caller holds the result. */
static struct listing *ask(struct fs *fs, struct fs_node *node)
{
	struct listing *listing = listing_new(fs, node);

	if (listing && !listing->error && !dir_is_asked_each_time(fs, node))
		remember_listing(fs, node, listing);
	bound_memory(fs);
	return listing;
}

/* Asks for the directories within, ahead of who walks the tree. */
static void ask_ahead(struct fs *fs, struct fs_node *node)
{
	struct listing *listing = believed(fs, node), *below;
	struct listing_entry entry;
	struct fs_node *child;
	uint64_t found;

	if (!listing || !listing->is_complete || !listing->is_whole)
		return;
	listing_hold(listing);
	while ((found = walk_next(&node->dir->walk, listing)) != 0) {
		listing_get(listing, found - 1, &entry);
		child = listing_enter(listing, &entry);
		if (!child)
			continue;
		node_hold(child);
		if (!fresh(fs, child) && !dir_is_asked_each_time(fs, child)) {
			below = ask(fs, child);
			if (below)
				listing_drop(below);
		}
		node_drop(fs, child);
		if (node->dir->listing != listing)
			break; /* there was no memory for both */
	}
	listing_drop(listing);
}

/* The directory is read, or will be: so may be those beside it, and then those within. */
static void walk_on(struct fs *fs, struct fs_node *node)
{
	struct fs_node *parent = node->kind == NODE_IS_REMOTE ? node->parent : NULL;

	if (!parent || fs->config.trust < DIR_TRUST_MIN || !fresh(fs, parent) ||
	    !walk_read(&parent->dir->walk))
		return;
	ask_ahead(fs, parent);
	ask_ahead(fs, node);
}

/* --- what it answers -------------------------------------------------------------------------- */

bool dir_lookup(fuse_req_t req, struct fs_node *parent, struct bytes name)
{
	struct fs *fs = fs_of(req);
	struct listing *listing = telling(fs, parent, name);
	struct listing_entry entry;
	struct fuse_entry_param reply = {0};
	struct fs_node *node;
	uint64_t left;
	int found;

	if (!listing)
		return false;
	found = listing_find(listing, name, &entry);
	if (found < 0)
		return false;
	left = listing->until - fs_now(fs);
	if (!found) {
		reply.entry_timeout = (double)left / (double)FS_SECOND;
		fuse_reply_entry(req, &reply);
		return true;
	}
	node = listing_enter(listing, &entry);
	if (!node)
		return false;
	if (!node_attr_is_new(fs, node, &entry.entry.attr, listing->sent)) {
		node_unused(fs, node);
		return false;
	}
	attr_map_entry(fs, node, &entry.entry.attr, left, &reply);
	node_looked_up(node);
	if (fuse_reply_entry(req, &reply))
		node_forgotten(fs, node, 1);
	return true;
}

struct listing *dir_listing_soon(struct fs *fs, struct fs_node *node)
{
	struct listing *listing = fresh(fs, node);

	if (!node->dir || node->dir->n_last == 0 || node->dir->n_last > DIR_SMALL ||
	    fs->config.trust < DIR_TRUST_MIN || (listing && listing->is_complete) ||
	    dir_is_asked_each_time(fs, node))
		return NULL;
	if (listing) {
		listing_hold(listing);
		return listing;
	}
	listing = ask(fs, node);
	if (listing && (listing->error || listing->is_complete)) {
		listing_drop(listing);
		return NULL;
	}
	walk_on(fs, node);
	return listing;
}

bool dir_attr(struct fs *fs, struct fs_node *node, struct attr *ret_attr, uint64_t *ret_left)
{
	struct listing *listing = node->parent ? telling(fs, node->parent, node_name(node)) : NULL;
	struct listing_entry entry;

	if (!listing || node->session != listing->session ||
	    listing_find(listing, node_name(node), &entry) != 1 ||
	    !node_attr_is_new(fs, node, &entry.entry.attr, listing->sent) ||
	    entry.entry.node != node->number ||
	    attr_map_ino(listing->peer, entry.entry.attr.fs, entry.entry.attr.ino) != node->ino)
		return false;
	*ret_attr = entry.entry.attr;
	*ret_left = listing->until - fs_now(fs);
	return true;
}

static void remember_told(struct dir *dir, struct bytes name)
{
	char **slot = &dir->told[dir->n_told++ % DIR_TOLD];

	free(*slot);
	*slot = strndup((const char *)name.data, name.size);
}

void dir_was_asked(struct fs *fs, struct fs_node *node, struct bytes name, bool is_absent)
{
	uint64_t now = fs_now(fs);
	struct dir *dir = dir_of(node);
	struct listing *listing;

	if (!dir)
		return;
	if (is_absent)
		remember_told(dir, name);
	if (now - dir->missed_at > FS_SECOND)
		dir->n_misses = 0;
	dir->missed_at = now;
	if (dir->is_large || (dir->listing && dir->listing->error == -EFBIG) ||
	    fs->config.trust < DIR_TRUST_MIN)
		return;
	if (++dir->n_misses < DIR_MISSES + dir->n_last / DIR_PER_MISS || fresh(fs, node) ||
	    dir_is_asked_each_time(fs, node))
		return;
	dir->n_misses = 0;
	listing = ask(fs, node);
	if (listing)
		listing_drop(listing);
	walk_on(fs, node);
}

void dir_changed(struct fs *fs, struct fs_node *node)
{
	node_changed(fs, node);
	forget_listing(fs, node);
}

void dir_name_changed(struct fs *fs, struct fs_node *node, struct bytes name)
{
	node_changed(fs, node);
	if (node->dir && node->dir->listing &&
	    !name_set_add(&node->dir->touched, name_hash(fs->seed, name)))
		forget_listing(fs, node);
}

void dir_was_made(struct fs *fs, struct fs_node *node)
{
	struct listing *listing = listing_new_empty(fs, node);

	if (!listing)
		return;
	remember_listing(fs, node, listing);
	listing_drop(listing);
}

bool dir_is_asked_each_time(struct fs *fs, const struct fs_node *node)
{
	return node->type == S_IFDIR && node->kind != NODE_IS_CONTROL && node->dir &&
	       node->dir->ask_until > fs_now(fs);
}

void dir_ask_each_time(struct fs *fs, struct fs_node *node)
{
	struct fs_peer *peer = node_peer(fs, node);
	bool was_asked = dir_is_asked_each_time(fs, node);
	struct dir *dir = dir_of(node);

	if (!dir || !peer)
		return;
	dir->ask_until = fs_now(fs) + DIR_ASK_TIME;
	if (was_asked)
		return;
	forget_listing(fs, node);
	for (unsigned i = 0; i < DIR_TOLD; i++) {
		struct bytes name = {(const uint8_t *)dir->told[i], 0};

		if (!dir->told[i])
			continue;
		name.size = strlen(dir->told[i]);
		notify_entry(peer, node, name);
	}
	/* Once a minute for a directory: a walk over all nodes is cheaper than lists in each. */
	for (size_t i = 0; i < fs->names.n_buckets; i++) {
		struct fs_node *child = fs->names.buckets[i];

		for (; child; child = child->next_name)
			if (child->parent == node && child->kind == NODE_IS_REMOTE)
				notify_entry(peer, node, node_name(child));
	}
}

void dir_node_free(struct fs *fs, struct fs_node *node)
{
	struct dir *dir = node->dir;

	if (!dir)
		return;
	forget_listing(fs, node);
	for (unsigned i = 0; i < DIR_TOLD; i++)
		free(dir->told[i]);
	free(dir);
	node->dir = NULL;
}

/* --- reading ---------------------------------------------------------------------------------- */

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
	uint64_t now = fs_now(fs), left;
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
		left = now < entry->until ? entry->until - now : 0;
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
		size_t need =
		    add_entry(req, handle, &entry, offset - 2, buffer + used, room, &node);

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
	struct listing *listing = anew ? NULL : believed(handle->fs, handle->node);

	listing_reader_end(&handle->reader);
	if (listing && listing_get(listing, 0, &(struct listing_entry){0}) != -ESTALE)
		listing_hold(listing);
	else
		listing = ask(handle->fs, handle->node);
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
	if (is_first || (offset == 0 && !believed(handle->fs, node) &&
			 fs_now(handle->fs) >= handle->reader.listing->until))
		error = start(handle, false);
	else if (listing_get(handle->reader.listing, wanted, &(struct listing_entry){0}) == -ESTALE)
		error = start(handle, true);
	if (error) {
		fuse_reply_err(req, -error);
		return;
	}
	if (is_first) {
		if (node->dir && node->dir->listing == handle->reader.listing)
			node->dir->walk.is_listed = true;
		walk_on(handle->fs, node);
	}
	listing_passed(&handle->reader, wanted);
	if (parked_start(&handle->parked, handle->fs, req, PARKED_FILE, NULL))
		go_on(handle);
}

void dir_release(fuse_req_t req, struct fs_node *node, struct fuse_file_info *info)
{
	free_handle(handle_of(info));
	if (req)
		fuse_reply_err(req, 0);
}

void dir_forget_listings(struct fs_peer *peer)
{
	struct listing *listing = peer->fs->listings_oldest, *newer;

	for (; listing; listing = newer) {
		newer = listing->newer;
		if (listing->peer == peer)
			forget_listing(peer->fs, listing->node);
	}
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
