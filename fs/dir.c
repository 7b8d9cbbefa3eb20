/*
 * What is remembered of directories: `struct dir`, which hangs on its node.
 *
 * Its listing (listing.h) answers readers, lookups and getattr for a second after it was asked for.
 * Once something in the directory is changed from here, it answers no reader any more, but still
 * lookups of all names that were not touched: so those who fill a directory do not ask for each
 * name whether it is there. A new directory has an empty listing from the start. fs->listings is a
 * queue of all that are remembered, oldest first, bounded in bytes.
 */
#include "fs/dir_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/attr_map.h"
#include "fs/name_hash.h"
#include "fs/name_set.h"
#include "fs/notify.h"
#include "fs/walk.h"

#define DIR_LISTINGS_MAX (48 * 1024 * 1024)
#define DIR_MISSES       3    /* single questions in a row, before all is asked for */
#define DIR_PER_MISS     32   /* entries that are worth one such question */
#define DIR_PER_BARE     256  /* the same where all names were just read, and are being looked at */
#define DIR_SMALL        64   /* entries: asking for all of them takes no longer than for one */
#define DIR_LOOKED_AT    1000 /* entries that come with their attributes to who reads a directory */
#define DIR_AHEAD        1    /* the same ahead of need: one batch, as they are nodes at the peer */
#define DIR_ASK_TIME     (60 * FS_SECOND)
#define DIR_SINGLE_TIME  FS_SECOND
#define DIR_TOLD         8
#define DIR_TRUST_MIN    (FS_SECOND / 10) /* below that, nothing is asked for ahead of need */

struct dir {
	struct listing *listing;
	struct name_set touched; /* names changed from here, of which it says nothing */
	struct walk walk;
	uint64_t ask_until;    /* it is asked each time until then */
	uint64_t single_until; /* names are looked up singly until then */
	uint64_t missed_at;    /* the last single question */
	uint32_t n_misses;
	uint64_t n_last; /* entries of the last listing */
	bool is_large;   /* one that was asked for ahead of need was given up */
	/* Names of which the kernel was told that they are absent: a ring. */
	uint8_t n_told;
	char *told[DIR_TOLD];
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

static bool is_unsteady(struct fs *fs, const struct fs_node *node)
{
	return node->dir && node->dir->single_until > fs_now(fs);
}

/* Something was listed about a name, and may be believed until then. */
struct told {
	struct listing *listing;
	struct listing_entry entry;
	bool is_there;
	uint64_t until;
};

/* Who may read a directory and not search it sees which names there are, and may not know of any
 * whether it is not. */
static bool is_closed(struct fs *fs, struct fs_node *node)
{
	uint64_t left;
	const struct attr *attr = node_attr_get(fs, node, &left);
	struct attr listed;

	if (!attr && dir_attr(fs, node, &listed, &left))
		attr = &listed;
	return attr && !(attr->mode & (attr->uid == node_peer(fs, node)->uid ? S_IXUSR : S_IXOTH));
}

/* False: nothing is known. Of a listing that is still coming, those that are there are known. */
static bool tell(struct fs *fs, struct fs_node *node, struct bytes name, struct told *ret_told)
{
	struct listing *listing = node->dir ? node->dir->listing : NULL;
	struct told told = {.listing = listing};
	int found;

	if (!listing || listing->error || listing->session != listing->peer->session ||
	    is_unsteady(fs, node) || dir_is_asked_each_time(fs, node) ||
	    name_set_has(&node->dir->touched, name_hash(fs->seed, name)))
		return false;
	found = listing_find(listing, name, &told.entry);
	if (found < 0 || (found && told.entry.is_bare) ||
	    (!found && (!listing_is_all(listing) || is_closed(fs, node))))
		return false;
	told.is_there = found;
	told.until = listing->until;
	if (found && told.entry.until > told.until)
		told.until = told.entry.until;
	if (told.until <= fs_now(fs))
		return false;
	*ret_told = told;
	return true;
}

/* Asks for all of it, as listing_new. The caller holds the result. */
static struct listing *ask(struct fs *fs, struct fs_node *node, uint64_t n_entries)
{
	struct listing *listing = listing_new(fs, node, n_entries);

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
			below = ask(fs, child, DIR_AHEAD);
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
	struct fuse_entry_param reply = {0};
	struct fs_node *node;
	struct told told;
	uint64_t left;

