#include "fs/listing_store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/attr_map.h"
#include "fs/control_files.h"
#include "fs/dir.h"

struct listing_call {
	struct peer_call call;
	struct listing *listing; /* held */
};

/* --- memory ----------------------------------------------------------------------------------- */

void listing_hold(struct listing *listing)
{
	listing->refs++;
}

void listing_drop(struct listing *listing)
{
	struct peer_call *call = listing->call;

	if (--listing->refs == 1 && call) {
		/* Only its own call is left: nobody wants the rest. */
		listing->call = NULL;
		peer_call_abandon(call);
		return;
	}
	if (listing->refs)
		return;
	listing_store_free(listing);
	node_drop(listing->peer->fs, listing->node);
	free(listing);
}

/* For how long it is believed because it took so long to come. */
static uint64_t earned_trust(const struct listing *listing)
{
	const struct fs *fs = listing->peer->fs;
	uint64_t earned = LISTING_TRUST_TIMES * (fs_now(fs) - listing->asked);
	uint64_t most = LISTING_TRUST_MAX * fs->config.trust;

	return earned < most ? earned : most;
}

/* Until when what comes now is believed: by itself, while the rest is coming. */
static uint64_t believed_until(const struct listing *listing)
{
	const struct fs *fs = listing->peer->fs;
	uint64_t earned = earned_trust(listing);

	return fs_now(fs) + (earned > fs->config.trust ? earned : fs->config.trust);
}

/* --- coming in -------------------------------------------------------------------------------- */

static void wake_readers(struct listing *listing)
{
	struct listing_reader *reader = listing->readers, *next;

	for (; reader; reader = next) {
		next = reader->next;
		if (!reader->is_waiting)
			continue;
		if (reader->position >= listing->n && !listing->is_complete && !listing->error)
			continue;
		reader->is_waiting = false;
		reader->more(reader);
	}
}

/* Whether more is there than the fastest reader can use while it is fresh. */
static bool is_far_ahead(const struct listing *listing)
{
	uint64_t position = listing->readers ? 0 : UINT64_MAX;
	for (const struct listing_reader *reader = listing->readers; reader; reader = reader->next)
		if (reader->position > position)
			position = reader->position;
	return listing_store_behind(listing, position, LISTING_AHEAD) > LISTING_AHEAD;
}

/* Lets go of what all readers have passed, and pays for what may come then. */
static void release_passed(struct listing *listing)
{
	uint64_t passed = listing->readers ? UINT64_MAX : 0;

	for (struct listing_reader *reader = listing->readers; reader; reader = reader->next)
		if (reader->position < passed)
			passed = reader->position;
	while (listing->bytes > LISTING_KEEP && listing->n_gone < listing->n_chunks &&
	       listing_store_drop_oldest(listing, passed))
		;
	if (listing->unpaid && listing->bytes <= LISTING_KEEP && listing->call &&
	    !is_far_ahead(listing)) {
		size_t bytes = listing->unpaid;

		listing->unpaid = 0;
		peer_call_consumed(listing->call, bytes);
	}
}

static bool is_hidden(const struct listing *listing, struct bytes name)
{
	return listing->node->kind == NODE_IS_TOP && control_is_hidden(name);
}

static int add_entry(struct listing *listing, const struct dir_entry *dirent)
{
	const struct attr *attr = &dirent->entry.attr;
	struct stored *stored;

	if (is_hidden(listing, dirent->name)) {
		peer_forget(listing->peer, dirent->entry.node, 1);
		return 0;
	}
	stored = listing_store_add(listing, dirent->name, dirent->entry.target, believed_until);
	if (!stored)
		return -ENOMEM;
	stored->node = dirent->entry.node;
	stored->fs = attr->fs;
	stored->ino = attr->ino;
	stored->size = attr->size;
	stored->blocks = attr->blocks;
	stored->atime_s = attr->atime.tv_sec;
	stored->mtime_s = attr->mtime.tv_sec;
	stored->ctime_s = attr->ctime.tv_sec;
	stored->atime_ns = (uint32_t)attr->atime.tv_nsec;
	stored->mtime_ns = (uint32_t)attr->mtime.tv_nsec;
	stored->ctime_ns = (uint32_t)attr->ctime.tv_nsec;
	stored->mode = (uint32_t)attr->mode;
	stored->nlink = (uint32_t)attr->nlink;
	stored->uid = (uint32_t)attr->uid;
	stored->gid = (uint32_t)attr->gid;
	stored->rdev = (uint32_t)attr->rdev;
	stored->blksize = (uint32_t)attr->blksize;
	stored->is_plain = attr->plain;
	return 0;
}

