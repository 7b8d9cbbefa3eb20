#include "ctl/mcp/mcp_resources.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/fetch.h"
#include "ctl/kv_client.h"
#include "ctl/mcp/aside.h"
#include "ctl/mcp/mcp_text.h"
#include "ctl/mcp/peer_path.h"
#include "ctl/mcp/resource_uri.h"
#include "ctl/mcp/rpc.h"
#include "proto/cursor.h"

#define HOUR_MS       3600000
#define SIZE_MAX_READ ((size_t)1024 * 1024) /* bytes: more is to be read in the mount */

/* --- what there is ---------------------------------------------------------------------------- */

static const struct {
	const char *uri, *name, *title, *description;
} resources[] = {
    {"loopsy://peers", "peers", "Peers", "The paired machines, and which are online."},
    {"loopsy://status", "status", "Status", "This machine's loopsy."},
    {"loopsy://context", "context", "Context", "The keys of this machine's shared values."},
};

static const struct {
	const char *uri, *name, *title, *description;
} templates[] = {
    {"loopsy://{peer}/files/{+path}", "file", "File on a peer",
     "A file of up to 1 MiB; path below what the peer shows."},
    {"loopsy://{peer}/kv/{key}", "value", "Shared value", "A shared value on a peer."},
};

/* There is one page. Whether the request asks for another. */
static bool has_cursor(struct mcp_call *call)
{
	if (!json_object_get(mcp_call_params(call), "cursor"))
		return false;
	mcp_call_error(call, RPC_INVALID_PARAMS, "unknown cursor");
	return true;
}

static json_t *describe(struct mcp_call *call, const char *key, const char *uri, const char *name,
			const char *title, const char *description)
{
	json_t *object =
	    json_pack("{s:s, s:s, s:s}", key, uri, "name", name, "description", description);

	if (mcp_call_version(call) >= MCP_2025_06_18)
		json_object_set_new(object, "title", json_string(title));
	return object;
}

void mcp_resources_list(struct mcp_call *call)
{
	json_t *list;

	if (has_cursor(call))
		return;
	list = json_array();
	for (size_t i = 0; i < sizeof(resources) / sizeof(resources[0]); i++) {
		json_t *resource = describe(call, "uri", resources[i].uri, resources[i].name,
					    resources[i].title, resources[i].description);

		json_object_set_new(resource, "mimeType", json_string("application/json"));
		json_array_append_new(list, resource);
	}
	mcp_call_result_cached(call, json_pack("{s:o}", "resources", list), HOUR_MS, true);
}

void mcp_resources_templates(struct mcp_call *call)
{
	json_t *list;

	if (has_cursor(call))
		return;
	list = json_array();
	for (size_t i = 0; i < sizeof(templates) / sizeof(templates[0]); i++)
		json_array_append_new(list, describe(call, "uriTemplate", templates[i].uri,
						     templates[i].name, templates[i].title,
						     templates[i].description));
	mcp_call_result_cached(call, json_pack("{s:o}", "resourceTemplates", list), HOUR_MS, true);
}

/* --- how a read ends -------------------------------------------------------------------------- */

void mcp_resources_fail_unknown(struct mcp_call *call, const char *uri)
{
	bool modern = mcp_version_is_modern(mcp_call_version(call));

	mcp_call_error_data(call, modern ? RPC_INVALID_PARAMS : RPC_RESOURCE_NOT_FOUND,
			    "Resource not found", json_pack("{s:s}", "uri", uri));
}

/* `reason` may be empty. */
static void fail(struct mcp_call *call, const char *uri, const char *peer, int error,
		 const char *reason)
{
	const char *place = remote_place(peer);

	if (error == -ENOENT)
		mcp_resources_fail_unknown(call, uri);
	else if (error == -EHOSTDOWN)
		mcp_call_error(call, RPC_INTERNAL_ERROR,
			       "%s is offline; loopsy_list_peers shows who is online", place);
	else if (error == -EFBIG)
		mcp_call_error(call, RPC_INTERNAL_ERROR, "%s is larger than 1 MiB: %s", uri,
			       reason[0] ? reason : "it is too large for a resource");
	else if (error == -EISDIR)
		mcp_call_error(call, RPC_INVALID_PARAMS,
			       "%s is a directory; loopsy_list_remote_files lists it", uri);
	else
		mcp_call_error(call, RPC_INTERNAL_ERROR, "%s: %s", place,
			       reason[0] ? reason : strerror(-error));
}

static void answer(struct mcp_call *call, json_t *content)
{
	mcp_call_result_cached(call, json_pack("{s:[o]}", "contents", content), 0, false);
}

