/* The inside of the room: shared by the kv*.c files. */
#ifndef DAEMON_KV_KV_PRIVATE_H
#define DAEMON_KV_KV_PRIVATE_H

#include <sys/queue.h>

#include "daemon/kv/kv.h"
#include "daemon/kv/kv_log.h"
#include "daemon/kv/kv_sql.h"
#include "daemon/store_thread.h"

struct kv_upload;
struct kv_watcher;
TAILQ_HEAD(kv_uploads, kv_upload);
TAILQ_HEAD(kv_watchers, kv_watcher);
TAILQ_HEAD(kv_stages, kv_stage);

struct kv {
	struct kv_options options;
	struct service service;
	struct kv_sql changing, reading; /* of the two threads */
	struct kv_log log;               /* what is durable and answered */
	struct kv_watchers watchers;
	uv_timer_t expiry;    /* until the next value's time is over */
	uv_timer_t idle;      /* while there are uploads */
	int64_t expires_ns;   /* when that is; 0: never */
	bool is_expiring;     /* the thread is at it */
	unsigned n_under_way; /* requests with a thread */
	unsigned n_handles;
	bool is_closing;
	void (*closed)(void *arg);
	void *closed_arg;
	LIST_HEAD(, kv_guest) all_guests;
};

/* A session. */
struct kv_guest {
	LIST_ENTRY(kv_guest) entry;
	struct kv *kv;
	bool is_local;
	struct kv_uploads uploads; /* those used last at the end */
	unsigned n_uploads;
	struct kv_stages waiting; /* first parts that there was no room for */
};

/* A request has left for a thread, or is back. With the last one back, what waits for it goes on.
 */
void kv_hold(struct kv *kv);
void kv_drop(struct kv *kv);

/* These were made and are on the disk: logged and told. */
void kv_changed(struct kv *kv, const struct kv_change_made *changes, size_t n);

/* kv_change.c: SET, DEL, RENAME. */
void kv_change_handle(struct kv_guest *guest, struct request *request);

/* kv_read.c: GET, STAT, LIST. */
void kv_read_handle(struct kv_guest *guest, struct request *request);

/* kv_upload.c: STAGE. */
void kv_upload_handle(struct kv_guest *guest, struct request *request);
/* Takes what was staged out: its bytes are the caller's to free. Returns 0 or -ENOKEY. */
int kv_upload_take(struct kv_guest *guest, uint64_t number, uint8_t **ret_data, size_t *ret_size);
/* The caller gave up on a part that waits. */
void kv_upload_cancel(struct kv_guest *guest, struct request *request);
/* The session is gone. */
void kv_upload_end(struct kv_guest *guest);
void kv_upload_on_idle(uv_timer_t *timer);

/* kv_watch.c: WATCH. */
void kv_watch_handle(struct kv_guest *guest, struct request *request);
/* There is more in the log. */
void kv_watch_tell(struct kv *kv);

/* kv_expiry.c: looks when the next one's time is over. */
void kv_expiry_arm(struct kv *kv);
void kv_expiry_on_timer(uv_timer_t *timer);

#endif
