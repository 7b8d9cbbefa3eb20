#include "daemon/serve/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "daemon/serve/mounts.h"
#include "proto/record.h"

#ifndef SYS_listxattrat /* newer than the C library */
#define SYS_listxattrat 465
#endif

#ifndef AT_HANDLE_FID /* newer than the C library */
#define AT_HANDLE_FID 0x200
#endif

/* Types of handles (linux/exportfs.h, which programs do not get). */
#define HANDLE_INO32_GEN 1
#define HANDLE_BTRFS     0x4d
#define HANDLE_INO64_GEN 0x81
#define HANDLE_OVERLAY   0xf8

#define SETTLED_NS        20000000 /* a tick is 10 ms at most */
#define SETTLED_REMOTE_NS 2000000000

int confine_open(int dir_fd, const char *name, uint64_t flags, uint32_t mode, uint64_t resolve)
{
	struct open_how how = {
	    .flags = flags | O_CLOEXEC | O_NOFOLLOW,
	    .mode = mode,
	    .resolve = resolve | RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};

	for (int tries = 0;; tries++) {
		int fd = (int)syscall(SYS_openat2, dir_fd, name, &how, sizeof(how));

		if (fd >= 0)
			return fd;
		/* EAGAIN: the kernel could not prove that a rename elsewhere did not matter.
		 * EXDEV: what was found was moved away before the kernel proved that it lies
		 * beneath (tried); one component leads nowhere else. */
		if (errno == EINTR || (errno == EXDEV && tries < 1000) ||
		    (errno == EAGAIN && !(resolve & RESOLVE_CACHED) && tries < 1000))
			continue;
		return -errno;
	}
}

static uint32_t hash(uint32_t h, const void *data, size_t size)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < size; i++)
		h = (h ^ bytes[i]) * 16777619u;
	return h;
}

union handle {
	struct file_handle handle;
	char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
};

static bool ask_handle(int fd, const char *name, union handle *ret)
{
	int flags = *name ? 0 : AT_EMPTY_PATH;
	int mount_id;

	ret->handle.handle_bytes = MAX_HANDLE_SZ;
	if (name_to_handle_at(fd, name, &ret->handle, &mount_id, flags) == 0)
		return true;
	if (errno != EOPNOTSUPP)
		return false;
	/* An overlay has handles that tell objects apart, but cannot be opened (since Linux 6.6);
	 * they stay when a file is copied up. Of other file systems that is not known: 9p counts
	 * changes in them. */
	ret->handle.handle_bytes = MAX_HANDLE_SZ;
	return name_to_handle_at(fd, name, &ret->handle, &mount_id, flags | AT_HANDLE_FID) == 0 &&
	       ret->handle.handle_type == HANDLE_OVERLAY;
}

/* NULL: there is no handle. Then an inode number that is given out again is at least not taken for
 * what it was if that was of another type. */
static uint32_t generation_of(const struct statx *stx, const union handle *u)
{
	uint16_t type = stx->stx_mode & S_IFMT;
	uint32_t h = hash(2166136261u, &type, sizeof(type));

	if (u) {
		h = hash(h, &u->handle.handle_type, sizeof(u->handle.handle_type));
		h = hash(h, u->handle.f_handle, u->handle.handle_bytes);
	}
	return h == CONFINE_HOLLOW_GENERATION ? 1 : h;
}

static int ask(int fd, const char *name, int sync, struct statx *ret_stx)
{
	if (statx(fd, name, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | sync,
		  STATX_BASIC_STATS | STATX_MNT_ID, ret_stx) < 0)
		return -errno;
	return 0;
}

