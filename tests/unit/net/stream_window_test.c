#include <criterion/criterion.h>
#include <stdlib.h>

#include "daemon/net/limits.h"
#include "daemon/net/stream_window.h"

#define STEP (64 * 1024)

/* A sender that is never idle while it has credit, and a reader that uses all at once, over a line
 * of so many bytes per microsecond: what the window becomes. */
static size_t stream(uint64_t bytes_per_us, uint64_t rtt_us, size_t more, size_t size)
{
	struct stream_window window;
	/* When each step of the stream was sent, or may be: credit that came by then. */
	uint64_t now = 0, *may_be_sent = calloc(size / STEP + 1, sizeof(*may_be_sent));
	size_t n_allowed = LIMITS_WINDOW / STEP, spare = 0;

	stream_window_init(&window, 0);
	for (size_t i = 0; i < size / STEP; i++) {
		size_t credit;

		cr_assert_lt(i, n_allowed, "the sender waits for ever");
		now = (may_be_sent[i] + rtt_us > now ? may_be_sent[i] + rtt_us : now) +
		      STEP / bytes_per_us;
		credit = stream_window_used(&window, STEP, more - (window.size - LIMITS_WINDOW),
					    now, rtt_us);
		for (spare += credit; spare >= STEP; spare -= STEP, n_allowed++)
			if (n_allowed < size / STEP)
				may_be_sent[n_allowed] = now;
		cr_assert_leq(window.size, LIMITS_WINDOW_MAX);
		cr_assert_leq(window.size - LIMITS_WINDOW, more);
	}
	free(may_be_sent);
	return window.size;
}

Test(stream_window, stays_small_where_the_way_is_short)
{
	cr_assert_eq(stream(600, 100, LIMITS_WINDOW_MORE, 256 << 20), LIMITS_WINDOW);
}

Test(stream_window, follows_the_delay)
{
	/* 12 MB are under way. */
	size_t size = stream(600, 20000, LIMITS_WINDOW_MORE, 512 << 20);

	cr_assert_geq(size, 12000000);
	cr_assert_leq(size, LIMITS_WINDOW_MAX);
}

Test(stream_window, has_a_bound)
{
	cr_assert_eq(stream(600, 500000, LIMITS_WINDOW_MORE, 512 << 20), LIMITS_WINDOW_MAX);
}

Test(stream_window, grows_by_no_more_than_is_left)
{
	cr_assert_eq(stream(600, 20000, 5000000, 512 << 20), LIMITS_WINDOW + 5000000);
	cr_assert_eq(stream(600, 20000, 0, 64 << 20), LIMITS_WINDOW);
}

Test(stream_window, a_reader_that_is_slow_gets_no_more)
{
	cr_assert_eq(stream(10, 20000, LIMITS_WINDOW_MORE, 64 << 20), LIMITS_WINDOW);
}

Test(stream_window, credit_is_sent_in_steps)
{
	struct stream_window window;

	stream_window_init(&window, 0);
	cr_assert_eq(stream_window_used(&window, LIMITS_WINDOW / 4 - 1, 0, 5, 0), 0);
	cr_assert_eq(stream_window_used(&window, 1, 0, 5, 0), LIMITS_WINDOW / 4);
	cr_assert_eq(stream_window_used(&window, 1, 0, 5, 0), 0);
	cr_assert_eq(window.owed, 1);
}
