/*
 * A request is answered when what it asked for is watched: what the client changes after that is
 * told. (If a peer is away it is answered too, and watched when the peer is back.)
 */
#include "ctl/mcp/mcp_subscriptions.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "ctl/mcp/mcp_call_private.h"
#include "ctl/mcp/mcp_resources.h"
#include "ctl/mcp/mcp_server.h"
#include "ctl/mcp/rpc.h"

#define SET_MS   5000 /* at most so long an answer waits for it */
#define SLICE_MS 100  /* in which a cancelled call is noticed */

#define STACK_SIZE (512 * 1024)

struct subscription *subscription_free(struct subscription *subscription)
{
	if (!subscription)
		return NULL;
	resource_uri_deinit(&subscription->uri);
	json_decref(subscription->listen);
	free(subscription->text);
	free(subscription);
	return NULL;
}

static void signal_fd(int fd)
{
	static const uint64_t one = 1;

	while (write(fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

/* Waits for a change, at most so long; locked. Returns whether the time is over. */
static bool wait_for_change(struct mcp_subscriptions *all, int timeout_ms)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += timeout_ms % 1000 * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	return pthread_cond_timedwait(&all->changed, &all->lock, &until) == ETIMEDOUT;
}

/* --- all of them ------------------------------------------------------------------------------ */

int mcp_subscriptions_init(struct mcp_subscriptions *all, struct mcp_server *server)
{
	pthread_condattr_t attributes;

	*all = (struct mcp_subscriptions){.server = server,
					  .wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
					  .stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_mutex_init(&all->lock, NULL);
	pthread_cond_init(&all->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	return all->wake_fd >= 0 && all->stop_fd >= 0 ? 0 : -EMFILE;
}

bool mcp_subscriptions_stop(struct mcp_subscriptions *all, int timeout_ms)
{
	bool ended;

	signal_fd(all->stop_fd);
	pthread_mutex_lock(&all->lock);
	all->is_over = true;
	pthread_cond_broadcast(&all->changed);
	while (all->has_thread && !all->has_ended && !wait_for_change(all, timeout_ms))
		;
	ended = !all->has_thread || all->has_ended;
	pthread_mutex_unlock(&all->lock);
	return ended;
}

void mcp_subscriptions_deinit(struct mcp_subscriptions *all)
{
	while (all->list) {
		struct subscription *first = all->list;

		all->list = first->next;
		subscription_free(first);
	}
	/* The thread may still hold the lock, for a moment, behind its last word. */
	pthread_mutex_lock(&all->lock);
	pthread_mutex_unlock(&all->lock);
	pthread_mutex_destroy(&all->lock);
	pthread_cond_destroy(&all->changed);
	if (all->wake_fd >= 0)
		close(all->wake_fd);
	if (all->stop_fd >= 0)
		close(all->stop_fd);
}

/* Locked. Returns 0 or -errno. */
static int start_thread(struct mcp_subscriptions *all)
{
	pthread_attr_t attributes;
	pthread_t thread;
	int r;

	if (all->has_thread)
		return 0;
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	r = -pthread_create(&thread, &attributes, resource_watch_run, all);
	pthread_attr_destroy(&attributes);
	all->has_thread = r == 0;
	return r;
}

/* --- one request ------------------------------------------------------------------------------ */

static bool is_of(const struct subscription *subscription, const json_t *listen)
{
	if (!listen || !subscription->listen)
		return !listen && !subscription->listen;
	return rpc_same_id(subscription->listen, listen);
}

/* Returns 0, -EINVAL when there is no such resource, -EMFILE when there are too many, or another
 * -errno. Of a session, one that is there already is enough. */
static int add(struct mcp_subscriptions *all, const char *text, const json_t *listen)
{
	struct subscription *added = calloc(1, sizeof(*added));
	int r = added ? resource_uri_read(text, &added->uri) : -ENOMEM;

	if (r < 0) {
		free(added);
		return r;
	}
	added->all = all;
	added->since = OPS_ANY;
	added->text = strdup(text);
	added->listen = listen ? json_deep_copy(listen) : NULL;
	pthread_mutex_lock(&all->lock);
	for (struct subscription *at = all->list; at && added; at = at->next)
		if (!at->is_removed && is_of(at, listen) && strcmp(at->text, text) == 0)
			added = subscription_free(added);
	if (added && all->n >= MCP_SUBSCRIPTIONS_MAX)
		r = -EMFILE;
	else if (added)
		r = all->is_over ? -ESHUTDOWN : start_thread(all);
	if (added && r == 0 && (!added->text || (listen && !added->listen)))
		r = -ENOMEM;
	if (added && r == 0) {
		added->next = all->list;
		all->list = added;
		all->n++;
		added = NULL;
	}
	pthread_mutex_unlock(&all->lock);
	subscription_free(added);
	signal_fd(all->wake_fd);
	return r;
}

/* Those of a request, or of the session with that address (NULL: any) are not told any more. */
static void take_away(struct mcp_subscriptions *all, const char *text, const json_t *listen)
{
	pthread_mutex_lock(&all->lock);
	for (struct subscription *at = all->list; at; at = at->next)
		if (is_of(at, listen) && (!text || strcmp(at->text, text) == 0))
			at->is_removed = true;
	pthread_mutex_unlock(&all->lock);
	signal_fd(all->wake_fd);
}

/* Until all of them are watched, or cannot be, or the call is cancelled. Then they are told. */
static void activate(struct mcp_call *call, const json_t *listen)
{
	struct mcp_subscriptions *all = &mcp_call_server(call)->subscriptions;
	int slices = SET_MS / SLICE_MS;
	bool waits = true;

	pthread_mutex_lock(&all->lock);
	while (waits && !all->is_over && slices > 0 && !mcp_call_is_cancelled(call)) {
		waits = false;
		for (struct subscription *at = all->list; at; at = at->next)
			waits |= is_of(at, listen) && !at->is_set && !at->is_removed;
		if (waits && wait_for_change(all, SLICE_MS))
			slices--;
	}
	pthread_mutex_unlock(&all->lock);
}

static void set_active(struct mcp_subscriptions *all, const json_t *listen)
{
	pthread_mutex_lock(&all->lock);
	for (struct subscription *at = all->list; at; at = at->next)
		at->is_active |= is_of(at, listen);
	pthread_mutex_unlock(&all->lock);
	signal_fd(all->wake_fd);
}

static void fail(struct mcp_call *call, const char *text, int r)
{
	if (r == -EINVAL)
		mcp_resources_fail_unknown(call, text);
	else if (r == -EMFILE)
		mcp_call_error(call, RPC_INTERNAL_ERROR, "more than %d subscriptions",
			       MCP_SUBSCRIPTIONS_MAX);
	else
		mcp_call_error(call, RPC_INTERNAL_ERROR, "%s", strerror(-r));
}

/* --- sessions --------------------------------------------------------------------------------- */

void mcp_subscriptions_subscribe(struct mcp_call *call)
{
	const char *text = json_string_value(json_object_get(mcp_call_params(call), "uri"));
	struct mcp_subscriptions *all = &mcp_call_server(call)->subscriptions;
	int r;

	if (!text) {
		mcp_call_error(call, RPC_INVALID_PARAMS, "uri must be a string");
		return;
	}
	r = add(all, text, NULL);
	if (r < 0) {
		fail(call, text, r);
		return;
	}
	activate(call, NULL);
	set_active(all, NULL);
	mcp_call_result(call, json_object());
}

void mcp_subscriptions_unsubscribe(struct mcp_call *call)
{
	const char *text = json_string_value(json_object_get(mcp_call_params(call), "uri"));

	if (!text) {
		mcp_call_error(call, RPC_INVALID_PARAMS, "uri must be a string");
		return;
	}
	take_away(&mcp_call_server(call)->subscriptions, text, NULL);
	mcp_call_result(call, json_object());
}

/* --- since 2026-07-28 ------------------------------------------------------------------------- */

/* Adds what was asked for; the addresses that there are, a new reference, or NULL having failed. */
static json_t *add_all(struct mcp_call *call, const json_t *uris)
{
	struct mcp_subscriptions *all = &mcp_call_server(call)->subscriptions;
	json_t *honoured = json_array(), *uri;
	size_t i;

	json_array_foreach(uris, i, uri)
	{
		const char *text = json_string_value(uri);
		int r = add(all, text, call->id);

		if (r == -EINVAL)
			continue;
		if (r < 0) {
			take_away(all, NULL, call->id);
			fail(call, text, r);
			json_decref(honoured);
			return NULL;
		}
		json_array_append_new(honoured, json_string(text));
	}
	return honoured;
}

static bool check_listen(struct mcp_call *call, const json_t *wanted)
{
	static const char *const flags[] = {"toolsListChanged", "promptsListChanged",
					    "resourcesListChanged"};
	const json_t *uris = json_object_get(wanted, "resourceSubscriptions"), *value;
	bool ok = json_is_object(wanted) && (!uris || json_is_array(uris));
	size_t i;

	for (i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		value = json_object_get(wanted, flags[i]);
		ok = ok && (!value || json_is_boolean(value));
	}
	json_array_foreach(uris, i, value) ok = ok && json_is_string(value);
	if (!ok)
		mcp_call_error(call, RPC_INVALID_PARAMS,
			       "notifications must be an object of what is to be told");
	return ok;
}

/* The lists that there are do not change while the server runs: of those nothing is promised. */
void mcp_subscriptions_listen(struct mcp_call *call)
{
	const json_t *wanted = json_object_get(mcp_call_params(call), "notifications");
	const json_t *uris = json_object_get(wanted, "resourceSubscriptions");
	struct mcp_server *server = mcp_call_server(call);
	json_t *honoured, *promised;

	if (!check_listen(call, wanted))
		return;
	honoured = add_all(call, uris);
	if (!honoured)
		return;
	activate(call, call->id);
	promised = uris ? json_pack("{s:O}", "resourceSubscriptions", honoured) : json_object();
	json_decref(honoured);
	if (mcp_call_is_cancelled(call)) {
		take_away(&server->subscriptions, NULL, call->id);
		json_decref(promised);
		return;
	}
	mcp_server_notify(server,
			  rpc_notification("notifications/subscriptions/acknowledged",
					   json_pack("{s:{s:O}, s:o}", "_meta",
						     "io.modelcontextprotocol/subscriptionId",
						     call->id, "notifications", promised)),
			  false);
	set_active(&server->subscriptions, call->id);
}

bool mcp_subscriptions_has(struct mcp_subscriptions *all, const json_t *id)
{
	bool has = false;

	pthread_mutex_lock(&all->lock);
	for (struct subscription *at = all->list; at && !has; at = at->next)
		has = at->listen && !at->is_removed && rpc_same_id(at->listen, id);
	pthread_mutex_unlock(&all->lock);
	return has;
}

void mcp_subscriptions_cancel(struct mcp_subscriptions *all, const json_t *id)
{
	take_away(all, NULL, id);
}
