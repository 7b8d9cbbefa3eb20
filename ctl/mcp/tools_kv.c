/* loopsy_context_set, _get, _list and _delete, loopsy_broadcast_context: shared values. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/context.h"
#include "ctl/fetch.h"
#include "ctl/kv_client.h"
#include "ctl/kv_text.h"
#include "ctl/mcp/control_path.h"
#include "ctl/mcp/excerpt.h"
#include "ctl/mcp/mcp_text.h"
#include "ctl/mcp/tools.h"

#define VALUE_MAX   (1024 * 1024) /* bytes that an agent may set */
#define SHOWN_MAX   5000          /* bytes of a value, or of a list, that it sees: twice */
#define LIST_MAX    40            /* entries of a list */
#define REASON_SIZE 256

#define FIELD_PEER                                                                                 \
	{                                                                                          \
		"peer", SCHEMA_STRING, .min = 1, .max = OPS_CTL_NAME_MAX,                          \
				       .description = "default: this machine"                      \
	}
#define FIELD_KEY                                                                                  \
	{                                                                                          \
		"key", SCHEMA_STRING, .required = true, .min = 1, .max = OPS_KV_KEY_MAX            \
	}
#define FIELD_VALUE                                                                                \
	{                                                                                          \
		"value", SCHEMA_STRING, .required = true, .min = 0, .max = VALUE_MAX               \
	}
#define FIELD_TTL                                                                                  \
	{                                                                                          \
		"ttl", SCHEMA_INTEGER, .min = 1, .max = OPS_KV_TTL_MAX / 1000,                     \
				       .description = "seconds until it is gone"                   \
	}
static const char *peer_of(const json_t *arguments)
{
	return tool_string(arguments, "peer", "");
}

static struct bytes text_argument(const json_t *arguments, const char *name)
{
	const json_t *value = json_object_get(arguments, name);

	return (struct bytes){(const uint8_t *)json_string_value(value), json_string_length(value)};
}

static void fail(struct mcp_call *call, const json_t *arguments, int error, const char *reason)
{
	mcp_call_fail_errno(call, peer_of(arguments), error, reason);
}

/* What machines are called by their ids; NULL having failed. */
static json_t *names_or_fail(struct mcp_call *call, struct remote *remote)
{
	json_t *names;
	int r = kv_text_names_quietly(remote_client(remote), &names);

	if (r == 0)
		return names;
	mcp_call_fail_errno(call, NULL, r, remote_client(remote)->reason);
	return NULL;
}

/* --- set -------------------------------------------------------------------------------------- */

static const struct schema_field set_input[] = {
    FIELD_KEY,
    FIELD_VALUE,
    FIELD_PEER,
    FIELD_TTL,
    {"if_version", SCHEMA_INTEGER, .min = 0, .max = INT64_MAX, .description = "0: only if absent"},
    {.name = NULL},
};

static const struct schema_field changed_output[] = {
    {"key", SCHEMA_STRING, .required = true},
    {"version", SCHEMA_INTEGER, .required = true},
    {.name = NULL},
};

static struct args_kv_set set_args(const json_t *arguments)
{
	struct args_kv_set args = {
	    .key = text_argument(arguments, "key"),
	    .value = text_argument(arguments, "value"),
	    .ttl_ms = (uint64_t)tool_integer(arguments, "ttl", 0) * 1000,
	};

	if (json_object_get(arguments, "if_version")) {
		args.flags |= KV_IF_VERSION;
		args.version = (uint64_t)tool_integer(arguments, "if_version", 0);
	}
	return args;
}

static void answer_changed(struct mcp_call *call, const json_t *arguments, uint64_t version)
{
	const char *machine = remote_place(peer_of(arguments));

	mcp_call_answer(call,
			json_pack("{s:s, s:O, s:I}", "machine", machine, "key",
				  json_object_get(arguments, "key"), "version",
				  (json_int_t)version),
			NULL);
}

static void run_set(struct mcp_call *call, const json_t *arguments)
{
	struct args_kv_set args = set_args(arguments);
	struct remote *remote = mcp_call_remote(call);
	const char *reason = "";
	struct kv_entry entry;
	int r;

	if (!remote)
		return;
	r = kv_client_set(remote, peer_of(arguments), &args, &entry, &reason);
	if (r == -EREMCHG)
		mcp_call_fail(call, "nothing was changed: it has another version; get it again");
	else if (r < 0)
		fail(call, arguments, r, reason);
	else
		answer_changed(call, arguments, entry.version);
}

const struct tool tools_kv_set = {
    .name = "loopsy_context_set",
    .title = "Set a shared value",
    .description = "Keep a value for other agents and machines. Of several writers with "
		   "if_version, one wins.",
    .hints = TOOL_DESTRUCTIVE,
    .input = set_input,
    .output = changed_output,
    .run = run_set,
};

