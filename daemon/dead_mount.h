#ifndef DAEMON_DEAD_MOUNT_H
#define DAEMON_DEAD_MOUNT_H

#include "daemon/failure.h"

#define DEAD_MOUNT_FS_TYPE "fuse.loopsy" /* of every mount of ours: FUSE with subtype=loopsy */

/*
 * Clears what a killed daemon left at mount_point (absolute; links in its parent are resolved):
 * mounts of loopsy that nobody serves. The caller holds the lock of its home, so a mount there is
 * dead, or it belongs to the daemon of another home that was given the same mount point. To tell, a
 * child process asks the mount, since only the child is then stuck if nobody answers within 5 s.
 *
 * Returns 0; -EBUSY if a mount there is in use, or is none of ours; or the -errno of what failed;
 * with a line in failure. Waits: before the loop runs.
 */
int dead_mount_clear(const char *mount_point, struct failure *failure);

#endif
