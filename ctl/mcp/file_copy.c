#include "ctl/mcp/file_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE ((size_t)1024 * 1024)

void file_copy_free(void *arg)
{
	struct file_copy *copy = arg;

	free(copy->from);
	free(copy->to);
	free(copy);
}

static int fail(struct file_copy *copy, int r, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int fail(struct file_copy *copy, int r, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(copy->reason, sizeof(copy->reason), format, list);
	va_end(list);
	return r;
}

static int fail_errno(struct file_copy *copy, const char *path)
{
	int r = -errno;

	return fail(copy, r, "%.400s: %s", path, strerror(-r));
}

/* --- both ends -------------------------------------------------------------------------------- */

static int open_source(struct file_copy *copy, struct stat *ret_st)
{
	int fd = open(copy->from, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return fail_errno(copy, copy->from);
	if (fstat(fd, ret_st) < 0) {
		int r = fail_errno(copy, copy->from);

		close(fd);
		return r;
	}
	if (S_ISREG(ret_st->st_mode))
		return fd;
	close(fd);
	return S_ISDIR(ret_st->st_mode)
		   ? fail(copy, -EISDIR,
			  "%.350s is a directory: copy single files, or use 'cp -r' in the mount",
			  copy->from)
		   : fail(copy, -EINVAL, "%.400s is no regular file", copy->from);
}

/* The file that is to be written, where a link is one; and the mode that it is to have. */
static int find_target(struct file_copy *copy, mode_t *mode)
{
	size_t n = strlen(copy->to);
	struct stat st;
	char *real;

	if (n == 0 || copy->to[n - 1] == '/')
		return fail(copy, -EISDIR, "the destination must name a file");
	if (stat(copy->to, &st) < 0)
		return errno == ENOENT ? 0 : fail_errno(copy, copy->to);
	if (S_ISDIR(st.st_mode))
		return fail(copy, -EISDIR, "%.350s is a directory: name the file in it", copy->to);
	if (!S_ISREG(st.st_mode))
		return fail(copy, -EINVAL, "%.350s is there and no regular file", copy->to);
	*mode = st.st_mode & 07777;
	real = realpath(copy->to, NULL);
	if (!real)
		return fail_errno(copy, copy->to);
	free(copy->to);
	copy->to = real;
	return 0;
}

/* Beside the target. Returns a descriptor; `name` is PATH_MAX bytes. */
static int open_beside(struct file_copy *copy, char *name)
{
	const char *slash = strrchr(copy->to, '/');
	int n = slash ? (int)(slash - copy->to) + 1 : 0, fd;

	/* Names have 255 bytes at most, and this is to be one. */
	if (snprintf(name, PATH_MAX, "%.*s.%.200s.loopsy-XXXXXX", n, copy->to, copy->to + n) >=
	    PATH_MAX)
		return fail(copy, -ENAMETOOLONG, "the destination is too long");
	fd = mkostemp(name, O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return fail(copy, -ENOENT, "%.*s: there is no such directory; make it first",
			    n > 400 ? 400 : n, copy->to);
	return fd < 0 ? fail_errno(copy, copy->to) : fd;
}

/* --- bytes ------------------------------------------------------------------------------------ */

static int write_all(struct file_copy *copy, int fd, const uint8_t *data, size_t size)
{
	while (size > 0) {
		ssize_t n = write(fd, data, size);

		if (n < 0 && errno != EINTR)
			return fail_errno(copy, copy->to);
		if (n > 0) {
			data += n;
			size -= (size_t)n;
		}
	}
	return 0;
}

/* Reads `from` to its end, into `to` (-1: nowhere), and says how much it was and its digest. */
static int pump(struct file_copy *copy, int from, const char *path, int to, uint64_t *ret_size,
		char sha256[FILE_COPY_SHA256_MAX])
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	unsigned char digest[EVP_MAX_MD_SIZE];
	uint8_t *data = malloc(PIECE);
	unsigned n_digest = 0;
	uint64_t size = 0;
	int r = 0;

	if (!context || !data || EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1)
		r = fail(copy, -ENOMEM, "out of memory");
	while (r == 0) {
		ssize_t n = read(from, data, PIECE);

		if (atomic_load(&copy->stop))
			r = fail(copy, -ECANCELED, "cancelled");
		else if (n < 0 && errno != EINTR)
			r = fail_errno(copy, path);
		else if (n == 0)
			break;
		if (r < 0 || n < 0)
			continue;
		r = to >= 0 ? write_all(copy, to, data, (size_t)n) : 0;
		EVP_DigestUpdate(context, data, (size_t)n);
		size += (uint64_t)n;
		atomic_fetch_add(&copy->done, (uint64_t)n);
	}
	if (r == 0 && EVP_DigestFinal_ex(context, digest, &n_digest) != 1)
		r = fail(copy, -ENOMEM, "out of memory");
	for (unsigned i = 0; r == 0 && i < n_digest; i++)
		snprintf(sha256 + 2 * i, 3, "%02x", digest[i]);
	*ret_size = size;
	EVP_MD_CTX_free(context);
	free(data);
	return r;
}

/* What is there now is what was sent: read anew, not from what is remembered of writing it. */
static int read_back(struct file_copy *copy, int fd, const char *name)
{
	uint64_t size;
	int again, r;

	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	again = open(name, O_RDONLY | O_CLOEXEC);
	if (again < 0)
		return fail_errno(copy, name);
	r = pump(copy, again, name, -1, &size, copy->sha256_back);
	close(again);
	if (r == 0 && (size != copy->size || strcmp(copy->sha256, copy->sha256_back) != 0))
		r = fail(copy, -EIO,
			 "what was written does not read back as it was; nothing is replaced");
	return r;
}

static void sync_directory(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *directory = slash && slash > path ? strndup(path, (size_t)(slash - path)) : NULL;
	int fd = open(directory ? directory
		      : slash   ? "/"
				: ".",
		      O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0) {
		fsync(fd);
		close(fd);
	}
	free(directory);
}

static int copy_to(struct file_copy *copy, int from, const struct stat *st, int to,
		   const char *name, mode_t mode)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, st->st_mtim};
	struct stat after;
	int r = pump(copy, from, copy->from, to, &copy->size, copy->sha256);

	if (r < 0)
		return r;
	if (fstat(from, &after) < 0)
		return fail_errno(copy, copy->from);
	if ((uint64_t)after.st_size != copy->size || after.st_mtim.tv_sec != st->st_mtim.tv_sec ||
	    after.st_mtim.tv_nsec != st->st_mtim.tv_nsec)
		return fail(copy, -EAGAIN, "%.350s was changed while it was copied: try again",
			    copy->from);
	if (fchmod(to, mode) < 0 || futimens(to, times) < 0 || fsync(to) < 0)
		return fail_errno(copy, copy->to);
	r = read_back(copy, to, name);
	if (r == 0 && atomic_load(&copy->stop))
		r = fail(copy, -ECANCELED, "cancelled");
	if (r == 0 && rename(name, copy->to) < 0)
		r = fail_errno(copy, copy->to);
	return r;
}

void file_copy_run(void *arg)
{
	struct file_copy *copy = arg;
	char name[PATH_MAX];
	struct stat st;
	mode_t mode;
	int from = open_source(copy, &st), to = -1;

	if (from < 0) {
		copy->error = from;
		return;
	}
	mode = st.st_mode & 0777;
	atomic_store(&copy->total, 2 * (uint64_t)st.st_size);
	posix_fadvise(from, 0, 0, POSIX_FADV_SEQUENTIAL);
	copy->error = find_target(copy, &mode);
	if (copy->error == 0) {
		to = open_beside(copy, name);
		copy->error = to < 0 ? to : copy_to(copy, from, &st, to, name, mode);
	}
	if (to >= 0) {
		close(to);
		if (copy->error < 0)
			unlink(name);
		else
			sync_directory(copy->to);
	}
	close(from);
}
