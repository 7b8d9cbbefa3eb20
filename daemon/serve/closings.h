/*
 * Closings: descriptors of local files that are of no use any more. Nobody waits for their end, so
 * a thread closes them on its way, or many in one go: closing can take as long as a disk takes
 * (ext4 writes out what was truncated and written anew).
 *
 * What was only read has time. What was written is closed as soon as a thread has done its work
 * that came along, at once if there is none, and after a millisecond if they all take long: others
 * may wait to run it, or to see that it is closed.
 */
#ifndef DAEMON_SERVE_CLOSINGS_H
#define DAEMON_SERVE_CLOSINGS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <uv.h>

#define CLOSINGS_MAX 64

struct closings {
	uv_loop_t *loop;
	uv_timer_t timer; /* runs while there are some that no thread has been told of */
	uv_work_t work;
	bool working; /* a thread is on its way */
	atomic_bool is_urgent;
	/* On the loop: is a thread at work, that will call closings_pass? */
	bool (*manned)(void *arg);
	pthread_mutex_t closing; /* held while some are being closed, taken before `lock` */
	pthread_mutex_t lock;
	int fds[CLOSINGS_MAX]; /* under it, as n is */
	unsigned n;
	void (*settled)(void *arg); /* on the loop: a thread has come back */
	void *arg;
};

/* `settled` is called whenever closings_are_busy may have become false. */
void closings_init(struct closings *closings, uv_loop_t *loop, bool (*manned)(void *arg),
		   void (*settled)(void *arg), void *arg);
/* On the loop. Takes `fd` over; false if there is no room. */
bool closings_add(struct closings *closings, int fd, bool is_urgent);
/* On a thread that has done its work: closes all if some are urgent. */
void closings_pass(struct closings *closings);
/* On the loop: true while there is something to be closed yet. A thread is told of it now. */
bool closings_are_busy(struct closings *closings);
/* On a thread: when it returns, all are closed that there were. */
void closings_close(struct closings *closings);
/* They are not busy. The memory is free once `closed` is called, with the timer. */
void closings_deinit(struct closings *closings, uv_close_cb closed, void *data);

#endif
