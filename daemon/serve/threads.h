/*
 * Threads: each is handed its task directly, and the one that was busy last is the next.
 *
 * libuv's pool has one queue under one lock that all threads wait at: handing over a task of a few
 * microseconds took three or four system calls and often woke the thread twice. Here a task costs
 * one wake-up of its thread and one of the loop, which takes what has been finished meanwhile in
 * one go.
 */
#ifndef DAEMON_SERVE_THREADS_H
#define DAEMON_SERVE_THREADS_H

#include <pthread.h>
#include <stdbool.h>
#include <uv.h>

struct thread;

struct task {
	void (*run)(struct task *task);  /* on a thread */
	void (*done)(struct task *task); /* on the loop; the task may be gone after it */
	struct task *next;               /* of those that have ended */
};

struct threads {
	uv_loop_t *loop;
	uv_async_t async; /* keeps the loop alive while tasks are under way */
	unsigned max, n, n_tasks;
	struct thread *all, *next; /* that has the next task */
	/* On a thread that has ended a task, before it takes another. */
	void (*between)(void *arg);
	/* On the loop: a thread is free again that was wanted. */
	void (*freed)(void *arg);
	void *arg;
	pthread_mutex_t lock; /* the following */
	struct thread *idle;  /* last in, first out: what ran last is warm */
	struct task *first, *last;
	bool wanted;
};

/* At most `max` threads, made when they are needed first. 0 or -errno. */
int threads_init(struct threads *threads, uv_loop_t *loop, unsigned max, void (*between)(void *arg),
		 void (*freed)(void *arg), void *arg);
/* On the loop. Is a thread free for the next task? If not, `freed` tells when to ask again. */
bool threads_have_one(struct threads *threads);
/* On the loop, after threads_have_one. */
void threads_run(struct threads *threads, struct task *task);
/* No task is under way. Ends all threads; the memory is free once `closed` is called, with async.
 */
void threads_deinit(struct threads *threads, uv_close_cb closed, void *data);

#endif
