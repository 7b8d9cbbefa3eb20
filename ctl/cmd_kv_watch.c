/*
 * kv watch: changes of values as they are made, a line each.
 *
 * A KV_WATCH that is asked for again, behind the version that came last, when its link is lost: so
 * each change is told once and in order, over links that break and daemons that restart. With --all
 * one of each machine, at their own pace; what cannot be reached yet is asked again and again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/command.h"
#include "ctl/fetch.h"
#include "ctl/job_list.h"
#include "ctl/kv_text.h"
#include "ctl/monotonic.h"
#include "ctl/remote.h"
#include "ctl/terminal.h"

#define RETRY_MS 500

struct watch;

/* One machine. */
struct watched {
	struct watch *watch;
	const char *peer;         /* "": this one */
	const char *name;         /* to be told; NULL: it is the only one */
	struct remote_call *call; /* NULL: to be asked for again */
	int64_t retry_at;         /* ms */
	uint64_t since;           /* OPS_ANY: from when it is set */
	bool was_set, was_away;
	bool is_over;
};

struct watch {
	const struct context *context;
	struct remote *remote;
	json_t *names, *loopsyd; /* loopsyd: its status, with the peers; NULL without --all */
	struct watched *all;
	size_t n, n_over;
	bool is_over;
	int status;
};

static void finish(struct watch *watch, int status)
{
	watch->is_over = true;
	watch->status = status;
}

static const char *const kinds[] = {
    [KV_SET_CHANGE] = "set",
    [KV_DELETED] = "deleted",
    [KV_EXPIRED] = "expired",
    [KV_LOST] = "lost",
};

static json_t *describe(const struct watched *watched, const struct kv_change *change)
{
	const struct kv_entry *entry = &change->entry;
	json_t *json;

	if (change->kind == KV_SET_CHANGE)
		json = kv_text_entry(entry, watched->watch->names);
	else if (change->kind == KV_LOST)
		json = json_pack("{s:I}", "version", (json_int_t)entry->version);
	else
		json = json_pack("{s:o, s:I, s:o}", "key", context_json_text(entry->key), "version",
				 (json_int_t)entry->version, "changed", fetch_time(entry->changed));
	json_object_set_new(json, "kind", json_string(kinds[change->kind]));
	if (watched->name)
		json_object_set_new(json, "peer", json_string(watched->name));
	return json;
}

static void tell(const struct watched *watched, const struct kv_change *change)
{
	const struct context *context = watched->watch->context;
	const struct kv_entry *entry = &change->entry;
	char *key;

	if (change->kind == KV_LOST)
		context_say(context, "loopsyctl: %s%schanges up to version %llu were missed",
			    watched->name ? watched->name : "", watched->name ? ": " : "",
			    (unsigned long long)entry->version);
	if (context->json) {
		context_print_json(context, describe(watched, change));
		return;
	}
	key =
	    terminal_escape(entry->key.size ? (const char *)entry->key.data : "", entry->key.size);
	fprintf(context->out, "%s%s%s %llu %s\n", watched->name ? watched->name : "",
		watched->name ? ": " : "", kinds[change->kind], (unsigned long long)entry->version,
		key ? key : "?");
	free(key);
}

static void on_data(void *arg, unsigned channel, struct bytes data)
{
	struct watched *watched = arg;
	struct bytes rest = data;
	struct kv_change change;

	while (rest.size > 0 && codec_decode(&kv_change_record, &rest, &change, NULL) == 0) {
		tell(watched, &change);
		watched->since = change.entry.version;
	}
	remote_consumed(watched->call, channel, data.size);
	if (fflush(watched->watch->context->out) == EOF)
		finish(watched->watch, CONTEXT_FAILURE);
}

static bool is_of_the_link(int error)
{
	return error == -ENOTCONN || error == -EHOSTDOWN || error == -ETIMEDOUT ||
	       error == -ESTALE || error == -EIO;
}

/* It cannot be watched; the others, if there are any, go on. */
static void give_up(struct watched *watched, int error, const char *reason)
{
	struct watch *watch = watched->watch;
	char *escaped = terminal_escape(reason, strlen(reason));

	if (watched->name)
		context_fail(watch->context, "%s: %s", watched->name,
			     escaped && escaped[0] ? escaped : strerror(-error));
	else
		job_list_complain(watch->context, error, reason);
	free(escaped);
	watched->is_over = true;
	watch->status = CONTEXT_FAILURE;
	if (++watch->n_over == watch->n)
		watch->is_over = true;
}

static void lose(struct watched *watched, int error, const char *reason)
{
	watched->call = NULL;
	if (!is_of_the_link(error) || (!watched->was_set && !watched->name)) {
		give_up(watched, error, reason);
		return;
	}
	watched->retry_at = monotonic_ms() + RETRY_MS;
	if (!watched->was_set && !watched->was_away)
		context_say(watched->watch->context, "loopsyctl: %s cannot be reached yet",
			    watched->name);
	watched->was_away = true;
}

