#include "ctl/mcp/mcp_call.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ctl/context.h"
#include "ctl/mcp/mcp_call_private.h"
#include "ctl/mcp/mcp_pool.h"
#include "ctl/mcp/mcp_server.h"
#include "ctl/mcp/mcp_text.h"
#include "ctl/mcp/rpc.h"
#include "ctl/remote.h"

static const char key_is_void[] =
    "the API key that this server was started with holds no more (revoked or replaced); run "
    "'loopsyctl mcp install' and start this server anew";

struct mcp_call *mcp_call_new(struct mcp_server *server, json_t *message, json_t *id,
			      json_t *params)
{
	struct mcp_call *call = calloc(1, sizeof(*call));

	if (!call)
		return NULL;
	call->server = server;
	call->message = message;
	call->id = id;
	call->params = params ? json_incref(params) : json_object();
	call->progress = -1;
	return call;
}

struct mcp_call *mcp_call_free(struct mcp_call *call)
{
	if (!call)
		return NULL;
	json_decref(call->params);
	json_decref(call->message);
	free(call->mount);
	free(call->reason);
	free(call->kept);
	free(call);
	return NULL;
}

const json_t *mcp_call_params(const struct mcp_call *call)
{
	return call->params;
}

enum mcp_version mcp_call_version(const struct mcp_call *call)
{
	return call->version;
}

struct mcp_server *mcp_call_server(const struct mcp_call *call)
{
	return call->server;
}

/* --- how it ends ------------------------------------------------------------------------------ */

static void end(struct mcp_call *call, json_t *reply)
{
	assert(!call->has_ended);
	call->has_ended = true;
	if (!reply)
		reply = rpc_error(call->id, RPC_INTERNAL_ERROR, "out of memory", NULL);
	mcp_server_reply(call, reply);
}

void mcp_call_result(struct mcp_call *call, json_t *result)
{
	if (result && mcp_version_is_modern(call->version)) {
		json_object_set_new(result, "resultType", json_string("complete"));
		json_object_set_new(result, "_meta",
				    json_pack("{s:{s:s, s:s}}",
					      "io.modelcontextprotocol/serverInfo", "name",
					      "loopsy", "version", LOOPSY_VERSION));
	}
	end(call, rpc_result(call->id, result));
}

void mcp_call_result_cached(struct mcp_call *call, json_t *result, long long ttl_ms, bool shared)
{
	if (result && mcp_version_is_modern(call->version)) {
		json_object_set_new(result, "ttlMs", json_integer(ttl_ms));
		json_object_set_new(result, "cacheScope",
				    json_string(shared ? "public" : "private"));
	}
	mcp_call_result(call, result);
}

static char *format_text(const char *format, va_list list)
{
	char *text, *clean;

	if (vasprintf(&text, format, list) < 0)
		return NULL;
	clean = mcp_text_clean(text, strlen(text));
	free(text);
	return clean;
}

void mcp_call_error(struct mcp_call *call, int code, const char *format, ...)
{
	va_list list;
	char *text;

	va_start(list, format);
	text = format_text(format, list);
	va_end(list);
	end(call, text ? rpc_error(call->id, code, text, NULL) : NULL);
	free(text);
}

void mcp_call_error_data(struct mcp_call *call, int code, const char *message, json_t *data)
{
	end(call, rpc_error(call->id, code, message, data));
}

/* --- of tools --------------------------------------------------------------------------------- */

static json_t *content_of(const char *text)
{
	return json_pack("{s:[{s:s, s:s}]}", "content", "type", "text", "text", text);
}

void mcp_call_answer(struct mcp_call *call, json_t *structured, const char *format, ...)
{
	json_t *result = NULL;
	va_list list;
	char *text;

	if (format) {
		va_start(list, format);
		text = format_text(format, list);
		va_end(list);
	} else {
		text = structured ? json_dumps(structured, JSON_COMPACT | JSON_REAL_PRECISION(9))
				  : NULL;
	}
	if (text && structured)
		result = content_of(text);
	free(text);
	if (result && call->version >= MCP_2025_06_18)
		json_object_set(result, "structuredContent", structured);
	json_decref(structured);
	mcp_call_result(call, result);
}

