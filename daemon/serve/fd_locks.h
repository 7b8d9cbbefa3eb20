/*
 * Which locks a descriptor of ours has. fcntl tells of a lock that is in the way only that it is
 * some open file description's; /proc/self/fdinfo tells whose.
 */
#ifndef DAEMON_SERVE_FD_LOCKS_H
#define DAEMON_SERVE_FD_LOCKS_H

#include <stdbool.h>

#include "proto/ops_peer.h"

/* Whether exactly that lock (type, offset, size) was taken through `fd`. Does not block. */
bool fd_locks_has(int fd, const struct result_lock *lock);

#endif
