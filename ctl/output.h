/*
 * Output: bytes on their way into a descriptor that is not ours alone (standard output), written
 * without waiting and without making it non-blocking for others who hold it.
 */
#ifndef CTL_OUTPUT_H
#define CTL_OUTPUT_H

#include <stdbool.h>
#include <sys/types.h>

#include "proto/codec.h"

enum output_kind { OUTPUT_PLAIN, OUTPUT_SOCKET };

struct output {
	int fd;       /* to write to */
	bool is_ours; /* opened here */
	enum output_kind kind;
	struct buffer pending;
	size_t n_written; /* of pending */
};

void output_init(struct output *output, int fd);
void output_deinit(struct output *output);

/* Writes what can be written now and keeps the rest (the caller bounds it). Returns how many bytes
 * were written, of these and of what was kept before, or -errno: -EPIPE when nobody reads it. */
ssize_t output_write(struct output *output, struct bytes data);
/* Goes on with what was kept, when poll says so. Likewise. */
ssize_t output_flush(struct output *output);
/* Bytes kept. */
size_t output_pending(const struct output *output);

#endif
