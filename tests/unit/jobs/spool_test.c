#include "daemon/jobs/spool.h"

#include <errno.h>

#include "daemon/jobs/spool_runs.h"
#include "tests/unit/daemon/scratch.h"

#define KIB 1024

static uv_loop_t loop;
static struct spool *spool;
static bool is_closed;
static unsigned n_room;

static void on_room(void *arg)
{
	n_room++;
}

static void on_closed(void *arg)
{
	is_closed = true;
}

static void open_spool_in(const char *dir, uint64_t limit)
{
	struct spool_options options = {
	    .loop = &loop, .dir = dir, .limit = limit, .room = on_room, .closed = on_closed};

	is_closed = false;
	cr_assert_eq(uv_loop_init(&loop), 0);
	cr_assert_eq(spool_new(&options, &spool), 0);
}

static void open_spool(uint64_t limit)
{
	open_spool_in(scratch_dir, limit);
}

static void close_spool(void)
{
	spool_close(spool);
	uv_run(&loop, UV_RUN_DEFAULT);
	cr_assert(is_closed);
	cr_assert_eq(uv_loop_close(&loop), 0);
}

/* The byte that belongs at an offset. */
static uint8_t byte_at(uint64_t offset)
{
	return (uint8_t)(offset * 2654435761u >> 13);
}

/* Writes up to `size` bytes, as long as it may. Returns how many. */
static size_t fill(unsigned channel, size_t size)
{
	size_t done = 0;

	while (done < size && spool_may_grow(spool)) {
		size_t room;
		uint8_t *to = spool_reserve(spool, &room);

		cr_assert_not_null(to);
		if (room > size - done)
			room = size - done;
		for (size_t i = 0; i < room; i++)
			to[i] = byte_at(spool_end(spool) + i);
		spool_commit(spool, channel, room);
		done += room;
	}
	return done;
}

/* The same with the loop run, so that the disk keeps up. */
static void fill_all(unsigned channel, size_t size)
{
	for (size_t done = 0; done < size;) {
		done += fill(channel, size - done);
		uv_run(&loop, UV_RUN_DEFAULT);
	}
}

struct reading {
	struct spool_read read;
	bool is_done;
	int error;
	uint8_t data[SPOOL_PIECE_MAX];
};

static void on_read(struct spool_read *read, int error)
{
	struct reading *reading = read->arg;

	reading->is_done = true;
	reading->error = error;
}

/* Reads from `offset` to the end and compares. */
static void check_from(uint64_t offset)
{
	static struct reading reading;

	while (offset < spool_end(spool)) {
		struct spool_piece piece = {0};
		int r = spool_peek(spool, offset, &piece);

		if (r == -EAGAIN) {
			reading.is_done = false;
			reading.read = (struct spool_read){.done = on_read,
							   .arg = &reading,
							   .offset = offset,
							   .size = sizeof(reading.data),
							   .data = reading.data,
							   .any_channel = true};
			cr_assert_eq(spool_read_start(spool, &reading.read), 0);
			uv_run(&loop, UV_RUN_DEFAULT);
			cr_assert(reading.is_done);
			cr_assert_eq(reading.error, 0);
			piece =
			    (struct spool_piece){.data = reading.data, .size = reading.read.size};
		} else {
			cr_assert_eq(r, 0);
		}
		cr_assert_gt(piece.size, 0);
		for (size_t i = 0; i < piece.size; i++) {
			if (piece.data[i] != byte_at(offset + i))
				cr_assert_fail("another byte at %zu", (size_t)offset + i);
		}
		offset += piece.size;
	}
}

TestSuite(spool, .init = scratch_init, .fini = scratch_fini, .timeout = 120);

Test(spool, what_is_written_can_be_read_at_its_offset)
{
	struct spool_piece piece;

	open_spool(1 << 20);
	fill(0, 10);
	cr_assert_eq(spool_end(spool), 10);
	cr_assert_eq(spool_kept(spool), 0);
	cr_assert_eq(spool_peek(spool, 4, &piece), 0);
	cr_assert_eq(piece.size, 6);
	cr_assert_eq(piece.data[0], byte_at(4));
	cr_assert_eq(spool_peek(spool, 10, &piece), 0);
	cr_assert_eq(piece.size, 0);
	cr_assert_eq(spool_peek(spool, 11, &piece), -ERANGE);
	close_spool();
}

Test(spool, both_kinds_of_output_are_told_apart)
{
	struct spool_piece piece;

	open_spool(1 << 20);
	fill(0, 3);
	fill(1, 4);
	fill(1, 1);
	fill(0, 2);
	cr_assert_eq(spool_peek(spool, 1, &piece), 0);
	cr_assert_eq(piece.size, 2);
	cr_assert_eq(piece.channel, 0);
	cr_assert_eq(spool_peek(spool, 3, &piece), 0);
	cr_assert_eq(piece.size, 5);
	cr_assert_eq(piece.channel, 1);
	cr_assert_eq(spool_peek(spool, 8, &piece), 0);
	cr_assert_eq(piece.size, 2);
	cr_assert_eq(piece.channel, 0);
	close_spool();
}

Test(spool, older_bytes_come_back_from_the_disk)
{
	open_spool(64 << 20);
	fill_all(0, 9 * KIB * KIB + 333);
	cr_assert_eq(spool_kept(spool), 0);
	check_from(0);
	check_from(5 * KIB * KIB + 17);
	close_spool();
}

