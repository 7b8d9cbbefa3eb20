#include <errno.h>
#include <sys/file.h>

#include "tests/unit/serve/serve_fake.h"

TestSuite(serve_locks, .init = scratch_init, .fini = scratch_fini);

static struct serve_fake fake;
static uint64_t nodes[2], handles[2]; /* of "file", by session */

static void begin(void)
{
	serve_fake_init(&fake, NULL);
	scratch_write(serve_fake_path("file"), "0123456789", 10, 0644);
	for (unsigned i = 0; i < 2; i++) {
		struct serve_fake_call *call;
		struct entry entry;

		cr_assert_eq(serve_fake_walk(&fake, i, "file", &entry), 0);
		nodes[i] = entry.node;
		call = serve_fake_start(&fake, i, OP_OPEN, &(struct args_open){nodes[i], O_RDWR});
		cr_assert_eq(serve_fake_wait(&fake, call), 0);
		handles[i] = ((const struct result_open *)call->result)->handle;
	}
}

/* A POSIX lock of `owner`, by a process of that number. */
static struct serve_fake_call *start(unsigned session, uint64_t owner, enum lock_command command,
				     int type, uint64_t offset, uint64_t size)
{
	return serve_fake_start(&fake, session, OP_LOCK,
				&(struct args_lock){.node = nodes[session],
						    .handle = handles[session],
						    .owner = owner,
						    .command = command,
						    .type = (uint64_t)type,
						    .offset = offset,
						    .size = size,
						    .pid = owner});
}

static int set(unsigned session, uint64_t owner, int type, uint64_t offset, uint64_t size)
{
	return serve_fake_wait(&fake, start(session, owner, LOCK_SET, type, offset, size));
}

static const struct result_lock *get(unsigned session, uint64_t owner, int type)
{
	struct serve_fake_call *call = start(session, owner, LOCK_GET, type, 0, 0);

	cr_assert_eq(serve_fake_wait(&fake, call), 0);
	return call->result;
}

/* Waits, surely: what was asked before it is answered. */
static struct serve_fake_call *waiter_for(unsigned session, uint64_t owner, int type,
					  uint64_t offset, uint64_t size)
{
	struct serve_fake_call *call = start(session, owner, LOCK_SET_WAIT, type, offset, size);

	for (int i = 0; i < 20; i++)
		cr_assert_eq(set(session, 99, F_UNLCK, 0, 0), 0);
	cr_assert_not(call->done);
	return call;
}

static struct serve_fake_call *waiter(unsigned session, uint64_t owner, int type)
{
	return waiter_for(session, owner, type, 0, 0);
}

static int set_or_wait(unsigned session, uint64_t owner, int type, uint64_t offset, uint64_t size)
{
	return serve_fake_wait(&fake, start(session, owner, LOCK_SET_WAIT, type, offset, size));
}

Test(serve_locks, owners_and_sessions_exclude_each_other)
{
	begin();
	cr_assert_eq(set(0, 1, F_WRLCK, 2, 3), 0);
	cr_assert_eq(set(0, 2, F_RDLCK, 4, 1), -EAGAIN);
	cr_assert_eq(set(1, 1, F_RDLCK, 4, 1), -EAGAIN);
	cr_assert_eq(set(1, 1, F_WRLCK, 5, 0), 0);
	cr_assert_eq(set(0, 1, F_UNLCK, 3, 1), 0); /* split */
	cr_assert_eq(set(1, 1, F_WRLCK, 3, 1), 0);
	cr_assert_eq(set(1, 1, F_WRLCK, 2, 1), -EAGAIN);
	cr_assert_eq(set(0, 1, F_RDLCK, 2, 1), 0); /* downgraded */
	cr_assert_eq(set(1, 1, F_RDLCK, 2, 1), 0);
	cr_assert_eq(set(0, 1, F_WRLCK, 2, 1), -EAGAIN); /* and not up again */
	serve_fake_deinit(&fake);
}

Test(serve_locks, a_program_of_this_machine_sees_them)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 2, .l_len = 1};
	int fd;

	begin();
	fd = open(serve_fake_path("file"), O_RDWR);
	cr_assert_eq(set(0, 1, F_WRLCK, 2, 3), 0);
	cr_assert(fcntl(fd, F_OFD_SETLK, &lock) < 0 && errno == EAGAIN);
	cr_assert_eq(set(0, 1, F_UNLCK, 0, 0), 0);
	cr_assert_eq(fcntl(fd, F_OFD_SETLK, &lock), 0);
	cr_assert_eq(set(0, 1, F_WRLCK, 2, 3), -EAGAIN);
	close(fd);
	serve_fake_deinit(&fake);
}

