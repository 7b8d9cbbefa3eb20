#include "daemon/serve/wire_entries.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "daemon/serve/deny.h"

#define HOLLOW_FS 0x686f6c6c6f77u /* "hollow" */

static struct timespec time_of(const struct statx_timestamp *t)
{
	return (struct timespec){.tv_sec = t->tv_sec, .tv_nsec = t->tv_nsec};
}

/* A directory that exists only here. */
static struct attr synthetic(uint64_t fs, uint64_t ino, uint64_t nlink)
{
	return (struct attr){
	    .fs = fs,
	    .ino = ino,
	    .mode = S_IFDIR | 0555,
	    .nlink = nlink,
	    .uid = geteuid(),
	    .gid = getegid(),
	    .blksize = 4096,
	};
}

static struct attr hollow(const struct identity *identity)
{
	return synthetic(HOLLOW_FS << 32 | identity->dev, identity->ino, 2);
}

void wire_entries_attr(const struct look *look, struct attr *ret_attr)
{
	const struct statx *stx = &look->stx;

	if (look->hollow) {
		*ret_attr = hollow(&look->identity);
		return;
	}
	*ret_attr = (struct attr){
	    .fs = look->fs,
	    .ino = stx->stx_ino,
	    .mode = stx->stx_mode,
	    .nlink = stx->stx_nlink,
	    .uid = stx->stx_uid,
	    .gid = stx->stx_gid,
	    .rdev = (uint32_t)makedev(stx->stx_rdev_major, stx->stx_rdev_minor),
	    .size = stx->stx_size > INT64_MAX ? INT64_MAX : stx->stx_size,
	    .blocks = stx->stx_blocks > INT64_MAX ? INT64_MAX : stx->stx_blocks,
	    .blksize = stx->stx_blksize,
	    .atime = time_of(&stx->stx_atime),
	    .mtime = time_of(&stx->stx_mtime),
	    .ctime = time_of(&stx->stx_ctime),
	    .plain = look->plain,
	    .settled = look->settled,
	};
}

int wire_entries_attr_of_fd(struct mounts *mounts, int fd, struct attr *ret_attr)
{
	struct look look;
	int error = confine_look_at(mounts, fd, &look);

	if (error == 0)
		wire_entries_attr(&look, ret_attr);
	return error;
}

int wire_entries_attr_of(const struct held *held, struct attr *ret_attr)
{
	switch (held->kind) {
	case NODE_TOP:
		*ret_attr = synthetic(0, 1, 2 + held->nodes->exports->n);
		return 0;
	case NODE_HOLLOW:
		*ret_attr = hollow(&held->identity);
		return 0;
	case NODE_PLAIN:
	case NODE_EXPORT:
		break;
	}
	return wire_entries_attr_of_fd(held->nodes->mounts, held->fd, ret_attr);
}

static int read_target(int fd, struct bytes *ret_target, void **ret_memory)
{
	char *target = malloc(OPS_TARGET_MAX + 1);
	ssize_t n;

	if (!target)
		return -ENOMEM;
	n = readlinkat(fd, "", target, OPS_TARGET_MAX + 1);
	if (n < 0 || n > OPS_TARGET_MAX) {
		int error = n < 0 ? -errno : -ENAMETOOLONG;

		free(target);
		return error;
	}
	*ret_target = (struct bytes){.data = (uint8_t *)target, .size = (size_t)n};
	*ret_memory = target;
	return 0;
}

int wire_entries_enter(const struct held *parent, const char *name, struct look *look, bool keep,
		       struct entry *ret_entry, void **ret_target)
{
	struct entry entry = {0};
	int error;

	*ret_target = NULL;
	wire_entries_attr(look, &entry.attr);
	if (S_ISLNK(look->stx.stx_mode)) {
		error = read_target(look->fd, &entry.target, ret_target);
		if (error < 0)
			return error;
	}
	error = nodes_enter(parent->nodes, parent, name, look, keep, &entry.node);
	if (error < 0) {
		free(*ret_target);
		*ret_target = NULL;
		return error;
	}
	*ret_entry = entry;
	return 0;
}

int wire_entries_make(const struct held *parent, const char *name, bool keep,
		      struct entry *ret_entry, void **ret_target)
{
	LOOK look = LOOK_NULL;
	int error = confine_look(parent->nodes->mounts, parent->fd, name, &look);

	if (error < 0)
		return error;
	if (deny_hides(parent->export->deny, &parent->identity, name, &look.identity))
		return -ENOENT;
	return wire_entries_enter(parent, name, &look, keep, ret_entry, ret_target);
}