static void on_reply(void *arg, const struct remote_reply *reply)
{
	const struct result_kv_watch *result = reply->result;
	struct watched *watched = arg;

	if (reply->error < 0) {
		lose(watched, reply->error, reply->reason);
		return;
	}
	if (!watched->was_set)
		context_say(watched->watch->context, "loopsyctl: watching %s%sfrom version %llu on",
			    watched->name ? watched->name : "", watched->name ? " " : "",
			    (unsigned long long)result->version);
	watched->was_set = true;
	watched->since = result->version;
}

static void on_end(void *arg, int error)
{
	lose(arg, error < 0 ? error : -ENOTCONN, "");
}

static const struct remote_handler handler = {on_reply, on_data, on_end};

static void ask(struct watched *watched)
{
	const struct arguments *arguments = &watched->watch->context->arguments;
	struct args_kv_watch args = {
	    .prefix = bytes_of_text(arguments->n_words > 0 ? arguments->words[0] : ""),
	    .since = watched->since,
	};
	int r = remote_call(watched->watch->remote, watched->peer, OP_KV_WATCH, &args, &handler,
			    watched, &watched->call);

	if (r < 0)
		give_up(watched, r, "");
}

/* Asks those whose time has come; returns how long until the next one's (ms, -1: for ever). */
static int ask_again(struct watch *watch)
{
	int64_t now = monotonic_ms(), next = INT64_MAX;

	for (size_t i = 0; i < watch->n; i++) {
		struct watched *watched = &watch->all[i];

		if (watched->is_over || watched->call)
			continue;
		if (watched->retry_at <= now)
			ask(watched);
		else if (watched->retry_at < next)
			next = watched->retry_at;
	}
	return next == INT64_MAX ? -1 : (int)(next - now);
}

static int follow(struct watch *watch)
{
	while (!watch->is_over) {
		int timeout = ask_again(watch);
		struct pollfd poll_fd = remote_poll(watch->remote);

		if (watch->is_over)
			break;
		if (poll(&poll_fd, 1, timeout) > 0 && remote_turn(watch->remote) < 0) {
			const char *why = remote_end_reason(watch->remote);

			context_fail(watch->context, "%s",
				     why[0] ? why : "loopsyd here was stopped");
			finish(watch, CONTEXT_FAILURE);
		}
	}
	return watch->status;
}

/* --- which machines --------------------------------------------------------------------------- */

static struct watched of_machine(struct watch *watch, const char *peer, const char *name)
{
	return (struct watched){
	    .watch = watch,
	    .peer = peer,
	    .name = name,
	    .since = arguments_number(&watch->context->arguments, "since", OPS_ANY),
	};
}

static int choose(struct watch *watch)
{
	const struct context *context = watch->context;
	json_t *peers = NULL;
	int r = CONTEXT_OK;

	if (arguments_has(&context->arguments, "all"))
		r = fetch_status(context, remote_client(watch->remote), &watch->loopsyd);
	if (r != CONTEXT_OK)
		return r;
	peers = json_object_get(watch->loopsyd, "peers");
	watch->n = 1 + json_array_size(peers);
	watch->all = calloc(watch->n, sizeof(*watch->all));
	if (!watch->all)
		return context_fail(context, "%s", strerror(ENOMEM));
	watch->all[0] =
	    watch->loopsyd
		? of_machine(watch, "", fetch_text(watch->loopsyd, "name"))
		: of_machine(watch, arguments_text(&context->arguments, "peer", ""), NULL);
	for (size_t i = 1; i < watch->n; i++) {
		const char *name = fetch_text(json_array_get(peers, i - 1), "name");

		watch->all[i] = of_machine(watch, name, name);
	}
	return CONTEXT_OK;
}

int cmd_kv_watch_run(struct context *context)
{
	const struct arguments *arguments = &context->arguments;
	struct watch watch = {.context = context};
	int r;

	if (arguments_has(arguments, "all") && arguments_has(arguments, "peer"))
		return context_usage(context, "--peer and --all: one of them");
	if (arguments_has(arguments, "all") && arguments_has(arguments, "since"))
		return context_usage(context, "--since: each machine has versions of its own");
	r = context_connect_remote(context, &watch.remote);
	if (r == CONTEXT_OK)
		r = kv_text_names(context, remote_client(watch.remote), &watch.names);
	if (r == CONTEXT_OK)
		r = choose(&watch);
	if (r == CONTEXT_OK)
		r = follow(&watch);
	remote_free(watch.remote);
	free(watch.all);
	json_decref(watch.loopsyd);
	json_decref(watch.names);
	return r;
}
