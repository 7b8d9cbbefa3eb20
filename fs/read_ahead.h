/*
 * Read-ahead: the reads of one open file, and the data that was fetched before it was asked for.
 *
 * Knows neither FUSE nor the wire: whoever owns it fetches blocks and answers reads. Data is
 * handed out from the frame in which it came, without a copy, and at most READ_AHEAD_AGE_US after
 * it came.
 */
#ifndef FS_READ_AHEAD_H
#define FS_READ_AHEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/uio.h>

#include "fs/read_window.h"
#include "proto/record.h"

#define READ_AHEAD_AGE_US  1000000
#define READ_AHEAD_MEMORY  (64 * 1024 * 1024) /* prefetched bytes of all files together */
#define READ_AHEAD_IOV_MAX 32                 /* pieces of one answer */

struct read_ahead;

/* Bytes [offset, offset + size) of the file, on their way or here. */
struct read_block {
	TAILQ_ENTRY(read_block) link; /* ahead->blocks, by offset, while `listed` */
	TAILQ_ENTRY(read_block) aged; /* pool->blocks, by arrival, while ready and listed */
	struct read_ahead *ahead;
	uint64_t offset;
	size_t size; /* asked for */
	size_t cost; /* bytes counted in pool->bytes */
	struct bytes data;
	void *frame; /* what data points into; given back with ops->release */
	uint64_t arrived_us;
	size_t handed_out; /* bytes that answers took */
	unsigned refs;     /* the list, the fetch, each waiting read */
	int error;
	bool listed;
	bool pending; /* its fetch is under way */
	bool keep;    /* a whole small file: stays when it was read through */
	void *fetch;  /* the owner's */
};

/* Shared by all files. */
struct read_pool {
	TAILQ_HEAD(read_block_list, read_block) blocks; /* ready, oldest first */
	size_t bytes;
	size_t limit;
};

/* A read that waits for its data. Embedded in the owner's request, which must outlive it. */
struct read_wait {
	TAILQ_ENTRY(read_wait) link; /* ahead->waits */
	uint64_t offset;
	size_t size;
	unsigned n_blocks;
	unsigned n_pending;
	struct read_block *blocks[READ_AHEAD_IOV_MAX];
};

struct read_ahead_ops {
	/* Starts to fetch block->size bytes at block->offset; ends with read_ahead_fetched, never
	 * from within. Returns 0 or -errno, then the block has failed. */
	int (*fetch)(void *arg, struct read_block *block);
	/* Nobody wants the block any more: read_ahead_fetched must not be called for it. Not
	 * called from within read_ahead_fetched. */
	void (*abandon)(void *arg, struct read_block *block);
	/* Keep and give back a frame. */
	void (*keep)(void *arg, void *frame);
	void (*release)(void *arg, void *frame);
	/* The answer: 0 and the data, shorter than asked for only at the end of the file; or
	 * -errno. The wait is over and not touched any more afterwards. */
	void (*answer)(void *arg, struct read_wait *wait, int error, const struct iovec *iov,
		       unsigned n_iov);
};

struct read_ahead {
	const struct read_ahead_ops *ops;
	void *arg;
	struct read_pool *pool;
	struct read_window window;
	struct read_block_list blocks;
	TAILQ_HEAD(, read_wait) waits;
};

void read_pool_init(struct read_pool *pool, size_t limit);
/* Frees what is older than READ_AHEAD_AGE_US. To be called about once a second while
 * read_pool_is_used. */
void read_pool_expire(struct read_pool *pool, uint64_t now_us);
bool read_pool_is_used(const struct read_pool *pool);

void read_ahead_init(struct read_ahead *ahead, struct read_pool *pool,
		     const struct read_ahead_ops *ops, void *arg);
/* Waiting reads must have been answered. */
void read_ahead_deinit(struct read_ahead *ahead);

/*
 * Reads. The answer may come from within. `prefetch` is false for direct I/O. `file_end`: the
 * file's size as far as known. Of the time, only differences
 * matter.
 */
void read_ahead_read(struct read_ahead *ahead, struct read_wait *wait, uint64_t offset, size_t size,
		     bool prefetch, uint64_t file_end, uint64_t now_us, uint64_t rtt_us);

/* A fetch has ended; data points into `frame`, which is kept if need be. */
void read_ahead_fetched(struct read_block *block, int error, struct bytes data, void *frame,
			uint64_t now_us);
/* The whole content of a small file, as it came with OPEN. */
void read_ahead_seed(struct read_ahead *ahead, struct bytes data, void *frame, uint64_t now_us);
/* The file has changed: nothing that was asked for until now answers a later read. */
void read_ahead_drop(struct read_ahead *ahead);

#endif
