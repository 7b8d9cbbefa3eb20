/*
 * Read window: which bytes are worth fetching before they are asked for.
 *
 * Pure arithmetic over the reads of one open file: no time of its own, no memory, no calls. A
 * read that begins where an earlier one ended makes a stream; several go on side by side (the
 * kernel sends its requests out of order, programs read two places of a file in turn). Reads that
 * belong to no stream fetch nothing.
 */
#ifndef FS_READ_WINDOW_H
#define FS_READ_WINDOW_H

#include <stdint.h>

#define READ_WINDOW_STREAMS 4
#define READ_WINDOW_MIN     (256 * 1024)
#define READ_WINDOW_LAN     (2 * 1024 * 1024)
#define READ_WINDOW_MAX     (32 * 1024 * 1024)

struct read_stream {
	uint64_t next;    /* one past the furthest byte that was read; 0: free */
	uint64_t ahead;   /* fetched up to here */
	uint64_t window;  /* bytes to be ahead; 0: not known to be sequential yet */
	uint64_t lap_end; /* offset at which the window is judged anew */
	uint64_t lap_us;  /* when the lap began */
	uint64_t used;    /* tick of the last read, for replacement */
};

struct read_window {
	uint64_t max; /* bytes ahead at most; 0: as the round trip asks for. The owner's. */
	struct read_stream streams[READ_WINDOW_STREAMS];
	uint64_t tick;
};

/* Bytes [offset, end) to fetch; empty when equal. */
struct read_range {
	uint64_t offset;
	uint64_t end;
};

/*
 * Tells of a read and returns what to fetch beyond it: whole multiples of OPS_IO_MAX, except for
 * the last piece before `file_end`, the size of the file as far as it is known.
 *
 * A window that is read through fast grows, up to READ_WINDOW_LAN and what a round trip holds; one
 * that lasts longer than data may be kept shrinks: so a slow reader or a slow link never fetches
 * what will be thrown away.
 */
struct read_range read_window_feed(struct read_window *window, uint64_t offset, uint64_t size,
				   uint64_t file_end, uint64_t now_us, uint64_t rtt_us);

/* Nothing that was fetched is there any more: streams go on, from where they are read. */
void read_window_dropped(struct read_window *window);

#endif
