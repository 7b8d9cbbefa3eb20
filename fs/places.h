/*
 * Places: what a peer's exports are called on the peer itself. An absolute symbolic link there that
 * leads into an export is shown as the relative one that leads to the same file here (attr_map.h).
 */
#ifndef FS_PLACES_H
#define FS_PLACES_H

#include "proto/codec.h"

struct place;

/* Zeroed: none. */
struct places {
	struct place *items;
	size_t n;
	bool is_known; /* the peer was asked in this session */
};

void places_clear(struct places *places);

/* Takes the answer of EXPORTS in place of what was there. What is no name or no absolute path is
 * left out. Returns 0 or -ENOMEM (nothing is known then). */
int places_set(struct places *places, struct list exports);

/*
 * The export in which an absolute path lies, the innermost one. Returns the rest of the path,
 * without leading slashes, and in *ret_name the export's name below the peer's directory, "" for
 * that itself; NULL if the path lies in none.
 */
const char *places_find(const struct places *places, const char *path, size_t size,
			const char **ret_name);

#endif
