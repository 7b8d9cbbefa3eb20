/*
 * Denials: what an export does not show. A denial is the configured path and the object found
 * there. Both are absent for peers: not listed, ENOENT, and the path may not be made or replaced;
 * its ancestors may not be renamed or removed, nor made by anything but mkdir where they are
 * missing. Kept as identities, so that no other way to the object helps. Safe on any thread.
 *
 *     ~/.config/loopsy    ~/.config     a guard: may not be moved
 *                         (~/.config, "loopsy")   a place: may not be made
 *                         the directory found there   an object: may not be seen
 *     if ~/.config is missing: (~, ".config")   a gap: may only be made by mkdir
 *
 * The paths are walked again after a second, and right before any decision on a name that occurs
 * in one of them.
 */
#ifndef DAEMON_SERVE_DENY_H
#define DAEMON_SERVE_DENY_H

#include <stddef.h>

#include "daemon/serve/confine.h"

struct deny;

/* `root` is the export's path; of a relative path it is the start. 0, -EINVAL or -ENOMEM. */
int deny_new(struct mounts *mounts, const char *root, const char *const *paths, size_t n_paths,
	     struct deny **ret_deny);
void deny_free(struct deny *deny);

/* Is what was found as `name` in the directory `dir` to be hidden? `object` may be NULL. */
bool deny_hides(struct deny *deny, const struct identity *dir, const char *name,
		const struct identity *object);
/* False: what the directory has under that name, with that inode number, is surely not hidden. */
bool deny_may_hide(struct deny *deny, const struct identity *dir, const char *name, uint64_t ino);
/* Is the object itself denied? */
bool deny_hides_object(struct deny *deny, const struct identity *object);
/* The two without asking the disk: 0 if it is known not to be, else -EAGAIN. */
int deny_check_quick(struct deny *deny, const struct identity *object);
int deny_hides_quick(struct deny *deny, const struct identity *dir, const char *name,
		     const struct identity *object);
/* May a peer make `name` in `dir` (by mkdir, or otherwise)? 0 or -EACCES. */
int deny_check_make(struct deny *deny, const struct identity *dir, const char *name, bool by_mkdir);
/* May a peer rename or remove this object? 0 or -EACCES. */
int deny_check_move(struct deny *deny, const struct identity *object, const char *name);

#endif
