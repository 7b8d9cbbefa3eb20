#include "fs/listing_store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/name_hash.h"

#define LISTING_INDEX_MAX (1u << 31) /* positions */

/* Entries grow from the start of `data`, their offsets (in units of 8 bytes) from its end. */
struct listing_chunk {
	uint64_t first; /* position of its first entry */
	uint64_t until; /* its entries are believed */
	uint32_t n;
	uint32_t used;
	uint32_t capacity;
	_Alignas(8) uint8_t data[];
};

static uint16_t *offset_of(struct listing_chunk *chunk, uint32_t i)
{
	return (uint16_t *)(void *)(chunk->data + chunk->capacity) - 1 - i;
}

static struct stored *stored_at(struct listing_chunk *chunk, uint32_t i)
{
	return (struct stored *)(void *)(chunk->data + (size_t)*offset_of(chunk, i) * 8);
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

/* --- memory ----------------------------------------------------------------------------------- */

/* The server's reference that came with it. */
static void forget(struct listing *listing, const struct stored *stored)
{
	if (stored->node && !stored->is_taken && listing->session == listing->peer->session)
		peer_forget(listing->peer, stored->node, 1);
}

static void free_chunk(struct listing *listing, size_t i)
{
	struct listing_chunk *chunk = listing->chunks[i];

	if (!chunk)
		return;
	for (uint32_t at = 0; at < chunk->n; at++)
		forget(listing, stored_at(chunk, at));
	listing->bytes -= sizeof(*chunk) + chunk->capacity;
	free(chunk);
	listing->chunks[i] = NULL;
}

static struct listing_chunk *chunk_with_room(struct listing *listing, size_t need,
					     uint64_t (*until)(const struct listing *listing))
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
	chunk->until = until(listing);
	chunk->n = 0;
	chunk->used = 0;
	listing->chunks[listing->n_chunks++] = chunk;
	listing->bytes += sizeof(*chunk) + chunk->capacity;
	return chunk;
}

struct stored *listing_store_add(struct listing *listing, struct bytes name, struct bytes target,
				 uint64_t (*until)(const struct listing *listing))
{
	size_t need = offsetof(struct stored, name) + name.size + 1 + target.size;
	struct listing_chunk *chunk;
	struct stored *stored;

	need = (need + 7) & ~(size_t)7;
	chunk = chunk_with_room(listing, need, until);
	if (!chunk)
		return NULL;
	*offset_of(chunk, chunk->n) = (uint16_t)(chunk->used / 8);
	stored = stored_at(chunk, chunk->n);
	*stored =
	    (struct stored){.target_size = (uint16_t)target.size, .name_size = (uint8_t)name.size};
	memcpy(stored->name, name.data, name.size);
	stored->name[name.size] = '\0';
	if (target.size)
		memcpy(stored->name + name.size + 1, target.data, target.size);
	chunk->used += (uint32_t)need;
	chunk->n++;
	listing->n++;
	return stored;
}

bool listing_store_drop_oldest(struct listing *listing, uint64_t passed)
{
	struct listing_chunk *chunk = listing->chunks[listing->n_gone];

	if (chunk->first + chunk->n > passed)
		return false;
	free_chunk(listing, listing->n_gone++);
	listing->is_whole = false;
	return true;
}

void listing_store_cut(struct listing *listing, uint64_t position)
{
	struct listing_chunk *chunk = chunk_of(listing, position);
	uint32_t n = (uint32_t)(position - chunk->first);

	while (listing->chunks[listing->n_chunks - 1] != chunk)
		free_chunk(listing, --listing->n_chunks);
	for (uint32_t i = n; i < chunk->n; i++)
		forget(listing, stored_at(chunk, i));
	chunk->used = *offset_of(chunk, n) * 8u;
	chunk->n = n;
	listing->n = position;
	free(listing->index);
	listing->index = NULL;
	listing->n_index = 0;
	listing->index_first = listing->index_end = first_kept(listing);
}

void listing_store_free(struct listing *listing)
{
	for (size_t i = 0; i < listing->n_chunks; i++)
		free_chunk(listing, i);
	free(listing->chunks);
	free(listing->index);
}

size_t listing_store_behind(const struct listing *listing, uint64_t position, size_t most)
{
	size_t bytes = 0;

	for (size_t i = listing->n_chunks; i > listing->n_gone && bytes <= most; i--) {
		const struct listing_chunk *chunk = listing->chunks[i - 1];

		if (chunk->first <= position)
			break;
		bytes += sizeof(*chunk) + chunk->capacity;
	}
	return bytes;
}

/* --- by position ------------------------------------------------------------------------------ */

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
			       .size = stored->is_bare ? 0 : stored->size,
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
	    .is_bare = stored->is_bare,
	    .at = stored,
	};
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
