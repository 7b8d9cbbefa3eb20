/*
 * A watcher goes through the log at its own pace: as fast as its stream has credit. What is dropped
 * from the log before it came to it is lost, which it is told (KV_LOST), and goes on behind it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/kv/kv_private.h"
#include "daemon/log.h"
#include "daemon/wall_clock.h"

#define FRAME_SIZE (64 * 1024) /* of changes in one frame */
#define CHANGE_MAX 1024        /* encoded: a key, and little else */

struct kv_watcher {
	TAILQ_ENTRY(kv_watcher) entry;
	struct kv *kv;
	struct request_stream *stream;
	uint64_t next;  /* number in the log */
	uint64_t since; /* a reader of the list may know more than the log */
	bool has_lost;  /* yet to be told */
	size_t prefix_size;
	uint8_t prefix[];
};

static void watcher_free(struct kv_watcher *watcher)
{
	TAILQ_REMOVE(&watcher->kv->watchers, watcher, entry);
	free(watcher);
}

static int append(struct buffer *buffer, enum kv_change_kind kind, const struct kv_meta *meta,
		  int64_t now_ns)
{
	struct kv_change change = {.kind = kind, .entry = kv_sql_entry(meta, now_ns)};

	if (kind != KV_SET_CHANGE)
		change.entry = (struct kv_entry){.key = change.entry.key,
						 .version = change.entry.version,
						 .changed = change.entry.changed};
	return codec_encode(&kv_change_record, &change, buffer, NULL);
}

static bool is_wanted(const struct kv_watcher *watcher, uint64_t number)
{
	const struct kv_log *log = &watcher->kv->log;
	struct bytes key = kv_log_key(log, number);

	return kv_log_version(log, number) > watcher->since && key.size >= watcher->prefix_size &&
	       memcmp(key.data, watcher->prefix, watcher->prefix_size) == 0;
}

static int append_lost(struct kv_watcher *watcher, struct buffer *buffer)
{
	struct kv_log *log = &watcher->kv->log;
	struct kv_meta meta = {.version = log->floor};
	int r = append(buffer, KV_LOST, &meta, 0);

	if (r == 0)
		watcher->has_lost = false;
	return r;
}

/* The next changes, as far as there is room. The watcher moves on only with what is appended. */
static int fill(struct kv_watcher *watcher, struct buffer *buffer, size_t room)
{
	struct kv_log *log = &watcher->kv->log;
	int64_t now_ns = wall_clock_ns();
	struct kv_meta meta;
	int r = 0;

	if (watcher->next < log->first) {
		watcher->next = log->first;
		watcher->has_lost = true;
	}
	if (watcher->has_lost && room >= CHANGE_MAX)
		r = append_lost(watcher, buffer);
	while (r == 0 && !watcher->has_lost && watcher->next < log->next &&
	       buffer->size + CHANGE_MAX <= room) {
		if (is_wanted(watcher, watcher->next)) {
			kv_log_meta(log, watcher->next, &meta);
			r = append(buffer, kv_log_kind(log, watcher->next), &meta, now_ns);
		}
		if (r == 0)
			watcher->next++;
	}
	return r;
}

static void end(struct kv_watcher *watcher, int error)
{
	struct request_stream *stream = watcher->stream;

	watcher_free(watcher);
	request_stream_end(stream, error);
}

static void pump(struct kv_watcher *watcher)
{
	struct buffer buffer = {0};
	size_t room;
	int r;

	do {
		buffer.size = 0;
		room = request_stream_room(watcher->stream);
		r = fill(watcher, &buffer, room < FRAME_SIZE ? room : FRAME_SIZE);
		if (r == 0 && buffer.size > 0)
			r = request_stream_write(watcher->stream, 0,
						 (struct bytes){buffer.data, buffer.size});
	} while (r == 0 && buffer.size > 0);
	buffer_deinit(&buffer);
	if (r < 0) {
		log_error("kv", "what=watch error=%d", r);
		end(watcher, r);
	}
}

static void on_ready(void *arg, int error)
{
	struct kv_watcher *watcher = arg;

	if (error < 0)
		watcher_free(watcher);
	else if (watcher->stream)
		pump(watcher);
}

void kv_watch_tell(struct kv *kv)
{
	struct kv_watcher *watcher, *next;

	for (watcher = TAILQ_FIRST(&kv->watchers); watcher; watcher = next) {
		next = TAILQ_NEXT(watcher, entry);
		pump(watcher);
	}
}

void kv_watch_handle(struct kv_guest *guest, struct request *request)
{
	const struct args_kv_watch *args = request->args;
	struct kv_log *log = &guest->kv->log;
	uint64_t since = args->since == OPS_ANY ? log->version : args->since;
	struct result_kv_watch result = {.version = since};
	struct kv_watcher *watcher = calloc(1, sizeof(*watcher) + args->prefix.size);
	struct request_stream *stream;

	if (!watcher) {
		request_fail(request, -ENOMEM);
		return;
	}
	watcher->kv = guest->kv;
	watcher->since = since;
	watcher->next = kv_log_find(log, since);
	watcher->has_lost = since < log->floor;
	watcher->prefix_size = args->prefix.size;
	if (args->prefix.size > 0)
		memcpy(watcher->prefix, args->prefix.data, args->prefix.size);
	TAILQ_INSERT_TAIL(&guest->kv->watchers, watcher, entry);
	stream = request_reply_stream(request, &result, on_ready, watcher);
	if (!stream)
		return; /* on_ready has been told */
	watcher->stream = stream;
	pump(watcher);
}