static void fail_with(struct mcp_call *call, const char *text)
{
	json_t *result = text ? content_of(text) : NULL;

	if (result)
		json_object_set_new(result, "isError", json_true());
	mcp_call_result(call, result);
}

void mcp_call_fail(struct mcp_call *call, const char *format, ...)
{
	va_list list;
	char *text;

	va_start(list, format);
	text = format_text(format, list);
	va_end(list);
	fail_with(call, text);
	free(text);
}

/* What loopsyd knows of the peer. Returns 0 or -errno. */
static int show_peer(struct mcp_call *call, const char *peer, struct result_ctl_peer_show *result)
{
	struct args_ctl_peer_show args = {.name = bytes_of_text(peer)};
	const char *reason;
	struct remote *remote = mcp_call_connect(call, &reason);

	return remote ? local_client_call(remote_client(remote), OP_CTL_PEER_SHOW, &args, result)
		      : -ECONNRESET;
}

/* Since when a peer is away, as "14:02" or with the day; "" if it is not known. */
static void since_when(struct mcp_call *call, const char *peer, char *text, size_t size)
{
	struct result_ctl_peer_show result;
	time_t now = time(NULL), seen;
	struct tm tm;

	text[0] = '\0';
	if (show_peer(call, peer, &result) < 0)
		return;
	seen = result.peer.last_seen.tv_sec;
	if (seen > 0 && localtime_r(&seen, &tm))
		strftime(text, size,
			 now - seen < 20 * 3600 ? " since %H:%M" : " since %Y-%m-%d %H:%M", &tm);
}

const char *mcp_call_keep(struct mcp_call *call, const char *text)
{
	char *copy = strdup(text);

	free(call->kept);
	call->kept = copy;
	return copy ? copy : "";
}

bool mcp_call_knows_peer(struct mcp_call *call, const char *peer)
{
	struct result_ctl_peer_show result;

	return show_peer(call, peer, &result) != -ENOENT;
}

void mcp_call_fail_errno(struct mcp_call *call, const char *peer, int error, const char *reason)
{
	const char *place = peer && peer[0] ? peer : "this machine";
	char since[40], text[OPS_CTL_TEXT_MAX + 1];

	/* It may be the connection's, which is used now. */
	snprintf(text, sizeof(text), "%s", reason ? reason : "");
	if (error == -ENOENT && peer && peer[0] && !mcp_call_knows_peer(call, peer)) {
		mcp_call_fail(call, "no peer is called '%s'; loopsy_list_peers lists them", peer);
	} else if (error == -EHOSTDOWN) {
		since_when(call, place, since, sizeof(since));
		mcp_call_fail(call, "%s is offline%s; loopsy_list_peers shows who is online", place,
			      since);
	} else if (error == -EKEYREVOKED || error == -EKEYREJECTED) {
		mcp_call_fail(call, "%s", key_is_void);
	} else if (error == -ECONNRESET) {
		mcp_call_fail(call, "loopsyd on this machine ended meanwhile; run 'loopsyctl "
				    "start', then call this again");
	} else {
		mcp_call_fail(call, "%s%s%s", text[0] ? text : place, text[0] ? "" : ": ",
			      text[0] ? "" : strerror(-error));
	}
}

/* --- of those that wait ----------------------------------------------------------------------- */

bool mcp_call_is_cancelled(const struct mcp_call *call)
{
	return atomic_load(&call->cancelled);
}

int mcp_call_interrupt_fd(const struct mcp_call *call)
{
	return call->worker->interrupt_fd;
}

/* Whether the connection is still there: what came on it since the last call is taken in, and what
 * was given up is told. */
static bool is_alive(struct remote *remote)
{
	struct pollfd poll_fd = remote_poll(remote);
	int r = 0;

	poll_fd.events = POLLIN;
	if (poll(&poll_fd, 1, 0) != 0)
		r = remote_turn(remote);
	while (r == 0 && (remote_poll(remote).events & POLLOUT))
		r = remote_wait(remote);
	return r == 0;
}

