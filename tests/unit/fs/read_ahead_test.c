#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/read_ahead.h"
#include "proto/ops_peer.h"

#define KIB 1024ull

/* A "peer" with one file whose byte at n is pattern(n); fetches end when the test says so. */
struct fetch {
	struct read_block *block;
	struct fetch *next;
};

struct bench {
	struct read_pool pool;
	struct read_ahead ahead;
	struct fetch *fetches; /* under way, in order */
	uint64_t file_size;
	uint8_t salt;
	uint64_t now;
	unsigned n_fetches, n_frames, n_answers;
	int last_error;
	size_t last_size;
};

struct reader {
	struct read_wait wait; /* first */
	bool answered;
};

static uint8_t pattern(const struct bench *bench, uint64_t at)
{
	return (uint8_t)(at * 31 + (at >> 8) * 7 + (at >> 16) + bench->salt);
}

static int bench_fetch(void *arg, struct read_block *block)
{
	struct bench *bench = arg;
	struct fetch *fetch = calloc(1, sizeof(*fetch)), **at = &bench->fetches;

	fetch->block = block;
	while (*at != NULL)
		at = &(*at)->next;
	*at = fetch;
	bench->n_fetches++;
	return 0;
}

static void bench_abandon(void *arg, struct read_block *block)
{
	struct bench *bench = arg;
	struct fetch **at = &bench->fetches, *gone;

	while ((*at)->block != block)
		at = &(*at)->next;
	gone = *at;
	*at = gone->next;
	free(gone);
}

struct frame_fake {
	unsigned refs;
	uint8_t data[];
};

static void bench_keep(void *arg, void *frame)
{
	((struct frame_fake *)frame)->refs++;
}

static void bench_release(void *arg, void *frame)
{
	struct bench *bench = arg;
	struct frame_fake *fake = frame;

	if (--fake->refs == 0) {
		free(fake);
		bench->n_frames--;
	}
}

static struct frame_fake *frame_of(struct bench *bench, uint64_t offset, size_t size)
{
	struct frame_fake *fake = malloc(sizeof(*fake) + size);

	fake->refs = 1;
	bench->n_frames++;
	for (size_t i = 0; i < size; i++)
		fake->data[i] = pattern(bench, offset + i);
	return fake;
}

/* Ends the n-th fetch under way. */
static void bench_serve(struct bench *bench, unsigned n, int error)
{
	struct fetch **at = &bench->fetches, *fetch;
	struct read_block *block;
	struct frame_fake *fake;
	size_t size = 0;

	while (n-- > 0)
		at = &(*at)->next;
	fetch = *at;
	*at = fetch->next;
	block = fetch->block;
	free(fetch);
	if (error < 0) {
		read_ahead_fetched(block, error, (struct bytes){NULL, 0}, NULL, bench->now);
		return;
	}
	if (block->offset < bench->file_size) {
		size = bench->file_size - block->offset;
		if (size > block->size)
			size = block->size;
	}
	fake = frame_of(bench, block->offset, size);
	read_ahead_fetched(block, 0, (struct bytes){fake->data, size}, fake, bench->now);
	bench_release(bench, fake);
}

static void bench_serve_all(struct bench *bench)
{
	while (bench->fetches != NULL)
		bench_serve(bench, 0, 0);
}

static void bench_answer(void *arg, struct read_wait *wait, int error, const struct iovec *iov,
			 unsigned n_iov)
{
	struct bench *bench = arg;
	struct reader *reader = (struct reader *)wait;
	uint64_t at = wait->offset;

	cr_assert(!reader->answered, "one answer per read");
	reader->answered = true;
	bench->n_answers++;
	bench->last_error = error;
	for (unsigned i = 0; i < n_iov; i++)
		for (size_t j = 0; j < iov[i].iov_len; j++, at++)
			cr_assert_eq(((uint8_t *)iov[i].iov_base)[j], pattern(bench, at),
				     "byte %llu", (unsigned long long)at);
	bench->last_size = at - wait->offset;
	if (error == 0)
		cr_assert_eq(bench->last_size, wait->offset >= bench->file_size ? 0
					       : bench->file_size - wait->offset < wait->size
						   ? bench->file_size - wait->offset
						   : wait->size);
}

static const struct read_ahead_ops bench_ops = {bench_fetch, bench_abandon, bench_keep,
						bench_release, bench_answer};

