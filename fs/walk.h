/*
 * Walk: who reads a directory and then one below it (find, git, cp -r, grep -r) will read the
 * others too. Their listings are asked for ahead of need, so that a tree costs a few round trips
 * and not one for each directory.
 */
#ifndef FS_WALK_H
#define FS_WALK_H

#include <stdbool.h>
#include <stdint.h>

struct listing;

/* Listings that may be ahead of the walker in one directory. */
#define WALK_AHEAD 16

/* How far the directories within one were asked for; of its current listing. */
struct walk {
	uint64_t next; /* position in the listing */
	unsigned n_sent, n_read;
	bool is_listed; /* a program read the directory itself */
};

/* One of the directories within was read. Returns whether it looks like a walk: not so the first
 * one in a directory that was not read itself. */
bool walk_read(struct walk *walk);

/*
 * The next directory in a complete listing that is worth asking for, as a position + 1; 0: none
 * now.
 */
uint64_t walk_next(struct walk *walk, const struct listing *listing);

#endif
