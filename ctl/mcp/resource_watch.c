/*
 * The thread that watches resources. Files and values are watched on their peers, by streams that
 * are asked for again when they break: what may have been missed meanwhile counts as a change. How
 * this machine and its peers are is looked at each second.
 *
 * A change is told at once, and not again for a moment: who is told reads anew.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/fetch.h"
#include "ctl/mcp/mcp_server.h"
#include "ctl/mcp/rpc.h"
#include "ctl/mcp/subscription.h"
#include "ctl/monotonic.h"
#include "proto/ops_kv.h"

#define RETRY_MS 500   /* after a stream broke, or could not be had */
#define AGAIN_MS 10000 /* … because it is not allowed, which may change */
#define LOOK_MS  1000  /* at this machine and its peers */
#define QUIET_MS 100   /* after something was told */

struct watcher {
	struct mcp_subscriptions *all;
	struct remote *remote;           /* for streams; NULL: not connected */
	struct remote *control;          /* for questions to loopsyd */
	char name[OPS_CTL_NAME_MAX + 1]; /* of this machine */
	char *peers, *status; /* as they were when they were looked at last; NULL: never */
	int64_t look_at, connect_at;
};

static bool is_stream(const struct subscription *subscription)
{
	return subscription->uri.kind != RESOURCE_PEERS &&
	       subscription->uri.kind != RESOURCE_STATUS;
}

/* From now on changes are noticed, or it is known that they cannot be yet. */
static void set(struct subscription *subscription)
{
	pthread_mutex_lock(&subscription->all->lock);
	subscription->is_set = true;
	pthread_cond_broadcast(&subscription->all->changed);
	pthread_mutex_unlock(&subscription->all->lock);
}

/* --- streams ---------------------------------------------------------------------------------- */

static void take_changes(struct subscription *subscription, struct bytes data)
{
	const char *key = subscription->uri.kind == RESOURCE_VALUE ? subscription->uri.rest : NULL;
	struct kv_change change;

	while (data.size > 0 && codec_decode(&kv_change_record, &data, &change, NULL) == 0) {
		const struct bytes *changed = &change.entry.key;

		subscription->since = change.entry.version;
		/* The prefix that is watched may be that of others, too. */
		if (!key || change.kind == KV_LOST ||
		    (changed->size == strlen(key) &&
		     memcmp(changed->data, key, changed->size) == 0))
			subscription->is_dirty = true;
	}
}

static void take_events(struct subscription *subscription, struct bytes data)
{
	struct watch_event event;

	while (data.size > 0 && codec_decode(&watch_event_record, &data, &event, NULL) == 0) {
		subscription->is_dirty = true;
		subscription->must_renew |= event.kind == WATCH_GONE;
	}
}

static void on_data(void *arg, unsigned channel, struct bytes data)
{
	struct subscription *subscription = arg;

	if (subscription->uri.kind == RESOURCE_FILE)
		take_events(subscription, data);
	else
		take_changes(subscription, data);
	remote_consumed(subscription->call, channel, data.size);
}

static void lose(struct subscription *subscription, int error)
{
	bool allowed = error != -EACCES && error != -EPERM && error != -EINVAL && error != -ENOSPC;

	subscription->call = NULL;
	subscription->retry_at = monotonic_ms() + (allowed ? RETRY_MS : AGAIN_MS);
	set(subscription);
}

static void on_reply(void *arg, const struct remote_reply *reply)
{
	struct subscription *subscription = arg;

	if (reply->error < 0) {
		/* What went before it was asked for again is a change; what is not there yet, is
		 * none, but when it comes. */
		subscription->is_dirty |= subscription->is_watched;
		subscription->is_watched = false;
		subscription->was_set = true;
		lose(subscription, reply->error);
		return;
	}
	if (subscription->uri.kind != RESOURCE_FILE)
		subscription->since = ((const struct result_kv_watch *)reply->result)->version;
	subscription->is_dirty |= subscription->was_set;
	subscription->was_set = subscription->is_watched = true;
	set(subscription);
}

static void on_end(void *arg, int error)
{
	lose(arg, error);
}

static const struct remote_handler handler = {on_reply, on_data, on_end};

static int ask_file(struct watcher *watcher, struct subscription *subscription)
{
	struct watch_path path = {
	    .path = {(const uint8_t *)subscription->uri.rest, strlen(subscription->uri.rest)}};
	struct args_watch args = {.recursive = false};
	struct buffer encoded = {0};
	int r = codec_list_append(&args.paths, &encoded, &watch_path_record, &path);

	if (r == 0) {
		codec_list_finish(&args.paths, &encoded);
		r = remote_call(watcher->remote, subscription->uri.peer, OP_WATCH, &args, &handler,
				subscription, &subscription->call);
	}
	buffer_deinit(&encoded);
	return r;
}

