/*
 * A change goes to the store's thread, where what waits together shares one commit, and is answered
 * when that is done; only then it is in the log, so that watchers hear of what is durable, and
 * before who made it does: what a mount knows by watching is not older than what its user was told.
 * Reads go to the reader's thread and see what is committed: they do not wait for the disk.
 */
#include "daemon/kv/kv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/kv/kv_private.h"

/* --- the end ---------------------------------------------------------------------------------- */

static void on_handle_closed(uv_handle_t *handle)
{
	struct kv *kv = handle->data;
	void (*closed)(void *closed_arg) = kv->closed;
	void *closed_arg = kv->closed_arg;

	if (--kv->n_handles > 0)
		return;
	kv_log_deinit(&kv->log);
	free(kv);
	if (closed)
		closed(closed_arg);
}

static void settle(struct kv *kv)
{
	if (!kv->is_closing || kv->n_under_way > 0)
		return;
	kv->n_under_way = 1; /* once */
	uv_close((uv_handle_t *)&kv->expiry, on_handle_closed);
	uv_close((uv_handle_t *)&kv->idle, on_handle_closed);
}

void kv_hold(struct kv *kv)
{
	kv->n_under_way++;
}

void kv_drop(struct kv *kv)
{
	kv->n_under_way--;
	settle(kv);
}

void kv_close(struct kv *kv, void (*closed)(void *arg), void *arg)
{
	kv->closed = closed;
	kv->closed_arg = arg;
	kv->is_closing = true;
	uv_timer_stop(&kv->expiry);
	settle(kv);
}

/* --- changes ---------------------------------------------------------------------------------- */

void kv_changed(struct kv *kv, const struct kv_change_made *changes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct kv_meta *meta = &changes[i].meta;

		kv_log_add(&kv->log, changes[i].kind, meta);
		if (changes[i].kind != KV_SET_CHANGE || meta->expires_ns == 0)
			continue;
		if (kv->expires_ns == 0 || meta->expires_ns < kv->expires_ns) {
			kv->expires_ns = meta->expires_ns;
			kv_expiry_arm(kv);
		}
	}
	if (!kv->is_closing)
		kv_watch_tell(kv);
}

/* --- sessions --------------------------------------------------------------------------------- */

static int session_open(void *arg, struct session *session, void **ret_state)
{
	struct kv_guest *guest = calloc(1, sizeof(*guest));
	struct kv *kv = arg;

	if (!guest)
		return -ENOMEM;
	guest->kv = kv;
	guest->is_local = session_is_local(session);
	TAILQ_INIT(&guest->uploads);
	TAILQ_INIT(&guest->waiting);
	LIST_INSERT_HEAD(&kv->all_guests, guest, entry);
	*ret_state = guest;
	return 0;
}

static void session_close(void *arg, void *state)
{
	struct kv_guest *guest = state;

	kv_upload_end(guest);
	LIST_REMOVE(guest, entry);
	free(guest);
}

static void handle(void *arg, void *state, struct request *request)
{
	switch (request->op->number) {
	case OP_KV_SET:
	case OP_KV_DEL:
	case OP_KV_RENAME:
		kv_change_handle(state, request);
		break;
	case OP_KV_GET:
	case OP_KV_STAT:
	case OP_KV_LIST:
		kv_read_handle(state, request);
		break;
	case OP_KV_STAGE:
		kv_upload_handle(state, request);
		break;
	case OP_KV_WATCH:
		kv_watch_handle(state, request);
		break;
	default:
		request_fail(request, -ENOSYS);
	}
}

/* What is with a thread is done soon, and answered as it went. */
static void cancel(void *arg, void *state, struct request *request)
{
	if (request->op->number == OP_KV_STAGE)
		kv_upload_cancel(state, request);
}

/* --- birth ------------------------------------------------------------------------------------ */

/* Each version is a change: where some are missing, those before them are of no use. */
static int load_change(void *arg, const struct kv_change_made *change)
{
	struct kv_log *log = arg;

	if (change->meta.version != log->version + 1)
		kv_log_forget(log, change->meta.version - 1);
	kv_log_add(log, change->kind, &change->meta);
	return 0;
}

/* What the room has to know before the first request. */
static int load(struct kv *kv, sqlite3 *db)
{
	struct kv_sql sql = {.db = db};
	uint64_t version = 0;
	int r = kv_sql_version(&sql, &version);

	if (r == 0)
		r = kv_sql_log_each(&sql, load_change, &kv->log);
	if (r == -EBADMSG) /* one that cannot be read: watchers are told that something was lost */
		r = 0;
	if (r == 0 && kv->log.version != version)
		kv_log_forget(&kv->log, version);
	if (r == 0)
		r = kv_sql_next_expiry(&sql, &kv->expires_ns);
	for (size_t i = 0; i < KV_SQL_STATEMENTS; i++)
		sqlite3_finalize(sql.statements[i]);
	return r;
}

static void init_timer(struct kv *kv, uv_timer_t *timer)
{
	uv_timer_init(kv->options.loop, timer);
	timer->data = kv;
	kv->n_handles++;
}

int kv_new(const struct kv_options *options, struct kv **ret_kv)
{
	struct kv *kv = calloc(1, sizeof(*kv));
	int r;

	if (!kv)
		return -ENOMEM;
	kv->options = *options;
	TAILQ_INIT(&kv->watchers);
	LIST_INIT(&kv->all_guests);
	r = load(kv, options->db);
	kv->options.db = NULL; /* the thread's from now on */
	if (r < 0) {
		kv_log_deinit(&kv->log);
		free(kv);
		return r;
	}
	kv->service = (struct service){
	    .name = "kv",
	    .first_op = OP_KV_GET,
	    .last_op = OP_KV_WATCH,
	    .session_open = session_open,
	    .session_close = session_close,
	    .handle = handle,
	    .cancel = cancel,
	    .arg = kv,
	};
	init_timer(kv, &kv->expiry);
	init_timer(kv, &kv->idle);
	kv_expiry_arm(kv);
	*ret_kv = kv;
	return 0;
}

const struct service *kv_service(const struct kv *kv)
{
	return &kv->service;
}