static const char *why_not_connected(struct mcp_call *call, int error)
{
	free(call->reason);
	call->reason = NULL;
	switch (error) {
	case -EKEYREJECTED:
	case -EKEYREVOKED:
		return key_is_void;
	case -ENOKEY:
		return "there was no API key when this server started; run 'loopsyctl init' and "
		       "start it anew";
	case -ENOENT:
	case -ENOTDIR:
	case -ECONNREFUSED:
		return "loopsyd does not run on this machine; start it with 'loopsyctl start'";
	case -ETIMEDOUT:
		return "loopsyd on this machine does not answer; 'loopsyctl doctor' may say why";
	case -EACCES:
	case -EPERM:
		return "loopsyd on this machine is another user's; run this as that user";
	default:
		if (asprintf(&call->reason, "cannot reach loopsyd on this machine: %s",
			     strerror(-error)) < 0)
			call->reason = NULL;
		return call->reason ? call->reason : "out of memory";
	}
}

/* Returns 0 or -errno. */
static int connect_worker(struct mcp_call *call)
{
	struct mcp_worker *worker = call->worker;
	int r = remote_new(call->server->socket, &worker->remote);

	if (r < 0)
		return r;
	remote_set_interrupt(worker->remote, worker->interrupt_fd);
	r = call->server->key ? remote_present_key(worker->remote, call->server->key, NULL)
			      : -ENOKEY;
	if (r < 0)
		worker->remote = remote_free(worker->remote);
	return r;
}

struct remote *mcp_call_connect(struct mcp_call *call, const char **ret_reason)
{
	struct mcp_worker *worker = call->worker;
	int r;

	if (worker->remote && !is_alive(worker->remote))
		worker->remote = remote_free(worker->remote);
	if (worker->remote)
		return worker->remote;
	r = connect_worker(call);
	if (r < 0)
		*ret_reason = why_not_connected(call, r);
	return worker->remote;
}

struct remote *mcp_call_remote(struct mcp_call *call)
{
	const char *reason = NULL;
	struct remote *remote = mcp_call_connect(call, &reason);

	if (!remote)
		mcp_call_fail(call, "%s", reason);
	return remote;
}

/* Returns 0, -ENODEV when there is none, or another -errno. */
static int find_mount(struct mcp_call *call, struct remote *remote)
{
	struct result_ctl_status status;
	int r = local_client_call(remote_client(remote), OP_CTL_STATUS,
				  &(struct args_ctl_status){0}, &status);

	if (r < 0)
		return r;
	if (status.mount.size == 0)
		return -ENODEV;
	free(call->mount);
	call->mount = strndup((const char *)status.mount.data, status.mount.size);
	return call->mount ? 0 : -ENOMEM;
}

const char *mcp_call_mount(struct mcp_call *call)
{
	struct remote *remote = call->mount ? NULL : mcp_call_remote(call);
	int r;

	if (call->mount || !remote)
		return call->mount;
	r = find_mount(call, remote);
	if (r == -ENODEV)
		mcp_call_fail(call, "the peers are not mounted on this machine; 'loopsyctl doctor' "
				    "says why");
	else if (r < 0)
		mcp_call_fail_errno(call, NULL, r, remote_client(remote)->reason);
	return r == 0 ? call->mount : NULL;
}

const char *mcp_call_try_mount(struct mcp_call *call)
{
	const char *reason;
	struct remote *remote = call->mount ? NULL : mcp_call_connect(call, &reason);

	if (remote)
		find_mount(call, remote);
	return call->mount;
}

void mcp_call_progress(struct mcp_call *call, double done, double total, const char *message)
{
	json_t *token = json_object_get(json_object_get(call->params, "_meta"), "progressToken");
	json_t *params;

	if (!token || done <= call->progress || mcp_call_is_cancelled(call))
		return;
	call->progress = done;
	params = json_pack("{s:O, s:f}", "progressToken", token, "progress", done);
	if (params && total >= 0)
		json_object_set_new(params, "total", json_real(total));
	if (params && message && call->version >= MCP_2025_03_26)
		json_object_set_new(params, "message", mcp_text(message, strlen(message)));
	mcp_server_notify(call->server, rpc_notification("notifications/progress", params), true);
}
