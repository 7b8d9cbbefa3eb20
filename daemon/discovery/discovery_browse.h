/*
 * Looking for others: the worker's browser and resolvers. Called on its thread.
 */
#ifndef DAEMON_DISCOVERY_DISCOVERY_BROWSE_H
#define DAEMON_DISCOVERY_DISCOVERY_BROWSE_H

#include "daemon/discovery/discovery_worker.h"

/* Begins with the present client, if it has not. What is found goes to the shared table. */
void discovery_browse_start(struct discovery_worker *worker);

/* After the client was freed, and browser and resolvers with it; the table is left as it is. */
void discovery_browse_forget(struct discovery_worker *worker);

#endif
