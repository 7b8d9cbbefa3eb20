/*
 * Announcing ourselves: the worker's entry group. Called on its thread.
 */
#ifndef DAEMON_DISCOVERY_DISCOVERY_PUBLISH_H
#define DAEMON_DISCOVERY_DISCOVERY_PUBLISH_H

#include "daemon/discovery/discovery_worker.h"

/* Makes the announcement what the loop wants it to be, from nothing. The server must be running. */
void discovery_publish_update(struct discovery_worker *worker);

#endif
