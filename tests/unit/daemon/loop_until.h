#ifndef TESTS_LOOP_UNTIL_H
#define TESTS_LOOP_UNTIL_H

/* Runs a loop until something has happened, or fails the test after a generous deadline. */

#include <criterion/criterion.h>
#include <uv.h>

#define LOOP_UNTIL_MS 60000

static inline void loop_until_expired(uv_timer_t *timer)
{
	(void)timer;
	cr_assert_fail("the deadline is over");
}

static inline void loop_until_closed(uv_handle_t *timer)
{
	*(int *)timer->data = 1;
}

/* Until *count is at least wanted. */
static inline void loop_until(uv_loop_t *loop, const int *count, int wanted)
{
	uv_timer_t timer;
	int closed = 0;

	uv_timer_init(loop, &timer);
	timer.data = &closed;
	uv_timer_start(&timer, loop_until_expired, LOOP_UNTIL_MS, 0);
	while (*count < wanted)
		uv_run(loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&timer, loop_until_closed);
	while (!closed)
		uv_run(loop, UV_RUN_ONCE);
}

static inline void loop_until_tick(uv_timer_t *timer)
{
	(void)timer;
}

/* A turn of at most 5 ms, so that a condition which is not the loop's is looked at again; fails the
 * test after the deadline (ms, of uv_hrtime). */
static inline void loop_turn(uv_loop_t *loop, uint64_t deadline, const char *what)
{
	uv_timer_t timer;

	cr_assert(uv_hrtime() / 1000000 < deadline, "never: %s", what);
	uv_timer_init(loop, &timer);
	uv_timer_start(&timer, loop_until_tick, 5, 0);
	uv_run(loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&timer, NULL);
	uv_run(loop, UV_RUN_NOWAIT);
}

#endif
