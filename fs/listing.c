#include "fs/listing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/attr_map.h"
#include "fs/control_files.h"
#include "fs/dir.h"
#include "fs/name_hash.h"

#define LISTING_INDEX_MAX (1u << 31) /* positions */

/* An entry as it is kept; name (with a NUL) and target follow. */
struct stored {
	uint64_t node, fs, ino, size, blocks;
	int64_t atime_s, mtime_s, ctime_s;
	uint32_t atime_ns, mtime_ns, ctime_ns;
	uint32_t mode, nlink, uid, gid, rdev, blksize;
	uint16_t target_size;
	uint8_t name_size;
	bool is_taken : 1;
	bool is_plain : 1;
	char name[];
};

/* Entries grow from the start of `data`, their offsets (in units of 8 bytes) from its end. */
struct listing_chunk {
	uint64_t first; /* position of its first entry */
	uint64_t until; /* its entries are believed */
	uint32_t n;
	uint32_t used;
	uint32_t capacity;
	_Alignas(8) uint8_t data[];
};

struct listing_call {
	struct peer_call call;
	struct listing *listing; /* held */
};

static uint16_t *offset_of(struct listing_chunk *chunk, uint32_t i)
{
	return (uint16_t *)(void *)(chunk->data + chunk->capacity) - 1 - i;
}

static struct stored *stored_at(struct listing_chunk *chunk, uint32_t i)
{
	return (struct stored *)(void *)(chunk->data + (size_t)*offset_of(chunk, i) * 8);
}

/* --- memory ----------------------------------------------------------------------------------- */

static void free_chunk(struct listing *listing, size_t i)
{
	struct listing_chunk *chunk = listing->chunks[i];

	if (!chunk)
		return;
	if (listing->session == listing->peer->session) {
		for (uint32_t at = 0; at < chunk->n; at++) {
			const struct stored *stored = stored_at(chunk, at);

			if (!stored->is_taken && stored->node)
				peer_forget(listing->peer, stored->node, 1);
		}
	}
	listing->bytes -= sizeof(*chunk) + chunk->capacity;
	free(chunk);
	listing->chunks[i] = NULL;
}

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
	for (size_t i = 0; i < listing->n_chunks; i++)
		free_chunk(listing, i);
	free(listing->chunks);
	free(listing->index);
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

static struct listing_chunk *chunk_with_room(struct listing *listing, size_t need)
{
	struct listing_chunk *chunk = NULL;

	if (listing->n_chunks)
		chunk = listing->chunks[listing->n_chunks - 1];
	if (chunk && chunk->used + need + (chunk->n + 1) * sizeof(uint16_t) <= chunk->capacity)
		return chunk;
	if (listing->n_chunks == listing->chunks_capacity) {
		size_t capacity = listing->chunks_capacity ? 2 * listing->chunks_capacity : 1;
		void *chunks = realloc(listing->chunks, capacity * sizeof(chunk));

		if (!chunks)
			return NULL;
		listing->chunks = chunks;
		listing->chunks_capacity = capacity;
	}
	chunk = malloc(sizeof(*chunk) + listing->chunk_size);
	if (!chunk)
		return NULL;
	chunk->capacity = (uint32_t)listing->chunk_size;
	chunk->first = listing->n;
	chunk->until = believed_until(listing);
	chunk->n = 0;
	chunk->used = 0;
	listing->chunks[listing->n_chunks++] = chunk;
	listing->bytes += sizeof(*chunk) + chunk->capacity;
	return chunk;
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
	size_t bytes = 0;

	for (const struct listing_reader *reader = listing->readers; reader; reader = reader->next)
		if (reader->position > position)
			position = reader->position;
	for (size_t i = listing->n_chunks; i > listing->n_gone && bytes <= LISTING_AHEAD; i--) {
		const struct listing_chunk *chunk = listing->chunks[i - 1];

		if (chunk->first <= position)
			break;
		bytes += sizeof(*chunk) + chunk->capacity;
	}
	return bytes > LISTING_AHEAD;
}

