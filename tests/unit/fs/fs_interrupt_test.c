#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs_kernel.h"

#define SECOND 1000000000ull

static uint64_t interrupt(struct fs_kernel *kernel, uint64_t unique)
{
	struct fuse_interrupt_in in = {.unique = unique};

	fs_kernel_send(kernel, FUSE_INTERRUPT, 0, &in, sizeof(in));
	fs_kernel_run(kernel);
	return unique;
}

/* -1: no reply yet. */
static int error_of(struct fs_kernel *kernel, uint64_t unique)
{
	struct fs_kernel_reply *reply = fs_kernel_take(kernel, unique);
	int error = reply ? -reply->error : -1;

	free(reply);
	return error;
}

static struct fs_kernel *new_held(uint64_t *ret_desk)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);

	fs_fake_add(kernel->fake, kernel->fake->root, "x", S_IFREG | 0644);
	*ret_desk = fs_kernel_walk(kernel, "desk");
	kernel->fake->is_held = true;
	return kernel;
}

static void end(struct fs_kernel *kernel, uint64_t desk)
{
	kernel->fake->is_held = false;
	fs_kernel_run(kernel);
	fs_kernel_forget(kernel, desk, 1);
	fs_kernel_free(kernel, true);
}

Test(fs_interrupt, a_live_caller_waits_two_seconds)
{
	uint64_t desk, unique;
	struct fs_kernel *kernel = new_held(&desk);

	unique = fs_kernel_send(kernel, FUSE_LOOKUP, desk, "x", 2);
	fs_kernel_run(kernel);
	interrupt(kernel, unique);
	fs_kernel_pass(kernel, 1900 * (SECOND / 1000));
	cr_assert_eq(error_of(kernel, unique), -1);
	fs_kernel_pass(kernel, 200 * (SECOND / 1000));
	cr_assert_eq(error_of(kernel, unique), EINTR);
	cr_assert_eq(kernel->fake->n_cancelled, 1);
	end(kernel, desk);
}

Test(fs_interrupt, a_reply_in_time_is_as_if_nothing_was)
{
	uint64_t desk, unique;
	struct fs_kernel *kernel = new_held(&desk);

	unique = fs_kernel_send(kernel, FUSE_LOOKUP, desk, "y", 2);
	fs_kernel_run(kernel);
	interrupt(kernel, unique);
	fs_kernel_pass(kernel, SECOND);
	kernel->fake->is_held = false;
	fs_kernel_run(kernel);
	cr_assert_eq(error_of(kernel, unique), 0);
	end(kernel, desk);
}

Test(fs_interrupt, a_caller_that_is_gone_is_answered_at_once)
{
	uint64_t desk, unique;
	struct fs_kernel *kernel = new_held(&desk);
	pid_t child = fork();

	if (!child)
		_exit(0);
	waitpid(child, NULL, 0);
	kernel->pid = (uint32_t)child;
	unique = fs_kernel_send(kernel, FUSE_LOOKUP, desk, "x", 2);
	fs_kernel_run(kernel);
	interrupt(kernel, unique);
	cr_assert_eq(error_of(kernel, unique), EINTR);
	end(kernel, desk);
}

Test(fs_interrupt, a_caller_killed_later_is_found)
{
	uint64_t desk, unique;
	struct fs_kernel *kernel = new_held(&desk);
	pid_t child = fork();

	if (!child)
		for (;;)
			pause();
	kernel->pid = (uint32_t)child;
	unique = fs_kernel_send(kernel, FUSE_LOOKUP, desk, "x", 2);
	fs_kernel_run(kernel);
	interrupt(kernel, unique); /* some harmless signal */
	fs_kernel_pass(kernel, SECOND / 2);
	cr_assert_eq(error_of(kernel, unique), -1);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	fs_kernel_pass(kernel, SECOND / 5);
	cr_assert_eq(error_of(kernel, unique), EINTR);
	end(kernel, desk);
}

Test(fs_interrupt, one_that_comes_first_is_heeded)
{
	uint64_t desk, unique;
	struct fs_kernel *kernel = new_held(&desk);
	pid_t child = fork();

	if (!child)
		_exit(0);
	waitpid(child, NULL, 0);
	kernel->pid = (uint32_t)child;
	interrupt(kernel, kernel->unique + 4); /* of the request after this one */
	unique = fs_kernel_send(kernel, FUSE_LOOKUP, desk, "x", 2);
	fs_kernel_run(kernel);
	cr_assert_eq(error_of(kernel, unique), EINTR);
	cr_assert_eq(kernel->fake->n_asked[OP_LOOKUP], 0);
	end(kernel, desk);
}

