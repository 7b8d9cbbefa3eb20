/*
 * Blocks do not overlap while they are listed. A read takes references to the listed blocks that
 * it touches and fetches the gaps, exactly; then the window says what to fetch beyond.
 *
 *     fetch ──► pending ──► ready ──(read through, 1 s old, dropped)──► unlisted ──► freed
 *
 * A block that is unlisted while reads still wait for it answers them and no others: they were
 * under way when the file changed.
 */
#include "fs/read_ahead.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "proto/ops_peer.h"

/* Not inlined: with asserts compiled out gcc 12 takes a second reference for a use after free. */
__attribute__((noinline)) static void block_unref(struct read_block *block,
						  struct read_ahead *ahead)
{
	assert(block->refs > 0);
	if (--block->refs > 0)
		return;
	if (block->frame != NULL)
		ahead->ops->release(ahead->arg, block->frame);
	ahead->pool->bytes -= block->cost;
	free(block);
}

/* No later read finds the block. */
static void block_unlist(struct read_block *block)
{
	struct read_ahead *ahead = block->ahead;

	if (!block->listed)
		return;
	block->listed = false;
	TAILQ_REMOVE(&ahead->blocks, block, link);
	if (!block->pending)
		TAILQ_REMOVE(&ahead->pool->blocks, block, aged);
	else if (block->refs == 2) { /* the list and the fetch: nobody waits */
		ahead->ops->abandon(ahead->arg, block);
		block->pending = false;
		block_unref(block, ahead);
	}
	block_unref(block, ahead);
}

static void block_list(struct read_ahead *ahead, struct read_block *block)
{
	struct read_block *before = TAILQ_LAST(&ahead->blocks, read_block_list);

	while (before != NULL && before->offset > block->offset)
		before = TAILQ_PREV(before, read_block_list, link);
	if (before != NULL)
		TAILQ_INSERT_AFTER(&ahead->blocks, before, block, link);
	else
		TAILQ_INSERT_HEAD(&ahead->blocks, block, link);
	block->listed = true;
	block->refs++;
}

/* A listed block whose fetch is under way, or an error. */
static int block_fetch(struct read_ahead *ahead, uint64_t offset, size_t size,
		       struct read_block **ret_block)
{
	struct read_block *block = calloc(1, sizeof(*block));
	int r;

	if (block == NULL)
		return -ENOMEM;
	block->ahead = ahead;
	block->offset = offset;
	block->size = size;
	r = ahead->ops->fetch(ahead->arg, block);
	if (r < 0) {
		free(block);
		return r;
	}
	block->pending = true;
	block->refs = 1;
	block->cost = size;
	ahead->pool->bytes += size;
	block_list(ahead, block);
	*ret_block = block;
	return 0;
}

void read_pool_init(struct read_pool *pool, size_t limit)
{
	TAILQ_INIT(&pool->blocks);
	pool->bytes = 0;
	pool->limit = limit;
}

void read_pool_expire(struct read_pool *pool, uint64_t now_us)
{
	struct read_block *block;

	while ((block = TAILQ_FIRST(&pool->blocks)) != NULL &&
	       now_us - block->arrived_us > READ_AHEAD_AGE_US)
		block_unlist(block);
}

bool read_pool_is_used(const struct read_pool *pool)
{
	return !TAILQ_EMPTY(&pool->blocks);
}

void read_ahead_init(struct read_ahead *ahead, struct read_pool *pool,
		     const struct read_ahead_ops *ops, void *arg)
{
	*ahead = (struct read_ahead){.ops = ops, .arg = arg, .pool = pool};
	TAILQ_INIT(&ahead->blocks);
	TAILQ_INIT(&ahead->waits);
}

void read_ahead_deinit(struct read_ahead *ahead)
{
	assert(TAILQ_EMPTY(&ahead->waits));
	read_ahead_drop(ahead);
}

void read_ahead_drop(struct read_ahead *ahead)
{
	while (!TAILQ_EMPTY(&ahead->blocks))
		block_unlist(TAILQ_FIRST(&ahead->blocks));
	read_window_dropped(&ahead->window);
}

static void wait_add(struct read_wait *wait, struct read_block *block)
{
	block->refs++;
	wait->blocks[wait->n_blocks++] = block;
	if (block->pending)
		wait->n_pending++;
}

