#include <criterion/criterion.h>

#include "fs/read_window.h"
#include "proto/ops_peer.h"

#define KIB 1024ull
#define MIB (1024 * KIB)

Test(read_window, random_reads_fetch_nothing)
{
	struct read_window window = {0};
	uint64_t offset = 12345 * 4096;

	for (int i = 0; i < 10000; i++) {
		struct read_range range;

		offset = (offset * 6364136223846793005ull + 1442695040888963407ull) % (1ull << 40);
		offset = offset / 4096 * 4096;
		range = read_window_feed(&window, offset, 4096, 1ull << 40, i, 100);
		cr_assert_eq(range.offset, range.end);
	}
}

/* Reads the file in order and checks that what is fetched covers it once. */
static uint64_t read_through(struct read_window *window, uint64_t file, uint64_t size,
			     uint64_t step_us, uint64_t rtt_us)
{
	uint64_t fetched = 0, most = 0, now = 0;
	bool begun = false;

	for (uint64_t at = 0; at < file; at += size, now += step_us) {
		struct read_range range = read_window_feed(window, at, size, file, now, rtt_us);

		if (range.offset == range.end)
			continue;
		if (begun)
			cr_assert_eq(range.offset, fetched);
		cr_assert_geq(range.offset, at + size);
		begun = true;
		fetched = range.end;
		if (fetched - at > most)
			most = fetched - at;
	}
	cr_assert(begun);
	cr_assert_geq(fetched, file);
	cr_assert_leq(fetched, file + 4095);
	return most;
}

Test(read_window, fast_reader_gets_the_whole_target)
{
	struct read_window lan = {0}, far = {0};
	uint64_t most;

	most = read_through(&lan, 256 * MIB, 128 * KIB, 100, 100);
	cr_assert_geq(most, 8 * MIB);
	cr_assert_leq(most, 9 * MIB);
	most = read_through(&far, 512 * MIB, 128 * KIB, 200, 20000);
	cr_assert_geq(most, 31 * MIB);
	cr_assert_leq(most, 33 * MIB);
}

Test(read_window, slow_reader_is_not_fetched_far_ahead_of)
{
	struct read_window window = {0};

	/* 1.28 MB/s: what is fetched must be read within a second. */
	cr_assert_leq(read_through(&window, 64 * MIB, 128 * KIB, 100000, 1000), 2 * MIB);
}

Test(read_window, reordered_requests_are_one_stream)
{
	struct read_window window = {0};
	uint64_t fetched = 0;

	for (uint64_t at = 0; at < 64 * MIB; at += 256 * KIB) {
		struct read_range range;

		range =
		    read_window_feed(&window, at + 128 * KIB, 128 * KIB, 64 * MIB, at / 1000, 0);
		if (range.end > fetched)
			fetched = range.end;
		range = read_window_feed(&window, at, 128 * KIB, 64 * MIB, at / 1000, 0);
		if (range.end > fetched)
			fetched = range.end;
		if (at > 16 * MIB && at < 48 * MIB)
			cr_assert_geq(fetched, at + 7 * MIB);
	}
}

Test(read_window, several_streams_go_side_by_side)
{
	struct read_window window = {0};
	uint64_t fetched[3] = {0};

	for (uint64_t at = 0; at < 32 * MIB; at += 64 * KIB)
		for (uint64_t i = 0; i < 3; i++) {
			struct read_range range = read_window_feed(
			    &window, (i << 30) + at, 64 * KIB, 1ull << 40, at / 1000, 100);

			if (range.end > range.offset)
				fetched[i] = range.end;
			if (at > 16 * MIB)
				cr_assert_geq(fetched[i], (i << 30) + at + 7 * MIB);
		}
}

Test(read_window, last_piece_is_rounded_to_the_page_and_nothing_is_beyond)
{
	struct read_window window = {0};
	struct read_range range = read_window_feed(&window, 0, 128 * KIB, 300001, 0, 0);

	cr_assert_eq(range.offset, 128 * KIB);
	cr_assert_eq(range.end, (300001 + 4095) / 4096 * 4096);
	range = read_window_feed(&window, 128 * KIB, 128 * KIB, 300001, 0, 0);
	cr_assert_eq(range.offset, range.end);
	range = read_window_feed(&window, 256 * KIB, 128 * KIB, 300001, 0, 0);
	cr_assert_eq(range.offset, range.end);
}

Test(read_window, dropped_data_is_fetched_again)
{
	struct read_window window = {0};
	struct read_range before, after;

	before = read_window_feed(&window, 0, 128 * KIB, 100 * MIB, 0, 0);
	read_window_dropped(&window);
	after = read_window_feed(&window, 128 * KIB, 128 * KIB, 100 * MIB, 1, 0);
	cr_assert_eq(before.offset, 128 * KIB);
	cr_assert_eq(after.offset, 256 * KIB);
}

Test(read_window, limit_is_kept)
{
	struct read_window window = {.max = 1 * MIB};

	cr_assert_leq(read_through(&window, 64 * MIB, 128 * KIB, 100, 20000), 1 * MIB + 128 * KIB);
}