Test(fs_interrupt, the_made_object_of_an_interrupted_mkdir_is_not_kept)
{
	uint64_t desk, unique;
	struct fs_kernel *kernel = new_held(&desk);
	struct fuse_mkdir_in mkdir = {.mode = 0777};
	char body[32];

	memcpy(body, &mkdir, sizeof(mkdir));
	memcpy(body + sizeof(mkdir), "dir", 4);
	unique = fs_kernel_send(kernel, FUSE_MKDIR, desk, body, sizeof(mkdir) + 4);
	fs_kernel_run(kernel);
	interrupt(kernel, unique);
	kernel->fake->ignores_cancel = true;
	fs_kernel_pass(kernel, 3 * SECOND);
	cr_assert_eq(error_of(kernel, unique), EINTR);
	end(kernel, desk); /* its reference comes back */
}

/* Who waits for the end of a program that was killed finds what it made. */
Test(fs_interrupt, a_killed_callers_mkdir_is_waited_for_a_moment)
{
	struct fuse_mkdir_in mkdir = {.mode = 0777};
	uint64_t desk, unique;
	struct fs_kernel *kernel = new_held(&desk);
	pid_t child = fork();
	char body[32];

	if (!child)
		_exit(0);
	waitpid(child, NULL, 0);
	kernel->pid = (uint32_t)child;
	memcpy(body, &mkdir, sizeof(mkdir));
	for (int i = 0; i < 2; i++) {
		memcpy(body + sizeof(mkdir), i ? "two" : "one", 4);
		kernel->fake->is_held = true;
		unique = fs_kernel_send(kernel, FUSE_MKDIR, desk, body, sizeof(mkdir) + 4);
		fs_kernel_run(kernel);
		interrupt(kernel, unique);
		fs_kernel_pass(kernel, 400 * (SECOND / 1000));
		cr_assert_eq(error_of(kernel, unique), -1);
		if (i == 0) {
			kernel->fake->is_held = false;
			fs_kernel_run(kernel);
			cr_assert_eq(error_of(kernel, unique), 0);
			fs_kernel_forget(kernel, fs_kernel_walk(kernel, "desk/one"), 2);
			continue;
		}
		fs_kernel_pass(kernel, 200 * (SECOND / 1000));
		cr_assert_eq(error_of(kernel, unique), EINTR);
	}
	end(kernel, desk);
}

Test(fs_interrupt, opendir_and_readdir_can_be_interrupted)
{
	uint64_t desk, dir, unique, handle;
	struct fs_kernel *kernel = new_held(&desk);
	struct fuse_open_in open_in = {0};
	struct fuse_read_in read_in = {.size = 4096};

	kernel->fake->is_held = false;
	fs_fake_add(kernel->fake, kernel->fake->root, "dir", S_IFDIR | 0300);
	dir = fs_kernel_walk(kernel, "desk/dir");
	cr_assert_eq(fs_kernel_open(kernel, FUSE_OPENDIR, desk, &handle), 0);
	kernel->fake->is_held = true;
	unique = fs_kernel_send(kernel, FUSE_OPENDIR, dir, &open_in, sizeof(open_in));
	fs_kernel_run(kernel);
	cr_assert_eq(error_of(kernel, unique), -1);
	interrupt(kernel, unique);
	fs_kernel_pass(kernel, 3 * SECOND);
	cr_assert_eq(error_of(kernel, unique), EINTR);
	read_in.fh = handle;
	unique = fs_kernel_send(kernel, FUSE_READDIR, desk, &read_in, sizeof(read_in));
	fs_kernel_run(kernel);
	interrupt(kernel, unique);
	fs_kernel_pass(kernel, 3 * SECOND);
	cr_assert_eq(error_of(kernel, unique), EINTR);
	/* Read again, it comes. */
	kernel->fake->is_held = false;
	unique = fs_kernel_send(kernel, FUSE_READDIR, desk, &read_in, sizeof(read_in));
	fs_kernel_run(kernel);
	cr_assert_eq(error_of(kernel, unique), 0);
	fs_kernel_release(kernel, FUSE_RELEASEDIR, desk, handle);
	fs_kernel_forget(kernel, dir, 1);
	fs_kernel_forget(kernel, desk, 1);
	end(kernel, desk);
}
