#include "daemon/instance.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "tests/unit/daemon/scratch.h"

TestSuite(instance, .init = scratch_init, .fini = scratch_fini);

/* A process that takes the lock, says so and waits until its pipe is closed. */
struct holder {
	pid_t pid;
	int release;
};

static struct holder hold(const char *path)
{
	struct holder holder;
	int ready[2], release[2];
	char c;

	cr_assert_eq(pipe(ready), 0);
	cr_assert_eq(pipe(release), 0);
	holder.pid = fork();
	if (holder.pid == 0) {
		struct instance *instance;

		close(release[1]);
		if (instance_take(path, &instance, NULL, NULL) == 0 && write(ready[1], "x", 1) == 1)
			(void)!read(release[0], &c, 1);
		_exit(0);
	}
	close(ready[1]);
	close(release[0]);
	holder.release = release[1];
	cr_assert_eq(read(ready[0], &c, 1), 1);
	close(ready[0]);
	return holder;
}

Test(instance, second_is_refused_with_the_pid_of_the_first)
{
	const char *path = scratch_path("loopsyd.pid");
	struct holder first = hold(path);
	struct instance *second = NULL;
	struct failure failure;
	char pid_text[32];
	pid_t pid = 0;

	cr_assert_eq(instance_take(path, &second, &pid, &failure), -EEXIST);
	cr_assert_null(second);
	cr_assert_eq(pid, first.pid);
	snprintf(pid_text, sizeof(pid_text), "pid %d", (int)first.pid);
	cr_assert(strstr(failure.text, pid_text), "%s", failure.text);
	cr_assert_eq(instance_find(path), first.pid);
	close(first.release);
	cr_assert_eq(waitpid(first.pid, NULL, 0), first.pid);
}

Test(instance, file_of_a_killed_daemon_means_nothing)
{
	const char *path = scratch_path("loopsyd.pid");
	struct holder first = hold(path);
	struct instance *second = NULL;

	cr_assert_eq(kill(first.pid, SIGKILL), 0);
	cr_assert_eq(waitpid(first.pid, NULL, 0), first.pid);
	cr_assert_eq(access(path, F_OK), 0, "the file was left behind");
	cr_assert_eq(instance_find(path), 0);
	cr_assert_eq(instance_take(path, &second, NULL, NULL), 0);
	cr_assert_eq(instance_find(path), getpid());
	instance_free(second);
	close(first.release);
}

Test(instance, file_is_removed_at_the_end)
{
	const char *path = scratch_path("loopsyd.pid");
	struct instance *instance = NULL;

	cr_assert_eq(instance_find(path), 0);
	cr_assert_eq(instance_take(path, &instance, NULL, NULL), 0);
	cr_assert_eq(scratch_mode(path), 0600);
	instance_free(instance);
	cr_assert_eq(access(path, F_OK), -1);
	cr_assert_eq(instance_find(path), 0);
}

Test(instance, lock_is_kept_over_a_fork_into_the_background)
{
	const char *path = scratch_path("loopsyd.pid");
	struct instance *instance = NULL, *other = NULL;
	int ready[2], release[2];
	pid_t child;
	char c;

	cr_assert_eq(pipe(ready), 0);
	cr_assert_eq(pipe(release), 0);
	cr_assert_eq(instance_take(path, &instance, NULL, NULL), 0);
	child = fork();
	if (child == 0) {
		close(release[1]);
		if (instance_write_pid(instance) == 0 && write(ready[1], "x", 1) == 1)
			(void)!read(release[0], &c, 1);
		instance_free(instance);
		_exit(0);
	}
	close(ready[1]);
	cr_assert_eq(read(ready[0], &c, 1), 1);
	cr_assert_eq(instance_take(path, &other, NULL, NULL), -EEXIST);
	cr_assert_eq(instance_find(path), child);
	close(release[1]);
	cr_assert_eq(waitpid(child, NULL, 0), child);
	cr_assert_eq(access(path, F_OK), -1);
	instance_free(instance);
}

Test(instance, hostile_content_is_no_pid)
{
	static const char *const contents[] = {
	    "", "x\n", "-1\n", "0\n", "99999999999999999999\n", "12", "12 \n", "4294967297\n"};
	const char *path = scratch_path("loopsyd.pid");

	for (size_t i = 0; i < sizeof(contents) / sizeof(contents[0]); i++) {
		struct holder first = hold(path);
		struct instance *second;
		struct failure failure;
		pid_t pid = 77;

		scratch_write(path, contents[i], strlen(contents[i]), 0600);
		cr_assert_eq(instance_take(path, &second, &pid, &failure), -EEXIST);
		cr_assert_eq(pid, 0, "%s", contents[i]);
		cr_assert_str_eq(failure.text, "loopsyd runs already");
		close(first.release);
		cr_assert_eq(waitpid(first.pid, NULL, 0), first.pid);
	}
}

Test(instance, is_refused_where_it_cannot_be_written)
{
	struct instance *instance = NULL;
	struct failure failure;

	cr_assert_eq(instance_take(scratch_path("no/such"), &instance, NULL, &failure), -ENOENT);
	cr_assert(strstr(failure.text, "no/such"), "%s", failure.text);
	cr_assert_eq(symlink("elsewhere", scratch_path("link")), 0);
	cr_assert_eq(instance_take(scratch_path("link"), &instance, NULL, &failure), -ELOOP);
}

/* Many daemons that start and end at once: at no time do two of them have the lock. */
Test(instance, never_two_at_once)
{
	const char *path = scratch_path("loopsyd.pid"), *inside = scratch_path("inside");
	pid_t children[8];

	for (int i = 0; i < 8; i++) {
		children[i] = fork();
		if (children[i] != 0)
			continue;
		for (int taken = 0; taken < 50;) {
			struct instance *instance;

			if (instance_take(path, &instance, NULL, NULL) < 0)
				continue;
			if (mkdir(inside, 0700) < 0)
				_exit(1);
			rmdir(inside);
			instance_free(instance);
			taken++;
		}
		_exit(0);
	}
	for (int i = 0; i < 8; i++) {
		int status = -1;

		cr_assert_eq(waitpid(children[i], &status, 0), children[i]);
		cr_assert_eq(status, 0);
	}
}
