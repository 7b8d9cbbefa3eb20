#include "ctl/task_client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "ctl/context.h"
#include "ctl/kv_client.h"

#define PREFIX    "task:"
#define KEY_MAX   (sizeof(PREFIX) + TASK_CLIENT_ID_MAX)
#define KEEP_MS   (7ull * 24 * 3600 * 1000) /* one that is over */
#define TRIES_MAX 100                       /* changes that others were quicker with */
#define AGAIN_MS  1000

/* A task and the version of its value. */
struct read_task {
	json_t *task;
	uint64_t version;
};

static int fail(struct task_client *client, int error, const char *format, const char *what)
{
	snprintf(client->reason, sizeof(client->reason), format, what);
	return error;
}

bool task_client_is_id(const char *id)
{
	static const char known[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				    "0123456789._-";
	size_t n = strlen(id);

	return n > 0 && n <= TASK_CLIENT_ID_MAX && strspn(id, known) == n;
}

static int key_of(struct task_client *client, const char *id, char key[KEY_MAX])
{
	if (!task_client_is_id(id))
		return fail(client, -EINVAL, "'%.100s' is no id of a task", id);
	snprintf(key, KEY_MAX, PREFIX "%s", id);
	return 0;
}

int task_client_own_name(struct task_client *client, char name[OPS_CTL_NAME_MAX + 1])
{
	struct local_client *local = remote_client(client->remote);
	struct result_ctl_status status;
	int r = local_client_call(local, OP_CTL_STATUS, &(struct args_ctl_status){0}, &status);

	if (r < 0)
		return fail(client, r, "%s", local->reason);
	snprintf(name, OPS_CTL_NAME_MAX + 1, "%.*s", (int)status.name.size,
		 (const char *)status.name.data);
	return 0;
}

/* --- a task as a value ------------------------------------------------------------------------ */

static const char *text_of(const json_t *task, const char *name)
{
	const char *text = json_string_value(json_object_get(task, name));

	return text ? text : "";
}

static bool has_status(const json_t *task, const char *status)
{
	return strcmp(text_of(task, "status"), status) == 0;
}

static bool is_task(const json_t *task, const char *id)
{
	static const char *const texts[] = {"id", "from", "assignee", "description", "status"};
	json_t *result = json_object_get(task, "result"), *by = json_object_get(task, "claimed_by");

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (!json_is_string(json_object_get(task, texts[i])))
			return false;
	return strcmp(text_of(task, "id"), id) == 0 &&
	       (!result || json_is_null(result) || json_is_string(result)) &&
	       (!by || json_is_string(by)) &&
	       (has_status(task, "pending") || has_status(task, "running") ||
		has_status(task, "done") || has_status(task, "failed"));
}

json_t *task_client_read(struct bytes value, const char *id)
{
	json_t *task = json_loadb((const char *)value.data, value.size, 0, NULL);

	if (task && is_task(task, id))
		return task;
	json_decref(task);
	return NULL;
}

static int get(struct task_client *client, const char *id, struct read_task *ret_read)
{
	struct kv_got got = {0};
	char key[KEY_MAX];
	int r = key_of(client, id, key);

	if (r < 0)
		return r;
	r = kv_client_get(client->remote, client->peer, key, &got);
	if (r == -ENOENT)
		r = fail(client, r, "there is no task %s", id);
	else if (r < 0)
		r = fail(client, r, "%s", got.reason);
	if (r == 0) {
		ret_read->version = got.entry.version;
		ret_read->task =
		    task_client_read((struct bytes){got.value.data, got.value.size}, id);
		if (!ret_read->task)
			r = fail(client, -EBADMSG, "the value of task:%s is no task", id);
	}
	kv_got_deinit(&got);
	return r;
}

int task_client_get(struct task_client *client, const char *id, json_t **ret_task)
{
	struct read_task read;
	int r = get(client, id, &read);

	if (r == 0)
		*ret_task = read.task;
	return r;
}

static int put(struct task_client *client, const json_t *task, struct args_kv_set *args)
{
	const char *reason = "";
	char key[KEY_MAX];
	struct kv_entry entry;
	char *text;
	int r = key_of(client, text_of(task, "id"), key);

	if (r < 0)
		return r;
	text = json_dumps(task, JSON_COMPACT);
	if (!text)
		return -ENOMEM;
	args->key = bytes_of_text(key);
	args->value = bytes_of_text(text);
	r = kv_client_set(client->remote, client->peer, args, &entry, &reason);
	free(text);
	return r < 0 ? fail(client, r, "%s", reason) : 0;
}

/* --- making ----------------------------------------------------------------------------------- */

/* Ids sort as the tasks were made: milliseconds, and what is random. */
static int make_id(char id[TASK_CLIENT_ID_MAX + 1])
{
	static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
	struct timespec now;
	uint64_t number;
	uint32_t random;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return -errno;
	clock_gettime(CLOCK_REALTIME, &now);
	number = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	id[13] = '\0';
	for (int i = 12; i >= 9; i--, random /= 36)
		id[i] = digits[random % 36];
	for (int i = 8; i >= 0; i--, number /= 36)
		id[i] = digits[number % 36];
	return 0;
}

int task_client_create(struct task_client *client, const char *from, const char *assignee,
		       const char *description, json_t **ret_task)
{
	struct args_kv_set args = {.flags = KV_IF_ABSENT};
	char id[TASK_CLIENT_ID_MAX + 1];
	json_t *task;
	int r;

	do {
		r = make_id(id);
		if (r < 0)
			return r;
		task =
		    json_pack("{s:s, s:s, s:s, s:s, s:s, s:n}", "id", id, "from", from, "assignee",
			      assignee, "description", description, "status", "pending", "result");
		if (!task)
			return fail(client, -EILSEQ, "the %s is no UTF-8 text", "description");
		r = put(client, task, &args);
		if (r < 0)
			json_decref(task);
	} while (r == -EEXIST);
	if (r == 0)
		*ret_task = task;
	return r;
}

/* --- changing --------------------------------------------------------------------------------- */

/* Changes a task from one status to another, unless it has another one than `old` by then. */
static int change(struct task_client *client, const char *id, const char *old, json_t *fields,
		  struct args_kv_set *args, json_t **ret_task)
{
	struct read_task read = {0};
	int r = -EREMCHG;

	for (int i = 0; r == -EREMCHG && i < TRIES_MAX; i++) {
		r = get(client, id, &read);
		if (r < 0)
			return r;
		if (!has_status(read.task, old)) {
			r = fail(client, -EALREADY, "the task is %s", text_of(read.task, "status"));
		} else {
			args->version = read.version;
			r = json_object_update(read.task, fields) < 0
				? -ENOMEM
				: put(client, read.task, args);
		}
		if (r < 0)
			json_decref(read.task);
	}
	if (r == 0)
		*ret_task = read.task;
	return r;
}

static int claim_one(struct task_client *client, const char *id, const char *by, json_t **ret_task)
{
	struct args_kv_set args = {.flags = KV_IF_VERSION | KV_KEEP_TTL};
	json_t *fields = json_pack("{s:s, s:s}", "status", "running", "claimed_by", by);
	int r = fields ? change(client, id, "pending", fields, &args, ret_task)
		       : fail(client, -EILSEQ, "the %s is no UTF-8 text", "claimer's name");

	json_decref(fields);
	return r;
}

struct claiming {
	struct task_client *client;
	const char *by;
	json_t *task;
};

/* Each task of the store, until it returns other than 0. */
typedef int (*each_fn)(void *arg, const char *id);

static int each_task(struct task_client *client, each_fn each, void *arg)
{
	struct args_kv_list args = {.prefix = bytes_of_text(PREFIX), .limit = OPS_KV_PAGE_MAX};
	char after[OPS_KV_KEY_MAX + 1];
	struct result_kv_list result;
	struct buffer kept = {0};
	const char *reason = "";
	struct kv_entry entry;
	int r;

	do {
		r = remote_ask(client->remote, client->peer, OP_KV_LIST, &args, &result, &reason);
		if (r < 0) {
			buffer_deinit(&kept);
			return fail(client, r, "%s", reason);
		}
		/* What `each` asks takes the place of this answer. */
		kept.size = 0;
		r = buffer_append(&kept, result.entries.raw.data, result.entries.raw.size);
		result.entries.raw = (struct bytes){kept.data, kept.size};
		while (r == 0 && result.entries.n > 0) {
			r = codec_list_next(&result.entries, &kv_entry_record, &entry, NULL);
			if (r < 0)
				break;
			snprintf(after, sizeof(after), "%.*s", (int)entry.key.size,
				 (const char *)entry.key.data);
			args.after = bytes_of_text(after);
			if (task_client_is_id(after + strlen(PREFIX)))
				r = each(arg, after + strlen(PREFIX));
		}
	} while (r == 0 && result.rest);
	buffer_deinit(&kept);
	return r;
}

/* 1: it is ours; 0: on to the next one. */
static int try_claim(void *arg, const char *id)
{
	struct claiming *claiming = arg;
	int r = claim_one(claiming->client, id, claiming->by, &claiming->task);

	if (r == -EALREADY || r == -ENOENT || r == -EBADMSG)
		return 0;
	return r < 0 ? r : 1;
}

int task_client_claim(struct task_client *client, const char *id, const char *by, json_t **ret_task)
{
	struct claiming claiming = {.client = client, .by = by};
	int r;

	if (id)
		return claim_one(client, id, by, ret_task);
	r = each_task(client, try_claim, &claiming);
	if (r < 0)
		return r;
	if (r == 0)
		return fail(client, -ENOENT, "no task is pending%s", "");
	*ret_task = claiming.task;
	return 0;
}

int task_client_finish(struct task_client *client, const char *id, const char *status,
		       const char *result, json_t **ret_task)
{
	struct args_kv_set args = {.flags = KV_IF_VERSION, .ttl_ms = KEEP_MS};
	json_t *fields = json_pack("{s:s, s:s}", "status", status, "result", result);
	int r = fields ? change(client, id, "running", fields, &args, ret_task)
		       : fail(client, -EILSEQ, "the %s is no UTF-8 text", "result");

	json_decref(fields);
	return r;
}

/* --- looking ---------------------------------------------------------------------------------- */

struct listing {
	struct task_client *client;
	const char *status;
	size_t max;
	json_t *list;
	bool more;
};

static int add_task(void *arg, const char *id)
{
	struct listing *listing = arg;
	json_t *task;
	int r = task_client_get(listing->client, id, &task);

	if (r == -ENOENT || r == -EBADMSG)
		return 0; /* gone meanwhile, or none */
	if (r < 0)
		return r;
	if (listing->status && !has_status(task, listing->status)) {
		json_decref(task);
		return 0;
	}
	listing->more = json_array_size(listing->list) == listing->max;
	if (listing->more) {
		json_decref(task);
		return 1;
	}
	return json_array_append_new(listing->list, task) < 0 ? -ENOMEM : 0;
}

int task_client_list(struct task_client *client, const char *status, size_t max, json_t **ret_list,
		     bool *ret_more)
{
	struct listing listing = {
	    .client = client, .status = status, .max = max, .list = json_array()};
	int r = each_task(client, add_task, &listing);

	if (r < 0) {
		json_decref(listing.list);
		return r;
	}
	*ret_list = listing.list;
	*ret_more = listing.more;
	return 0;
}

/* --- waiting ---------------------------------------------------------------------------------- */

/* A watch of the task's key. */
struct watching {
	struct task_client *client;
	struct remote_call *call;
	bool is_set, has_ended;
	unsigned n_changes;
	int error;
};

static void on_reply(void *arg, const struct remote_reply *reply)
{
	struct watching *watching = arg;

	watching->is_set = reply->error == 0;
	watching->has_ended = reply->error < 0;
	watching->error = reply->error;
	if (reply->error < 0)
		fail(watching->client, reply->error, "%s", reply->reason);
}

static void on_data(void *arg, unsigned channel, struct bytes data)
{
	struct watching *watching = arg;

	watching->n_changes++;
	remote_consumed(watching->call, channel, data.size);
}

static void on_end(void *arg, int error)
{
	struct watching *watching = arg;

	watching->has_ended = true;
	watching->error = error < 0 ? error : -ENOTCONN;
}

static bool is_of_the_link(int error)
{
	return error == -ENOTCONN || error == -EHOSTDOWN || error == -ETIMEDOUT ||
	       error == -ESTALE || error == -EIO;
}

static bool is_over(const json_t *task)
{
	return has_status(task, "done") || has_status(task, "failed");
}

/* Looks, and waits for the next change, until it is over (1) or the watch ends (-errno). */
static int follow(struct watching *watching, const char *id, json_t **ret_task)
{
	struct task_client *client = watching->client;
	int r = 0;

	while (r == 0 && !watching->has_ended && !watching->is_set)
		r = remote_wait(client->remote);
	while (r == 0 && !watching->has_ended) {
		unsigned n = watching->n_changes;

		r = task_client_get(client, id, ret_task);
		if (r == 0 && is_over(*ret_task))
			return 1;
		if (r == 0)
			json_decref(*ret_task);
		while (r == 0 && !watching->has_ended && watching->n_changes == n)
			r = remote_wait(client->remote);
	}
	return r < 0 ? r : watching->error;
}

static int watch_once(struct task_client *client, const char *id, json_t **ret_task)
{
	static const struct remote_handler handler = {on_reply, on_data, on_end};
	struct watching watching = {.client = client};
	struct args_kv_watch args = {.since = OPS_ANY};
	char key[KEY_MAX];
	int r = key_of(client, id, key);

	if (r < 0)
		return r;
	args.prefix = bytes_of_text(key);
	r = remote_call(client->remote, client->peer, OP_KV_WATCH, &args, &handler, &watching,
			&watching.call);
	if (r < 0)
		return r;
	r = follow(&watching, id, ret_task);
	if (!watching.has_ended)
		remote_cancel(watching.call);
	return r;
}

int task_client_wait(struct task_client *client, const char *id, json_t **ret_task)
{
	int r;

	while ((r = watch_once(client, id, ret_task)) < 0 && is_of_the_link(r)) {
		struct pollfd poll_fd = remote_poll(client->remote);

		/* A moment, and loopsyd's own end is seen. */
		if (poll(&poll_fd, 1, AGAIN_MS) > 0 && (r = remote_turn(client->remote)) < 0)
			break;
	}
	if (r < 0 && !client->reason[0])
		fail(client, r, "%s", remote_end_reason(client->remote));
	return r == 1 ? 0 : r;
}
