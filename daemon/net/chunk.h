/*
 * Chunk: a counted buffer that plaintext is received into. Frames are parsed in place; whoever
 * keeps bytes of a frame holds a reference to its chunk.
 */
#ifndef DAEMON_NET_CHUNK_H
#define DAEMON_NET_CHUNK_H

#include <stddef.h>
#include <stdint.h>

/* Two frames with 128 KiB of payload each, and what else comes between them. */
#define CHUNK_SIZE (288 * 1024)

struct chunk {
	unsigned n_refs;
	size_t size; /* of data */
	uint8_t data[];
};

/* A new chunk with one reference, or NULL. */
struct chunk *chunk_new(size_t size);
struct chunk *chunk_ref(struct chunk *chunk);
/* The last one frees it. NULL is fine. Returns NULL. */
struct chunk *chunk_unref(struct chunk *chunk);

#endif
