/*
 * Dead mounts: what a daemon that was killed leaves behind at its mount point. Whoever holds the
 * instance lock knows that a loopsy mount there has no daemon any more.
 */
#ifndef DAEMON_DEAD_MOUNT_H
#define DAEMON_DEAD_MOUNT_H

#include "daemon/failure.h"

/* Takes away every FUSE mount of loopsy at `path` (absolute). Never asks the mount itself, which
 * might not answer. Returns 0, -EBUSY if something else is mounted there, or -errno. */
int dead_mount_clear(const char *path, struct failure *failure);

#endif
