/*
 * What a listing has in memory: its entries, in the order in which they came, and by name. Between
 * listing.c and listing_store.c.
 */
#ifndef FS_LISTING_STORE_H
#define FS_LISTING_STORE_H

#include "fs/listing.h"

/* An entry as it is kept; name (with a NUL) and target follow. */
struct stored {
	uint64_t node, fs, ino;
	uint64_t size; /* of a bare name: where it stands in its directory there */
	uint64_t blocks;
	int64_t atime_s, mtime_s, ctime_s;
	uint32_t atime_ns, mtime_ns, ctime_ns;
	uint32_t mode, nlink, uid, gid, rdev, blksize;
	uint16_t target_size;
	uint8_t name_size;
	bool is_taken : 1;
	bool is_plain : 1;
	bool is_bare : 1; /* a name, inode number and type, no more */
	char name[];
};

/* One more at the end: name and target are in place, the rest is zero. A new chunk of them is
 * believed until then. NULL: out of memory. */
struct stored *listing_store_add(struct listing *listing, struct bytes name, struct bytes target,
				 uint64_t (*until)(const struct listing *listing));
/* Lets go of the oldest chunk, or returns false if it has entries from `passed` on. */
bool listing_store_drop_oldest(struct listing *listing, uint64_t passed);
/* Takes entry `position`, which is kept, and all behind it away. */
void listing_store_cut(struct listing *listing, uint64_t position);
void listing_store_free(struct listing *listing);
/* Bytes of the chunks that begin behind `position`, as soon as they exceed `most`, or all. */
size_t listing_store_behind(const struct listing *listing, uint64_t position, size_t most);

#endif
