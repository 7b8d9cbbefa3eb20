/* kv get, set, del, list and mv; context, as users of the earlier program know it */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/command.h"
#include "ctl/fetch.h"
#include "ctl/job_list.h"
#include "ctl/kv_client.h"
#include "ctl/kv_text.h"
#include "ctl/terminal.h"

/* --- on one machine or on all ------------------------------------------------------- */

/* What is to be done on a machine, mostly a change: 0 or -errno and a reason. *ret_entry is JSON to
 * be printed. */
struct change {
	const struct context *context;
	struct remote *remote;
	int (*apply)(struct change *change, const char *peer, json_t **ret_entry,
		     const char **ret_reason);
	struct args_kv_set set;
	json_t *names;     /* with --json */
	struct kv_got got; /* of get: the last one */
};

static int apply_set(struct change *change, const char *peer, json_t **ret_entry,
		     const char **ret_reason)
{
	struct kv_entry entry;
	int r = kv_client_set(change->remote, peer, &change->set, &entry, ret_reason);

	if (r == 0)
		*ret_entry = kv_text_entry(&entry, change->names);
	return r;
}

static int apply_del(struct change *change, const char *peer, json_t **ret_entry,
		     const char **ret_reason)
{
	struct args_kv_del args = {
	    .key = change->set.key, .flags = change->set.flags, .version = change->set.version};
	struct result_kv_del result;
	int r = remote_ask(change->remote, peer, OP_KV_DEL, &args, &result, ret_reason);

	if (r == 0)
		*ret_entry = json_pack("{s:o, s:I}", "key", context_json_text(args.key), "version",
				       (json_int_t)result.version);
	return r;
}

static int apply_mv(struct change *change, const char *peer, json_t **ret_entry,
		    const char **ret_reason)
{
	struct args_kv_rename args = {
	    .key = change->set.key,
	    .new_key = bytes_of_text(change->context->arguments.words[1]),
	    .flags = change->set.flags,
	};
	struct result_kv_rename result;
	int r = remote_ask(change->remote, peer, OP_KV_RENAME, &args, &result, ret_reason);

	if (r == 0)
		*ret_entry = kv_text_entry(&result.entry, change->names);
	return r;
}

static json_t *entry_with_value(const struct kv_got *got, const json_t *names)
{
	json_t *entry = kv_text_entry(&got->entry, names);

	if (entry && kv_text_add_value(entry, (struct bytes){got->value.data, got->value.size}) < 0)
		return NULL;
	return entry;
}

static int apply_get(struct change *change, const char *peer, json_t **ret_entry,
		     const char **ret_reason)
{
	struct kv_got *got = &change->got;
	int r = kv_client_get(change->remote, peer, change->context->arguments.words[0], got);

	*ret_reason = got->reason;
	if (r == 0 && change->context->json)
		*ret_entry = entry_with_value(got, change->names);
	return r;
}

/* The value of one machine of all, each line behind its name. */
static void print_value(const struct context *context, const char *name, const struct kv_got *got)
{
	const char *text = got->value.size > 0 ? (const char *)got->value.data : "";
	size_t left = got->value.size;

	do {
		const char *end = left > 0 ? memchr(text, '\n', left) : NULL;
		size_t n = end ? (size_t)(end - text) : left;
		char *escaped = terminal_escape(text, n);

		fprintf(context->out, "%s: %s\n", name, escaped ? escaped : "?");
		free(escaped);
		text += n + !!end;
		left -= n + !!end;
	} while (left > 0);
}

/* For people. A value is data; that there is none is talk. */
static void print_result(const struct change *change, const char *name, int r, const char *reason)
{
	const struct context *context = change->context;

	if (change->apply != apply_get)
		fprintf(context->out, "%s: %s\n", name, r < 0 ? reason : "ok");
	else if (r < 0)
		context_fail(context, "%s: %s", name, reason);
	else
		print_value(context, name, &change->got);
}

/* One machine of all: what became of it goes to `results`. */
static int apply_to(struct change *change, const char *peer, const char *name, json_t *results)
{
	const char *reason = "";
	json_t *entry = NULL, *result;
	int r = change->apply(change, peer, &entry, &reason);
	char *escaped;

	if (r < 0 && !reason[0])
		reason = strerror(-r);
	escaped = terminal_escape(reason, strlen(reason));
	if (!change->context->json)
		print_result(change, name, r, escaped ? escaped : "failed");
	result = json_pack("{s:s, s:b}", "peer", name, "ok", r == 0);
	if (r < 0)
		json_object_set_new(result, "error", json_string(escaped ? escaped : ""));
	else
		json_object_set(result, "entry", entry);
	json_array_append_new(results, result);
	json_decref(entry);
	free(escaped);
	return r == 0 ? CONTEXT_OK : CONTEXT_FAILURE;
}

