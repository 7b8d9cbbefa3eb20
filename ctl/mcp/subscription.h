/*
 * A subscription to a resource, for those who carry it: the methods (mcp_subscriptions.c) and the
 * thread that watches (resource_watch.c).
 */
#ifndef CTL_MCP_SUBSCRIPTION_H
#define CTL_MCP_SUBSCRIPTION_H

#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>

#include "ctl/mcp/resource_uri.h"
#include "ctl/remote.h"

struct mcp_server;
struct mcp_subscriptions;

struct subscription {
	struct subscription *next; /* the lock's, as the next three */
	bool is_removed;           /* the thread frees it */
	bool is_active;            /* the client may be told */
	bool is_set; /* what changes from now on is noticed, or cannot be watched yet */
	char *text;  /* the address as the client wrote it */
	struct resource_uri uri;
	json_t *listen; /* the id of the request that is open for it; NULL: of the session */
	/* the thread's */
	struct mcp_subscriptions *all;
	struct remote_call *call;
	bool must_renew;
	bool was_set;
	bool is_watched; /* since the last answer, as far as we know */
	bool is_dirty;
	int64_t retry_at, told_at; /* ms */
	uint64_t since;            /* of values: the version that came last */
};

struct mcp_subscriptions {
	struct mcp_server *server;
	pthread_mutex_t lock;   /* of all below, and as said above; before the server's */
	pthread_cond_t changed; /* is_set of one, or has_ended */
	struct subscription *list;
	unsigned n;
	bool has_thread, has_ended, is_over;
	int wake_fd; /* eventfds: there is something new; it is over */
	int stop_fd;
};

struct subscription *subscription_free(struct subscription *subscription);

/* The thread; `arg` is the struct mcp_subscriptions. */
void *resource_watch_run(void *arg);

#endif
