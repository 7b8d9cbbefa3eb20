#include <criterion/criterion.h>
#include <stdlib.h>

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
	cr_assert_geq(most, 2 * MIB);
	cr_assert_leq(most, 3 * MIB);
	/* 655 MB/s: 13 MB are under way. */
	most = read_through(&far, 512 * MIB, 128 * KIB, 200, 20000);
	cr_assert_geq(most, 18 * MIB);
	cr_assert_leq(most, 23 * MIB);
}

/* A link on which blocks arrive one after the other, a round trip after they were asked for. */
struct line {
	uint64_t bytes_per_us, rtt_us;
	uint64_t last; /* when the last one arrives */
	uint64_t arrives[1024 * MIB / OPS_IO_MAX];
};

static void line_fetch(struct line *line, uint64_t offset, uint64_t end, uint64_t now)
{
	for (uint64_t i = offset / OPS_IO_MAX; i < end / OPS_IO_MAX; i++) {
		uint64_t begins = now + line->rtt_us;

		if (line->arrives[i])
			continue;
		if (begins < line->last)
			begins = line->last;
		line->arrives[i] = line->last = begins + OPS_IO_MAX / line->bytes_per_us;
	}
}

/* A program that only waits for data: how many bytes per microsecond it gets. */
static uint64_t read_over_line(uint64_t file, uint64_t bytes_per_us, uint64_t rtt_us)
{
	struct line *line = calloc(1, sizeof(*line));
	struct read_window window = {0};
	uint64_t now = 0;

	line->bytes_per_us = bytes_per_us;
	line->rtt_us = rtt_us;
	for (uint64_t at = 0; at < file; at += OPS_IO_MAX) {
		struct read_range range =
		    read_window_feed(&window, at, OPS_IO_MAX, file, now, rtt_us);

		line_fetch(line, at, at + OPS_IO_MAX, now);
		line_fetch(line, range.offset, range.end, now);
		if (line->arrives[at / OPS_IO_MAX] > now)
			now = line->arrives[at / OPS_IO_MAX];
	}
	free(line);
	return file / now;
}

Test(read_window, grows_until_the_link_is_full)
{
	cr_assert_geq(read_over_line(256 * MIB, 600, 100), 550);
	cr_assert_geq(read_over_line(256 * MIB, 600, 1000), 550);
	cr_assert_geq(read_over_line(1024 * MIB, 600, 20000), 500);
	cr_assert_geq(read_over_line(64 * MIB, 20, 50000), 17);
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
			cr_assert_geq(fetched, at + 3 * MIB / 2);
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
				cr_assert_geq(fetched[i], (i << 30) + at + 3 * MIB / 2);
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
