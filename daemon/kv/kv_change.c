/* SET, DEL and RENAME: to the store's thread, and answered when they are on the disk. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/kv/kv_private.h"
#include "daemon/wall_clock.h"

#define NAME_MAX_SIZE 256

/* The request's args stay valid until it is answered. */
struct kv_changing {
	struct store_request store;
	struct kv *kv;
	struct request *request;
	uint8_t *staged; /* owned */
	size_t staged_size;
	char from[IDENTITY_ID_SIZE];
	bool is_local;
	char name[NAME_MAX_SIZE]; /* of who asks, unless local */
	uint64_t began_ms;
	struct kv_changes changes;
	struct kv_meta meta; /* of RENAME */
};

static void changing_free(struct kv_changing *changing)
{
	free(changing->staged);
	free(changing);
}

/* --- on the store's thread -------------------------------------------------------------------- */

static int run_set(struct kv_changing *changing, struct kv_sql *sql, int64_t now_ns)
{
	const struct args_kv_set *args = changing->request->args;
	const struct kv_options *options = &changing->kv->options;
	struct kv_sql_set set = {
	    .key = args->key,
	    .value = {{changing->staged, changing->staged_size}, args->value},
	    .flags = args->flags,
	    .version = args->version,
	    .ttl_ms = args->ttl_ms,
	    .from = changing->from,
	    .max_entries = options->max_entries,
	    .max_bytes = options->max_bytes,
	};

	return kv_sql_set(sql, &set, now_ns, &changing->changes);
}

static int run(struct store_request *request, sqlite3 *db)
{
	struct kv_changing *changing = (struct kv_changing *)request;
	const void *args = changing->request->args;
	const struct args_kv_rename *rename = args;
	struct kv *kv = changing->kv;
	const struct args_kv_del *del = args;
	int64_t now_ns = wall_clock_ns();

	kv->changing.db = db;
	switch (changing->request->op->number) {
	case OP_KV_SET:
		return run_set(changing, &kv->changing, now_ns);
	case OP_KV_DEL:
		return kv_sql_delete(&kv->changing, del->key, del->flags & KV_IF_VERSION,
				     del->version, now_ns, &changing->changes);
	default:
		return kv_sql_rename(&kv->changing, rename->key, rename->new_key,
				     rename->flags & KV_IF_ABSENT, kv->options.max_bytes, now_ns,
				     &changing->changes, &changing->meta);
	}
}

/* --- back on the loop ------------------------------------------------------------------------- */

static void tell(const struct kv_changing *changing, const struct kv_meta *meta)
{
	const struct kv_options *options = &changing->kv->options;
	const struct args_kv_rename *rename = changing->request->args;
	const struct args_kv_set *set = changing->request->args;
	const struct args_kv_del *del = changing->request->args;
	struct kv_told told = {
	    .peer = changing->is_local ? NULL : changing->name,
	    .version = meta->version,
	    .size = meta->size,
	    .duration_ms = (int64_t)(uv_now(options->loop) - changing->began_ms),
	};

	if (!options->told)
		return;
	switch (changing->request->op->number) {
	case OP_KV_SET:
		told.what = "set";
		told.key = set->key;
		break;
	case OP_KV_DEL:
		told.what = "delete";
		told.key = del->key;
		break;
	default:
		told.what = "rename";
		told.key = rename->key;
		told.new_key = rename->new_key;
	}
	options->told(options->arg, &told);
}

static void answer(struct kv_changing *changing, const struct kv_meta *meta)
{
	struct kv_entry entry = kv_sql_entry(meta, wall_clock_ns());

	switch (changing->request->op->number) {
	case OP_KV_SET:
		request_reply(changing->request, &(struct result_kv_set){.entry = entry}, NULL,
			      NULL);
		break;
	case OP_KV_DEL:
		request_reply(changing->request, &(struct result_kv_del){.version = meta->version},
			      NULL, NULL);
		break;
	default:
		request_reply(changing->request, &(struct result_kv_rename){.entry = entry}, NULL,
			      NULL);
	}
}

static void done(struct store_request *request, int status)
{
	struct kv_changing *changing = (struct kv_changing *)request;
	const struct kv_changes *changes = &changing->changes;
	const struct kv_meta *meta = &changing->meta;
	struct kv *kv = changing->kv;

	if (status < 0) {
		request_fail(changing->request, status);
	} else {
		if (changes->n > 0) {
			meta = &changes->list[changes->n - 1].meta;
			kv_changed(kv, changes->list, changes->n);
			tell(changing, meta);
		}
		answer(changing, meta);
	}
	changing_free(changing);
	kv_drop(kv);
}

/* --- asking ----------------------------------------------------------------------------------- */

static int check(const struct request *request)
{
	const struct args_kv_rename *rename = request->args;
	const struct args_kv_set *set = request->args;
	const struct args_kv_del *del = request->args;

	switch (request->op->number) {
	case OP_KV_SET:
		return kv_sql_is_key(set->key) ? 0 : -EINVAL;
	case OP_KV_DEL:
		return kv_sql_is_key(del->key) ? 0 : -EINVAL;
	default:
		return kv_sql_is_key(rename->key) && kv_sql_is_key(rename->new_key) ? 0 : -EINVAL;
	}
}

static int prepare(struct kv_guest *guest, struct kv_changing *changing)
{
	const struct args_kv_set *set = changing->request->args;
	const struct kv_options *options = &guest->kv->options;
	const char *name = NULL;
	int r = check(changing->request);

	if (r == 0 && changing->request->op->number == OP_KV_SET && set->upload)
		r = kv_upload_take(guest, set->upload, &changing->staged, &changing->staged_size);
	if (r < 0)
		return r;
	options->identify(options->arg, changing->request->session, changing->from, &name);
	changing->is_local = !name;
	if (name)
		strncat(changing->name, name, sizeof(changing->name) - 1);
	return 0;
}

void kv_change_handle(struct kv_guest *guest, struct request *request)
{
	struct kv_changing *changing = calloc(1, sizeof(*changing));
	struct kv *kv = guest->kv;
	int r = -ENOMEM;

	if (!changing) {
		request_fail(request, r);
		return;
	}
	changing->store = (struct store_request){.run = run, .done = done};
	changing->kv = kv;
	changing->request = request;
	changing->began_ms = uv_now(kv->options.loop);
	r = prepare(guest, changing);
	if (r == 0)
		r = store_thread_submit(kv->options.thread, &changing->store);
	if (r < 0) {
		changing_free(changing);
		request_fail(request, r);
		return;
	}
	kv_hold(kv);
}