/* Takes the reference. */
static void answer_json(struct mcp_call *call, const char *uri, json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT);

	json_decref(value);
	if (text)
		answer(call, json_pack("{s:s, s:s, s:s}", "uri", uri, "mimeType",
				       "application/json", "text", text));
	else
		mcp_call_error(call, RPC_INTERNAL_ERROR, "out of memory");
	free(text);
}

/* RFC 4648; malloc'ed. */
static char *base64(struct bytes data)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *text = malloc((data.size + 2) / 3 * 4 + 1), *to = text;

	for (size_t i = 0; text && i < data.size; i += 3) {
		size_t n = data.size - i;
		unsigned bits = (unsigned)data.data[i] << 16;

		bits |= n > 1 ? (unsigned)data.data[i + 1] << 8 : 0;
		bits |= n > 2 ? (unsigned)data.data[i + 2] : 0;
		*to++ = digits[bits >> 18];
		*to++ = digits[bits >> 12 & 63];
		*to++ = n > 1 ? digits[bits >> 6 & 63] : '=';
		*to++ = n > 2 ? digits[bits & 63] : '=';
	}
	if (text)
		*to = '\0';
	return text;
}

/* Text, if it is, or base64. */
static void answer_bytes(struct mcp_call *call, const char *uri, struct bytes data)
{
	bool is_text =
	    data.size == 0 || (cursor_is_utf8(data) && !memchr(data.data, '\0', data.size));
	char *encoded = is_text ? NULL : base64(data);
	json_t *content = json_pack("{s:s, s:s}", "uri", uri, "mimeType",
				    is_text ? "text/plain" : "application/octet-stream");

	if (is_text)
		json_object_set_new(
		    content, "text",
		    json_stringn(data.size ? (const char *)data.data : "", data.size));
	else
		json_object_set_new(content, "blob", json_string(encoded));
	free(encoded);
	answer(call, content);
}

/* --- files: aside, as they may block ---------------------------------------------------------- */

struct reading {
	char *path;
	int error;
	struct buffer data;
};

static void reading_free(void *arg)
{
	struct reading *reading = arg;

	buffer_deinit(&reading->data);
	free(reading->path);
	free(reading);
}

static int read_fd(int fd, struct buffer *data)
{
	for (;;) {
		ssize_t n;
		int r = buffer_reserve(data, 64 * 1024);

		if (r < 0)
			return r;
		n = read(fd, data->data + data->size, 64 * 1024);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		data->size += (size_t)n;
		if (data->size > SIZE_MAX_READ)
			return -EFBIG;
	}
}

