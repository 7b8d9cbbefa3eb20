/*
 * A stream is `window` bytes ahead of its reader. The window is judged once per lap, that is, each
 * time that as many bytes as it holds have been read:
 *
 *     first read ──► candidate ──(a read at `next`)──► sequential ──► window doubles or halves
 *                                                                     with each lap
 *
 * Judging by the time of a lap needs no estimate of bandwidth, and follows whatever is narrowest:
 * the link, the peer's disk or the program.
 */
#include "fs/read_window.h"

#include <stdbool.h>
#include <stddef.h>

#include "proto/ops_peer.h"

#define PAGE         4096
#define LAP_FAST_US  250000
#define LAP_SLOW_US  500000
#define REORDER      (256 * 1024) /* how far requests of one stream overtake each other */
#define EAGER_SIZE   (64 * 1024)  /* a first read at 0 of so much comes from a sequential reader */
#define BYTES_PER_US 1200         /* the fastest link that the target is made for */

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

uint64_t read_window_target(uint64_t rtt_us)
{
	if (rtt_us >= (READ_WINDOW_MAX - READ_WINDOW_LAN) / BYTES_PER_US)
		return READ_WINDOW_MAX;
	return READ_WINDOW_LAN + rtt_us * BYTES_PER_US;
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
		stream->window = min_u64(stream->window * 2, read_window_target(rtt_us));
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