Test(serve_locks, who_is_in_the_way_is_told)
{
	begin();
	cr_assert_eq(get(0, 2, F_WRLCK)->type, F_UNLCK);
	cr_assert_eq(set(0, 1, F_WRLCK, 2, 3), 0);
	cr_assert_eq(get(0, 2, F_RDLCK)->type, F_WRLCK);
	cr_assert_eq(get(0, 2, F_RDLCK)->offset, 2);
	cr_assert_eq(get(0, 2, F_RDLCK)->size, 3);
	cr_assert_eq(get(0, 2, F_RDLCK)->pid, 1);
	cr_assert_eq(get(1, 2, F_RDLCK)->pid, 0, "of another machine");
	cr_assert_eq(set(0, 1, F_UNLCK, 0, 0), 0);
	cr_assert_eq(set(0, 3, F_RDLCK, 5, 0), 0);
	cr_assert_eq(get(0, 2, F_RDLCK)->type, F_UNLCK);
	cr_assert_eq(get(0, 2, F_WRLCK)->type, F_RDLCK);
	cr_assert_eq(get(0, 2, F_WRLCK)->size, 0);
	cr_assert_eq(get(0, 2, F_WRLCK)->pid, 3);
	serve_fake_deinit(&fake);
}

Test(serve_locks, one_who_waits_gets_it_when_it_is_free)
{
	struct serve_fake_call *call;

	begin();
	cr_assert_eq(set(0, 1, F_WRLCK, 0, 0), 0);
	call = waiter(1, 1, F_WRLCK);
	cr_assert_eq(set(0, 1, F_UNLCK, 0, 0), 0);
	cr_assert_eq(serve_fake_wait(&fake, call), 0);
	cr_assert_eq(set(0, 1, F_RDLCK, 0, 1), -EAGAIN);
	serve_fake_deinit(&fake);
}

Test(serve_locks, a_program_of_this_machine_lets_go_of_one)
{
	struct serve_fake_call *call;
	int fd;

	begin();
	fd = open(serve_fake_path("file"), O_RDWR);
	cr_assert_eq(fcntl(fd, F_OFD_SETLK, &(struct flock){.l_type = F_WRLCK}), 0);
	call = waiter(1, 1, F_WRLCK);
	close(fd);
	cr_assert_eq(serve_fake_wait(&fake, call), 0);
	serve_fake_deinit(&fake);
}

Test(serve_locks, one_who_gives_up_does_not_have_it)
{
	struct serve_fake_call *call;

	begin();
	cr_assert_eq(set(0, 1, F_WRLCK, 0, 0), 0);
	call = waiter(1, 1, F_WRLCK);
	serve_fake_cancel(&fake, 1, call);
	cr_assert_eq(serve_fake_wait(&fake, call), -EINTR);
	cr_assert_eq(set(0, 1, F_UNLCK, 0, 0), 0);
	cr_assert_eq(set(0, 2, F_WRLCK, 0, 0), 0);
	serve_fake_deinit(&fake);
}

Test(serve_locks, flush_releases_the_owners_and_no_others)
{
	begin();
	cr_assert_eq(set(0, 1, F_WRLCK, 0, 1), 0);
	cr_assert_eq(set(0, 2, F_WRLCK, 1, 1), 0);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, FLUSH, flush, NULL, nodes[0], handles[0], 3), 0);
	cr_assert_eq(set(1, 1, F_WRLCK, 0, 1), -EAGAIN);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, FLUSH, flush, NULL, nodes[0], handles[0], 1), 0);
	cr_assert_eq(set(1, 1, F_WRLCK, 0, 1), 0);
	cr_assert_eq(set(1, 1, F_WRLCK, 1, 1), -EAGAIN);
	serve_fake_deinit(&fake);
}

Test(serve_locks, release_and_the_end_of_a_session_wake_who_waits)
{
	struct serve_fake_call *call;

	begin();
	cr_assert_eq(set(0, 1, F_WRLCK, 0, 0), 0);
	call = waiter(1, 1, F_RDLCK);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, RELEASE, release, NULL, nodes[0], handles[0]), 0);
	cr_assert_eq(serve_fake_wait(&fake, call), 0);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, LOCK, lock, NULL, nodes[0], handles[0]), -EBADF);
	serve_fake_deinit(&fake);

	begin();
	cr_assert_eq(set(0, 1, F_WRLCK, 0, 0), 0);
	call = waiter(1, 1, F_RDLCK);
	serve_fake_close_session(&fake, 0);
	cr_assert_eq(serve_fake_wait(&fake, call), 0);
	serve_fake_deinit(&fake);
}

