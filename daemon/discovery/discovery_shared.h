/*
 * What the loop's side and the worker's thread share.
 */
#ifndef DAEMON_DISCOVERY_DISCOVERY_SHARED_H
#define DAEMON_DISCOVERY_DISCOVERY_SHARED_H

#include <pthread.h>

#include "daemon/discovery/discovery.h"
#include "daemon/discovery/discovery_table.h"

/*
 * Shared by both threads and freed by the last one of them. `mutex` guards all that is not
 * constant; neither side blocks while it holds it.
 */
struct discovery_shared {
	/* Constant. */
	char name[DISCOVERY_NAME_MAX + 1];
	char id[DISCOVERY_ID_MAX + 1];
	char version[DISCOVERY_VERSION_MAX + 1];
	char caps[DISCOVERY_CAPS_MAX + 1];
	int wake_fd; /* eventfd that wakes the worker */

	pthread_mutex_t mutex;
	unsigned n_refs;
	/* From the loop. */
	bool stop;
	bool publish;
	uint16_t port;
	uv_async_t *async; /* wakes the loop; NULL once nobody is there */
	/* From the worker. */
	struct discovery_table table;
	struct discovery_state state;
	bool ended;
};

/* With one reference, or NULL. The strings of `config` must be valid. */
struct discovery_shared *discovery_shared_new(const struct discovery_config *config);
void discovery_shared_unref(struct discovery_shared *shared);

/* The worker looks at the loop's fields again. */
void discovery_shared_wake_worker(struct discovery_shared *shared);
/* The loop looks at the worker's fields again. Under the mutex. */
void discovery_shared_wake_loop(struct discovery_shared *shared);

#endif
