#include "daemon/dead_mount.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/mountinfo.h"

#define LAYERS_MAX  16 /* mounts over one another that are cleared in one go */
#define PATIENCE_MS 5000

static int wait_for(pid_t pid, int *ret_status)
{
	while (waitpid(pid, ret_status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

/* What stat says of path: 0 or -errno; -ETIMEDOUT if it says nothing for PATIENCE_MS. */
static int ask(const char *path)
{
	pid_t child = fork();
	struct pollfd ended = {.fd = -1, .events = POLLIN};
	int status = 0, r = 0;

	if (child < 0)
		return -errno;
	if (child == 0) {
		struct stat st;

		/* Only what is safe after a fork of a process with threads. */
		_exit(stat(path, &st) < 0 ? errno & 0xff : 0);
	}
	ended.fd = (int)syscall(SYS_pidfd_open, child, 0);
	if (ended.fd < 0) {
		r = -errno;
	} else {
		do
			r = poll(&ended, 1, PATIENCE_MS);
		while (r < 0 && errno == EINTR);
		r = r < 0 ? -errno : r == 0 ? -ETIMEDOUT : 0;
		close(ended.fd);
	}
	if (r < 0)
		kill(child, SIGKILL);
	status = 0;
	if (wait_for(child, &status) < 0 || r < 0)
		return r < 0 ? r : -ECHILD;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}

static int run_fusermount(const char *mount_point)
{
	char *argv[] = {"fusermount3", "-u", "-z", "-q", "--", (char *)mount_point, NULL};
	pid_t child;
	int status = 0, r = -posix_spawnp(&child, argv[0], NULL, NULL, argv, environ);

	if (r < 0)
		return r;
	r = wait_for(child, &status);
	if (r < 0)
		return r;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EPERM;
}

static int unmount(const char *mount_point)
{
	if (umount2(mount_point, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
		return 0;
	return errno == EPERM ? run_fusermount(mount_point) : -errno;
}

/* As mountinfo spells it. The mount point itself is never asked: only its parent is resolved. */
static int resolve_parent(const char *path, char **ret_path)
{
	char *parent = strdup(path), *slash = parent ? strrchr(parent, '/') : NULL, *real = NULL;
	int r = parent ? -EINVAL : -ENOMEM;

	if (slash) {
		*slash = '\0';
		real = realpath(*parent ? parent : "/", NULL);
		r = real ? 0 : -errno;
	}
	if (r == 0 && asprintf(ret_path, "%s/%s", strcmp(real, "/") ? real : "", slash + 1) < 0)
		r = -ENOMEM;
	free(real);
	free(parent);
	return r;
}

/* The mount on top: 1 if it was cleared, 0 if there is none, or -errno. */
static int clear_one(const char *mount_point, struct failure *failure)
{
	struct mountinfo_entry entry;
	int r = mountinfo_find_now(mount_point, &entry);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return failure_set(failure, r, "cannot read /proc/self/mountinfo: %s",
				   strerror(-r));
	if (strcmp(entry.fs_type, DEAD_MOUNT_FS_TYPE) != 0)
		r = failure_set(failure, -EBUSY,
				"%.256s is in use: a %.32s file system is mounted there",
				mount_point, entry.fs_type);
	mountinfo_deinit_entry(&entry);
	if (r < 0)
		return r;
	if (ask(mount_point) != -ENOTCONN)
		return failure_set(failure, -EBUSY,
				   "another loopsyd has its mount at %.256s: give one of them "
				   "another with mount = DIR",
				   mount_point);
	r = unmount(mount_point);
	if (r < 0)
		return failure_set(failure, r,
				   "cannot clear the dead mount at %.200s: %s; try fusermount3 -u "
				   "-z %.200s",
				   mount_point, strerror(-r), mount_point);
	return 1;
}

int dead_mount_clear(const char *mount_point, struct failure *failure)
{
	char *path = NULL;
	int r = resolve_parent(mount_point, &path);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return failure_set(failure, r, "cannot look at %.256s: %s", mount_point,
				   strerror(-r));
	r = 1;
	for (int i = 0; r > 0 && i < LAYERS_MAX; i++)
		r = clear_one(path, failure);
	if (r > 0)
		r = failure_set(failure, -EBUSY, "cannot clear the dead mounts at %.256s", path);
	free(path);
	return r;
}
