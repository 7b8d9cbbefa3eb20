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

static void block_unref(struct read_block *block, struct read_ahead *ahead)
{
	assert(block->refs > 0);
	if (--block->refs > 0)
		return;
	if (block->frame != NULL)
		ahead->ops->release(ahead->arg, block->frame);
	if (block->counted)
		ahead->pool->bytes -= block->size;
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
	block->counted = true;
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
		blocks[i] = wait->blocks[i];
		if (!blocks[i]->keep && (blocks[i]->error < 0 || blocks[i]->handed_out >=
									blocks[i]->data.size))
			block_unlist(blocks[i]);
	}
	wait->n_blocks = 0;
	ahead->ops->answer(ahead->arg, wait, error, iov, error < 0 ? 0 : n_iov);
	for (unsigned i = 0; i < n_blocks; i++)
		block_unref(blocks[i], ahead);
}
