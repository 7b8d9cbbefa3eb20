/*
 * Between dir.c, which remembers, and dir_read.c, which reads.
 */
#ifndef FS_DIR_PRIVATE_H
#define FS_DIR_PRIVATE_H

#include "fs/dir.h"
#include "fs/listing.h"

/* What is remembered of all of it and may be believed, complete or still coming; or NULL. */
struct listing *dir_believed(struct fs *fs, const struct fs_node *node);
/* Asks for all of it. The caller holds the result. NULL: no memory. */
struct listing *dir_ask(struct fs *fs, struct fs_node *node);
/* A program begins to read it, from this listing. */
void dir_is_read(struct fs *fs, struct fs_node *node, const struct listing *listing);

#endif