/* Gives the blocks back; those that nobody needs any more go. */
static void wait_release(struct read_ahead *ahead, struct read_wait *wait)
{
	for (unsigned i = 0; i < wait->n_blocks; i++) {
		struct read_block *block = wait->blocks[i];

		/* A fetch that only this wait wanted, of a block that no later read may find. */
		if (block->pending && !block->listed && block->refs == 2) {
			ahead->ops->abandon(ahead->arg, block);
			block->pending = false;
			block_unref(block, ahead);
		}
		block_unref(block, ahead);
	}
	wait->n_blocks = 0;
}

static void wait_finish(struct read_ahead *ahead, struct read_wait *wait)
{
	struct iovec iov[READ_AHEAD_IOV_MAX];
	struct read_block *blocks[READ_AHEAD_IOV_MAX];
	unsigned n_iov = 0, n_blocks = wait->n_blocks;
	uint64_t at = wait->offset, end = wait->offset + wait->size;
	int error = 0;

	for (unsigned i = 0; i < n_blocks && error == 0; i++) {
		struct read_block *block = wait->blocks[i];
		uint64_t skip = at - block->offset;
		size_t size;

		error = block->error;
		if (error < 0 || skip >= block->data.size)
			break;
		size = block->data.size - skip;
		if (size > end - at)
			size = end - at;
		iov[n_iov++] = (struct iovec){(void *)(block->data.data + skip), size};
		block->handed_out += size;
		at += size;
		/* Short: the server's end of file. */
		if (block->data.size < block->size)
			break;
	}
	TAILQ_REMOVE(&ahead->waits, wait, link);
	/* The answer may free the wait and with it what it points to. */
	for (unsigned i = 0; i < n_blocks; i++) {
		struct read_block *block = blocks[i] = wait->blocks[i];

		if (block->error < 0 || (!block->keep && block->handed_out >= block->data.size))
			block_unlist(block);
	}
	wait->n_blocks = 0;
	ahead->ops->answer(ahead->arg, wait, error, iov, error < 0 ? 0 : n_iov);
	for (unsigned i = 0; i < n_blocks; i++)
		block_unref(blocks[i], ahead);
}

/* Is the block of use to a read that comes now? */
static bool block_is_fresh(const struct read_block *block, uint64_t file_end, uint64_t now_us)
{
	if (block->pending)
		return true;
	if (now_us - block->arrived_us > READ_AHEAD_AGE_US)
		return false;
	/* It says that the file ends there, but meanwhile it is known to be longer. */
	return block->data.size == block->size || block->offset + block->data.size >= file_end;
}

static bool block_ends_file(const struct read_block *block)
{
	return !block->pending && block->error == 0 && block->data.size < block->size;
}

/* Unlists what is no good for [offset, end); returns how many pieces the rest would make. */
static unsigned blocks_weed(struct read_ahead *ahead, uint64_t offset, uint64_t end,
			    uint64_t file_end, uint64_t now_us, bool all)
{
	struct read_block *block, *next;
	unsigned n = 0;

	for (block = TAILQ_FIRST(&ahead->blocks); block != NULL && block->offset < end;
	     block = next) {
		next = TAILQ_NEXT(block, link);
		if (block->offset + block->size <= offset)
			continue;
		if (all || !block_is_fresh(block, file_end, now_us))
			block_unlist(block);
		else
			n += 2; /* and a gap before it */
	}
	return n;
}

/* Fetches [offset, end) for the wait; nothing is listed there. */
static int wait_fetch_gap(struct read_ahead *ahead, struct read_wait *wait, uint64_t offset,
			  uint64_t end)
{
	while (offset < end) {
		size_t size = end - offset < OPS_IO_MAX ? end - offset : OPS_IO_MAX;
		struct read_block *block;
		int r = block_fetch(ahead, offset, size, &block);

		if (r < 0)
			return r;
		wait_add(wait, block);
		offset += size;
	}
	return 0;
}

static int wait_collect(struct read_ahead *ahead, struct read_wait *wait)
{
	struct read_block *block = TAILQ_FIRST(&ahead->blocks), *next;
	uint64_t at = wait->offset, end = wait->offset + wait->size;
	int r;

	for (; block != NULL && block->offset < end && at < end; block = next) {
		next = TAILQ_NEXT(block, link);
		if (block->offset + block->size <= at)
			continue;
		if (block->offset > at) {
			r = wait_fetch_gap(ahead, wait, at, block->offset);
			if (r < 0)
				return r;
		}
		wait_add(wait, block);
		if (block_ends_file(block))
			return 0;
		at = block->offset + block->size;
	}
	return at < end ? wait_fetch_gap(ahead, wait, at, end) : 0;
}

