/*
 * Places: from a path, as a peer names a file in one piece, to its object. For the rooms that are
 * told paths (where a job runs, what is watched); file operations name nodes instead.
 *
 * A path that begins with '/' is one on this machine and must lie in an export; any other is
 * below what peers see at their top. Symbolic links are followed as long as they stay in the
 * export. All functions block; safe on any thread.
 */
#ifndef DAEMON_SERVE_PLACE_H
#define DAEMON_SERVE_PLACE_H

#include "daemon/serve/confine.h"
#include "proto/record.h"

struct exports;
struct export;
struct mounts;

struct place {
	const struct export *export;
	struct look look; /* its fd is O_PATH */
};

/* Returns 0, or -errno: -ENOENT also for what is denied, in no export, or in a mount that is not
 * entered; -EACCES for the list of several exports itself, which has no object. What it returned is
 * closed with confine_look_close(&place.look). */
int place_find(const struct exports *exports, struct mounts *mounts, struct bytes path,
	       struct place *ret_place);

/* The same for a path below a place that was found before, which it must not leave. */
int place_find_below(const struct place *place, struct mounts *mounts, const char *path,
		     struct place *ret_place);

#endif
