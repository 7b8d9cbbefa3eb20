/* The time of day, as records keep it and people read it: it may jump, and go back. */
#ifndef DAEMON_WALL_CLOCK_H
#define DAEMON_WALL_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Since the epoch. */
static inline int64_t wall_clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline int64_t wall_clock_ms(void)
{
	return wall_clock_ns() / 1000000;
}

#endif
