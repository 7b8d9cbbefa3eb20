/*
 * Mounted: which machine a path of the mount is on, and where it is there. Told by the path's text
 * and by links above the mount; the mount itself is never touched, for a machine that is offline
 * would make that wait.
 */
#ifndef CTL_MOUNTED_H
#define CTL_MOUNTED_H

#include "ctl/local_client.h"

struct mounted {
	char *peer;
	char *path; /* below what the peer shows at its top; "" is that itself */
};

/*
 * `mount` is where loopsyd mounts (CTL_STATUS), `path` what a user gave; relative to the current
 * directory. ".." after a link within the mount means the directory that the link is in, as in a
 * shell's cd. Returns 0, -EXDEV when it is not in the mount, -EISDIR when it is the mount, -errno
 * when the current directory or a link cannot be read. Freed with mounted_deinit.
 */
int mounted_find(const char *mount, const char *path, struct mounted *ret_mounted);
void mounted_deinit(struct mounted *mounted);

#endif
