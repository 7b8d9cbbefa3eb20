/* Attributes: GETATTR, SETATTR, ACCESS, STATFS, READLINK, EXPORTS. On pool threads, but for what is
 * known of a node. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/serve/node_walk.h"
#include "daemon/serve/opens.h"
#include "daemon/serve/serve_private.h"
#include "daemon/serve/wire_entries.h"
#include "proto/codec.h"

static int attempt_getattr(struct work *work)
{
	const struct args_getattr *args = work->args;
	LOOK look = LOOK_NULL;
	HELD held = HELD_NULL;

	if (nodes_look_quick(&work->guest->nodes, args->node, &held, &look) < 0)
		return WORK_BLOCKS;
	wire_entries_attr(&look, &work->result.getattr.attr);
	return 0;
}

static int do_getattr(struct work *work)
{
	const struct args_getattr *args = work->args;
	HELD held = HELD_NULL;
	int error = nodes_hold_any(&work->guest->nodes, args->node, &held);

	if (error < 0)
		return error;
	return wire_entries_attr_of(&held, &work->result.getattr.attr);
}

/* --- SETATTR ---------------------------------------------------------------------------------- */

static int type_of(int fd, mode_t *ret_mode)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	*ret_mode = st.st_mode;
	return 0;
}

static int set_owner(int fd, const struct args_setattr *args)
{
	uid_t uid = args->valid & SETATTR_UID ? (uid_t)args->uid : (uid_t)-1;
	gid_t gid = args->valid & SETATTR_GID ? (gid_t)args->gid : (gid_t)-1;

	return fchownat(fd, "", uid, gid, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

static int set_mode(int fd, mode_t type, mode_t mode)
{
	char path[CONFINE_PROC_SIZE];

	if (S_ISLNK(type))
		return -EOPNOTSUPP;
	confine_proc_path(fd, path);
	return chmod(path, mode & 07777) < 0 ? -errno : 0;
}

static int set_size(int fd, int open_fd, mode_t type, uint64_t size)
{
	char path[CONFINE_PROC_SIZE];

	if (open_fd >= 0)
		return ftruncate(open_fd, (off_t)size) < 0 ? -errno : 0;
	if (S_ISDIR(type))
		return -EISDIR;
	if (!S_ISREG(type))
		return -EINVAL;
	confine_proc_path(fd, path);
	return truncate(path, (off_t)size) < 0 ? -errno : 0;
}

static int set_times(int fd, const struct args_setattr *args)
{
	struct timespec times[2] = {args->atime, args->mtime};

	if (args->valid & SETATTR_ATIME_NOW)
		times[0].tv_nsec = UTIME_NOW;
	else if (!(args->valid & SETATTR_ATIME))
		times[0].tv_nsec = UTIME_OMIT;
	if (args->valid & SETATTR_MTIME_NOW)
		times[1].tv_nsec = UTIME_NOW;
	else if (!(args->valid & SETATTR_MTIME))
		times[1].tv_nsec = UTIME_OMIT;
	return utimensat(fd, "", times, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

/* What the kernel does itself after a write or chown, unless we are root. */
static int kill_suid(int fd, mode_t type)
{
	mode_t mode = type & 07777 & ~S_ISUID;
	int error;

	if (type & S_IXGRP)
		mode &= ~S_ISGID;
	if (!S_ISREG(type) || mode == (type & 07777))
		return 0;
	error = set_mode(fd, type, mode);
	return error == -EPERM ? 0 : error; /* not ours: nor is it what was asked for */
}

static int set(int fd, int open_fd, const struct args_setattr *args)
{
	uint64_t times = SETATTR_ATIME | SETATTR_MTIME | SETATTR_ATIME_NOW | SETATTR_MTIME_NOW;
	mode_t mode = 0;
	int error = type_of(fd, &mode);

	if (error == 0 && args->valid & (SETATTR_UID | SETATTR_GID))
		error = set_owner(fd, args);
	if (error == 0 && args->valid & SETATTR_SIZE)
		error = set_size(fd, open_fd, mode, args->size);
	if (error == 0 && args->valid & SETATTR_KILL_SUIDGID && !(args->valid & SETATTR_MODE))
		error = kill_suid(fd, mode);
	if (error == 0 && args->valid & SETATTR_MODE) /* last: chown clears setuid bits */
		error = set_mode(fd, mode, (mode_t)args->mode);
	if (error == 0 && args->valid & times)
		error = set_times(fd, args);
	return error;
}

static int set_as_caller(struct work *work, int fd, int open_fd)
{
	const struct args_setattr *args = work->args;
	ACTING acting = ACTING_NULL;
	int error =
	    args->valid & SETATTR_SIZE ? work_act_to_write(work, &acting) : work_act(work, &acting);

	return error < 0 ? error : set(fd, open_fd, args);
}

/* ftruncate: what may be done does not depend on the file's mode now. */
static int attempt_setattr(struct work *work)
{
	const struct args_setattr *args = work->args;

	if (args->handle && !opens_hold(&work->guest->opens, work, args->node, args->handle))
		return -EBADF;
	return WORK_BLOCKS;
}

static int do_setattr(struct work *work)
{
	const struct args_setattr *args = work->args;
	const struct open_file *file = work->room;
	HELD held = HELD_NULL;
	int error = nodes_hold(&work->guest->nodes, args->node, &held);

	if (error < 0)
		return error;
	if (held.export->read_only)
		return -EROFS;
	error = set_as_caller(work, held.fd, file ? file->fd : -1);
	if (error < 0)
		return error;
	return wire_entries_attr_of(&held, &work->result.setattr.attr);
}

/* --- the rest --------------------------------------------------------------------------------- */

static int do_access(struct work *work)
{
	const struct args_access *args = work->args;
	HELD held = HELD_NULL;
	ACTING acting = ACTING_NULL;
	mode_t mode = 0;
	int error = nodes_hold_any(&work->guest->nodes, args->node, &held);

	if (error < 0)
		return error;
	if (held.fd < 0)
		return args->mask & W_OK ? -EROFS : 0;
	error = type_of(held.fd, &mode);
	if (error < 0)
		return error;
	if (args->mask & W_OK && (held.export->read_only || !work->may_write) &&
	    (S_ISREG(mode) || S_ISDIR(mode) || S_ISLNK(mode)))
		return -EROFS;
	error = work_act(work, &acting);
	if (error < 0)
		return error;
	if (syscall(SYS_faccessat2, held.fd, "", (int)args->mask, AT_EMPTY_PATH | AT_EACCESS) < 0)
		return -errno;
	return 0;
}

static int do_statfs(struct work *work)
{
	const struct args_statfs *args = work->args;
	struct result_statfs *result = &work->result.statfs;
	HELD held = HELD_NULL;
	struct statvfs info;
	int error = nodes_hold_any(&work->guest->nodes, args->node, &held);

	if (error < 0)
		return error;
	if (held.fd < 0) {
		*result = (struct result_statfs){
		    .block_size = 4096, .fragment_size = 4096, .name_max = OPS_NAME_MAX};
		return 0;
	}
	if (fstatvfs(held.fd, &info) < 0)
		return -errno;
	*result = (struct result_statfs){
	    .block_size = info.f_bsize,
	    .fragment_size = info.f_frsize,
	    .blocks = info.f_blocks,
	    .blocks_free = info.f_bfree,
	    .blocks_available = info.f_bavail,
	    .files = info.f_files,
	    .files_free = info.f_ffree,
	    .name_max = info.f_namemax,
	};
	return 0;
}

static int do_readlink(struct work *work)
{
	const struct args_readlink *args = work->args;
	HELD held = HELD_NULL;
	ssize_t n;
	int error = nodes_hold(&work->guest->nodes, args->node, &held);

	if (error < 0)
		return error;
	work->payload = malloc(OPS_TARGET_MAX + 1);
	if (!work->payload)
		return -ENOMEM;
	n = readlinkat(held.fd, "", work->payload, OPS_TARGET_MAX + 1);
	if (n < 0)
		return errno == ENOENT ? -EINVAL : -errno; /* ENOENT: it is not a link */
	if (n > OPS_TARGET_MAX)
		return -ENAMETOOLONG;
	work->result.readlink.target = (struct bytes){.data = work->payload, .size = (size_t)n};
	return 0;
}

/* Where the kernel says that an export is, if that is not its path (a symbolic link on the way). */
static bool real_path(struct mounts *mounts, const struct export *export, char ret_path[PATH_MAX])
{
	LOOK look = LOOK_NULL;
	char proc[CONFINE_PROC_SIZE];
	ssize_t n;

	if (node_walk_export(mounts, export, &look) < 0 || look.fd < 0)
		return false;
	confine_proc_path(look.fd, proc);
	n = readlink(proc, ret_path, PATH_MAX);
	if (n <= 0 || n > OPS_TARGET_MAX)
		return false;
	ret_path[n] = '\0';
	return strcmp(ret_path, export->path) != 0;
}

static int add_place(struct list *list, struct buffer *elements, const char *name, const char *path)
{
	struct export_place place = {
	    .name = {(const uint8_t *)name, strlen(name)},
	    .path = {(const uint8_t *)path, strlen(path)},
	};

	return codec_list_append(list, elements, &export_place_record, &place);
}

static int do_exports(struct work *work)
{
	const struct exports *exports = work->guest->nodes.exports;
	struct list *list = &work->result.exports.exports;
	struct buffer elements = {.limit = OPS_DIR_BATCH_MAX};
	char path[PATH_MAX];
	int error = 0;

	for (size_t i = 0; i < exports->n && error == 0; i++) {
		const struct export *export = &exports->items[i];
		const char *name = exports->n == 1 ? "" : export->name;

		error = add_place(list, &elements, name, export->path);
		if (error == 0 && real_path(work->guest->nodes.mounts, export, path))
			error = add_place(list, &elements, name, path);
	}
	work->payload = elements.data;
	if (error < 0 && error != -EMSGSIZE) /* the rest is not known to the peer then */
		return error;
	codec_list_finish(list, &elements);
	return 0;
}

const struct work_handler attrs_handlers[] = {
    {.op = OP_GETATTR, .order = ORDER_READ, .attempt = attempt_getattr, .run = do_getattr},
    {.op = OP_SETATTR,
     .order = ORDER_ALONE,
     .attempt = attempt_setattr,
     .run = do_setattr,
     .settle = opens_settle},
    {.op = OP_ACCESS, .order = ORDER_READ, .run = do_access},
    {.op = OP_STATFS, .order = ORDER_FREE, .run = do_statfs},
    {.op = OP_READLINK, .order = ORDER_FREE, .run = do_readlink},
    {.op = OP_EXPORTS, .order = ORDER_FREE, .run = do_exports},
    {.op = 0},
};
