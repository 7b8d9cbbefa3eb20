/*
 * kv watch: changes of values as they are made, a line each.
 *
 * A KV_WATCH that is asked for again, behind the version that came last, when its link is lost: so
 * each change is told once and in order, over links that break and daemons that restart.
 */
#include <errno.h>
#include <string.h>

#include "ctl/command.h"
#include "ctl/fetch.h"
#include "ctl/job_list.h"
#include "ctl/kv_text.h"
#include "ctl/remote.h"
#include "ctl/terminal.h"

#define RETRY_MS 500

struct watch {
	const struct context *context;
	struct remote *remote;
	const char *peer;
	json_t *names;
	struct remote_call *call; /* NULL: to be asked for again */
	uint64_t since;           /* OPS_ANY: from when it is set */
	bool was_set;
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

static json_t *describe(const struct watch *watch, const struct kv_change *change)
{
	const struct kv_entry *entry = &change->entry;
	json_t *json;

	if (change->kind == KV_SET_CHANGE)
		json = kv_text_entry(entry, watch->names);
	else if (change->kind == KV_LOST)
		json = json_pack("{s:I}", "version", (json_int_t)entry->version);
	else
		json = json_pack("{s:o, s:I, s:o}", "key", context_json_text(entry->key), "version",
				 (json_int_t)entry->version, "changed", fetch_time(entry->changed));
	json_object_set_new(json, "kind", json_string(kinds[change->kind]));
	return json;
}

static void tell(struct watch *watch, const struct kv_change *change)
{
	const struct kv_entry *entry = &change->entry;
	char *key;

	if (change->kind == KV_LOST)
		context_say(watch->context, "loopsyctl: changes up to version %llu were missed",
			    (unsigned long long)entry->version);
	if (watch->context->json) {
		context_print_json(watch->context, describe(watch, change));
		return;
	}
	key =
	    terminal_escape(entry->key.size ? (const char *)entry->key.data : "", entry->key.size);
	fprintf(watch->context->out, "%s %llu %s\n", kinds[change->kind],
		(unsigned long long)entry->version, key ? key : "?");
	free(key);
}

static void on_data(void *arg, unsigned channel, struct bytes data)
{
	struct watch *watch = arg;
	struct bytes rest = data;
	struct kv_change change;

	while (rest.size > 0 && codec_decode(&kv_change_record, &rest, &change, NULL) == 0) {
		tell(watch, &change);
		watch->since = change.entry.version;
	}
	remote_consumed(watch->call, channel, data.size);
	if (fflush(watch->context->out) == EOF)
		finish(watch, CONTEXT_FAILURE);
}

static bool is_of_the_link(int error)
{
	return error == -ENOTCONN || error == -EHOSTDOWN || error == -ETIMEDOUT ||
	       error == -ESTALE || error == -EIO;
}

static void lose(struct watch *watch, int error, const char *reason)
{
	watch->call = NULL;
	if (watch->was_set && is_of_the_link(error))
		return;
	finish(watch, job_list_complain(watch->context, error, reason));
}

static void on_reply(void *arg, const struct remote_reply *reply)
{
	const struct result_kv_watch *result = reply->result;
	struct watch *watch = arg;

	if (reply->error < 0) {
		lose(watch, reply->error, reply->reason);
		return;
	}
	if (!watch->was_set)
		context_say(watch->context, "loopsyctl: watching from version %llu on",
			    (unsigned long long)result->version);
	watch->was_set = true;
	watch->since = result->version;
}

static void on_end(void *arg, int error)
{
	lose(arg, error < 0 ? error : -ENOTCONN, "");
}

static const struct remote_handler handler = {on_reply, on_data, on_end};

static void ask(struct watch *watch)
{
	const struct arguments *arguments = &watch->context->arguments;
	struct args_kv_watch args = {
	    .prefix = context_bytes(arguments->n_words > 0 ? arguments->words[0] : ""),
	    .since = watch->since,
	};
	int r = remote_call(watch->remote, watch->peer, OP_KV_WATCH, &args, &handler, watch,
			    &watch->call);

	if (r < 0)
		finish(watch, job_list_complain(watch->context, r, ""));
}

static int follow(struct watch *watch)
{
	ask(watch);
	while (!watch->is_over) {
		struct pollfd poll_fd = remote_poll(watch->remote);
		int r = poll(&poll_fd, 1, watch->call ? -1 : RETRY_MS);

		if (r > 0 && remote_turn(watch->remote) < 0) {
			context_fail(watch->context, "loopsyd here was stopped");
			finish(watch, CONTEXT_FAILURE);
		} else if (r == 0) {
			ask(watch);
		}
	}
	return watch->status;
}

int cmd_kv_watch_run(struct context *context)
{
	struct watch watch = {
	    .context = context,
	    .peer = arguments_text(&context->arguments, "peer", ""),
	    .since = arguments_number(&context->arguments, "since", OPS_ANY),
	};
	int r = context_connect_remote(context, &watch.remote);

	if (r == CONTEXT_OK)
		r = kv_text_names(context, remote_client(watch.remote), &watch.names);
	if (r == CONTEXT_OK)
		r = follow(&watch);
	json_decref(watch.names);
	remote_free(watch.remote);
	return r;
}
