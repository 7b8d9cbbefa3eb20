#include "daemon/net/chunk.h"

#include <assert.h>
#include <stdlib.h>

struct chunk *chunk_new(size_t size)
{
	struct chunk *chunk = malloc(sizeof(*chunk) + size);

	if (!chunk)
		return NULL;
	chunk->n_refs = 1;
	chunk->size = size;
	return chunk;
}

struct chunk *chunk_ref(struct chunk *chunk)
{
	chunk->n_refs++;
	return chunk;
}

struct chunk *chunk_unref(struct chunk *chunk)
{
	if (chunk) {
		assert(chunk->n_refs > 0);
		if (--chunk->n_refs == 0)
			free(chunk);
	}
	return NULL;
}