static int add_name(struct listing *listing, const struct dir_name *name)
{
	struct stored *stored;

	if (is_hidden(listing, name->name))
		return 0;
	stored = listing_store_add(listing, name->name, (struct bytes){NULL, 0}, believed_until);
	if (!stored)
		return -ENOMEM;
	stored->fs = listing->fs_number;
	stored->ino = name->ino;
	stored->mode = (uint32_t)name->mode & S_IFMT;
	stored->size = name->at;
	stored->is_bare = true;
	listing->has_bare = true;
	return 0;
}

static int add_entries(struct listing *listing, struct bytes entries)
{
	int error = 0;

	while (entries.size && !error) {
		struct dir_entry dirent;

		if (codec_decode(&dir_entry_record, &entries, &dirent, NULL))
			return -EIO;
		error = add_entry(listing, &dirent);
	}
	return error;
}

static int add_names(struct listing *listing, struct bytes names)
{
	int error = 0;

	while (names.size && !error) {
		struct dir_name name;

		if (codec_decode(&dir_name_record, &names, &name, NULL))
			return -EIO;
		error = add_name(listing, &name);
	}
	return error;
}

/* It broke: readers get the error behind what is there. */
static void stop(struct listing *listing, int error)
{
	struct peer_call *call = listing->call;

	listing->error = error;
	listing->call = NULL;
	if (call)
		peer_call_abandon(call);
}

static void on_data(struct peer_call *call, unsigned channel, struct bytes data)
{
	struct listing *listing = ((struct listing_call *)call)->listing;
	int error =
	    channel == READDIR_NAMES ? add_names(listing, data) : add_entries(listing, data);

	listing_hold(listing);
	listing->unpaid += data.size;
	if (!error && listing->bytes > LISTING_KEEP && !listing->readers)
		error = -EFBIG; /* asked for ahead of need: too large for that */
	if (error)
		stop(listing, error);
	else
		release_passed(listing);
	wake_readers(listing);
	listing_drop(listing);
}

static void complete(struct listing *listing)
{
	uint64_t until = fs_now(listing->peer->fs) + earned_trust(listing);

	listing->is_complete = true;
	if (until > listing->until)
		listing->until = until;
}

static void on_end(struct peer_call *call, int error)
{
	struct listing *listing = ((struct listing_call *)call)->listing;

	listing->call = NULL;
	listing->error = error;
	if (!error)
		complete(listing);
	wake_readers(listing);
}

static void on_reply(struct peer_call *call, const struct transport_reply *reply)
{
	struct listing *listing = ((struct listing_call *)call)->listing;
	const struct result_readdir *result = reply->result;
	int error = reply->error;

	listing_hold(listing);
	if (listing->n == 0)
		listing->sent = call->sent;
	listing->session = call->session;
	if (!error) {
		listing->fs_number = result->attr.fs;
		node_attr_set(listing->peer->fs, listing->node, &result->attr, call->sent);
		/* Most directories are small, and need no more than a small chunk. */
		if (!reply->more && result->entries.size < LISTING_CHUNK / 4)
			listing->chunk_size =
			    LISTING_CHUNK / 16 + (2 * result->entries.size & ~(size_t)7);
		error = add_entries(listing, result->entries);
	}
	if (error) {
		if (reply->error)
			listing->call = NULL;
		stop(listing, error);
	} else if (!reply->more) {
		listing->call = NULL;
		complete(listing);
	}
	wake_readers(listing);
	listing_drop(listing);
}

static void on_release(struct peer_call *call)
{
	struct listing *listing = ((struct listing_call *)call)->listing;

	if (listing->call == call)
		listing->call = NULL;
	listing_drop(listing);
}

