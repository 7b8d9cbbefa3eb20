/* loopsy_list_peers, loopsy_peer_status */
#include <string.h>

#include "ctl/context.h"
#include "ctl/fetch.h"
#include "ctl/mcp/mcp_text.h"
#include "ctl/mcp/tools.h"

static const struct schema_field no_arguments[] = {{.name = NULL}};

static const char *const states[] = {"online", "connecting", "offline", NULL};

#define FIELDS_PEER                                                                                \
	{"name", SCHEMA_STRING, .required = true},                                                 \
	    {"state", SCHEMA_STRING, .required = true, .choices = states},                         \
	    {"mount", SCHEMA_STRING, .description = "its files are below this path"},              \
	{                                                                                          \
		"granted", SCHEMA_STRINGS, .description = "what we may do there"                   \
	}

static const struct schema_field list_peer[] = {
    FIELDS_PEER,
    {"last_seen", SCHEMA_STRING},
    {.name = NULL},
};

static const struct schema_field list_output[] = {
    {"machine", SCHEMA_STRING, .required = true, .description = "this one"},
    {"peers", SCHEMA_ARRAY, .required = true, .of = list_peer},
    {.name = NULL},
};

static const struct schema_field status_input[] = {
    {"peer", SCHEMA_STRING, .required = true, .min = 1, .max = OPS_CTL_NAME_MAX},
    {.name = NULL},
};

static const struct schema_field status_output[] = {
    FIELDS_PEER,
    {"last_seen", SCHEMA_STRING},
    {"error", SCHEMA_STRING},
    {"rtt_ms", SCHEMA_NUMBER},
    {"permissions", SCHEMA_STRINGS, .description = "what it may do here"},
    {"software", SCHEMA_STRING},
    {.name = NULL},
};

/* What is known of it, of the members of fetch_peer: those that are empty or null say nothing. */
static json_t *pick(const json_t *peer, const struct schema_field *fields, const char *mount)
{
	const char *name = fetch_text(peer, "name");
	json_t *picked = json_object();

	for (; fields->name; fields++) {
		json_t *value = json_object_get(peer, fields->name);

		if (value && !json_is_null(value) &&
		    !(json_is_string(value) && json_string_length(value) == 0))
			json_object_set(picked, fields->name, value);
	}
	/* Of one that is there it would be another time in each answer. */
	if (strcmp(fetch_text(peer, "state"), "online") == 0)
		json_object_del(picked, "last_seen");
	if (mount[0])
		json_object_set_new(picked, "mount", json_sprintf("%s/%s", mount, name));
	return picked;
}

/* Name of this machine and mount ("": there is none). Returns 0 or -errno. */
static int read_status(struct local_client *client, char *name, size_t name_size, char *mount,
		       size_t mount_size)
{
	struct result_ctl_status status;
	int r = local_client_call(client, OP_CTL_STATUS, &(struct args_ctl_status){0}, &status);

	if (r < 0)
		return r;
	snprintf(name, name_size, "%.*s", (int)status.name.size, (const char *)status.name.data);
	snprintf(mount, mount_size, "%.*s", (int)status.mount.size,
		 (const char *)status.mount.data);
	return 0;
}

/* "desk: online, files below /home/u/loopsy/desk" */
static void add_line(struct buffer *text, const json_t *peer)
{
	const char *mount = fetch_text(peer, "mount"), *seen = fetch_text(peer, "last_seen");
	const char *state = fetch_text(peer, "state");
	char line[OPS_CTL_NAME_MAX + OPS_CTL_PATH_MAX + 200];

	snprintf(line, sizeof(line), "%s: %s%s%s%s%s\n", fetch_text(peer, "name"), state,
		 strcmp(state, "online") != 0 && seen[0] ? ", last seen " : "",
		 strcmp(state, "online") != 0 ? seen : "", mount[0] ? ", files below " : "", mount);
	buffer_append(text, line, strlen(line));
}

static void run_list(struct mcp_call *call, const json_t *arguments)
{
	struct remote *remote = mcp_call_remote(call);
	char name[OPS_CTL_NAME_MAX + 1], mount[OPS_CTL_PATH_MAX + 1];
	struct buffer text = {0};
	json_t *list, *picked;
	int r;

	if (!remote)
		return;
	r = read_status(remote_client(remote), name, sizeof(name), mount, sizeof(mount));
	if (r == 0)
		r = fetch_peers_quietly(remote_client(remote), &list);
	if (r < 0) {
		mcp_call_fail_errno(call, NULL, r, remote_client(remote)->reason);
		return;
	}
	picked = json_array();
	for (size_t i = 0; i < json_array_size(list); i++) {
		json_t *peer = pick(json_array_get(list, i), list_peer, mount);

		add_line(&text, peer);
		json_array_append_new(picked, peer);
	}
	if (json_array_size(list) == 0)
		buffer_append(&text, "no peers yet: 'loopsyctl pair' pairs with another machine",
			      57);
	mcp_call_answer(call, json_pack("{s:s, s:o}", "machine", name, "peers", picked), "%.*s",
			(int)text.size, (const char *)text.data);
	buffer_deinit(&text);
	json_decref(list);
}

static void run_status(struct mcp_call *call, const json_t *arguments)
{
	const char *peer = tool_string(arguments, "peer", "");
	struct args_ctl_peer_show args = {.name = bytes_of_text(peer)};
	struct remote *remote = mcp_call_remote(call);
	char name[OPS_CTL_NAME_MAX + 1], mount[OPS_CTL_PATH_MAX + 1];
	struct result_ctl_peer_show result;
	json_t *shown = NULL;
	int r;

	if (!remote)
		return;
	r = read_status(remote_client(remote), name, sizeof(name), mount, sizeof(mount));
	if (r == 0)
		r = local_client_call(remote_client(remote), OP_CTL_PEER_SHOW, &args, &result);
	if (r < 0) {
		mcp_call_fail_errno(call, peer, r, remote_client(remote)->reason);
		return;
	}
	shown = fetch_peer(&result.peer);
	mcp_call_answer(call, pick(shown, status_output, mount), NULL);
	json_decref(shown);
}

const struct tool tools_peers_list = {
    .name = "loopsy_list_peers",
    .title = "List peers",
    .description = "The user's other machines, which are online, and where their files are "
		   "mounted here. Call this first; then use your own file tools below `mount`.",
    .hints = TOOL_READ_ONLY | TOOL_IDEMPOTENT,
    .input = no_arguments,
    .output = list_output,
    .run = run_list,
};

const struct tool tools_peers_status = {
    .name = "loopsy_peer_status",
    .title = "Peer status",
    .description = "One peer: link, round trip, what it lets us do, why it is offline.",
    .hints = TOOL_READ_ONLY | TOOL_IDEMPOTENT,
    .input = status_input,
    .output = status_output,
    .run = run_status,
};
