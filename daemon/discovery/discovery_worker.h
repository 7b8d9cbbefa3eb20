/*
 * The thread that speaks with avahi.
 */
#ifndef DAEMON_DISCOVERY_DISCOVERY_WORKER_H
#define DAEMON_DISCOVERY_DISCOVERY_WORKER_H

#include <avahi-client/client.h>
#include <avahi-client/lookup.h>
#include <avahi-client/publish.h>
#include <avahi-common/simple-watch.h>

#include "daemon/discovery/discovery_shared.h"

struct discovery_worker {
	struct discovery_shared *shared;
	AvahiSimplePoll *loop;
	const AvahiPoll *poll;
	/* Of the present client. */
	AvahiClient *client;
	AvahiServiceBrowser *browser;
	AvahiEntryGroup *group;
	AvahiTimeout *resolve_timer;
	bool running; /* the server is: publishing makes sense */
	bool failed;
	bool full; /* said so */
	struct announcement *announcements;
	unsigned n_announcements;
	/* What was last given to avahi. */
	bool published;
	uint16_t published_port;
	/* For good. */
	unsigned name_attempt; /* see discovery_service_announced_name */
	unsigned n_origins;
	int pause; /* before the next connect, ms */
	bool pipe_is_private;
};

/* The thread's function: runs until `stop`; takes over one reference of the shared struct. */
void *discovery_worker_run(void *shared);

/* Writes the state for the loop's side, and logs a change. */
void discovery_worker_set_state(struct discovery_worker *worker, enum discovery_status status,
				const char *reason);
/* "": not announced. */
void discovery_worker_set_published(struct discovery_worker *worker, const char *service_name);

/* The client is of no use any more; it is freed once avahi's callbacks are left. */
void discovery_worker_fail(struct discovery_worker *worker, const char *what);

#endif
