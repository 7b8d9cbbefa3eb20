/*
 * Starting loopsyd in the background and waiting until it is ready.
 */
#ifndef CTL_DAEMON_START_H
#define CTL_DAEMON_START_H

#include "ctl/context.h"

/*
 * Starts `loopsyd run` with these arguments (NULL-terminated), its logs in home->log, and waits
 * until mount and port are there. Says what it did, or what the daemon said when it failed. Returns
 * CONTEXT_OK or CONTEXT_FAILURE.
 */
int daemon_start(const struct context *context, const char *const *arguments);

#endif