static void bench_init(struct bench *bench, uint64_t file_size)
{
	memset(bench, 0, sizeof(*bench));
	read_pool_init(&bench->pool, READ_AHEAD_MEMORY);
	read_ahead_init(&bench->ahead, &bench->pool, &bench_ops, bench);
	bench->file_size = file_size;
}

static void bench_deinit(struct bench *bench)
{
	read_ahead_deinit(&bench->ahead);
	cr_assert_eq(bench->pool.bytes, 0);
	cr_assert_eq(bench->n_frames, 0);
	cr_assert_null(bench->fetches);
	cr_assert(!read_pool_is_used(&bench->pool));
}

static void bench_read(struct bench *bench, struct reader *reader, uint64_t offset, size_t size)
{
	reader->answered = false;
	read_ahead_read(&bench->ahead, &reader->wait, offset, size, true, bench->file_size,
			bench->now, 100);
}

Test(read_ahead, random_read_fetches_exactly_what_is_asked)
{
	struct bench bench;
	struct reader reader;

	bench_init(&bench, 1 << 24);
	bench_read(&bench, &reader, 123 * 4096, 4096);
	cr_assert_eq(bench.n_fetches, 1);
	cr_assert_eq(bench.fetches->block->offset, 123 * 4096);
	cr_assert_eq(bench.fetches->block->size, 4096);
	cr_assert(!reader.answered);
	bench_serve_all(&bench);
	cr_assert(reader.answered);
	cr_assert_eq(bench.pool.bytes, 0, "nothing stays of it");
	bench_deinit(&bench);
}

Test(read_ahead, sequential_file_is_fetched_once)
{
	static struct bench bench;
	struct reader reader;
	uint64_t size = 9 * 1024 * KIB + 777;

	bench_init(&bench, size);
	for (uint64_t at = 0; at < size; at += 128 * KIB) {
		bench_read(&bench, &reader, at, 128 * KIB);
		bench_serve_all(&bench);
		cr_assert(reader.answered);
		bench.now += 100;
	}
	cr_assert_eq(bench.n_fetches, (size + OPS_IO_MAX - 1) / OPS_IO_MAX);
	bench_deinit(&bench);
}

Test(read_ahead, reads_across_blocks_wait_for_all_of_them)
{
	static struct bench bench;
	struct reader a, b;

	bench_init(&bench, 4096 * KIB);
	bench_read(&bench, &a, 0, 64 * KIB);
	bench_read(&bench, &b, 64 * KIB, 300 * KIB);
	cr_assert_geq(bench.n_fetches, 4);
	bench_serve(&bench, 2, 0);
	bench_serve(&bench, 1, 0);
	cr_assert(!b.answered);
	bench_serve_all(&bench);
	cr_assert(a.answered && b.answered);
	bench_deinit(&bench);
}

Test(read_ahead, error_goes_to_the_reader_and_is_not_kept)
{
	static struct bench bench;
	struct reader reader;

	bench_init(&bench, 1024 * KIB);
	bench_read(&bench, &reader, 0, 4096);
	bench_serve(&bench, 0, -EIO);
	cr_assert(reader.answered);
	cr_assert_eq(bench.last_error, -EIO);
	bench_read(&bench, &reader, 0, 4096);
	bench_serve_all(&bench);
	cr_assert(reader.answered);
	cr_assert_eq(bench.last_error, 0);
	bench_deinit(&bench);
}

Test(read_ahead, old_data_is_fetched_again)
{
	static struct bench bench;
	struct reader reader;
	unsigned before;

	bench_init(&bench, 1024 * KIB);
	bench_read(&bench, &reader, 0, 128 * KIB);
	bench_serve_all(&bench);
	before = bench.n_fetches;
	cr_assert_gt(before, 1);
	bench.now += READ_AHEAD_AGE_US + 1;
	bench.salt = 1; /* the file changed: old bytes would fail the comparison */
	bench_read(&bench, &reader, 128 * KIB, 128 * KIB);
	cr_assert(!reader.answered);
	bench_serve_all(&bench);
	cr_assert(reader.answered);
	bench_deinit(&bench);
}

