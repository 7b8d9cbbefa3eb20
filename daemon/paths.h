#ifndef DAEMON_PATHS_H
#define DAEMON_PATHS_H

#include "daemon/failure.h"

/*
 * Where everything is (DESIGN, chapter 9). With LOOPSY_HOME or --home all of it is below one
 * directory: config, state, run and the mount mnt. Else the XDG base directories: ~/.config/loopsy
 * ($XDG_CONFIG_HOME), ~/.local/state/loopsy ($XDG_STATE_HOME), $XDG_RUNTIME_DIR/loopsy, and the
 * mount ~/loopsy. Without XDG_RUNTIME_DIR it is /run/user/UID if that is ours, else "run" in the
 * state directory.
 *
 * All paths are absolute, without a slash at the end. Relative XDG variables are ignored, as their
 * specification says.
 */
struct paths {
	char *home_dir;    /* the user's */
	char *loopsy_home; /* LOOPSY_HOME or --home; NULL without */
	char *config_dir;
	char *state_dir;
	char *run_dir;
	char *mount;       /* may be replaced by paths_set_mount */
	char *config_file; /* config_dir/loopsy.conf */
	char *identity;    /* config_dir/identity.pem */
	char *api_key;     /* config_dir/api.key */
	char *database;    /* state_dir/loopsy.db */
	char *audit;       /* state_dir/audit.jsonl */
	char *log;         /* state_dir/loopsyd.log, when in the background */
	char *lock;   /* state_dir/loopsyd.pid: in state, which does not move with the session */
	char *socket; /* run_dir/ctl.sock */
};

/*
 * Finds them from the environment; touches nothing. loopsy_home is the argument of --home or NULL.
 * Returns 0, -EINVAL (no home directory, a path too long for a socket: failure says which) or
 * -ENOMEM. *ret_paths is the caller's, to be freed with paths_free.
 */
int paths_new(const char *loopsy_home, struct paths **ret_paths, struct failure *failure);
struct paths *paths_free(struct paths *paths);

/* Replaces the mount by the configured one (absolute). 0 or -ENOMEM. */
int paths_set_mount(struct paths *paths, const char *mount);

/*
 * Makes the private directories that are missing (0700; their parents too) and checks those that
 * exist. Returns 0, -EPERM if one is no directory, is another user's, or can be written by group or
 * others, or the errno of what failed; failure says which and how to repair it.
 */
int paths_create(const struct paths *paths, struct failure *failure);

/*
 * Makes the mount point, mode 0500, so that nothing is written there by mistake. Nothing is asked
 * of a mount that is there already. Resolves links in its parent, so that paths->mount is how
 * /proc/self/mountinfo will spell it. Returns 0 or -errno.
 */
int paths_create_mount_point(struct paths *paths, struct failure *failure);

#endif
