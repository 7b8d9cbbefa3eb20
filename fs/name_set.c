#include "fs/name_set.h"

#include <stdlib.h>

#define SLOTS_MIN 16

/* Where the hash is, or would be. */
static size_t slot_of(const struct name_set *set, uint64_t hash)
{
	size_t at = hash & (set->n_slots - 1);

	while (set->slots[at] && set->slots[at] != hash)
		at = (at + 1) & (set->n_slots - 1);
	return at;
}

static bool grow(struct name_set *set)
{
	struct name_set larger = {.n_slots = set->n_slots ? 2 * set->n_slots : SLOTS_MIN};

	larger.slots = calloc(larger.n_slots, sizeof(*larger.slots));
	if (!larger.slots)
		return false;
	for (size_t i = 0; i < set->n_slots; i++)
		if (set->slots[i])
			larger.slots[slot_of(&larger, set->slots[i])] = set->slots[i];
	larger.n = set->n;
	free(set->slots);
	*set = larger;
	return true;
}

/* 0 means a free slot. */
static uint64_t stored(uint64_t hash)
{
	return hash ? hash : 1;
}

bool name_set_add(struct name_set *set, uint64_t hash)
{
	size_t at;

	if (name_set_has(set, hash))
		return true;
	if (set->n == NAME_SET_MAX || (set->n >= set->n_slots / 2 && !grow(set)))
		return false;
	at = slot_of(set, stored(hash));
	set->slots[at] = stored(hash);
	set->n++;
	return true;
}

bool name_set_has(const struct name_set *set, uint64_t hash)
{
	return set->n && set->slots[slot_of(set, stored(hash))];
}

void name_set_clear(struct name_set *set)
{
	free(set->slots);
	*set = (struct name_set){0};
}