static int ask_values(struct watcher *watcher, struct subscription *subscription)
{
	bool is_value = subscription->uri.kind == RESOURCE_VALUE;
	struct args_kv_watch args = {
	    .prefix = bytes_of_text(is_value ? subscription->uri.rest : ""),
	    .since = subscription->since,
	};
	const char *peer = is_value ? subscription->uri.peer : "";

	if (strcmp(peer, watcher->name) == 0)
		peer = "";
	return remote_call(watcher->remote, peer, OP_KV_WATCH, &args, &handler, subscription,
			   &subscription->call);
}

static void ask(struct watcher *watcher, struct subscription *subscription)
{
	int r = subscription->uri.kind == RESOURCE_FILE ? ask_file(watcher, subscription)
							: ask_values(watcher, subscription);

	if (r < 0) {
		subscription->call = NULL;
		subscription->retry_at = monotonic_ms() + RETRY_MS;
	}
}

/* --- this machine and its peers --------------------------------------------------------------- */

/* Without what changes all the time. */
static char *snapshot(json_t *peers)
{
	json_t *peer;
	size_t i;

	json_array_foreach(peers, i, peer)
	{
		json_object_del(peer, "rtt_ms");
		json_object_del(peer, "last_seen");
	}
	return json_dumps(peers, JSON_COMPACT);
}

/* Whether it is another one than before; takes `now`. */
static bool is_new(char **before, char *now)
{
	bool is_other = *before && now && strcmp(*before, now) != 0;

	free(*before);
	*before = now;
	return is_other;
}

static char *status_text(struct watcher *watcher)
{
	struct result_ctl_status status;
	char *text;

	if (local_client_call(remote_client(watcher->control), OP_CTL_STATUS,
			      &(struct args_ctl_status){0}, &status) < 0)
		return NULL;
	snprintf(watcher->name, sizeof(watcher->name), "%.*s", (int)status.name.size,
		 (const char *)status.name.data);
	return asprintf(&text, "%s %llu %.*s", watcher->name, (unsigned long long)status.pid,
			(int)status.mount.size,
			status.mount.size ? (const char *)status.mount.data : "") < 0
		   ? NULL
		   : text;
}

/* Returns 0 or -errno. */
static int look(struct watcher *watcher)
{
	struct mcp_subscriptions *all = watcher->all;
	json_t *peers = NULL;
	int r = fetch_peers_quietly(remote_client(watcher->control), &peers);
	bool other_peers, other_status;

	if (r < 0)
		return r;
	other_status = is_new(&watcher->status, status_text(watcher));
	other_peers = is_new(&watcher->peers, snapshot(peers));
	json_decref(peers);
	pthread_mutex_lock(&all->lock);
	for (struct subscription *at = all->list; at; at = at->next) {
		if (is_stream(at))
			continue;
		at->is_dirty |= at->is_set && at->uri.kind == RESOURCE_PEERS && other_peers;
		at->is_dirty |= at->is_set && at->uri.kind == RESOURCE_STATUS && other_status;
		at->is_set = true;
	}
	pthread_cond_broadcast(&all->changed);
	pthread_mutex_unlock(&all->lock);
	watcher->look_at = monotonic_ms() + LOOK_MS;
	return 0;
}

/* --- the connections -------------------------------------------------------------------------- */

/* Everything is asked for again; who waits for it to be set need not. */
static void disconnect(struct watcher *watcher)
{
	struct mcp_subscriptions *all = watcher->all;

	watcher->remote = remote_free(watcher->remote);
	watcher->control = remote_free(watcher->control);
	watcher->connect_at = monotonic_ms() + RETRY_MS;
	pthread_mutex_lock(&all->lock);
	for (struct subscription *at = all->list; at; at = at->next) {
		at->call = NULL;
		at->was_set |= at->is_set;
		at->is_set = true;
	}
	pthread_cond_broadcast(&all->changed);
	pthread_mutex_unlock(&all->lock);
}

static int connect_one(struct watcher *watcher, struct remote **ret_remote)
{
	struct mcp_server *server = watcher->all->server;
	int r = remote_new(server->socket, ret_remote);

	if (r < 0)
		return r;
	remote_set_interrupt(*ret_remote, watcher->all->stop_fd);
	r = server->key ? remote_present_key(*ret_remote, server->key, NULL) : -ENOKEY;
	if (r < 0)
		*ret_remote = remote_free(*ret_remote);
	return r;
}

/* The client asked for what its key does not allow any more: it hears that it is over. */
static void end_listening(struct watcher *watcher)
{
	struct mcp_subscriptions *all = watcher->all;

	pthread_mutex_lock(&all->lock);
	for (struct subscription *at = all->list; at; at = at->next) {
		if (at->listen && at->is_active && !at->is_removed) {
			mcp_server_notify(
			    all->server,
			    rpc_result(at->listen,
				       json_pack("{s:s, s:{s:O}}", "resultType", "complete",
						 "_meta", "io.modelcontextprotocol/subscriptionId",
						 at->listen)),
			    false);
			/* Once for all of the request. */
			for (struct subscription *other = at->next; other; other = other->next)
				other->is_removed |=
				    other->listen && rpc_same_id(other->listen, at->listen);
		}
		at->is_removed = true;
	}
	pthread_mutex_unlock(&all->lock);
}