static bool blocks_overlap(const struct read_ahead *ahead, uint64_t offset, uint64_t end)
{
	const struct read_block *block = TAILQ_LAST(&ahead->blocks, read_block_list);

	while (block != NULL && block->offset >= end)
		block = TAILQ_PREV(block, read_block_list, link);
	return block != NULL && block->offset + block->size > offset;
}

static void prefetch_range(struct read_ahead *ahead, struct read_range range, uint64_t now_us)
{
	struct read_block *block;

	for (uint64_t at = range.offset; at < range.end; at += OPS_IO_MAX) {
		uint64_t end = at + OPS_IO_MAX < range.end ? at + OPS_IO_MAX : range.end;

		if (ahead->pool->bytes + OPS_IO_MAX > ahead->pool->limit)
			read_pool_expire(ahead->pool, now_us);
		if (ahead->pool->bytes + OPS_IO_MAX > ahead->pool->limit)
			return;
		if (!blocks_overlap(ahead, at, end) && block_fetch(ahead, at, end - at, &block) < 0)
			return;
	}
}

void read_ahead_read(struct read_ahead *ahead, struct read_wait *wait, uint64_t offset, size_t size,
		     bool prefetch, uint64_t file_end, uint64_t now_us, uint64_t rtt_us)
{
	int error;

	*wait = (struct read_wait){.offset = offset, .size = size};
	TAILQ_INSERT_TAIL(&ahead->waits, wait, link);
	if (blocks_weed(ahead, offset, offset + size, file_end, now_us, false) + size / OPS_IO_MAX +
		2 >
	    READ_AHEAD_IOV_MAX)
		blocks_weed(ahead, offset, offset + size, file_end, now_us, true);
	error = wait_collect(ahead, wait);
	if (error < 0) {
		TAILQ_REMOVE(&ahead->waits, wait, link);
		wait_release(ahead, wait);
		ahead->ops->answer(ahead->arg, wait, error, NULL, 0);
		return;
	}
	if (wait->n_pending == 0)
		wait_finish(ahead, wait);
	if (prefetch)
		prefetch_range(
		    ahead, read_window_feed(&ahead->window, offset, size, file_end, now_us, rtt_us),
		    now_us);
}

static bool wait_has(const struct read_wait *wait, const struct read_block *block)
{
	for (unsigned i = 0; i < wait->n_blocks; i++)
		if (wait->blocks[i] == block)
			return true;
	return false;
}

void read_ahead_fetched(struct read_block *block, int error, struct bytes data, void *frame,
			uint64_t now_us)
{
	struct read_ahead *ahead = block->ahead;
	struct read_wait *wait, *next;

	assert(block->pending);
	if (data.size > block->size)
		data.size = block->size;
	block->pending = false;
	block->error = error;
	block->arrived_us = now_us;
	if (error == 0) {
		block->data = data;
		block->frame = frame;
		ahead->ops->keep(ahead->arg, frame);
	}
	if (block->listed) {
		TAILQ_INSERT_TAIL(&ahead->pool->blocks, block, aged);
		if (error < 0)
			block_unlist(block); /* reads that wait for it still learn of it */
	}
	/* Nothing that answers may end `ahead`, but each answered read leaves the list. */
	for (wait = TAILQ_FIRST(&ahead->waits); wait != NULL; wait = next) {
		next = TAILQ_NEXT(wait, link);
		if (wait_has(wait, block) && --wait->n_pending == 0)
			wait_finish(ahead, wait);
	}
	block_unref(block, ahead);
}

void read_ahead_seed(struct read_ahead *ahead, struct bytes data, void *frame, uint64_t now_us)
{
	struct read_block *block;

	if (!TAILQ_EMPTY(&ahead->blocks) || ahead->pool->bytes + data.size > ahead->pool->limit)
		return;
	block = calloc(1, sizeof(*block));
	if (block == NULL)
		return; /* then it is read */
	block->ahead = ahead;
	block->size = INT64_MAX; /* nothing is beyond its end */
	block->cost = data.size;
	block->data = data;
	block->frame = frame;
	block->keep = true;
	block->arrived_us = now_us;
	ahead->pool->bytes += block->cost;
	ahead->ops->keep(ahead->arg, frame);
	block_list(ahead, block);
	TAILQ_INSERT_TAIL(&ahead->pool->blocks, block, aged);
}
