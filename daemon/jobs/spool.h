/*
 * Spool: what a job wrote, as one sequence of bytes with offsets from 0, of which the newest are
 * kept. The last of them are in memory; older ones are in an unlinked file, which is made when it
 * is first needed and is used as a ring. Disk work is done by threads of the pool; everything here
 * is called on the loop, and calls back on it.
 */
#ifndef DAEMON_JOBS_SPOOL_H
#define DAEMON_JOBS_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define SPOOL_PIECE_MAX (128 * 1024)      /* bytes that are given out at once */
#define SPOOL_MEMORY    (2 * 1024 * 1024) /* bytes that are kept in memory, about */
#define SPOOL_IDLE      (64 * 1024)       /* of a job that has ended and has no client */
#define SPOOL_RUNS_MAX  32768 /* changes between the two kinds of output that are kept */
#define SPOOL_UNGUARDED UINT64_MAX
#define SPOOL_CHANNELS  2

struct spool;

struct spool_options {
	uv_loop_t *loop;
	const char *dir; /* where the file is made; borrowed */
	uint64_t limit;  /* bytes in the file */
	/* There is room again (spool_may_grow). */
	void (*room)(void *arg);
	/* After spool_close: it is gone. */
	void (*closed)(void *arg);
	void *arg;
};

/* A counted piece of memory that the newest bytes are in. */
struct spool_chunk {
	unsigned n_refs; /* the spool's, and those of readers; on the loop */
	size_t size, capacity;
	uint64_t offset; /* of its first byte */
	struct spool_chunk *next;
	uint8_t data[];
};

struct spool_piece {
	const uint8_t *data;
	size_t size;
	unsigned channel;
	struct spool_chunk *chunk; /* hold it (spool_hold) to keep `data` */
};

/* Reads what is on the disk. The caller's until `done`. */
struct spool_read {
	void (*done)(struct spool_read *read, int error); /* -ERANGE: gone meanwhile */
	void *arg;
	uint64_t offset;
	size_t size;   /* wanted, then read; in one run of a channel */
	uint8_t *data; /* room for as many, the caller's */
	unsigned channel;
	bool any_channel; /* not only one run */
	/* the spool's */
	struct spool *spool;
	uv_work_t work;
	int error;
};

int spool_new(const struct spool_options *options, struct spool **ret_spool);
/* Frees it, and calls `closed` when its last disk work has ended. No spool_read may be under way
 * that the caller does not still expect. */
void spool_close(struct spool *spool);

/* Where to put what is read from a program: at least a few KiB of room, or NULL (out of memory).
 * Nothing has happened until spool_commit. */
uint8_t *spool_reserve(struct spool *spool, size_t *ret_room);
void spool_commit(struct spool *spool, unsigned channel, size_t size);
/* May it take more, as things stand? If not, `room` is called when it may. */
bool spool_may_grow(struct spool *spool);

/* Bytes from `floor` on are not dropped: rather, it does not grow. SPOOL_UNGUARDED: the oldest go.
 * Where `lean` is not 0, memory of so many bytes is all that it uses: what is below the floor is
 * dropped, not written to the disk, and it does not grow beyond that. */
void spool_guard(struct spool *spool, uint64_t floor, size_t lean);
/* Nothing is written to it any more and nobody reads at its end: keeps little in memory. */
void spool_settle(struct spool *spool);

uint64_t spool_kept(const struct spool *spool); /* the first offset that is there */
uint64_t spool_end(const struct spool *spool);

/* Bytes from `offset` on that are of one channel and in one piece of memory. Returns 0 (size 0: at
 * the end), -EAGAIN (they are on the disk: spool_read_start) or -ERANGE. */
int spool_peek(const struct spool *spool, uint64_t offset, struct spool_piece *ret_piece);
void spool_hold(struct spool_chunk *chunk);
void spool_drop(struct spool_chunk *chunk);
/* Starts reading from the disk; `done` is called later. Returns 0 or -ERANGE. */
int spool_read_start(struct spool *spool, struct spool_read *read);

#endif
