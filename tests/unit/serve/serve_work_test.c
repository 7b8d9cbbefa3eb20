#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "daemon/serve/guest.h"
#include "daemon/serve/work.h"
#include "tests/unit/serve/serve_fake.h"

TestSuite(serve_work, .init = scratch_init, .fini = scratch_fini);

static struct serve_fake fake;

/* --- the pool alone: works that block until they are let go ----------------------------------- */

static sem_t gate;
static atomic_uint n_waiting;
static unsigned n_done;
static uint64_t quick_done_at;

static void started(struct work *work)
{
	work->state = WORK_RUNNING;
}

static void blocks_or_not(struct work *work)
{
	if (work->room) {
		n_waiting++;
		sem_wait(&gate);
	}
}

static void done(struct work *work)
{
	n_done++;
	if (!work->room)
		quick_done_at = n_done;
}

Test(serve_work, one_guest_holds_half_of_the_threads_at_most)
{
	static struct guest slow, quick;
	static struct work works[20], one;
	struct pool pool;
	uv_loop_t loop;

	uv_loop_init(&loop);
	sem_init(&gate, 0, 0);
	cr_assert_eq(pool_init(&pool, &loop, 8, started, blocks_or_not, done), 0);
	pool_queue_init(&slow.queue, &pool, NULL);
	pool_queue_init(&quick.queue, &pool, NULL);
	for (unsigned i = 0; i < 20; i++) {
		works[i].guest = &slow;
		works[i].room = &gate;
		pool_submit(&slow.queue, &works[i]);
	}
	one.guest = &quick;
	pool_submit(&quick.queue, &one);
	while (n_done == 0)
		uv_run(&loop, UV_RUN_ONCE);
	cr_assert_eq(quick_done_at, 1, "it overtook those that hang");
	cr_assert_eq(slow.queue.running, 4);
	cr_assert_leq(n_waiting, 4);
	cr_assert(pool_withdraw(&slow.queue, &works[19]));
	cr_assert(!pool_withdraw(&slow.queue, &works[0]));
	for (unsigned i = 0; i < 19; i++)
		sem_post(&gate);
	while (n_done < 20)
		uv_run(&loop, UV_RUN_ONCE);
	pool_queue_deinit(&slow.queue);
	pool_queue_deinit(&quick.queue);
	pool_deinit(&pool, NULL, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	cr_assert_eq(uv_loop_close(&loop), 0);
	sem_destroy(&gate);
}

/* What an earlier session of a peer began hangs: its next one does not get the other half. */
Test(serve_work, all_guests_of_a_peer_share_its_half)
{
	static struct guest first, second, other;
	static struct work works[12], more[12], one;
	struct pool pool;
	uv_loop_t loop;
	int peer;

	uv_loop_init(&loop);
	sem_init(&gate, 0, 0);
	cr_assert_eq(pool_init(&pool, &loop, 8, started, blocks_or_not, done), 0);
	pool_queue_init(&first.queue, &pool, &peer);
	pool_queue_init(&second.queue, &pool, &peer);
	pool_queue_init(&other.queue, &pool, NULL);
	for (unsigned i = 0; i < 12; i++) {
		works[i].guest = &first;
		more[i].guest = &second;
		works[i].room = more[i].room = &gate;
		pool_submit(&first.queue, &works[i]);
		pool_submit(&second.queue, &more[i]);
	}
	cr_assert_eq(first.queue.running + second.queue.running, 4);
	one.guest = &other;
	pool_submit(&other.queue, &one);
	while (n_done == 0)
		uv_run(&loop, UV_RUN_ONCE);
	cr_assert_eq(quick_done_at, 1);
	for (unsigned i = 0; i < 24; i++) {
		cr_assert_leq(first.queue.running + second.queue.running, 4);
		sem_post(&gate);
		while (n_done < i + 2)
			uv_run(&loop, UV_RUN_ONCE);
	}
	pool_queue_deinit(&first.queue);
	pool_queue_deinit(&second.queue);
	pool_queue_deinit(&other.queue);
	pool_deinit(&pool, NULL, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	cr_assert_eq(uv_loop_close(&loop), 0);
	sem_destroy(&gate);
}

static void wait_at_the_gate(void *arg)
{
	n_waiting++;
	sem_wait(&gate);
}

/* It has told that its work is done, but does something else before the next. */
Test(serve_work, a_thread_that_is_not_free_yet_is_waited_for)
{
	static struct guest guest;
	static struct work first, second;
	struct pool pool;
	uv_loop_t loop;

	uv_loop_init(&loop);
	sem_init(&gate, 0, 0);
	cr_assert_eq(pool_init(&pool, &loop, 1, started, blocks_or_not, done), 0);
	pool.between = wait_at_the_gate;
	pool_queue_init(&guest.queue, &pool, NULL);
	first.guest = second.guest = &guest;
	pool_submit(&guest.queue, &first);
	while (n_done == 0)
		uv_run(&loop, UV_RUN_ONCE);
	pool_submit(&guest.queue, &second);
	while (n_waiting == 0)
		sched_yield();
	cr_assert_eq(n_done, 1);
	sem_post(&gate);
	while (n_done == 1)
		uv_run(&loop, UV_RUN_ONCE);
	sem_post(&gate);
	pool_queue_deinit(&guest.queue);
	pool_deinit(&pool, NULL, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	cr_assert_eq(uv_loop_close(&loop), 0);
	cr_assert_eq(n_waiting, 2);
	sem_destroy(&gate);
}

/* --- sessions --------------------------------------------------------------------------------- */

Test(serve_work, a_session_may_end_with_work_in_flight)
{
	serve_fake_init(&fake, NULL);
	cr_assert_eq(mkdir(serve_fake_path("dir"), 0755), 0);
	for (unsigned round = 0; round < 20; round++) {
		struct args_lookup lookup = {1, serve_fake_bytes("dir")};
		struct args_getattr getattr = {1};

		cr_assert_eq(fake.service->session_open(fake.service->arg, NULL, &fake.sessions[2]),
			     0);
		for (unsigned i = 0; i < 100; i++) {
			serve_fake_start(&fake, 2, OP_LOOKUP, &lookup);
			serve_fake_start(&fake, 2, OP_GETATTR, &getattr);
			serve_fake_start(&fake, 2, OP_READDIR, &(struct args_readdir){1});
		}
		for (unsigned i = 0; i < round; i++)
			uv_run(&fake.loop, UV_RUN_NOWAIT);
		serve_fake_close_session(&fake, 2);
	}
	cr_assert_eq(SERVE_FAKE_CALL(&fake, GETATTR, getattr, NULL, 1), 0);
	serve_fake_deinit(&fake);
}

Test(serve_work, a_cancelled_call_is_answered_once)
{
	struct serve_fake_call *calls[200];
	unsigned n_interrupted = 0;

	serve_fake_init(&fake, NULL);
	for (unsigned i = 0; i < 200; i++)
		calls[i] = serve_fake_start(&fake, 0, OP_GETATTR, &(struct args_getattr){1});
	for (unsigned i = 0; i < 200; i++) {
		if (!calls[i]->done)
			serve_fake_cancel(&fake, 0, calls[i]);
	}
	for (unsigned i = 0; i < 200; i++) {
		int error = serve_fake_wait(&fake, calls[i]);

		cr_assert(error == 0 || error == -EINTR);
		n_interrupted += error == -EINTR;
	}
	cr_assert_gt(n_interrupted, 100);
	serve_fake_deinit(&fake);
}

Test(serve_work, an_operation_without_a_handler_is_refused)
{
	struct op op = {.number = 59, .name = "none", .args = &args_getattr_record};
	struct serve_fake_call call = {.request.op = &op, .fake = &fake};

	serve_fake_init(&fake, NULL);
	fake.service->handle(fake.service->arg, fake.sessions[0], &call.request);
	cr_assert(call.done);
	cr_assert_eq(call.error, -EOPNOTSUPP);
	serve_fake_deinit(&fake);
}