static ssize_t list_xattrs(int dir_fd, const char *name)
{
	ssize_t n = syscall(SYS_listxattrat, dir_fd, name, AT_SYMLINK_NOFOLLOW, NULL, 0);
	char path[CONFINE_PROC_SIZE + 256];

	if (n >= 0 || (errno != ENOSYS && errno != EPERM))
		return n;
	/* Before Linux 6.13. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d/%.255s", dir_fd, name);
	return llistxattr(path, NULL, 0);
}

/* Asked with every look: `ls -l` wants two attributes of each file, and every write(2) one, which
 * then need no round trip. */
static bool is_plain(int fd, int dir_fd, const char *name, const struct statx *stx)
{
	char path[CONFINE_PROC_SIZE];
	ssize_t n = -1;

	if (!S_ISREG(stx->stx_mode) && !S_ISDIR(stx->stx_mode))
		return false;
	/* By name it takes a third of the time, and may be of an object that has taken its place
	 * just now: no more is decided from it than what is asked for within a second. */
	if (name)
		n = list_xattrs(dir_fd, name);
	if (fd < 0)
		return n == 0;
	if (n < 0)
		n = flistxattr(fd, NULL, 0);
	if (n < 0 && errno == EBADF) { /* O_PATH */
		confine_proc_path(fd, path);
		n = listxattr(path, NULL, 0);
	}
	return n == 0;
}

/* Within one tick a file can change twice and look the same. The clock of a remote file system is
 * not ours. */
static bool is_settled(const struct statx_timestamp *ctime, enum mounts_kind kind)
{
	const int64_t age = kind == MOUNTS_LOCAL ? SETTLED_NS : SETTLED_REMOTE_NS;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (now.tv_sec - ctime->tv_sec) * 1000000000 + now.tv_nsec - ctime->tv_nsec > age;
}

static void identify(const struct statx *stx, struct identity *ret_identity)
{
	ret_identity->ino = stx->stx_ino;
	ret_identity->dev = (uint32_t)makedev(stx->stx_dev_major, stx->stx_dev_minor);
}

static enum mounts_kind kind_of(struct mounts *mounts, const struct statx *stx)
{
	return stx->stx_mask & STATX_MNT_ID ? mounts_kind_of(mounts, stx->stx_mnt_id)
					    : MOUNTS_REFUSED;
}

/* `name` in `dir_fd` is how `fd` was found; NULL: otherwise. */
static int look_at(struct mounts *mounts, int fd, int dir_fd, const char *name,
		   struct look *ret_look)
{
	struct look look = LOOK_NULL;
	enum mounts_kind kind;
	union handle handle;
	int error = ask(fd, "", AT_STATX_DONT_SYNC, &look.stx);

	if (error < 0)
		return error;
	kind = kind_of(mounts, &look.stx);
	identify(&look.stx, &look.identity);
	if (kind == MOUNTS_REFUSED) {
		if (!S_ISDIR(look.stx.stx_mode))
			return -ENOENT;
		look.hollow = true;
		look.identity.generation = CONFINE_HOLLOW_GENERATION;
		*ret_look = look;
		return 0;
	}
	if (kind == MOUNTS_REMOTE) {
		error = ask(fd, "", AT_STATX_SYNC_AS_STAT, &look.stx);
		if (error < 0)
			return error;
	}
	look.identity.generation =
	    generation_of(&look.stx, ask_handle(fd, "", &handle) ? &handle : NULL);
	look.fs = mounts_fs(mounts, look.identity.dev, fd);
	look.plain = kind == MOUNTS_LOCAL && is_plain(fd, dir_fd, name, &look.stx);
	look.settled = is_settled(&look.stx.stx_ctime, kind);
	*ret_look = look;
	return 0;
}

int confine_look_at(struct mounts *mounts, int fd, struct look *ret_look)
{
	return look_at(mounts, fd, -1, NULL, ret_look);
}

/* Takes over `fd`. */
static int look_and_keep(struct mounts *mounts, int fd, int dir_fd, const char *name,
			 struct look *ret_look)
{
	int error = look_at(mounts, fd, dir_fd, name, ret_look);

	if (error < 0 || ret_look->hollow)
		close(fd);
	else
		ret_look->fd = fd;
	return error;
}

int confine_look_fd(struct mounts *mounts, int fd, struct look *ret_look)
{
	return look_and_keep(mounts, fd, -1, NULL, ret_look);
}

int confine_look(struct mounts *mounts, int dir_fd, const char *name, struct look *ret_look)
{
	int fd = confine_open(dir_fd, name, O_PATH, 0, 0);

	if (fd < 0)
		return fd;
	return look_and_keep(mounts, fd, dir_fd, name, ret_look);
}

int confine_look_at_quick(struct mounts *mounts, int fd, struct look *ret_look)
{
	struct look look = LOOK_NULL;
	union handle handle;

	if (ask(fd, "", AT_STATX_DONT_SYNC, &look.stx) < 0 || !(look.stx.stx_mask & STATX_MNT_ID) ||
	    !mounts_is_local(mounts, look.stx.stx_mnt_id))
		return -EAGAIN;
	identify(&look.stx, &look.identity);
	if (!mounts_fs_known(mounts, look.identity.dev, &look.fs))
		return -EAGAIN;
	look.identity.generation =
	    generation_of(&look.stx, ask_handle(fd, "", &handle) ? &handle : NULL);
	look.settled = is_settled(&look.stx.stx_ctime, MOUNTS_LOCAL);
	*ret_look = look;
	return 0;
}

int confine_look_quick(struct mounts *mounts, int dir_fd, const char *name, struct look *ret_look)
{
	int fd = confine_open(dir_fd, name, O_PATH, 0, RESOLVE_CACHED | RESOLVE_NO_XDEV);
	int error;

	if (fd < 0)
		return -EAGAIN;
	error = confine_look_at_quick(mounts, fd, ret_look);
	if (error < 0)
		close(fd);
	else
		ret_look->fd = fd;
	return error;
}

/* The inode number in a handle, where we know how it is kept there; or 0. */
static uint64_t ino_in(const union handle *u)
{
	const unsigned char *data = u->handle.f_handle;
	uint32_t short_one;
	uint64_t long_one;

	switch (u->handle.handle_type) {
	case HANDLE_INO32_GEN: /* ext4, f2fs and others: number, generation */
		if (u->handle.handle_bytes == 8) {
			memcpy(&short_one, data, sizeof(short_one));
			return short_one;
		}
		if (u->handle.handle_bytes == 12) { /* tmpfs: generation, number */
			memcpy(&long_one, data + 4, sizeof(long_one));
			return long_one;
		}
		return 0;
	case HANDLE_INO64_GEN: /* xfs */
	case HANDLE_BTRFS:
		if (u->handle.handle_bytes < sizeof(long_one))
			return 0;
		memcpy(&long_one, data, sizeof(long_one));
		return long_one;
	default:
		return 0;
	}
}

/*
 * By name only, in half the time; -EAGAIN: it has to be done through a descriptor.
 *
 * The name can be replaced between the questions: then the inode numbers differ, of which there are
 * three, the directory's among them. Where even they agree, because the number was given out again
 * in between, the attributes are those that it had there just before: as if it had been listed
 * then.
 */
static int look_by_name(struct mounts *mounts, int dir_fd, const char *name, uint64_t ino,
			struct look *ret_look)
{
	struct look look = LOOK_NULL;
	union handle handle;
	int error = ask(dir_fd, name, AT_STATX_DONT_SYNC, &look.stx);

	if (error < 0)
		return error;
	if (look.stx.stx_ino != ino || S_ISLNK(look.stx.stx_mode) ||
	    kind_of(mounts, &look.stx) != MOUNTS_LOCAL || !ask_handle(dir_fd, name, &handle) ||
	    ino_in(&handle) != ino)
		return -EAGAIN;
	identify(&look.stx, &look.identity);
	look.identity.generation = generation_of(&look.stx, &handle);
	if (!mounts_fs_known(mounts, look.identity.dev, &look.fs))
		return -EAGAIN;
	look.plain = is_plain(-1, dir_fd, name, &look.stx);
	look.settled = is_settled(&look.stx.stx_ctime, MOUNTS_LOCAL);
	*ret_look = look;
	return 0;
}

int confine_look_listed(struct mounts *mounts, int dir_fd, const char *name, uint64_t ino,
			struct look *ret_look)
{
	int error = look_by_name(mounts, dir_fd, name, ino, ret_look);

	return error == -EAGAIN ? confine_look(mounts, dir_fd, name, ret_look) : error;
}

void confine_look_close(struct look *look)
{
	if (look->fd >= 0)
		close(look->fd);
	look->fd = -1;
}

void confine_proc_path(int fd, char ret_path[CONFINE_PROC_SIZE])
{
	snprintf(ret_path, CONFINE_PROC_SIZE, "/proc/self/fd/%d", fd);
}

int confine_open_dir(int path_fd)
{
	char path[CONFINE_PROC_SIZE];
	int fd;

	confine_proc_path(path_fd, path);
	do {
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	} while (fd < 0 && errno == EINTR);
	return fd < 0 ? -errno : fd;
}

void confine_name(const struct bytes *name, char ret_name[256])
{
	memcpy(ret_name, name->data, name->size);
	ret_name[name->size] = '\0';
}
