#include "fs/walk.h"

#include <sys/stat.h>

#include "fs/listing.h"

/* Entries looked at in one go: in a large directory without directories the search goes on later.
 */
#define WALK_STEPS 1024

bool walk_read(struct walk *walk)
{
	walk->n_read++;
	/* The walker goes its own way: what was asked for is behind it. */
	if (walk->n_sent < walk->n_read)
		walk->n_sent = walk->n_read;
	return walk->is_listed || walk->n_read > 1;
}

uint64_t walk_next(struct walk *walk, const struct listing *listing)
{
	struct listing_entry entry;

	for (int i = 0; i < WALK_STEPS && walk->n_sent - walk->n_read < WALK_AHEAD; i++) {
		if (listing_get(listing, walk->next, &entry) != 1)
			return 0;
		walk->next++;
		if (S_ISDIR(entry.entry.attr.mode) && entry.entry.node) {
			walk->n_sent++;
			return walk->next;
		}
	}
	return 0;
}
