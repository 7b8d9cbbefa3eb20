#include "daemon/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct instance {
	char *path;
	int fd;
};

static pid_t read_pid(int fd)
{
	char text[32] = "", *end;
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	long pid;

	if (n <= 0)
		return 0;
	text[n] = '\0';
	pid = strtol(text, &end, 10);
	return *end == '\n' && pid > 0 && pid == (pid_t)pid ? (pid_t)pid : 0;
}

static int lock(int fd)
{
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	return fcntl(fd, F_OFD_SETLK, &whole) < 0 ? -errno : 0;
}

/*
 * Opens and locks the file that is at path when both are done: the one that we opened may have been
 * removed by the daemon that ended in between, and its lock would protect nothing.
 */
static int open_locked(const char *path, int *ret_fd)
{
	for (;;) {
		int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600), r;
		struct stat ours, there;

		if (fd < 0)
			return -errno;
		r = lock(fd);
		if (r == -EAGAIN || r == -EACCES) {
			*ret_fd = fd;
			return -EEXIST;
		}
		if (r == 0 && fstat(fd, &ours) < 0)
			r = -errno;
		if (r < 0) {
			close(fd);
			return r;
		}
		if (stat(path, &there) == 0 && there.st_ino == ours.st_ino &&
		    there.st_dev == ours.st_dev) {
			*ret_fd = fd;
			return 0;
		}
		close(fd);
	}
}

int instance_take(const char *path, struct instance **ret_instance, pid_t *ret_other,
		  struct failure *failure)
{
	struct instance *instance = calloc(1, sizeof(*instance));
	int r, fd = -1;

	if (!instance)
		return -ENOMEM;
	instance->fd = -1;
	r = open_locked(path, &fd);
	if (r == -EEXIST) {
		pid_t pid = read_pid(fd);

		close(fd);
		if (ret_other)
			*ret_other = pid;
		if (pid)
			failure_set(failure, r, "loopsyd runs already, pid %d", (int)pid);
		else
			failure_set(failure, r, "loopsyd runs already");
		goto fail;
	}
	if (r < 0) {
		failure_set(failure, r, "cannot lock %.256s: %s", path, strerror(-r));
		goto fail;
	}
	instance->fd = fd;
	instance->path = strdup(path);
	r = instance->path ? instance_write_pid(instance) : -ENOMEM;
	if (r < 0) {
		failure_set(failure, r, "cannot write %.256s: %s", path, strerror(-r));
		goto fail;
	}
	*ret_instance = instance;
	return 0;
fail:
	instance_free(instance);
	return r;
}

int instance_write_pid(struct instance *instance)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%d\n", (int)getpid());
	ssize_t written;

	if (ftruncate(instance->fd, 0) < 0)
		return -errno;
	written = pwrite(instance->fd, text, (size_t)n, 0);
	return written == n ? 0 : written < 0 ? -errno : -ENOSPC;
}

struct instance *instance_free(struct instance *instance)
{
	if (!instance)
		return NULL;
	/* Removed while the lock is still held, else we might remove the next daemon's file. */
	if (instance->path)
		unlink(instance->path);
	if (instance->fd >= 0)
		close(instance->fd);
	free(instance->path);
	free(instance);
	return NULL;
}

pid_t instance_find(const char *path)
{
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	pid_t pid;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fcntl(fd, F_OFD_GETLK, &whole) < 0)
		pid = -errno;
	else
		pid = whole.l_type == F_UNLCK ? 0 : read_pid(fd);
	close(fd);
	return pid;
}