/* --- get -------------------------------------------------------------------------------------- */

static const struct schema_field get_input[] = {
    FIELD_KEY,
    FIELD_PEER,
    {.name = NULL},
};

/* What is told besides is not described: each word of this is read with every list of tools. */
static const struct schema_field get_output[] = {
    {"key", SCHEMA_STRING, .required = true},
    {"version", SCHEMA_INTEGER, .required = true},
    {"from", SCHEMA_STRING, .required = true, .description = "machine that wrote it"},
    {"size", SCHEMA_INTEGER},
    {"value", SCHEMA_STRING},
    {"truncated", SCHEMA_BOOLEAN},
    {"path", SCHEMA_STRING, .description = "all of it"},
    {.name = NULL},
};

/* Without what is not known. */
static void drop_nulls(json_t *object)
{
	const char *name;
	json_t *value;
	void *next;

	json_object_foreach_safe(object, next, name, value)
	{
		if (json_is_null(value))
			json_object_del(object, name);
	}
}

static void add_sha256(json_t *object, struct excerpt *excerpt)
{
	char sha256[EXCERPT_SHA256_MAX];

	if (excerpt_sha256(excerpt, sha256) == 0)
		json_object_set_new(object, "sha256", json_string(sha256));
}

static void answer_value(struct mcp_call *call, json_t *object, struct excerpt *excerpt)
{
	const char *path = json_string_value(json_object_get(object, "path"));
	const char *from = json_string_value(json_object_get(object, "from"));
	bool truncated = false;
	char *text;

	if (excerpt_is_binary(excerpt)) {
		add_sha256(object, excerpt);
		mcp_call_answer(call, json_incref(object), "%llu bytes that are no text%s%s",
				(unsigned long long)excerpt->size, path ? ", in " : "",
				path ? path : "");
		return;
	}
	text = excerpt_text(excerpt, SHOWN_MAX, path, &truncated);
	if (!text) {
		mcp_call_fail(call, "out of memory");
		return;
	}
	json_object_set_new(object, "value", json_string(text));
	if (truncated)
		json_object_set_new(object, "truncated", json_true());
	mcp_call_answer(call, json_incref(object), "[data from %s]\n%s", from ? from : "a machine",
			text);
	free(text);
}

static void show_value(struct mcp_call *call, const json_t *arguments, const struct kv_got *got,
		       const json_t *names)
{
	json_t *object = kv_text_entry(&got->entry, names);
	struct excerpt excerpt;

	if (!object || excerpt_init(&excerpt, SHOWN_MAX) < 0) {
		json_decref(object);
		mcp_call_fail(call, "out of memory");
		return;
	}
	drop_nulls(object);
	json_object_set_new(object, "machine", json_string(remote_place(peer_of(arguments))));
	control_path_add(object, control_path_kv(call, peer_of(arguments), got->entry.key));
	if (excerpt_add(&excerpt, (struct bytes){got->value.data, got->value.size}) < 0)
		mcp_call_fail(call, "out of memory");
	else
		answer_value(call, object, &excerpt);
	excerpt_deinit(&excerpt);
	json_decref(object);
}

static void fail_absent(struct mcp_call *call, const json_t *arguments)
{
	mcp_call_fail(call, "%s has no such key; loopsy_context_list shows which it has",
		      remote_place(peer_of(arguments)));
}

static void run_get(struct mcp_call *call, const json_t *arguments)
{
	const char *peer = peer_of(arguments);
	struct remote *remote = mcp_call_remote(call);
	struct kv_got got = {0};
	json_t *names;
	int r;

	if (!remote || !(names = names_or_fail(call, remote)))
		return;
	r = kv_client_get(remote, peer, tool_string(arguments, "key", ""), &got);
	if (r == -ENOENT && (!peer[0] || mcp_call_knows_peer(call, peer)))
		fail_absent(call, arguments);
	else if (r < 0)
		fail(call, arguments, r, got.reason);
	else
		show_value(call, arguments, &got, names);
	kv_got_deinit(&got);
	json_decref(names);
}

const struct tool tools_kv_get = {
    .name = "loopsy_context_get",
    .title = "Get a shared value",
    .description = "The value of a key; of a long one head and tail.",
    .hints = TOOL_READ_ONLY | TOOL_IDEMPOTENT,
    .input = get_input,
    .output = get_output,
    .run = run_get,
};

/* --- list ------------------------------------------------------------------------------------- */

static const struct schema_field list_input[] = {
    {"prefix", SCHEMA_STRING, .min = 0, .max = OPS_KV_KEY_MAX},
    FIELD_PEER,
    {"after", SCHEMA_STRING, .min = 0, .max = OPS_KV_KEY_MAX,
     .description = "last key of the page before"},
    {.name = NULL},
};

