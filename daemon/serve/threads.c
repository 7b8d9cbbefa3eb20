#include "daemon/serve/threads.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

struct thread {
	struct threads *threads;
	pthread_t thread;
	uv_sem_t wake;
	struct task *task;   /* set before it is woken; NULL: it is to end */
	struct thread *next; /* idle */
	struct thread *next_of_all;
};

static void tell_done(struct threads *threads, struct task *task)
{
	bool is_first;

	task->next = NULL;
	pthread_mutex_lock(&threads->lock);
	is_first = !threads->first;
	*(threads->first ? &threads->last->next : &threads->first) = task;
	threads->last = task;
	pthread_mutex_unlock(&threads->lock);
	if (is_first)
		uv_async_send(&threads->async);
}

static void become_idle(struct thread *thread)
{
	struct threads *threads = thread->threads;
	bool wanted;

	pthread_mutex_lock(&threads->lock);
	thread->next = threads->idle;
	threads->idle = thread;
	wanted = threads->wanted;
	pthread_mutex_unlock(&threads->lock);
	if (wanted)
		uv_async_send(&threads->async);
}

static void *thread_main(void *arg)
{
	struct thread *thread = arg;
	struct threads *threads = thread->threads;

	for (;;) {
		struct task *task;

		uv_sem_wait(&thread->wake);
		task = thread->task;
		if (!task)
			return NULL;
		task->run(task);
		tell_done(threads, task);
		threads->between(threads->arg);
		become_idle(thread);
	}
}

static void keep_alive(struct threads *threads)
{
	if (threads->n_tasks || threads->wanted)
		uv_ref((uv_handle_t *)&threads->async);
	else
		uv_unref((uv_handle_t *)&threads->async);
}

static void on_async(uv_async_t *async)
{
	struct threads *threads = async->data;
	struct task *task, *next;
	bool freed;

	pthread_mutex_lock(&threads->lock);
	task = threads->first;
	threads->first = threads->last = NULL;
	freed = threads->wanted && threads->idle;
	if (freed)
		threads->wanted = false;
	pthread_mutex_unlock(&threads->lock);
	for (; task; task = next) {
		next = task->next;
		threads->n_tasks--;
		task->done(task);
	}
	if (freed)
		threads->freed(threads->arg);
	keep_alive(threads);
}

/* The daemon's signals are the loop's. */
static int start(struct thread *thread)
{
	sigset_t all, before;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&thread->thread, NULL, thread_main, thread);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -error;
}

/* One more thread, which waits already. NULL if there can be none. */
static struct thread *thread_new(struct threads *threads)
{
	struct thread *thread = calloc(1, sizeof(*thread));

	if (!thread)
		return NULL;
	thread->threads = threads;
	if (uv_sem_init(&thread->wake, 0) < 0) {
		free(thread);
		return NULL;
	}
	if (start(thread) < 0) {
		uv_sem_destroy(&thread->wake);
		free(thread);
		return NULL;
	}
	thread->next_of_all = threads->all;
	threads->all = thread;
	threads->n++;
	return thread;
}

int threads_init(struct threads *threads, uv_loop_t *loop, unsigned max, void (*between)(void *arg),
		 void (*freed)(void *arg), void *arg)
{
	int error;

	*threads = (struct threads){
	    .loop = loop, .max = max, .between = between, .freed = freed, .arg = arg};
	error = uv_async_init(loop, &threads->async, on_async);
	if (error < 0)
		return error;
	threads->async.data = threads;
	uv_unref((uv_handle_t *)&threads->async);
	pthread_mutex_init(&threads->lock, NULL);
	return 0;
}

/* An idle one, or NULL; whether it is missed then. */
static struct thread *take_idle(struct threads *threads, bool wanted)
{
	struct thread *thread;

	pthread_mutex_lock(&threads->lock);
	thread = threads->idle;
	if (thread)
		threads->idle = thread->next;
	threads->wanted = wanted && !thread;
	pthread_mutex_unlock(&threads->lock);
	return thread;
}

bool threads_have_one(struct threads *threads)
{
	if (threads->next)
		return true;
	threads->next = take_idle(threads, false);
	if (!threads->next && threads->n < threads->max)
		threads->next = thread_new(threads);
	if (!threads->next) {
		threads->next = take_idle(threads, true);
		keep_alive(threads);
	}
	return threads->next;
}

void threads_run(struct threads *threads, struct task *task)
{
	struct thread *thread = threads->next;

	assert(thread);
	threads->next = NULL;
	threads->n_tasks++;
	keep_alive(threads);
	thread->task = task;
	uv_sem_post(&thread->wake);
}

void threads_deinit(struct threads *threads, uv_close_cb closed, void *data)
{
	struct thread *next;

	assert(threads->n_tasks == 0);
	for (struct thread *thread = threads->all; thread; thread = next) {
		next = thread->next_of_all;
		thread->task = NULL;
		uv_sem_post(&thread->wake);
		pthread_join(thread->thread, NULL);
		uv_sem_destroy(&thread->wake);
		free(thread);
	}
	pthread_mutex_destroy(&threads->lock);
	threads->async.data = data;
	uv_close((uv_handle_t *)&threads->async, closed);
}
