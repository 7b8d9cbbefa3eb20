/*
 * Stream window: how much stream data a peer may send us before we have used it.
 *
 * Pure arithmetic over what is used of one stream: no time of its own, no memory, no calls. A
 * stream begins with LIMITS_WINDOW bytes, as both ends know; more is granted, as credit beyond what
 * was used, while it is the window that sets the pace.
 */
#ifndef DAEMON_NET_STREAM_WINDOW_H
#define DAEMON_NET_STREAM_WINDOW_H

#include <stddef.h>
#include <stdint.h>

struct stream_window {
	size_t size; /* what may be under way or unused here */
	size_t owed; /* used, and no credit sent for it yet */
	size_t lap;  /* used since the window was judged */
	uint64_t since_us;
};

void stream_window_init(struct stream_window *window, uint64_t now_us);

/*
 * `bytes` more were used. Returns the credit to send now, or 0: it is sent in steps. `more` is what
 * the window may grow by. Of the time, only differences matter.
 */
size_t stream_window_used(struct stream_window *window, size_t bytes, size_t more, uint64_t now_us,
			  uint64_t rtt_us);

#endif
