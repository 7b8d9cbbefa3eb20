/*
 * Target: the peer and the directory that a command line means.
 */
#ifndef CTL_TARGET_H
#define CTL_TARGET_H

#include "ctl/context.h"
#include "ctl/remote.h"

struct target {
	char *peer;
	char *directory; /* as in args_job_start; "" is the home, or the top of the peer */
};

/*
 * `peer` and `directory` as given, NULL where not. Without a peer it is the one in whose part of
 * the mount `directory` is (the current one without), and the directory is there; else the
 * directory is passed on. Returns 0, or a negative errno having said why.
 */
int target_find(const struct context *context, struct local_client *client, const char *peer,
		const char *directory, struct target *ret_target);
void target_deinit(struct target *target);

/* Whether a peer is called so: 1 or 0, or a negative errno having said why. */
int target_is_peer(const struct context *context, struct local_client *client, const char *name);

/* Where the mount is (malloc'ed). Returns 0, or a negative errno having said why. */
int target_mount(const struct context *context, struct local_client *client, char **ret_mount);

#endif
