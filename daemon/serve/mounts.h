/*
 * Mounts: which of this machine's mounts are entered on behalf of a peer, and the numbers that
 * tell file systems apart.
 *
 * Not entered are any loopsy mount (fstat of our own would be a request to ourselves) and what
 * the kernel shows of itself: proc, sysfs, devpts, cgroup and their like. Safe on any thread.
 */
#ifndef DAEMON_SERVE_MOUNTS_H
#define DAEMON_SERVE_MOUNTS_H

#include <stdbool.h>
#include <stdint.h>

struct mounts;

enum mounts_kind {
	MOUNTS_LOCAL,
	MOUNTS_REMOTE,  /* attributes must be asked for: a cached stat may be old */
	MOUNTS_REFUSED, /* not entered */
};

/* Reads `path` (normally /proc/self/mountinfo; a test may give its own). 0 or -errno. */
int mounts_new(const char *path, struct mounts **ret_mounts);
void mounts_free(struct mounts *mounts);

/* What to do with the mount of that id (statx's stx_mnt_id). Reads mountinfo again if it changed;
 * an id that is not found there is refused. */
enum mounts_kind mounts_kind_of(struct mounts *mounts, uint64_t id);

/* Takes notice of mounts that came and went; called once per operation, cheap. */
void mounts_refresh(struct mounts *mounts);

/* The `fs` of attributes for the file system that `fd` (device `dev`) lies on: from its fsid,
 * which for most outlives a reboot. */
uint64_t mounts_fs(struct mounts *mounts, uint32_t dev, int fd);

/* Without waiting: is the mount of that id known, and local? False while mounts have changed
 * that were not taken notice of yet. */
bool mounts_is_local(struct mounts *mounts, uint64_t id);

/* mounts_fs without waiting: false if it is not known yet. */
bool mounts_fs_known(struct mounts *mounts, uint32_t dev, uint64_t *ret_fs);

/* By file system type, as in mountinfo. */
enum mounts_kind mounts_classify(const char *type);

#endif
