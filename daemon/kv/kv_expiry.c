/*
 * Values whose time is over are absent at once, whoever asks; their rows go when the timer comes to
 * them, and that is when watchers hear of it. The wall clock may jump, so the timer looks at it
 * once a minute at least.
 */
#include <errno.h>
#include <stdlib.h>

#include "daemon/kv/kv_private.h"
#include "daemon/log.h"
#include "daemon/wall_clock.h"

#define AT_ONCE  64 /* in one transaction's request */
#define LONGEST  60000
#define AFTER    1 /* ms: never too early by the timer's rounding */
#define RETRY_MS 1000

struct expiring {
	struct store_request store;
	struct kv *kv;
	int64_t next_ns;
	size_t n;
	struct kv_change_made made[AT_ONCE];
};

void kv_expiry_arm(struct kv *kv)
{
	int64_t left_ms;

	if (kv->is_closing || kv->is_expiring)
		return;
	if (kv->expires_ns == 0) {
		uv_timer_stop(&kv->expiry);
		return;
	}
	left_ms = (kv->expires_ns - wall_clock_ns()) / 1000000 + AFTER;
	if (left_ms < 0)
		left_ms = 0;
	uv_timer_start(&kv->expiry, kv_expiry_on_timer,
		       (uint64_t)(left_ms < LONGEST ? left_ms : LONGEST), 0);
}

static int run(struct store_request *request, sqlite3 *db)
{
	struct expiring *expiring = (struct expiring *)request;
	struct kv_sql *sql = &expiring->kv->changing;
	int64_t now_ns = wall_clock_ns();
	struct kv_changes changes;
	int r = 0;

	sql->db = db;
	while (expiring->n < AT_ONCE && (r = kv_sql_expire(sql, now_ns, &changes)) == 0)
		expiring->made[expiring->n++] = changes.list[0];
	if (r < 0 && r != -ENOENT)
		return r;
	return kv_sql_next_expiry(sql, &expiring->next_ns);
}

static void done(struct store_request *request, int status)
{
	struct expiring *expiring = (struct expiring *)request;
	struct kv *kv = expiring->kv;

	kv->is_expiring = false;
	if (status == 0) {
		kv->expires_ns = expiring->next_ns;
		kv_changed(kv, expiring->made, expiring->n);
		kv_expiry_arm(kv);
	} else {
		log_error("kv", "what=expire error=%d", status);
		if (!kv->is_closing)
			uv_timer_start(&kv->expiry, kv_expiry_on_timer, RETRY_MS, 0);
	}
	free(expiring);
	kv_drop(kv);
}

void kv_expiry_on_timer(uv_timer_t *timer)
{
	struct kv *kv = timer->data;
	struct expiring *expiring;

	if (kv->expires_ns > wall_clock_ns()) {
		kv_expiry_arm(kv);
		return;
	}
	expiring = calloc(1, sizeof(*expiring));
	if (expiring)
		*expiring = (struct expiring){.store = {.run = run, .done = done}, .kv = kv};
	if (!expiring || store_thread_submit(kv->options.thread, &expiring->store) < 0) {
		free(expiring);
		uv_timer_start(timer, kv_expiry_on_timer, RETRY_MS, 0);
		return;
	}
	kv->is_expiring = true;
	kv_hold(kv);
}
