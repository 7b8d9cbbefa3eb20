#include "ctl/mcp/aside.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define STACK_SIZE (512 * 1024)

struct aside {
	void (*work)(void *arg);
	void *arg;
	int done_fd; /* an eventfd */
	pthread_mutex_t lock;
	bool is_done;
	void (*release)(void *arg); /* set once it is left: whoever is last frees */
};

static void destroy(struct aside *aside)
{
	aside->release(aside->arg);
	close(aside->done_fd);
	pthread_mutex_destroy(&aside->lock);
	free(aside);
}

static void *run(void *arg)
{
	static const uint64_t one = 1;
	struct aside *aside = arg;
	bool is_last;

	aside->work(aside->arg);
	pthread_mutex_lock(&aside->lock);
	aside->is_done = true;
	is_last = aside->release;
	while (!is_last && write(aside->done_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	pthread_mutex_unlock(&aside->lock);
	if (is_last)
		destroy(aside);
	return NULL;
}

int aside_new(void (*work)(void *arg), void *arg, struct aside **ret_aside)
{
	struct aside *aside = calloc(1, sizeof(*aside));
	pthread_attr_t attributes;
	pthread_t thread;
	int r;

	if (!aside)
		return -ENOMEM;
	*aside = (struct aside){
	    .work = work, .arg = arg, .done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	if (aside->done_fd < 0) {
		r = -errno;
		free(aside);
		return r;
	}
	pthread_mutex_init(&aside->lock, NULL);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	r = -pthread_create(&thread, &attributes, run, aside);
	pthread_attr_destroy(&attributes);
	if (r < 0) {
		close(aside->done_fd);
		pthread_mutex_destroy(&aside->lock);
		free(aside);
		return r;
	}
	*ret_aside = aside;
	return 0;
}

int aside_wait(struct aside *aside, int interrupt_fd, int timeout_ms)
{
	struct pollfd fds[] = {{.fd = aside->done_fd, .events = POLLIN},
			       {.fd = interrupt_fd, .events = POLLIN}};
	int r;

	do
		r = poll(fds, 2, timeout_ms);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	if (fds[0].revents) {
		/* Told within the lock: with it, what the work has left is seen, too. */
		pthread_mutex_lock(&aside->lock);
		pthread_mutex_unlock(&aside->lock);
		return 0;
	}
	return fds[1].revents ? -ECANCELED : -ETIMEDOUT;
}

struct aside *aside_free(struct aside *aside, void (*release)(void *arg))
{
	bool is_last;

	/* The thread does not touch it any more once it has let go of the lock, if it was first. */
	pthread_mutex_lock(&aside->lock);
	is_last = aside->is_done;
	aside->release = release;
	pthread_mutex_unlock(&aside->lock);
	if (is_last)
		destroy(aside);
	return NULL;
}