	if (!tell(fs, parent, name, &told))
		return false;
	left = told.until - fs_now(fs);
	if (!told.is_there) {
		reply.entry_timeout = (double)left / (double)FS_SECOND;
		fuse_reply_entry(req, &reply);
		return true;
	}
	node = listing_enter(told.listing, &told.entry);
	if (!node)
		return false;
	if (!node_attr_is_new(fs, node, &told.entry.entry.attr, told.listing->sent)) {
		node_unused(fs, node);
		return false;
	}
	attr_map_entry(fs, node, &told.entry.entry.attr, left, &reply);
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
	    dir_is_asked_each_time(fs, node) || is_unsteady(fs, node))
		return NULL;
	if (listing) {
		listing_hold(listing);
		return listing;
	}
	listing = ask(fs, node, 0);
	if (listing && (listing->error || listing->is_complete)) {
		listing_drop(listing);
		return NULL;
	}
	walk_on(fs, node);
	return listing;
}

bool dir_attr(struct fs *fs, struct fs_node *node, struct attr *ret_attr, uint64_t *ret_left)
{
	struct told told;
	const struct entry *entry = &told.entry.entry;

	if (!node->parent || !tell(fs, node->parent, node_name(node), &told) || !told.is_there ||
	    node->session != told.listing->session ||
	    !node_attr_is_new(fs, node, &entry->attr, told.listing->sent) ||
	    entry->node != node->number ||
	    attr_map_ino(told.listing->peer, entry->attr.fs, entry->attr.ino) != node->ino)
		return false;
	*ret_attr = entry->attr;
	*ret_left = told.until - fs_now(fs);
	return true;
}

static void remember_told(struct dir *dir, struct bytes name)
{
	char **slot = &dir->told[dir->n_told++ % DIR_TOLD];

	free(*slot);
	*slot = strndup((const char *)name.data, name.size);
}

/* All of it was asked for, not long ago, and is not yet there. */
static bool is_coming(struct fs *fs, const struct listing *listing)
{
	return listing && !listing->is_complete && !listing->error &&
	       fs_now(fs) - listing->asked < LISTING_TRUST_MAX * fs->config.trust;
}

/* Single questions that are asked before all of it is. */
static uint64_t most_misses(struct fs *fs, const struct fs_node *node)
{
	const struct listing *listing = fresh(fs, node);

	return DIR_MISSES +
	       (listing ? listing->n / DIR_PER_BARE : node->dir->n_last / DIR_PER_MISS);
}

/* The attributes of all are known. */
static bool is_known(struct fs *fs, const struct fs_node *node)
{
	const struct listing *listing = fresh(fs, node);

	return listing && !listing->has_bare;
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
	    fs->config.trust < DIR_TRUST_MIN || is_coming(fs, dir->listing))
		return;
	if (++dir->n_misses < most_misses(fs, node) || is_known(fs, node) ||
	    dir_is_asked_each_time(fs, node))
		return;
	dir->n_misses = 0;
	listing = ask(fs, node, 0);
	if (listing)
		listing_drop(listing);
	walk_on(fs, node);
}

void dir_changed(struct fs *fs, struct fs_node *node)
{
	node_changed(fs, node);
	forget_listing(fs, node);
}

void dir_search_changed(struct fs *fs, struct fs_node *node)
{
	dir_changed(fs, node);
	/* With allow_other the kernel itself looks at the modes of directories on the way. */
	if (!fs->config.allow_other)
		notify_names(fs);
}

void dir_is_replacing(struct fs *fs, struct fs_node *node)
{
	struct dir *dir = dir_of(node);

	dir_changed(fs, node);
	if (dir)
		dir->single_until = fs_now(fs) + DIR_SINGLE_TIME;
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

void dir_forget_listings(struct fs_peer *peer)
{
	struct listing *listing = peer->fs->listings_oldest, *newer;

	for (; listing; listing = newer) {
		newer = listing->newer;
		if (listing->peer == peer)
			forget_listing(peer->fs, listing->node);
	}
}

/* --- for dir_read.c --------------------------------------------------------------------------- */

struct listing *dir_believed(struct fs *fs, const struct fs_node *node)
{
	return believed(fs, node);
}

struct listing *dir_ask(struct fs *fs, struct fs_node *node)
{
	return ask(fs, node, DIR_LOOKED_AT);
}

void dir_is_read(struct fs *fs, struct fs_node *node, const struct listing *listing)
{
	if (node->dir && node->dir->listing == listing)
		node->dir->walk.is_listed = true;
	walk_on(fs, node);
}