static int apply_to_all(struct change *change)
{
	json_t *results = json_array(), *status = NULL, *peers;
	int r = fetch_status(change->context, remote_client(change->remote), &status);

	if (r == CONTEXT_OK)
		r = apply_to(change, "", fetch_text(status, "name"), results);
	peers = json_object_get(status, "peers");
	for (size_t i = 0; status && i < json_array_size(peers); i++) {
		const char *name = fetch_text(json_array_get(peers, i), "name");

		if (apply_to(change, name, name, results) != CONTEXT_OK)
			r = CONTEXT_FAILURE;
	}
	if (status && change->context->json)
		context_print_json(change->context, json_incref(results));
	json_decref(results);
	json_decref(status);
	return r;
}

static int apply(struct change *change)
{
	const struct context *context = change->context;
	const char *peer = arguments_text(&context->arguments, "peer", ""), *reason = "";
	json_t *entry = NULL;
	int r;

	if (arguments_has(&context->arguments, "all")) {
		if (peer[0])
			return context_usage(context, "--peer and --all: one of them");
		return apply_to_all(change);
	}
	r = change->apply(change, peer, &entry, &reason);
	if (r < 0)
		return job_list_complain(context, r, reason);
	if (context->json)
		return context_print_json(context, entry);
	json_decref(entry);
	return CONTEXT_OK;
}

/* The options that all changes have. */
static int run_change(struct context *context,
		      int (*function)(struct change *change, const char *peer, json_t **ret_entry,
				      const char **ret_reason),
		      struct bytes value, uint64_t flags)
{
	const struct arguments *arguments = &context->arguments;
	struct change change = {.context = context, .apply = function};
	int r = context_connect_remote(context, &change.remote);

	if (r != CONTEXT_OK)
		return r;
	change.set = (struct args_kv_set){
	    .key = bytes_of_text(arguments->words[0]),
	    .flags = flags,
	    .ttl_ms = arguments_number(arguments, "ttl", 0) * 1000,
	    .version = arguments_number(arguments, "if-version", 0),
	    .value = value,
	};
	if (arguments_has(arguments, "if-absent"))
		change.set.flags |= KV_IF_ABSENT;
	if (arguments_has(arguments, "if-version"))
		change.set.flags |= KV_IF_VERSION;
	if (context->json)
		r = kv_text_names(context, remote_client(change.remote), &change.names);
	if (r == CONTEXT_OK)
		r = apply(&change);
	json_decref(change.names);
	kv_got_deinit(&change.got);
	remote_free(change.remote);
	return r;
}

int cmd_kv_run_del(struct context *context)
{
	return run_change(context, apply_del, (struct bytes){0}, 0);
}

int cmd_kv_run_mv(struct context *context)
{
	return run_change(context, apply_mv, (struct bytes){0}, 0);
}

/* --- set: where the value comes from ---------------------------------------------------------- */

/* All of it, but not more than one byte too many. */
static int read_all(int fd, struct buffer *value)
{
	ssize_t n;

	value->limit = OPS_KV_VALUE_MAX + 1;
	do {
		size_t room = value->limit - value->size;

		if (room > OPS_IO_MAX)
			room = OPS_IO_MAX;
		if (room == 0)
			return 0;
		if (buffer_reserve(value, room) < 0)
			return -ENOMEM;
		n = read(fd, value->data + value->size, room);
		if (n > 0)
			value->size += (size_t)n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	return n < 0 ? -errno : 0;
}

static int read_file(struct context *context, const char *path, struct buffer *value)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), r;

	if (fd < 0)
		return context_fail(context, "%s: %s", path, strerror(errno));
	r = read_all(fd, value);
	close(fd);
	return r == 0 ? CONTEXT_OK : context_fail(context, "%s: %s", path, strerror(-r));
}