static void meet_error(struct watcher *watcher, int r)
{
	disconnect(watcher);
	if (r == -EKEYREVOKED || r == -EKEYREJECTED)
		end_listening(watcher);
}

static void connect_both(struct watcher *watcher)
{
	int r = connect_one(watcher, &watcher->control);

	r = r < 0 ? r : connect_one(watcher, &watcher->remote);
	r = r < 0 ? r : look(watcher);
	if (r < 0)
		meet_error(watcher, r);
}

/* --- the loop --------------------------------------------------------------------------------- */

/* Those that nobody wants any more go; the others are asked for. Returns when something is due. */
static int64_t renew(struct watcher *watcher)
{
	struct mcp_subscriptions *all = watcher->all;
	int64_t now = monotonic_ms(), next = INT64_MAX;

	pthread_mutex_lock(&all->lock);
	for (struct subscription **link = &all->list, *at; (at = *link);) {
		if ((at->is_removed || at->must_renew) && at->call) {
			remote_cancel(at->call);
			at->call = NULL;
			at->retry_at = now + RETRY_MS;
		}
		at->must_renew = false;
		if (at->is_removed) {
			*link = at->next;
			all->n--;
			subscription_free(at);
			continue;
		}
		if (is_stream(at) && !at->call && watcher->remote && at->retry_at <= now)
			ask(watcher, at);
		if (is_stream(at) && !at->call && watcher->remote && at->retry_at < next)
			next = at->retry_at;
		link = &at->next;
	}
	if (!all->list)
		next = INT64_MAX;
	else if (!watcher->remote)
		next = watcher->connect_at;
	else if (watcher->look_at < next)
		next = watcher->look_at;
	pthread_mutex_unlock(&all->lock);
	return next;
}

/* Tells of changes; returns when the next is due. */
static int64_t tell(struct watcher *watcher)
{
	struct mcp_subscriptions *all = watcher->all;
	int64_t now = monotonic_ms(), next = INT64_MAX;

	pthread_mutex_lock(&all->lock);
	for (struct subscription *at = all->list; at; at = at->next) {
		json_t *params;

		if (!at->is_dirty || !at->is_active || at->is_removed)
			continue;
		if (at->told_at + QUIET_MS > now) {
			next = at->told_at + QUIET_MS < next ? at->told_at + QUIET_MS : next;
			continue;
		}
		params = json_pack("{s:s}", "uri", at->text);
		if (at->listen)
			json_object_set_new(params, "_meta",
					    json_pack("{s:O}",
						      "io.modelcontextprotocol/subscriptionId",
						      at->listen));
		mcp_server_notify(
		    all->server, rpc_notification("notifications/resources/updated", params), true);
		at->is_dirty = false;
		at->told_at = now;
	}
	pthread_mutex_unlock(&all->lock);
	return next;
}

/* Returns whether to go on. */
static bool turn(struct watcher *watcher)
{
	struct pollfd fds[3] = {{.fd = watcher->all->stop_fd, .events = POLLIN},
				{.fd = watcher->all->wake_fd, .events = POLLIN},
				{.fd = -1}};
	int64_t next = renew(watcher), told = tell(watcher), now = monotonic_ms();
	uint64_t count;
	int r = 0;

	next = told < next ? told : next;
	if (watcher->remote)
		fds[2] = remote_poll(watcher->remote);
	if (poll(fds, 3, next == INT64_MAX ? -1 : next > now ? (int)(next - now) : 0) < 0)
		return errno == EINTR;
	if (fds[0].revents)
		return false;
	if (fds[1].revents && read(watcher->all->wake_fd, &count, sizeof(count)) > 0)
		watcher->look_at = 0; /* for the new ones */
	if (fds[2].revents)
		r = remote_turn(watcher->remote);
	if (r == 0 && watcher->remote && watcher->look_at <= monotonic_ms())
		r = look(watcher);
	if (r < 0)
		meet_error(watcher, r);
	else if (!watcher->remote && watcher->connect_at <= monotonic_ms())
		connect_both(watcher);
	return true;
}

void *resource_watch_run(void *arg)
{
	struct mcp_subscriptions *all = arg;
	struct watcher watcher = {.all = all};

	while (turn(&watcher))
		;
	remote_free(watcher.remote);
	remote_free(watcher.control);
	free(watcher.peers);
	free(watcher.status);
	pthread_mutex_lock(&all->lock);
	all->has_ended = true;
	pthread_cond_broadcast(&all->changed);
	pthread_mutex_unlock(&all->lock);
	return NULL;
}
