/*
 * FUSE channel: how libfuse reads requests and writes replies.
 *
 * libfuse before 3.17 offers no PARALLEL_DIROPS (lookups in one directory run one after the other
 * without it), so the flag is set in the reply to INIT on its way to the kernel.
 */
#ifndef FS_FUSE_CHANNEL_H
#define FS_FUSE_CHANNEL_H

#include "fs/fs_private.h"

/* Makes fs->session use fs->fd through it. 0 or -errno. */
int fuse_channel_attach(struct fs *fs);

#endif
