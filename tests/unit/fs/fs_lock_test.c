#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fs_kernel_files.h"
#include "proto/ops_peer.h"

/* The notifier's thread says that it is done through it; Criterion runs each test in a process. */
static int wake_fd;

static void wake(void *arg)
{
	uint64_t one = 1;

	cr_assert_eq(write(wake_fd, &one, sizeof(one)), sizeof(one));
}

static struct fs_kernel *lock_kernel_new(struct fs_kernel_file *ret_file,
					 struct fs_fake_object **ret_object)
{
	struct fs_config config = {.wake = wake};
	struct fs_kernel *kernel;

	wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	kernel = fs_kernel_new(&config);
	*ret_object = fs_fake_add(kernel->fake, kernel->fake->root, "db", S_IFREG | 0644);
	fs_fake_set(kernel->fake, *ret_object, "content", 7);
	cr_assert_eq(fs_kernel_file_open(kernel, "desk/db", O_RDWR, ret_file), 0);
	return kernel;
}

static void finish(struct fs_kernel *kernel, const struct fs_kernel_file *file)
{
	cr_assert_eq(fs_kernel_file_close(kernel, file), 0);
	fs_kernel_run(kernel);
	cr_assert_eq(kernel->fake->n_handles, 0);
	fs_kernel_free(kernel, false);
	close(wake_fd);
}

/* The reply's error; it may need the notifier's thread. */
static int await(struct fs_kernel *kernel, uint64_t unique)
{
	int error;

	fs_kernel_run(kernel);
	while ((error = fs_kernel_file_took(kernel, unique)) == 1) {
		struct pollfd readable = {.fd = wake_fd, .events = POLLIN};
		uint64_t n;

		cr_assert_eq(poll(&readable, 1, 60000), 1, "no reply");
		cr_assert_eq(read(wake_fd, &n, sizeof(n)), sizeof(n));
		fs_kernel_run(kernel);
	}
	return error;
}

Test(fs_lock, granted_lock_drops_pages_first)
{
	struct fs_kernel_file file;
	struct fs_fake_object *object;
	struct fs_kernel *kernel = lock_kernel_new(&file, &object);
	unsigned notified = kernel->n_notified;
	uint8_t data[16];

	cr_assert_eq(fs_kernel_file_read(kernel, &file, 0, data, 16), 7);
	fs_fake_set(kernel->fake, object, "CONTENT", 7);
	cr_assert_eq(await(kernel, fs_kernel_file_send_lock(kernel, &file, F_WRLCK, false, false)),
		     0);
	cr_assert(fs_fake_is_locked(object));
	cr_assert_gt(kernel->n_notified, notified);
	cr_assert_eq(fs_kernel_file_read(kernel, &file, 0, data, 16), 7);
	cr_assert_eq(data[0], 'C');
	cr_assert_eq(await(kernel, fs_kernel_file_send_lock(kernel, &file, F_UNLCK, false, false)),
		     0);
	cr_assert_not(fs_fake_is_locked(object));
	finish(kernel, &file);
}

Test(fs_lock, lock_of_another_is_refused_or_waited_for)
{
	struct fs_kernel_file file;
	struct fs_fake_object *object;
	struct fs_kernel *kernel = lock_kernel_new(&file, &object);
	uint64_t lock;

	fs_fake_lock(object, true);
	cr_assert_eq(await(kernel, fs_kernel_file_send_lock(kernel, &file, F_WRLCK, false, false)),
		     -EAGAIN);
	lock = fs_kernel_file_send_lock(kernel, &file, F_WRLCK, true, false);
	fs_kernel_run(kernel);
	cr_assert_eq(fs_kernel_file_took(kernel, lock), 1);
	fs_fake_lock(object, false);
	cr_assert_eq(await(kernel, lock), 0);
	finish(kernel, &file);
}