struct listing *listing_new_empty(struct fs *fs, struct fs_node *node)
{
	struct listing *listing = calloc(1, sizeof(*listing));

	if (!listing)
		return NULL;
	listing->node = node;
	node_hold(node);
	listing->peer = node_peer(fs, node);
	listing->refs = 1;
	listing->is_whole = true;
	listing->is_complete = true;
	listing->chunk_size = LISTING_CHUNK;
	listing->asked = fs_now(fs);
	listing->until = listing->asked + fs->config.trust;
	listing->sent = fs->change;
	listing->session = listing->peer->session;
	return listing;
}

static int ask(struct listing *listing, struct args_readdir *args)
{
	struct listing_call *call =
	    peer_call_new(listing->peer->fs, sizeof(*call), listing->node, NULL);

	if (!call)
		return -ENOMEM;
	listing->refs++; /* the call's */
	listing->is_complete = false;
	listing->call = &call->call;
	call->listing = listing;
	call->call.done = on_reply;
	call->call.data = on_data;
	call->call.end = on_end;
	call->call.release = on_release;
	peer_call_send(&call->call, OP_READDIR, args);
	return 0;
}

struct listing *listing_new(struct fs *fs, struct fs_node *node, uint64_t n_entries)
{
	struct listing *listing = listing_new_empty(fs, node);
	struct args_readdir args = {.n_entries = n_entries};

	if (listing && ask(listing, &args) < 0) {
		listing_drop(listing);
		return NULL;
	}
	return listing;
}

void listing_want_attrs(struct listing *listing, uint64_t position)
{
	struct args_readdir args = {0};
	struct peer_call *call = listing->call;
	struct listing_entry entry;

	if (listing_get(listing, position, &entry) != 1 || !entry.is_bare || listing->error ||
	    listing->session != listing->peer->session)
		return;
	for (const struct listing_reader *reader = listing->readers; reader; reader = reader->next)
		if (reader->position > position)
			return; /* it was told of those behind already */
	args.from = ((const struct stored *)entry.at)->size;
	listing_hold(listing);
	listing->call = NULL;
	if (call)
		peer_call_abandon(call);
	listing_store_cut(listing, position);
	listing->unpaid = 0;
	listing->has_bare = false;
	if (ask(listing, &args) < 0)
		listing->error = -ENOMEM;
	listing_drop(listing);
}

/* --- reading ---------------------------------------------------------------------------------- */

void listing_reader_start(struct listing_reader *reader, struct listing *listing)
{
	reader->listing = listing;
	listing_hold(listing);
	reader->prev = NULL;
	reader->next = listing->readers;
	if (reader->next)
		reader->next->prev = reader;
	listing->readers = reader;
	reader->position = 0;
	reader->is_waiting = false;
}

void listing_reader_end(struct listing_reader *reader)
{
	struct listing *listing = reader->listing;

	if (!listing)
		return;
	*(reader->prev ? &reader->prev->next : &listing->readers) = reader->next;
	if (reader->next)
		reader->next->prev = reader->prev;
	reader->listing = NULL;
	reader->is_waiting = false;
	listing_drop(listing);
}

void listing_passed(struct listing_reader *reader, uint64_t position)
{
	reader->position = position;
	release_passed(reader->listing);
}

void listing_wait(struct listing_reader *reader)
{
	reader->is_waiting = true;
	release_passed(reader->listing);
}

bool listing_is_all(const struct listing *listing)
{
	return listing->is_complete && listing->is_whole;
}

struct fs_node *listing_enter(struct listing *listing, const struct listing_entry *entry)
{
	struct fs_peer *peer = listing->peer;
	struct stored *stored = entry->at;

	if (!entry->entry.node || listing->session != peer->session || !peer->transport)
		return NULL;
	if (!stored->is_taken) {
		stored->is_taken = true;
		return node_enter(peer, listing->node, entry->name, &entry->entry);
	}
	return node_find_number(peer, listing->node, entry->name, entry->entry.node,
				entry->entry.attr.mode & S_IFMT,
				attr_map_ino(peer, entry->entry.attr.fs, entry->entry.attr.ino));
}
