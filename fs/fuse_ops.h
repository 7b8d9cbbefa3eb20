/*
 * FUSE operations: the table that libfuse calls, and which room each request goes to.
 */
#ifndef FS_FUSE_OPS_H
#define FS_FUSE_OPS_H

#include "fs/fs_private.h"

extern const struct fuse_lowlevel_ops fuse_ops_table;

#endif
