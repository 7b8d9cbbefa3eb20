#include "daemon/private_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void private_file_free(char *bytes, size_t n)
{
	if (!bytes)
		return;
	explicit_bzero(bytes, n);
	free(bytes);
}

static int check(int fd, const char *path, struct failure *failure)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return failure_set(failure, -errno, "cannot stat %.256s: %m", path);
	if (!S_ISREG(st.st_mode))
		return failure_set(failure, -EPERM, "%.256s is no regular file", path);
	if (st.st_uid != geteuid())
		return failure_set(failure, -EPERM, "%.256s belongs to uid %u, not to uid %u", path,
				   (unsigned)st.st_uid, (unsigned)geteuid());
	if (st.st_mode & 077)
		return failure_set(failure, -EPERM,
				   "%.256s can be opened by others (mode %03o): chmod 600 it", path,
				   (unsigned)st.st_mode & 0777);
	if (st.st_size > PRIVATE_FILE_MAX)
		return failure_set(failure, -EFBIG, "%.256s is larger than %d bytes", path,
				   PRIVATE_FILE_MAX);
	return 0;
}

int private_file_read(const char *path, char **ret_bytes, size_t *ret_n, struct failure *failure)
{
	/* O_NONBLOCK: a fifo put there must not stop us before we see what it is. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), r;
	char *bytes = NULL;
	size_t n = 0;

	if (fd < 0)
		return failure_set(failure, -errno, "cannot open %.256s: %m", path);
	r = check(fd, path, failure);
	if (r < 0)
		goto out;
	bytes = calloc(1, PRIVATE_FILE_MAX + 1);
	if (!bytes) {
		r = -ENOMEM;
		goto out;
	}
	while (n < PRIVATE_FILE_MAX) {
		ssize_t got = read(fd, bytes + n, PRIVATE_FILE_MAX - n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			r = failure_set(failure, -errno, "cannot read %.256s: %m", path);
			goto out;
		}
		if (got == 0)
			break;
		n += (size_t)got;
	}
	*ret_bytes = bytes;
	*ret_n = n;
	bytes = NULL;
out:
	private_file_free(bytes, n);
	close(fd);
	return r;
}

static int write_all(int fd, const char *bytes, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, bytes, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		bytes += done;
		n -= (size_t)done;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

/* Makes the new name last: without this a power cut may take it back. */
static int sync_parent(const char *path)
{
	char *parent = strdup(path), *slash;
	int fd, r = 0;

	if (!parent)
		return -ENOMEM;
	slash = strrchr(parent, '/');
	if (slash)
		slash[slash == parent] = '\0';
	fd = open(slash ? parent : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		r = -errno;
	if (fd >= 0)
		close(fd);
	free(parent);
	return r;
}

int private_file_write(const char *path, const void *bytes, size_t n, bool replace,
		       struct failure *failure)
{
	char *temporary = NULL;
	int fd = -1, r = -ENOMEM;

	if (n > PRIVATE_FILE_MAX)
		return failure_set(failure, -EFBIG, "%.256s would be larger than %d bytes", path,
				   PRIVATE_FILE_MAX);
	if (asprintf(&temporary, "%s.XXXXXX", path) < 0)
		return -ENOMEM;
	fd = mkostemp(temporary, O_CLOEXEC); /* 0600 */
	if (fd < 0) {
		r = -errno;
		free(temporary);
		return failure_set(failure, r, "cannot write %.256s: %s", path, strerror(-r));
	}
	r = write_all(fd, bytes, n);
	/* link and not renameat2(RENAME_NOREPLACE), which not every file system has. */
	if (r == 0 && !replace && link(temporary, path) < 0)
		r = -errno;
	if (r == 0 && replace && rename(temporary, path) < 0)
		r = -errno;
	if (r < 0 || !replace)
		unlink(temporary);
	if (r == 0)
		r = sync_parent(path);
	if (r < 0)
		failure_set(failure, r, "cannot write %.256s: %s", path, strerror(-r));
	close(fd);
	free(temporary);
	return r;
}