Test(serve_locks, whole_files_have_locks_of_their_own)
{
	struct args_lock lock = {.kind = LOCK_KIND_FLOCK, .command = LOCK_SET, .type = F_WRLCK};
	struct serve_fake_call *call;
	int fd;

	begin();
	lock.node = nodes[0];
	lock.handle = handles[0];
	cr_assert_eq(set(0, 1, F_WRLCK, 0, 0), 0);
	cr_assert_eq(serve_fake_call(&fake, OP_LOCK, &lock, NULL), 0);
	fd = open(serve_fake_path("file"), O_RDONLY);
	cr_assert(flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK);
	lock.owner = 1;
	cr_assert_eq(serve_fake_call(&fake, OP_LOCK, &lock, NULL), -EAGAIN);
	lock.node = nodes[1];
	lock.handle = handles[1];
	lock.command = LOCK_SET_WAIT;
	call = serve_fake_start(&fake, 1, OP_LOCK, &lock);
	lock = (struct args_lock){.node = nodes[0],
				  .handle = handles[0],
				  .kind = LOCK_KIND_FLOCK,
				  .command = LOCK_SET,
				  .type = F_UNLCK};
	cr_assert_eq(serve_fake_call(&fake, OP_LOCK, &lock, NULL), 0);
	cr_assert_eq(serve_fake_wait(&fake, call), 0);
	close(fd);
	serve_fake_deinit(&fake);
}

Test(serve_locks, the_last_of_those_who_wait_for_each_other_is_refused)
{
	struct serve_fake_call *calls[2];

	begin();
	cr_assert_eq(set(0, 1, F_WRLCK, 0, 1), 0);
	cr_assert_eq(set(0, 2, F_WRLCK, 1, 1), 0);
	cr_assert_eq(set(1, 1, F_WRLCK, 2, 1), 0);
	calls[0] = waiter_for(0, 1, F_RDLCK, 1, 1);
	calls[1] = waiter_for(0, 2, F_RDLCK, 2, 1);
	cr_assert_eq(set_or_wait(1, 1, F_WRLCK, 0, 1), -EDEADLK);
	/* It goes on when that one lets go; the same owner in the other session is another. */
	cr_assert_not(calls[0]->done || calls[1]->done);
	cr_assert_eq(set(1, 1, F_UNLCK, 0, 0), 0);
	cr_assert_eq(serve_fake_wait(&fake, calls[1]), 0);
	cr_assert_eq(set(0, 2, F_UNLCK, 0, 0), 0);
	cr_assert_eq(serve_fake_wait(&fake, calls[0]), 0);
	serve_fake_deinit(&fake);
}

Test(serve_locks, two_readers_cannot_both_wait_to_write)
{
	struct serve_fake_call *call;

	begin();
	cr_assert_eq(set(0, 1, F_RDLCK, 0, 0), 0);
	cr_assert_eq(set(1, 2, F_RDLCK, 0, 0), 0);
	call = waiter(0, 1, F_WRLCK);
	cr_assert_eq(set_or_wait(1, 2, F_WRLCK, 0, 0), -EDEADLK);
	cr_assert_eq(set(1, 2, F_UNLCK, 0, 0), 0);
	cr_assert_eq(serve_fake_wait(&fake, call), 0);
	serve_fake_deinit(&fake);
}

Test(serve_locks, who_waits_for_one_that_waits_for_another_is_not_refused)
{
	struct serve_fake_call *calls[2];

	begin();
	cr_assert_eq(set(0, 1, F_WRLCK, 0, 1), 0);
	cr_assert_eq(set(0, 2, F_WRLCK, 1, 1), 0);
	cr_assert_eq(set(1, 1, F_WRLCK, 2, 1), 0);
	calls[0] = waiter_for(0, 2, F_WRLCK, 0, 1);
	calls[1] = waiter_for(1, 1, F_WRLCK, 1, 1);
	cr_assert_eq(set(0, 1, F_UNLCK, 0, 0), 0);
	cr_assert_eq(serve_fake_wait(&fake, calls[0]), 0);
	cr_assert_not(calls[1]->done);
	cr_assert_eq(set(0, 2, F_UNLCK, 0, 0), 0);
	cr_assert_eq(serve_fake_wait(&fake, calls[1]), 0);
	serve_fake_deinit(&fake);
}