static void read_file(void *arg)
{
	struct reading *reading = arg;
	int fd = open(reading->path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;

	if (fd < 0) {
		reading->error = -errno;
		return;
	}
	if (fstat(fd, &st) < 0)
		reading->error = -errno;
	else if (S_ISDIR(st.st_mode))
		reading->error = -EISDIR;
	else if (!S_ISREG(st.st_mode))
		reading->error = -EINVAL;
	else if (st.st_size > (off_t)SIZE_MAX_READ)
		reading->error = -EFBIG;
	else
		reading->error = read_fd(fd, &reading->data);
	close(fd);
}

static void follow_reading(struct mcp_call *call, const char *uri, const char *peer,
			   struct reading *reading)
{
	char reason[PEER_PATH_REASON_MAX];
	struct aside *aside;
	int r = aside_new(read_file, reading, &aside);

	if (r < 0) {
		reading_free(reading);
		fail(call, uri, peer, r, "");
		return;
	}
	snprintf(reason, sizeof(reason), "read it at %.500s", reading->path);
	r = aside_wait(aside, mcp_call_interrupt_fd(call), -1);
	r = r < 0 ? r : reading->error;
	if (r < 0)
		fail(call, uri, peer, r, r == -EFBIG ? reason : "");
	else
		answer_bytes(call, uri, (struct bytes){reading->data.data, reading->data.size});
	aside_free(aside, reading_free);
}

static void read_peer_file(struct mcp_call *call, struct remote *remote, const char *text,
			   const struct resource_uri *uri)
{
	struct reading *reading = calloc(1, sizeof(*reading));
	char reason[PEER_PATH_REASON_MAX] = "";
	const char *why = "", *mount;
	struct peer_path path = {0};
	int r = reading ? peer_path_may(remote, uri->peer, "fs:ro", &why) : -ENOMEM;

	if (r == 0) {
		mount = mcp_call_try_mount(call);
		why = "the peers are not mounted here; 'loopsyctl doctor' says why";
		r = mount ? 0 : -ENODEV;
	}
	if (r == 0) {
		r = peer_path_find(mount, uri->peer, uri->rest, &path, reason);
		why = reason;
	}
	if (r < 0) {
		fail(call, text, uri->peer, r, why);
		free(reading);
		return;
	}
	reading->path = path.here;
	path.here = NULL;
	peer_path_deinit(&path);
	follow_reading(call, text, uri->peer, reading);
}

/* --- values ----------------------------------------------------------------------------------- */

/* Whose values: "" for this machine, which has a name, too. */
static const char *machine_of(struct remote *remote, const char *name)
{
	struct result_ctl_status status;
	int r = local_client_call(remote_client(remote), OP_CTL_STATUS, &(struct args_ctl_status){0},
				  &status);
	bool is_here = r == 0 && status.name.size == strlen(name) &&
		       memcmp(status.name.data, name, status.name.size) == 0;

	return is_here ? "" : name;
}

static void read_value(struct mcp_call *call, struct remote *remote, const char *text,
		       const struct resource_uri *uri)
{
	struct kv_got got = {0};
	int r = kv_client_get(remote, machine_of(remote, uri->peer), uri->rest, &got);

	if (r == 0 && got.value.size > SIZE_MAX_READ)
		r = -EFBIG;
	if (r < 0)
		fail(call, text, uri->peer, r, got.reason);
	else
		answer_bytes(call, text, (struct bytes){got.value.data, got.value.size});
	kv_got_deinit(&got);
}

static void add_key(void *arg, const struct kv_entry *entry)
{
	json_array_append_new(
	    arg, json_pack("{s:o, s:I, s:I}", "key", mcp_text(entry->key.data, entry->key.size),
			   "size", (json_int_t)entry->size, "version", (json_int_t)entry->version));
}

static void read_context(struct mcp_call *call, struct remote *remote, const char *text)
{
	json_t *keys = json_array();
	const char *reason = "";
	int r = kv_client_list(remote, "", "", add_key, keys, &reason);

	if (r == 0) {
		answer_json(call, text, json_pack("{s:O}", "values", keys));
	} else {
		fail(call, text, "", r, reason ? reason : "");
	}
	json_decref(keys);
}

/* --- this machine ----------------------------------------------------------------------------- */

static void read_peers(struct mcp_call *call, struct remote *remote, const char *text)
{
	json_t *peers = NULL;
	int r = fetch_peers_quietly(remote_client(remote), &peers);

	if (r < 0)
		fail(call, text, "", r, remote_client(remote)->reason);
	else
		answer_json(call, text, json_pack("{s:o}", "peers", peers));
}

static void read_status(struct mcp_call *call, struct remote *remote, const char *text)
{
	struct result_ctl_status status;
	int r = local_client_call(remote_client(remote), OP_CTL_STATUS,
				  &(struct args_ctl_status){0}, &status);

	if (r < 0)
		fail(call, text, "", r, remote_client(remote)->reason);
	else
		answer_json(call, text,
			    json_pack("{s:o, s:o, s:o, s:o, s:I}", "name",
				      context_json_text(status.name), "id",
				      context_json_text(status.id), "version",
				      context_json_text(status.version), "mount",
				      context_json_text(status.mount), "uptime_s",
				      (json_int_t)status.uptime_s));
}

void mcp_resources_read(struct mcp_call *call)
{
	const char *text = json_string_value(json_object_get(mcp_call_params(call), "uri"));
	const char *reason = "";
	struct resource_uri uri;
	struct remote *remote;

	if (!text) {
		mcp_call_error(call, RPC_INVALID_PARAMS, "uri must be a string");
		return;
	}
	if (resource_uri_read(text, &uri) < 0) {
		mcp_resources_fail_unknown(call, text);
		return;
	}
	remote = mcp_call_connect(call, &reason);
	if (!remote) {
		mcp_call_error(call, RPC_INTERNAL_ERROR, "%s", reason);
		resource_uri_deinit(&uri);
		return;
	}
	switch (uri.kind) {
	case RESOURCE_PEERS:
		read_peers(call, remote, text);
		break;
	case RESOURCE_STATUS:
		read_status(call, remote, text);
		break;
	case RESOURCE_CONTEXT:
		read_context(call, remote, text);
		break;
	case RESOURCE_FILE:
		read_peer_file(call, remote, text, &uri);
		break;
	case RESOURCE_VALUE:
		read_value(call, remote, text, &uri);
		break;
	}
	resource_uri_deinit(&uri);
}
