/*
 * Name set: which names of a directory were touched. Hashes stand for them, so a name that was not
 * may seem to be in it (one of 2^64); one that was always is.
 */
#ifndef FS_NAME_SET_H
#define FS_NAME_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NAME_SET_MAX 65536

/* Zero-initialised: empty. */
struct name_set {
	uint64_t *slots; /* owned; 0: free */
	size_t n, n_slots;
};

/* Returns false, with nothing added, without memory or above NAME_SET_MAX. */
bool name_set_add(struct name_set *set, uint64_t hash);
bool name_set_has(const struct name_set *set, uint64_t hash);
/* Empty again; gives its memory back. */
void name_set_clear(struct name_set *set);

#endif