int cmd_kv_run_set(struct context *context)
{
	const struct arguments *arguments = &context->arguments;
	const char *file = arguments_text(arguments, "file", NULL), *word = arguments->words[1];
	struct buffer read = {0};
	struct bytes value;
	int r = CONTEXT_OK;

	if (!file == (arguments->n_words < 2))
		return context_usage(context, "%s: a value, '-' for standard input, or --file",
				     context->command->name);
	if (file)
		r = read_file(context, file, &read);
	else if (strcmp(word, "-") == 0 && read_all(context->in, &read) < 0)
		r = context_fail(context, "standard input: %s", strerror(errno));
	value = file || strcmp(word, "-") == 0 ? (struct bytes){read.data, read.size}
					       : bytes_of_text(word);
	if (r == CONTEXT_OK)
		r = run_change(context, apply_set, value,
			       arguments_has(arguments, "keep-ttl") ? KV_KEEP_TTL : 0);
	buffer_deinit(&read);
	return r;
}

/* --- get -------------------------------------------------------------------------------------- */

static int print_json(const struct context *context, struct remote *remote,
		      const struct kv_got *got)
{
	json_t *names, *entry;
	int r = kv_text_names(context, remote_client(remote), &names);

	if (r != CONTEXT_OK)
		return r;
	entry = entry_with_value(got, names);
	json_decref(names);
	return context_print_json(context, entry);
}

int cmd_kv_run_get(struct context *context)
{
	const char *peer = arguments_text(&context->arguments, "peer", "");
	struct kv_got got = {.reason = ""};
	struct remote *remote;
	int r, status = CONTEXT_OK;

	if (arguments_has(&context->arguments, "all"))
		return run_change(context, apply_get, (struct bytes){0}, 0);
	if (context_connect_remote(context, &remote) != CONTEXT_OK)
		return CONTEXT_FAILURE;
	r = kv_client_get(remote, peer, context->arguments.words[0], &got);
	if (r < 0)
		status = job_list_complain(context, r, got.reason);
	else if (context->json)
		status = print_json(context, remote, &got);
	else if (got.value.size > 0 &&
		 fwrite(got.value.data, 1, got.value.size, context->out) != got.value.size)
		status = CONTEXT_FAILURE; /* command_main says why */
	kv_got_deinit(&got);
	remote_free(remote);
	return status;
}

/* --- list ------------------------------------------------------------------------------------- */

struct listing {
	const json_t *names;
	const char *peer; /* its name; NULL: not in the entries */
	json_t *entries;
};

static void add_entry(void *arg, const struct kv_entry *entry)
{
	struct listing *listing = arg;
	json_t *json = kv_text_entry(entry, listing->names);

	if (json && listing->peer)
		json_object_set_new(json, "peer", json_string(listing->peer));
	json_array_append_new(listing->entries, json);
}

static int list_one(const struct context *context, struct remote *remote, const char *peer,
		    struct listing *listing)
{
	const char *prefix = context->arguments.n_words > 0 ? context->arguments.words[0] : "";
	const char *reason = "";
	int r = kv_client_list(remote, peer, prefix, add_entry, listing, &reason);

	return r < 0 ? job_list_complain(context, r, reason) : CONTEXT_OK;
}

static int list_all(const struct context *context, struct remote *remote, struct listing *listing)
{
	json_t *status, *peers;
	int r = fetch_status(context, remote_client(remote), &status);

	if (r != CONTEXT_OK)
		return r;
	listing->peer = fetch_text(status, "name");
	r = list_one(context, remote, "", listing);
	peers = json_object_get(status, "peers");
	for (size_t i = 0; i < json_array_size(peers); i++) {
		listing->peer = fetch_text(json_array_get(peers, i), "name");
		if (list_one(context, remote, listing->peer, listing) != CONTEXT_OK)
			r = CONTEXT_FAILURE;
	}
	json_decref(status);
	return r;
}

int cmd_kv_run_list(struct context *context)
{
	const char *peer = arguments_text(&context->arguments, "peer", "");
	bool all = arguments_has(&context->arguments, "all");
	struct listing listing = {0};
	struct remote *remote;
	json_t *names = NULL;
	int r;

	if (all && peer[0])
		return context_usage(context, "--peer and --all: one of them");
	if (context_connect_remote(context, &remote) != CONTEXT_OK)
		return CONTEXT_FAILURE;
	listing.entries = json_array();
	r = kv_text_names(context, remote_client(remote), &names);
	listing.names = names;
	if (r == CONTEXT_OK)
		r = all ? list_all(context, remote, &listing)
			: list_one(context, remote, peer, &listing);
	if (names && (r == CONTEXT_OK || all)) {
		if (context->json)
			context_print_json(context, json_incref(listing.entries));
		else
			kv_text_print(context, listing.entries, all);
	}
	json_decref(listing.entries);
	json_decref(names);
	remote_free(remote);
	return r;
}
