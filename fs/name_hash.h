/*
 * Hashes of numbers and names, for tables in memory (seeded: names come from peers).
 */
#ifndef FS_NAME_HASH_H
#define FS_NAME_HASH_H

#include <string.h>

#include "proto/record.h"

static inline uint64_t name_hash_mix(uint64_t a, uint64_t b)
{
	unsigned __int128 product =
	    (unsigned __int128)(a ^ 0x9e3779b97f4a7c15ull) * (b ^ 0xe7037ed1a0b428dbull);

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t name_hash(uint64_t seed, struct bytes name)
{
	uint64_t hash = seed ^ name.size;
	size_t at = 0;

	while (at < name.size) {
		size_t n = name.size - at < 8 ? name.size - at : 8;
		uint64_t word = 0;

		memcpy(&word, name.data + at, n);
		hash = name_hash_mix(hash ^ word, 0x8ebc6af09c88c6e3ull);
		at += n;
	}
	return name_hash_mix(hash, seed);
}

#endif
