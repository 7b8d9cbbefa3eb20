#ifndef DAEMON_INSTANCE_H
#define DAEMON_INSTANCE_H

#include <sys/types.h>

#include "daemon/failure.h"

/*
 * One daemon per home: an open-file-description lock on a file that holds the pid. The kernel lets
 * go of the lock when the process ends, however it ends, so a file that was left behind means
 * nothing.
 */
struct instance;

/*
 * Takes the lock. Returns 0, -EEXIST if another daemon has it (failure and *ret_other, if not
 * NULL, have its pid; 0 if it has not written it yet), or the errno of what failed.
 */
int instance_take(const char *path, struct instance **ret_instance, pid_t *ret_other,
		  struct failure *failure);

/*
 * The same in the child of a fork that puts the daemon in the background: the lock came with the
 * descriptor; this writes the new pid. 0 or -errno.
 */
int instance_write_pid(struct instance *instance);

/* Removes the file and lets go of the lock. NULL is fine. */
struct instance *instance_free(struct instance *instance);

/* The pid of the daemon that holds the lock, 0 if none does, or -errno. For status and tests. */
pid_t instance_find(const char *path);

#endif
