/*
 * A watch tree: inotify watches on what some paths lead to, and what they tell, as peers may see
 * it.
 *
 * A path that leads to a directory is watched itself, `recursive` ones with all directories below,
 * also those that come later. Any other is watched through its directory, by its name: editors
 * replace files. All functions block and are for one thread at a time.
 */
#ifndef DAEMON_WATCH_WATCH_TREE_H
#define DAEMON_WATCH_WATCH_TREE_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/codec.h"

struct exports;
struct mounts;
struct watch_tree;

/* `exports` and `mounts` are borrowed; at most `max_watches` directories are watched. 0, -EMFILE
 * (no inotify instance is left) or -errno. */
int watch_tree_new(const struct exports *exports, struct mounts *mounts, bool recursive,
		   size_t max_watches, struct watch_tree **ret_tree);
struct watch_tree *watch_tree_free(struct watch_tree *tree);

/* Watches a path; events will call it `index`. 0, or -errno: as place_find, -ENOSPC (no watch is
 * left), -EACCES (the directory may not be read). */
int watch_tree_add(struct watch_tree *tree, unsigned index, struct bytes path);

/* Becomes readable when there are events. */
int watch_tree_fd(const struct watch_tree *tree);

/* Appends events, encoded watch_events, at most `limit` bytes of them. Returns 1 if there may be
 * more, 0 when all are told, or -errno. */
int watch_tree_read(struct watch_tree *tree, size_t limit, struct buffer *out);

#endif
