/*
 * FUSE channel: how libfuse reads requests and writes replies.
 *
 * libfuse before 3.17 offers neither PARALLEL_DIROPS (lookups in one directory run one after the
 * other without it) nor HANDLE_KILLPRIV_V2, so these flags are set in the reply to INIT on its way
 * to the kernel. The latter says that the peer's kernel clears set-id bits when a file is written:
 * else ours would ask for the attribute security.capability before each write, a round trip, and
 * send a chmod that only the owner may do.
 */
#ifndef FS_FUSE_CHANNEL_H
#define FS_FUSE_CHANNEL_H

#include "fs/fs_private.h"

/* Makes fs->session use fs->fd through it. 0 or -errno. */
int fuse_channel_attach(struct fs *fs);

/* The memory that a request was read into, kept beyond the request. Counted. */
struct fuse_memory {
	unsigned n_refs;
	void *bytes;
};

/* Keeps that of the request at hand, with one reference; the next one is read into other memory. To
 * be called once for a request. NULL: out of memory. */
struct fuse_memory *fuse_channel_keep(struct fs *fs);
/* The last one frees it. NULL is fine. */
void fuse_memory_unref(struct fuse_memory *memory);

#endif
