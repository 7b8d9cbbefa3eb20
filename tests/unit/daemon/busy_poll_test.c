#include <unistd.h>

#include "daemon/busy_poll.h"
#include "loop_until.h"

/* How many rounds sleep at once before one looks. */
static unsigned skipped(struct busy_poll *busy)
{
	unsigned n = 0;

	while (!busy_poll_begin(busy))
		n++;
	return n;
}

Test(busy_poll, one_that_fails_is_tried_again_at_once)
{
	struct busy_poll busy = {0};

	cr_assert_eq(skipped(&busy), 0);
	busy_poll_end(&busy, BUSY_POLL_MISS);
	cr_assert_eq(skipped(&busy), 0);
	busy_poll_end(&busy, BUSY_POLL_HIT);
	busy_poll_end(&busy, BUSY_POLL_MISS);
	cr_assert_eq(skipped(&busy), 0);
}

Test(busy_poll, who_fails_again_and_again_sleeps_more_and_more)
{
	struct busy_poll busy = {0};
	unsigned before = 0, now = 0;

	for (int i = 0; i < 20; i++) {
		busy_poll_end(&busy, BUSY_POLL_MISS);
		now = skipped(&busy);
		cr_assert_geq(now, before);
		before = now;
	}
	cr_assert_eq(now, 64);
	busy_poll_end(&busy, BUSY_POLL_HIT);
	cr_assert_eq(skipped(&busy), 0);
}

Test(busy_poll, where_others_want_the_processor_it_is_theirs)
{
	struct busy_poll busy = {0};

	busy_poll_end(&busy, BUSY_POLL_CROWDED);
	cr_assert_geq(skipped(&busy), 64);
	cr_assert_eq(skipped(&busy), 0);
}

struct reader {
	uv_poll_t poll;
	int fd, reply, count;
};

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct reader *reader = poll->data;
	char byte;

	(void)events;
	cr_assert_eq(status, 0);
	cr_assert_eq(read(reader->fd, &byte, 1), 1);
	reader->count++;
	if (reader->reply >= 0)
		cr_assert_eq(write(reader->reply, &byte, 1), 1);
}

static void on_echo_closed(uv_handle_t *poll)
{
	(void)poll;
}

/* What is written while the loop looks, or sleeps, is read: a thread sends each byte back. */
static void echo(void *arg)
{
	const int *fds = arg;
	char byte;

	while (read(fds[0], &byte, 1) == 1 && byte != 'q')
		if (write(fds[1], &byte, 1) != 1)
			break;
}

Test(busy_poll, all_that_comes_is_read_and_the_loop_ends)
{
	enum { N = 2000 };
	int there[2], back[2], thread_fds[2];
	struct busy_poll busy;
	struct reader reader;
	uv_thread_t thread;
	uv_loop_t loop;

	cr_assert_eq(pipe(there), 0);
	cr_assert_eq(pipe(back), 0);
	thread_fds[0] = there[0];
	thread_fds[1] = back[1];
	uv_loop_init(&loop);
	busy_poll_init(&busy, &loop);
	reader = (struct reader){.fd = back[0], .reply = there[1]};
	reader.poll.data = &reader;
	uv_poll_init(&loop, &reader.poll, reader.fd);
	uv_poll_start(&reader.poll, UV_READABLE, on_readable);
	cr_assert_eq(uv_thread_create(&thread, echo, thread_fds), 0);
	cr_assert_eq(write(there[1], "x", 1), 1);
	loop_until(&loop, &reader.count, N);
	cr_assert_eq(write(there[1], "q", 1), 1);
	uv_thread_join(&thread);
	uv_close((uv_handle_t *)&reader.poll, on_echo_closed);
	busy_poll_close(&busy);
	uv_run(&loop, UV_RUN_DEFAULT);
	cr_assert_eq(uv_loop_close(&loop), 0);
	for (int i = 0; i < 2; i++) {
		close(there[i]);
		close(back[i]);
	}
}
