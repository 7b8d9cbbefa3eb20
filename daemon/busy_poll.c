#include "daemon/busy_poll.h"

#include <poll.h>
#include <sched.h>

#define LOOK_NS      200000 /* guest_halt_poll_ns of Linux */
#define FEW_MISSES   2
#define MOST_MISSES  6 /* 64 rounds, at most, for each that fails */
#define CROWDED_SKIP 256
#define RELAXATIONS  16 /* about a microsecond */

bool busy_poll_begin(struct busy_poll *busy)
{
	if (busy->skip == 0)
		return true;
	busy->skip--;
	return false;
}

void busy_poll_end(struct busy_poll *busy, enum busy_poll_end end)
{
	switch (end) {
	case BUSY_POLL_HIT:
		busy->misses = 0;
		break;
	case BUSY_POLL_MISS:
		if (busy->misses < MOST_MISSES)
			busy->misses++;
		if (busy->misses >= FEW_MISSES)
			busy->skip = 1u << busy->misses;
		break;
	case BUSY_POLL_CROWDED:
		busy->skip = CROWDED_SKIP;
		break;
	}
}

/* Leaves the core to its other thread for a moment. */
static void relax(void)
{
	for (int i = 0; i < RELAXATIONS; i++) {
#if defined(__x86_64__) || defined(__i386__)
		__builtin_ia32_pause();
#elif defined(__aarch64__)
		__asm__ volatile("yield");
#endif
	}
}

/* Looks without taking: epoll's descriptor is readable when one of those in it is ready. */
static enum busy_poll_end look(int epoll_fd)
{
	struct pollfd fd = {.fd = epoll_fd, .events = POLLIN};
	uint64_t start = uv_hrtime(), before, now = start;

	do {
		if (poll(&fd, 1, 0) != 0)
			return BUSY_POLL_HIT;
		relax();
		sched_yield();
		before = now;
		now = uv_hrtime();
		if (now - before >= LOOK_NS)
			return BUSY_POLL_CROWDED;
	} while (now - start < LOOK_NS);
	return BUSY_POLL_MISS;
}

static void on_prepare(uv_prepare_t *prepare)
{
	struct busy_poll *busy = prepare->data;

	if (uv_backend_timeout(prepare->loop) == 0) /* it will not sleep */
		return;
	if (busy_poll_begin(busy))
		busy_poll_end(busy, look(uv_backend_fd(prepare->loop)));
}

void busy_poll_init(struct busy_poll *busy, uv_loop_t *loop)
{
	*busy = (struct busy_poll){0};
	uv_prepare_init(loop, &busy->prepare);
	busy->prepare.data = busy;
	uv_prepare_start(&busy->prepare, on_prepare);
	uv_unref((uv_handle_t *)&busy->prepare);
}

void busy_poll_close(struct busy_poll *busy)
{
	uv_close((uv_handle_t *)&busy->prepare, NULL);
}