/* Lets go of what all readers have passed, and pays for what may come then. */
static void release_passed(struct listing *listing)
{
	uint64_t passed = listing->readers ? UINT64_MAX : 0;

	for (struct listing_reader *reader = listing->readers; reader; reader = reader->next)
		if (reader->position < passed)
			passed = reader->position;
	while (listing->bytes > LISTING_KEEP && listing->n_gone < listing->n_chunks) {
		struct listing_chunk *chunk = listing->chunks[listing->n_gone];

		if (chunk->first + chunk->n > passed)
			break;
		free_chunk(listing, listing->n_gone++);
		listing->is_whole = false;
	}
	if (listing->unpaid && listing->bytes <= LISTING_KEEP && listing->call &&
	    !is_far_ahead(listing)) {
		size_t bytes = listing->unpaid;

		listing->unpaid = 0;
		peer_call_consumed(listing->call, bytes);
	}
}

static int add_entry(struct listing *listing, const struct dir_entry *dirent)
{
	const struct attr *attr = &dirent->entry.attr;
	size_t need =
	    offsetof(struct stored, name) + dirent->name.size + 1 + dirent->entry.target.size;
	struct listing_chunk *chunk;
	struct stored *stored;

	if (listing->node->kind == NODE_IS_TOP && control_is_hidden(dirent->name)) {
		peer_forget(listing->peer, dirent->entry.node, 1);
		return 0;
	}
	need = (need + 7) & ~(size_t)7;
	chunk = chunk_with_room(listing, need);
	if (!chunk)
		return -ENOMEM;
	*offset_of(chunk, chunk->n) = (uint16_t)(chunk->used / 8);
	stored = stored_at(chunk, chunk->n);
	*stored = (struct stored){
	    .node = dirent->entry.node,
	    .fs = attr->fs,
	    .ino = attr->ino,
	    .size = attr->size,
	    .blocks = attr->blocks,
	    .atime_s = attr->atime.tv_sec,
	    .mtime_s = attr->mtime.tv_sec,
	    .ctime_s = attr->ctime.tv_sec,
	    .atime_ns = (uint32_t)attr->atime.tv_nsec,
	    .mtime_ns = (uint32_t)attr->mtime.tv_nsec,
	    .ctime_ns = (uint32_t)attr->ctime.tv_nsec,
	    .mode = (uint32_t)attr->mode,
	    .nlink = (uint32_t)attr->nlink,
	    .uid = (uint32_t)attr->uid,
	    .gid = (uint32_t)attr->gid,
	    .rdev = (uint32_t)attr->rdev,
	    .blksize = (uint32_t)attr->blksize,
	    .target_size = (uint16_t)dirent->entry.target.size,
	    .name_size = (uint8_t)dirent->name.size,
	    .is_plain = attr->plain,
	};
	memcpy(stored->name, dirent->name.data, dirent->name.size);
	stored->name[dirent->name.size] = '\0';
	if (dirent->entry.target.size)
		memcpy(stored->name + dirent->name.size + 1, dirent->entry.target.data,
		       dirent->entry.target.size);
	chunk->used += (uint32_t)need;
	chunk->n++;
	listing->n++;
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

/* It broke: readers get the error behind what is there. */
static void stop(struct listing *listing, int error)
{
	struct peer_call *call = listing->call;

	listing->error = error;
	listing->call = NULL;
	if (call)
		peer_call_abandon(call);
}

static void on_data(struct peer_call *call, struct bytes data)
{
	struct listing *listing = ((struct listing_call *)call)->listing;
	int error = add_entries(listing, data);

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
	listing->sent = call->sent;
	listing->session = call->session;
	if (!error) {
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

struct listing *listing_new(struct fs *fs, struct fs_node *node)
{
	struct listing *listing = listing_new_empty(fs, node);
	struct listing_call *call;
	struct args_readdir args = {0};

	if (!listing)
		return NULL;
	call = peer_call_new(fs, sizeof(*call), node, NULL);
	if (!call) {
		listing_drop(listing);
		return NULL;
	}
	listing->refs++; /* the call's */
	listing->is_complete = false;
	listing->call = &call->call;
	call->listing = listing;
	call->call.done = on_reply;
	call->call.data = on_data;
	call->call.end = on_end;
	call->call.release = on_release;
	peer_call_send(&call->call, OP_READDIR, &args);
	return listing;
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

static void take_out(struct listing_chunk *chunk, uint32_t i, struct listing_entry *ret_entry)
{
	struct stored *stored = stored_at(chunk, i);

	*ret_entry = (struct listing_entry){
	    .name = {.data = (const uint8_t *)stored->name, .size = stored->name_size},
	    .entry = {.node = stored->node,
		      .attr = {.fs = stored->fs,
			       .ino = stored->ino,
			       .mode = stored->mode,
			       .nlink = stored->nlink,
			       .uid = stored->uid,
			       .gid = stored->gid,
			       .rdev = stored->rdev,
			       .size = stored->size,
			       .blocks = stored->blocks,
			       .blksize = stored->blksize,
			       .atime = {stored->atime_s, stored->atime_ns},
			       .mtime = {stored->mtime_s, stored->mtime_ns},
			       .ctime = {stored->ctime_s, stored->ctime_ns},
			       .plain = stored->is_plain},
		      .target = {.data = (const uint8_t *)stored->name + stored->name_size + 1,
				 .size = stored->target_size}},
	    .until = chunk->until,
	    .is_taken = stored->is_taken,
	    .at = stored,
	};
}

/* Position of the first entry that is kept. */
static uint64_t first_kept(const struct listing *listing)
{
	return listing->n_gone < listing->n_chunks ? listing->chunks[listing->n_gone]->first
						   : listing->n;
}

/* The chunk of an entry that is kept. */
static struct listing_chunk *chunk_of(const struct listing *listing, uint64_t position)
{
	size_t low = listing->n_gone, high = listing->n_chunks;

	while (high - low > 1) {
		size_t middle = (low + high) / 2;

		if (listing->chunks[middle]->first <= position)
			low = middle;
		else
			high = middle;
	}
	return listing->chunks[low];
}

int listing_get(const struct listing *listing, uint64_t position, struct listing_entry *ret_entry)
{
	struct listing_chunk *chunk;

	if (position >= listing->n)
		return 0;
	if (position < first_kept(listing))
		return -ESTALE;
	chunk = chunk_of(listing, position);
	take_out(chunk, (uint32_t)(position - chunk->first), ret_entry);
	return 1;
}

/* --- by name ---------------------------------------------------------------------------------- */

static void index_add(struct listing *listing, uint64_t position, const struct stored *stored)
{
	struct bytes name = {(const uint8_t *)stored->name, stored->name_size};
	size_t at = name_hash(listing->peer->fs->seed, name) & (listing->n_index - 1);

	while (listing->index[at])
		at = (at + 1) & (listing->n_index - 1);
	listing->index[at] = (uint32_t)(position + 1);
}

/* An empty one, with room for what is kept, and for as much again while more is coming. */
static int index_renew(struct listing *listing)
{
	uint64_t first = first_kept(listing);
	size_t n_index = 16;

	while (n_index < (listing->n - first) * (listing->is_complete ? 2 : 4))
		n_index *= 2;
	free(listing->index);
	listing->index = calloc(n_index, sizeof(*listing->index));
	listing->n_index = listing->index ? n_index : 0;
	listing->index_first = listing->index_end = first;
	return listing->index ? 0 : -ENOMEM;
}

/* What has come since the last time. Entries that were let go of stay in it, until there is no more
 * room. */
static int index_go_on(struct listing *listing)
{
	uint64_t first = first_kept(listing), at;

	if (listing->n >= LISTING_INDEX_MAX)
		return -ENOMEM;
	if (listing->index_end < first ||
	    (listing->n - listing->index_first) * 2 > listing->n_index) {
		int error = index_renew(listing);

		if (error)
			return error;
	}
	while ((at = listing->index_end) < listing->n) {
		struct listing_chunk *chunk = chunk_of(listing, at);

		for (; at < chunk->first + chunk->n; at++)
			index_add(listing, at, stored_at(chunk, (uint32_t)(at - chunk->first)));
		listing->index_end = at;
	}
	return 0;
}

int listing_find(struct listing *listing, struct bytes name, struct listing_entry *ret_entry)
{
	uint64_t first = first_kept(listing);
	size_t at;

	if (index_go_on(listing))
		return -ENOMEM;
	if (!listing->n_index)
		return 0;
	at = name_hash(listing->peer->fs->seed, name) & (listing->n_index - 1);
	for (; listing->index[at]; at = (at + 1) & (listing->n_index - 1)) {
		uint64_t position = listing->index[at] - 1;
		struct listing_chunk *chunk;
		struct stored *stored;

		if (position < first)
			continue;
		chunk = chunk_of(listing, position);
		stored = stored_at(chunk, (uint32_t)(position - chunk->first));
		if (stored->name_size == name.size &&
		    memcmp(stored->name, name.data, name.size) == 0) {
			take_out(chunk, (uint32_t)(position - chunk->first), ret_entry);
			return 1;
		}
	}
	return 0;
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