static const struct schema_field list_entry[] = {
    {"key", SCHEMA_STRING},  {"size", SCHEMA_INTEGER}, {"version", SCHEMA_INTEGER},
    {"from", SCHEMA_STRING}, {.name = NULL},
};

static const struct schema_field list_output[] = {
    {"entries", SCHEMA_ARRAY, .required = true, .of = list_entry},
    {"more", SCHEMA_BOOLEAN, .required = true},
    {.name = NULL},
};

/* A line of it; false if there is no room any more. */
static bool add_line(struct buffer *text, const json_t *entry)
{
	const char *key = json_string_value(json_object_get(entry, "key"));
	char line[OPS_KV_KEY_MAX + 300];
	int n = snprintf(line, sizeof(line), "%s (%lld bytes, from %s)\n", key ? key : "",
			 json_integer_value(json_object_get(entry, "size")),
			 json_string_value(json_object_get(entry, "from")));

	if (n < 0 || text->size + (size_t)n > SHOWN_MAX)
		return false;
	return buffer_append(text, line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1) ==
	       0;
}

/* Entries as far as they have room. */
static json_t *take_entries(struct result_kv_list *result, const json_t *names, struct buffer *text,
			    bool *ret_more)
{
	json_t *entries = json_array();
	struct kv_entry entry;

	*ret_more = result->rest;
	while (result->entries.n > 0 &&
	       codec_list_next(&result->entries, &kv_entry_record, &entry, NULL) == 0) {
		json_t *object = kv_text_entry(&entry, names);

		if (!object || !add_line(text, object)) {
			json_decref(object);
			*ret_more = true;
			break;
		}
		drop_nulls(object);
		json_array_append_new(entries, object);
	}
	return entries;
}

static void run_list(struct mcp_call *call, const json_t *arguments)
{
	struct args_kv_list args = {.prefix = text_argument(arguments, "prefix"),
				    .after = text_argument(arguments, "after"),
				    .limit = LIST_MAX};
	const char *machine = remote_place(peer_of(arguments)), *reason = "";
	struct remote *remote = mcp_call_remote(call);
	struct result_kv_list result;
	struct buffer text = {0};
	json_t *names, *entries;
	bool more;
	int r;

	if (!remote || !(names = names_or_fail(call, remote)))
		return;
	r = remote_ask(remote, peer_of(arguments), OP_KV_LIST, &args, &result, &reason);
	if (r < 0) {
		fail(call, arguments, r, reason);
	} else {
		entries = take_entries(&result, names, &text, &more);
		mcp_call_answer(call,
				json_pack("{s:s, s:o, s:b}", "machine", machine, "entries", entries,
					  "more", more),
				"[data from %s]\n%.*s%s", machine, (int)text.size,
				text.size ? (const char *)text.data : "",
				more             ? "there are more: give after"
				: text.size == 0 ? "no keys"
						 : "");
	}
	buffer_deinit(&text);
	json_decref(names);
}

const struct tool tools_kv_list = {
    .name = "loopsy_context_list",
    .title = "List shared values",
    .description = "Keys of a machine that begin with prefix.",
    .hints = TOOL_READ_ONLY | TOOL_IDEMPOTENT,
    .input = list_input,
    .output = list_output,
    .run = run_list,
};

/* --- delete ----------------------------------------------------------------------------------- */

static void run_delete(struct mcp_call *call, const json_t *arguments)
{
	struct args_kv_del args = {.key = text_argument(arguments, "key")};
	struct remote *remote = mcp_call_remote(call);
	struct result_kv_del result;
	const char *reason = "";
	int r;

	if (!remote)
		return;
	r = remote_ask(remote, peer_of(arguments), OP_KV_DEL, &args, &result, &reason);
	if (r == -ENOENT &&
	    (!peer_of(arguments)[0] || mcp_call_knows_peer(call, peer_of(arguments))))
		fail_absent(call, arguments);
	else if (r < 0)
		fail(call, arguments, r, reason);
	else
		answer_changed(call, arguments, result.version);
}

const struct tool tools_kv_delete = {
    .name = "loopsy_context_delete",
    .title = "Delete a shared value",
    .description = "Remove a key.",
    .hints = TOOL_DESTRUCTIVE,
    .input = get_input,
    .output = changed_output,
    .run = run_delete,
};

/* --- broadcast -------------------------------------------------------------------------------- */

static const struct schema_field broadcast_input[] = {
    FIELD_KEY,
    {"value", SCHEMA_STRING, .required = true, .min = 0, .max = OPS_IO_MAX},
    FIELD_TTL,
    {.name = NULL},
};