Test(spool, the_ring_wraps_and_the_oldest_bytes_go)
{
	static struct reading reading;
	struct spool_piece piece;

	open_spool(3 * KIB * KIB + 1000); /* no multiple of anything */
	fill_all(0, 20 * KIB * KIB);
	cr_assert_gt(spool_kept(spool), 14 * KIB * KIB);
	cr_assert_leq(spool_kept(spool), 17 * KIB * KIB);
	check_from(spool_kept(spool));
	cr_assert_eq(spool_peek(spool, spool_kept(spool) - 1, &piece), -ERANGE);
	reading.read.offset = spool_kept(spool) - 1;
	cr_assert_eq(spool_read_start(spool, &reading.read), -ERANGE);
	close_spool();
}

Test(spool, what_is_guarded_is_not_dropped_and_growing_ends)
{
	size_t n = 0, before;

	open_spool(4 * KIB * KIB);
	spool_guard(spool, 1000, 0);
	do {
		before = n;
		n += fill(0, 20 * KIB * KIB);
		uv_run(&loop, UV_RUN_DEFAULT);
	} while (n > before);
	cr_assert_lt(n, 8 * KIB * KIB);
	cr_assert_geq(n, 4 * KIB * KIB);
	cr_assert_leq(spool_kept(spool), 1000);
	check_from(1000);
	/* What was had may go: there is room again. */
	n_room = 0;
	spool_guard(spool, spool_end(spool), 0);
	uv_run(&loop, UV_RUN_DEFAULT);
	cr_assert_eq(n_room, 1);
	cr_assert_gt(fill(0, KIB * KIB), 0);
	close_spool();
}

Test(spool, a_lean_one_never_touches_the_disk)
{
	open_spool_in("/nonexistent", 1 << 20);
	for (unsigned i = 0; i < 100; i++) {
		spool_guard(spool, spool_end(spool), SPOOL_MEMORY);
		cr_assert_eq(fill(0, KIB * KIB), KIB * KIB);
	}
	cr_assert_gt(spool_kept(spool), 95 * KIB * KIB);
	check_from(spool_kept(spool));
	/* Its client does not keep up: it does not grow. */
	spool_guard(spool, spool_end(spool), SPOOL_MEMORY);
	cr_assert_leq(fill(0, 100 * KIB * KIB), SPOOL_MEMORY + SPOOL_PIECE_MAX);
	close_spool();
}

Test(spool, without_a_disk_the_newest_bytes_are_kept)
{
	open_spool_in("/nonexistent", 64 << 20);
	fill_all(0, 9 * KIB * KIB);
	cr_assert_gt(spool_kept(spool), 5 * KIB * KIB);
	check_from(spool_kept(spool));
	close_spool();
}

Test(spool, a_reader_that_was_overtaken_is_told)
{
	static struct reading reading;

	open_spool(1 << 20);
	fill_all(0, 5 * KIB * KIB);
	reading.read = (struct spool_read){.done = on_read,
					   .arg = &reading,
					   .offset = spool_kept(spool),
					   .size = 1000,
					   .data = reading.data};
	cr_assert_eq(spool_read_start(spool, &reading.read), 0);
	fill(0, 4 * KIB * KIB); /* before its thread is heard */
	uv_run(&loop, UV_RUN_DEFAULT);
	cr_assert(reading.is_done);
	cr_assert_eq(reading.error, -ERANGE);
	close_spool();
}

Test(spool, too_many_changes_of_the_kind_are_bounded)
{
	open_spool(64 << 20);
	for (unsigned i = 0; i < 3 * SPOOL_RUNS_MAX; i++)
		cr_assert_eq(fill(i & 1, 2), 2);
	cr_assert_geq(spool_kept(spool), 3 * SPOOL_RUNS_MAX);
	check_from(spool_kept(spool));
	/* Guarded ones are kept: it does not grow. */
	spool_guard(spool, spool_kept(spool), 0);
	cr_assert_lt(fill(0, 1) + fill(1, 1) + fill(0, 1), 3);
	close_spool();
}

Test(spool, one_that_is_settled_keeps_all_of_it_with_little_memory)
{
	open_spool(64 << 20);
	fill_all(0, KIB * KIB + 5);
	spool_settle(spool);
	uv_run(&loop, UV_RUN_DEFAULT);
	cr_assert_eq(spool_kept(spool), 0);
	check_from(0);
	close_spool();
}

Test(spool_runs, those_that_are_trimmed_leave_the_others_as_they_were)
{
	struct spool_runs runs = {0};
	uint64_t end;

	for (unsigned i = 0; i < 1000; i++) {
		cr_assert_eq(spool_runs_add(&runs, i * 10, i & 1), 0);
		if (i > 20)
			spool_runs_trim(&runs, (i - 20) * 10 + 3);
	}
	cr_assert_leq(runs.n, 21);
	cr_assert_leq(runs.capacity, 128);
	cr_assert_eq(spool_runs_find(&runs, 9905, &end), 0);
	cr_assert_eq(end, 9910);
	cr_assert_eq(spool_runs_find(&runs, 9910, &end), 1);
	cr_assert_eq(spool_runs_find(&runs, 20000, &end), 1);
	cr_assert_eq(end, UINT64_MAX);
	spool_runs_deinit(&runs);
}
