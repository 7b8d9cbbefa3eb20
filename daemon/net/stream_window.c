/*
 * A lap is the time in which a whole window was used. Where that is hardly more than a round trip,
 * the other end waits for credit: the window doubles. On a short way that never happens.
 */
#include "daemon/net/stream_window.h"

#include "daemon/net/limits.h"

void stream_window_init(struct stream_window *window, uint64_t now_us)
{
	*window = (struct stream_window){.size = LIMITS_WINDOW, .since_us = now_us};
}

static size_t judge(struct stream_window *window, size_t more, uint64_t now_us, uint64_t rtt_us)
{
	uint64_t lap_us = now_us - window->since_us;
	size_t growth = window->size;

	if (window->lap < window->size)
		return 0;
	window->lap = 0;
	window->since_us = now_us;
	if (lap_us >= 2 * rtt_us)
		return 0;
	if (growth > LIMITS_WINDOW_MAX - window->size)
		growth = LIMITS_WINDOW_MAX - window->size;
	if (growth > more)
		growth = more;
	window->size += growth;
	return growth;
}

size_t stream_window_used(struct stream_window *window, size_t bytes, size_t more, uint64_t now_us,
			  uint64_t rtt_us)
{
	size_t credit;

	window->owed += bytes;
	window->lap += bytes;
	if (window->owed < LIMITS_WINDOW / 4)
		return 0;
	credit = window->owed + judge(window, more, now_us, rtt_us);
	window->owed = 0;
	return credit;
}