Test(fs_lock, close_releases_posix_locks)
{
	struct fs_kernel_file file, other;
	struct fs_fake_object *object;
	struct fs_kernel *kernel = lock_kernel_new(&file, &object);

	cr_assert_eq(fs_kernel_file_open(kernel, "desk/db", O_RDONLY, &other), 0);
	cr_assert_eq(await(kernel, fs_kernel_file_send_lock(kernel, &file, F_WRLCK, false, false)),
		     0);
	cr_assert(fs_fake_is_locked(object));
	/* By any descriptor of the same owner, as POSIX has it. */
	cr_assert_eq(fs_kernel_file_close(kernel, &other), 0);
	cr_assert_not(fs_fake_is_locked(object));
	finish(kernel, &file);
}

Test(fs_lock, waiting_for_a_lock_ends_with_a_signal)
{
	struct fs_kernel_file file;
	struct fs_fake_object *object;
	struct fs_kernel *kernel = lock_kernel_new(&file, &object);
	uint64_t lock;

	fs_fake_lock(object, true);
	lock = fs_kernel_file_send_lock(kernel, &file, F_WRLCK, true, true);
	fs_kernel_run(kernel);
	fs_kernel_file_interrupt(kernel, lock);
	fs_kernel_run(kernel);
	cr_assert_eq(fs_kernel_file_took(kernel, lock), -EINTR);
	cr_assert_eq(kernel->fake->n_cancelled, 1);
	fs_fake_lock(object, false);
	cr_assert_not(fs_fake_is_locked(object));
	finish(kernel, &file);
}

Test(fs_lock, lock_granted_too_late_is_given_back)
{
	struct fs_kernel_file file;
	struct fs_fake_object *object;
	struct fs_kernel *kernel = lock_kernel_new(&file, &object);
	uint64_t lock;

	kernel->fake->ignores_cancel = true;
	fs_fake_lock(object, true);
	lock = fs_kernel_file_send_lock(kernel, &file, F_WRLCK, true, false);
	fs_kernel_run(kernel);
	fs_kernel_file_interrupt(kernel, lock);
	fs_kernel_run(kernel);
	cr_assert_eq(fs_kernel_file_took(kernel, lock), -EINTR);
	fs_fake_lock(object, false);
	fs_kernel_run(kernel);
	cr_assert_not(fs_fake_is_locked(object));
	finish(kernel, &file);
}

Test(fs_lock, late_lock_is_kept_if_the_program_asked_again)
{
	struct fs_kernel_file file;
	struct fs_fake_object *object;
	struct fs_kernel *kernel = lock_kernel_new(&file, &object);
	uint64_t lock, again;

	kernel->fake->ignores_cancel = true;
	fs_fake_lock(object, true);
	lock = fs_kernel_file_send_lock(kernel, &file, F_WRLCK, true, false);
	fs_kernel_run(kernel);
	fs_kernel_file_interrupt(kernel, lock);
	fs_kernel_run(kernel);
	cr_assert_eq(fs_kernel_file_took(kernel, lock), -EINTR);
	again = fs_kernel_file_send_lock(kernel, &file, F_WRLCK, true, false);
	fs_kernel_run(kernel);
	fs_fake_lock(object, false);
	cr_assert_eq(await(kernel, again), 0);
	cr_assert(fs_fake_is_locked(object));
	finish(kernel, &file);
}

Test(fs_lock, lock_that_a_new_session_lost_is_not_passed_over)
{
	struct fs_kernel_file file;
	struct fs_fake_object *object;
	struct fs_kernel *kernel = lock_kernel_new(&file, &object);
	struct fuse_release_in in = {.fh = file.handle};
	uint8_t data[16];
	uint64_t flush;

	cr_assert_eq(await(kernel, fs_kernel_file_send_lock(kernel, &file, F_WRLCK, false, false)),
		     0);
	fs_fake_session_new(kernel->fake);
	cr_assert_eq(fs_kernel_file_write(kernel, &file, 0, "x", 1), -EIO);
	cr_assert_eq(fs_kernel_file_read(kernel, &file, 0, data, 16), -EIO);
	flush = fs_kernel_file_send_flush(kernel, &file);
	cr_assert_eq(await(kernel, flush), -EIO);
	free(fs_kernel_ask(kernel, FUSE_RELEASE, file.node, &in, sizeof(in)));
	fs_kernel_run(kernel);
	cr_assert_eq(kernel->fake->n_handles, 0);
	fs_kernel_free(kernel, false);
	close(wake_fd);
}
