#ifndef TESTS_SCRATCH_H
#define TESTS_SCRATCH_H

/*
 * A directory of a test's own, gone when the test is: scratch_init and scratch_fini are the .init
 * and .fini of a suite, which Criterion runs after a failed assertion too. Each test is a process,
 * so the path can be file-scope.
 */

#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char scratch_dir[512];

static inline void scratch_init_in(const char *base)
{
	umask(022);
	snprintf(scratch_dir, sizeof(scratch_dir), "%s/loopsy-test.XXXXXX", base);
	cr_assert_not_null(mkdtemp(scratch_dir));
}

static inline void scratch_init(void)
{
	const char *base = getenv("TMPDIR");

	scratch_init_in(base ? base : "/tmp");
}

/* In memory where it can be, for very many files: ext4 gives no inode away anew within a minute, and
 * looks at each of those before it finds one, so that making them can take minutes. */
static inline void scratch_init_for_many(void)
{
	if (access("/dev/shm", W_OK | X_OK) == 0)
		scratch_init_in("/dev/shm");
	else
		scratch_init();
}

static inline int scratch_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static inline void scratch_fini(void)
{
	nftw(scratch_dir, scratch_remove, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

/* Criterion ends a skipped test without its .fini: skip with this, so that the directory goes. */
#define scratch_skip_test(...)                                                                     \
	do {                                                                                       \
		scratch_fini();                                                                    \
		cr_skip_test(__VA_ARGS__);                                                         \
	} while (0)

/* dir/name, in a buffer that is good for the next 16 calls. */
static inline char *scratch_path(const char *name)
{
	static char paths[16][1024];
	static unsigned int next;
	char *path = paths[next++ % 16];

	snprintf(path, sizeof(paths[0]), "%s/%s", scratch_dir, name);
	return path;
}

static inline void scratch_write(const char *path, const void *bytes, size_t n, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, bytes, n), (ssize_t)n);
	cr_assert_eq(fchmod(fd, mode), 0);
	close(fd);
}

/* The whole file as text, to be freed; NULL if there is none. */
static inline char *scratch_read(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char *text;

	if (fd < 0)
		return NULL;
	cr_assert_eq(fstat(fd, &st), 0);
	text = calloc(1, (size_t)st.st_size + 1);
	cr_assert_eq(read(fd, text, (size_t)st.st_size), st.st_size);
	close(fd);
	return text;
}

static inline mode_t scratch_mode(const char *path)
{
	struct stat st;

	cr_assert_eq(lstat(path, &st), 0, "%s", path);
	return st.st_mode & 07777;
}

#endif