Test(read_ahead, dropped_data_is_fetched_again_also_if_it_was_under_way)
{
	static struct bench bench;
	struct reader a, b;

	bench_init(&bench, 1024 * KIB);
	bench_read(&bench, &a, 0, 128 * KIB);
	read_ahead_drop(&bench.ahead);
	cr_assert_not_null(bench.fetches, "the reader still waits for its own");
	cr_assert_null(bench.fetches->next, "what nobody waits for is abandoned");
	bench_read(&bench, &b, 0, 128 * KIB);
	bench_serve(&bench, 0, 0);
	cr_assert(a.answered && !b.answered);
	bench_serve_all(&bench);
	cr_assert(b.answered);
	bench_deinit(&bench);
}

Test(read_ahead, readers_of_the_same_bytes_share_a_fetch)
{
	static struct bench bench;
	struct reader a, b;

	bench_init(&bench, 1024 * KIB);
	bench_read(&bench, &a, 4096, 4096);
	bench_read(&bench, &b, 4096, 4096);
	cr_assert_eq(bench.n_fetches, 1);
	bench_serve_all(&bench);
	cr_assert(a.answered && b.answered);
	bench_deinit(&bench);
}

Test(read_ahead, seeded_content_answers_at_once_until_it_is_old)
{
	static struct bench bench;
	struct reader reader;
	struct frame_fake *fake;

	bench_init(&bench, 1000);
	fake = frame_of(&bench, 0, 1000);
	read_ahead_seed(&bench.ahead, (struct bytes){fake->data, 1000}, fake, bench.now);
	bench_release(&bench, fake);
	for (int i = 0; i < 3; i++) {
		bench_read(&bench, &reader, 0, 4096);
		cr_assert(reader.answered);
		cr_assert_eq(bench.last_size, 1000);
	}
	bench_read(&bench, &reader, 4096, 4096);
	cr_assert(reader.answered);
	cr_assert_eq(bench.last_size, 0);
	cr_assert_eq(bench.n_fetches, 0);
	bench.file_size = 1001; /* known to be longer now */
	bench_read(&bench, &reader, 0, 4096);
	cr_assert(!reader.answered);
	bench_serve_all(&bench);
	cr_assert_eq(bench.last_size, 1001);
	bench_deinit(&bench);
}

Test(read_ahead, memory_is_bounded)
{
	static struct bench bench;
	struct reader reader;

	bench_init(&bench, 1ull << 30);
	bench.pool.limit = 1024 * KIB;
	for (uint64_t at = 0; at < 4096 * KIB; at += 128 * KIB) {
		bench_read(&bench, &reader, at, 128 * KIB);
		cr_assert_leq(bench.pool.bytes, 1024 * KIB + 128 * KIB);
		bench_serve_all(&bench);
		cr_assert(reader.answered);
	}
	bench.now += READ_AHEAD_AGE_US + 1;
	read_pool_expire(&bench.pool, bench.now);
	cr_assert_eq(bench.pool.bytes, 0);
	bench_deinit(&bench);
}

/* Any order of reads, answers, errors and drops: bytes are right, nothing is lost. */
Test(read_ahead, holds_under_any_order)
{
	static struct bench bench;
	static struct reader readers[16];
	bool busy[16] = {false};
	uint64_t random = 42, n_reads = 0;

	bench_init(&bench, 3 * 1024 * KIB + 5);
	for (int i = 0; i < 20000; i++) {
		unsigned what, k;

		random = random * 6364136223846793005ull + 1442695040888963407ull;
		what = (unsigned)(random >> 33) % 100;
		k = (unsigned)(random >> 50) % 16;
		if (busy[k] && readers[k].answered)
			busy[k] = false;
		if (what < 40 && !busy[k]) {
			uint64_t offset = (random >> 20) % 800 * 4096;

			busy[k] = true;
			n_reads++;
			bench_read(&bench, &readers[k], offset, ((random >> 12) % 256 + 1) * 4096);
		} else if (what < 85 && bench.fetches != NULL) {
			unsigned n = 0;

			for (struct fetch *fetch = bench.fetches; fetch != NULL;
			     fetch = fetch->next)
				n++;
			bench_serve(&bench, (unsigned)(random >> 40) % n, what == 84 ? -EIO : 0);
		} else if (what < 88) {
			read_ahead_drop(&bench.ahead);
		}
		bench.now += random % 20000;
	}
	bench_serve_all(&bench);
	for (int k = 0; k < 16; k++)
		cr_assert(!busy[k] || readers[k].answered);
	cr_assert_gt(n_reads, 1000);
	bench_deinit(&bench);
}
