/*
 * A stream is `window` bytes ahead of its reader. The window is judged once per lap, that is, each
 * time that as many bytes as it holds have been read:
 *
 *     first read ──► candidate ──(a read at `next`)──► sequential ──► window grows or halves
 *                                                                     with each lap
 *
 * Judging by the time of a lap needs no estimate of bandwidth, and follows whatever is narrowest:
 * the link, the peer's disk or the program. More than that has under way in a round trip is of no
 * use: it only waits here, and by the time that it is asked for has left the processor's caches.
 */
#include "fs/read_window.h"

#include <stdbool.h>
#include <stddef.h>

#include "proto/ops_peer.h"

#define PAGE        4096
#define LAP_FAST_US 250000
#define LAP_SLOW_US 500000
#define REORDER     (256 * 1024) /* how far requests of one stream overtake each other */
#define BATCH       (512 * 1024) /* asked for at once: wakes both ends less often */
#define EAGER_SIZE  (64 * 1024)  /* a first read at 0 of so much comes from a sequential reader */

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Half as much again as is under way at the pace of the last lap, and what a LAN needs. As long as
 * it is the window that sets the pace, a lap takes a round trip, and the target is larger. */
static uint64_t window_target(uint64_t window, uint64_t lap_us, uint64_t rtt_us)
{
	uint64_t under_way = window * rtt_us / max_u64(lap_us, 1);

	return min_u64(READ_WINDOW_LAN + under_way + under_way / 2, READ_WINDOW_MAX);
}

static struct read_stream *stream_find(struct read_window *window, uint64_t offset)
{
	for (size_t i = 0; i < READ_WINDOW_STREAMS; i++)
		if (window->streams[i].next == offset && offset > 0)
			return &window->streams[i];
	for (size_t i = 0; i < READ_WINDOW_STREAMS; i++) {
		struct read_stream *stream = &window->streams[i];
		uint64_t reach = stream->window > 0 ? REORDER : 0;

		if (stream->next > 0 && offset + REORDER >= stream->next &&
		    offset <= stream->next + reach)
			return stream;
	}
	return NULL;
}

static struct read_stream *stream_oldest(struct read_window *window)
{
	struct read_stream *oldest = &window->streams[0];

	for (size_t i = 1; i < READ_WINDOW_STREAMS; i++)
		if (window->streams[i].used < oldest->used)
			oldest = &window->streams[i];
	return oldest;
}

static void stream_start(const struct read_window *window, struct read_stream *stream,
			 uint64_t size, uint64_t now_us)
{
	stream->window = min_u64(max_u64(8 * size, READ_WINDOW_MIN), 1024 * 1024);
	if (window->max > 0)
		stream->window = min_u64(stream->window, window->max);
	stream->ahead = stream->next;
	stream->lap_end = stream->next + stream->window;
	stream->lap_us = now_us;
}

static void stream_judge(const struct read_window *window, struct read_stream *stream,
			 uint64_t now_us, uint64_t rtt_us)
{
	uint64_t lap = now_us - stream->lap_us;

	if (stream->next < stream->lap_end)
		return;
	if (lap < LAP_FAST_US + 2 * rtt_us)
		stream->window =
		    min_u64(stream->window * 2, window_target(stream->window, lap, rtt_us));
	else if (lap > LAP_SLOW_US + 2 * rtt_us)
		stream->window = max_u64(stream->window / 2, READ_WINDOW_MIN);
	if (window->max > 0)
		stream->window = min_u64(stream->window, window->max);
	stream->lap_end = stream->next + stream->window;
	stream->lap_us = now_us;
}

struct read_range read_window_feed(struct read_window *window, uint64_t offset, uint64_t size,
				   uint64_t file_end, uint64_t now_us, uint64_t rtt_us)
{
	struct read_range none = {0, 0}, range;
	struct read_stream *stream = stream_find(window, offset);
	uint64_t end = offset + size, want;

	if (size == 0)
		return none;
	rtt_us = min_u64(rtt_us, 10000000);
	if (stream == NULL) {
		stream = stream_oldest(window);
		*stream = (struct read_stream){.next = end, .used = ++window->tick};
		if (offset > 0 || size < EAGER_SIZE)
			return none;
		stream_start(window, stream, size, now_us);
	} else {
		stream->used = ++window->tick;
		if (end <= stream->next)
			return none;
		stream->next = end;
		if (stream->window == 0)
			stream_start(window, stream, size, now_us);
		else
			stream_judge(window, stream, now_us, rtt_us);
	}

	/* The kernel asks for whole pages: so does the last piece, and its short reply is the
	 * server's word for the end. */
	file_end = (file_end + PAGE - 1) / PAGE * PAGE;
	range.offset = max_u64(stream->ahead, stream->next);
	want = stream->next + stream->window;
	if (range.offset >= want)
		return none;
	if (want < file_end && range.offset > stream->next &&
	    want - range.offset < min_u64(stream->window / 4, BATCH))
		return none;
	if (want < file_end)
		range.end = range.offset + (want - range.offset) / OPS_IO_MAX * OPS_IO_MAX;
	else
		range.end = max_u64(file_end, range.offset);
	stream->ahead = range.end;
	return range;
}

void read_window_dropped(struct read_window *window)
{
	for (size_t i = 0; i < READ_WINDOW_STREAMS; i++)
		window->streams[i].ahead = window->streams[i].next;
}