static const struct schema_field broadcast_result[] = {
    {"machine", SCHEMA_STRING},
    {"ok", SCHEMA_BOOLEAN},
    {"error", SCHEMA_STRING},
    {.name = NULL},
};

static const struct schema_field broadcast_output[] = {
    {"n_ok", SCHEMA_INTEGER, .required = true},
    {"n_failed", SCHEMA_INTEGER, .required = true},
    {"results", SCHEMA_ARRAY, .required = true, .of = broadcast_result},
    {.name = NULL},
};

/* One machine that the value is set on. */
struct place {
	const char *peer;
	unsigned *n_open;
	int error;
	uint64_t version;
	char reason[REASON_SIZE];
};

static void on_set(void *arg, const struct remote_reply *reply)
{
	struct place *place = arg;

	--*place->n_open;
	place->error = reply->error;
	if (reply->error == 0)
		place->version = ((const struct result_kv_set *)reply->result)->entry.version;
	else
		snprintf(place->reason, sizeof(place->reason), "%s",
			 reply->reason[0] ? reply->reason : strerror(-reply->error));
}

/* Asks all at once, as far as loopsyd takes it. Returns 0, or -errno when loopsyd has gone. */
static int set_everywhere(struct remote *remote, struct place *places, size_t n,
			  const struct args_kv_set *args)
{
	static const struct remote_handler handler = {.reply = on_set};
	unsigned n_open = 0;
	size_t n_asked = 0;
	int r = 0;

	while (r == 0 && (n_asked < n || n_open > 0)) {
		if (n_asked == n || remote_room(remote) == 0) {
			r = remote_wait(remote);
			continue;
		}
		places[n_asked].n_open = &n_open;
		r = remote_call(remote, places[n_asked].peer, OP_KV_SET, args, &handler,
				&places[n_asked], NULL);
		n_open += r == 0;
		n_asked++;
	}
	return r;
}

static void answer_places(struct mcp_call *call, const struct place *places, size_t n)
{
	json_t *results = json_array();
	struct buffer text = {0};
	size_t n_ok = 0;

	for (size_t i = 0; i < n; i++) {
		const struct place *place = &places[i];
		const char *machine = remote_place(place->peer);
		json_t *result =
		    json_pack("{s:s, s:b}", "machine", machine, "ok", place->error == 0);
		char line[OPS_CTL_NAME_MAX + REASON_SIZE + 16];

		n_ok += place->error == 0;
		if (place->error == 0)
			json_object_set_new(result, "version",
					    json_integer((json_int_t)place->version));
		else
			json_object_set_new(result, "error",
					    mcp_text(place->reason, strlen(place->reason)));
		json_array_append_new(results, result);
		if (place->error == 0)
			continue;
		snprintf(line, sizeof(line), "\n%s: %s", machine, place->reason);
		buffer_append(&text, line, strlen(line));
	}
	mcp_call_answer(call,
			json_pack("{s:I, s:I, s:o}", "n_ok", (json_int_t)n_ok, "n_failed",
				  (json_int_t)(n - n_ok), "results", results),
			"set on %zu of %zu machines%.*s", n_ok, n, (int)text.size,
			text.size ? (const char *)text.data : "");
	buffer_deinit(&text);
}

static void run_broadcast(struct mcp_call *call, const json_t *arguments)
{
	struct args_kv_set args = set_args(arguments);
	struct remote *remote = mcp_call_remote(call);
	struct place *places;
	json_t *peers;
	size_t n;
	int r;

	if (!remote)
		return;
	r = fetch_peers_quietly(remote_client(remote), &peers);
	if (r < 0) {
		mcp_call_fail_errno(call, NULL, r, remote_client(remote)->reason);
		return;
	}
	n = json_array_size(peers) + 1;
	places = calloc(n, sizeof(*places));
	r = places ? 0 : -ENOMEM;
	for (size_t i = 0; i < n && places; i++)
		places[i].peer = i == 0 ? "" : fetch_text(json_array_get(peers, i - 1), "name");
	if (r == 0)
		r = set_everywhere(remote, places, n, &args);
	if (r < 0)
		mcp_call_fail_errno(call, NULL, r, remote_end_reason(remote));
	else
		answer_places(call, places, n);
	free(places);
	json_decref(peers);
}

const struct tool tools_kv_broadcast = {
    .name = "loopsy_broadcast_context",
    .title = "Set a value everywhere",
    .description = "Set a value here and on every paired peer; says of each whether it is there.",
    .hints = TOOL_DESTRUCTIVE | TOOL_IDEMPOTENT,
    .input = broadcast_input,
    .output = broadcast_output,
    .run = run_broadcast,
};
