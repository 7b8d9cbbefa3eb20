/*
 * The server: lines of requests in, lines of replies out, until the input ends.
 *
 * One thread reads and writes; calls that wait run on the threads of the pool and hand over lines.
 */
#ifndef CTL_MCP_SERVER_H
#define CTL_MCP_SERVER_H

#include <pthread.h>

#include "ctl/mcp/mcp_call_private.h"
#include "ctl/mcp/mcp_lines.h"
#include "ctl/mcp/mcp_pool.h"
#include "ctl/mcp/subscription.h"
#include "ctl/output.h"

/* Borrowed until mcp_server_run returns, but copied where threads may outlive it. */
struct mcp_config {
	int in, out;
	const char *socket; /* loopsyd's */
	const char *key;    /* the API key to present; NULL: there is none */
};

/* Replies to a batch, which leave together. */
struct mcp_batch {
	struct buffer replies; /* "[a,b"; the lock's */
	unsigned n_pending;    /* the lock's */
};

struct mcp_server {
	char *socket, *key;
	/* the main thread's */
	int in;
	int signal_fd;
	struct mcp_lines lines;
	bool has_lines; /* in `lines`, perhaps */
	bool is_closed; /* nothing more comes in than what there is */
	struct output output;
	/* That `initialize` agreed on; there are clients that ask without, of the last version. */
	enum mcp_version session;
	/* everybody's */
	struct mcp_pool pool;
	struct mcp_subscriptions subscriptions;
	int wake_fd;          /* an eventfd: there is something in `outgoing` */
	pthread_mutex_t lock; /* of those below; taken last */
	struct buffer outgoing;
};

/* Serves until the input ends, nobody reads the output, or SIGTERM, SIGINT or SIGHUP. Returns 0, 1
 * when a call did not end in time and its thread still runs (only _exit may follow), or -errno when
 * it could not begin. */
int mcp_server_run(const struct mcp_config *config);

/* --- from any thread -------------------------------------------------------------------------- */

/* The one reply of a call: takes the reference. Nothing is sent if the call was cancelled; NULL is
 * no reply at all. */
void mcp_server_reply(struct mcp_call *call, json_t *reply);
/* Takes the reference. Those that nobody misses (`may_drop`) are dropped while the client does not
 * read. */
void mcp_server_notify(struct mcp_server *server, json_t *notification, bool may_drop);

#endif
