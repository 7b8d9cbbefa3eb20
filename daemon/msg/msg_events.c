/* Streams that are told what happens to messages; and the audit log. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/msg/msg_private.h"
#include "daemon/wall_clock.h"

#define QUEUED_MAX (256 * 1024) /* for one that does not listen */

struct msg_watcher {
	TAILQ_ENTRY(msg_watcher) entry;
	struct msg *msg;
	struct request_stream *stream;
	char peer[IDENTITY_ID_SIZE]; /* "": all */
	struct buffer queued;
};

static void free_watcher(struct msg_watcher *watcher)
{
	TAILQ_REMOVE(&watcher->msg->watchers, watcher, entry);
	buffer_deinit(&watcher->queued);
	free(watcher);
}

/* Whole events, as many as there is room for: they are cut apart by decoding them. */
static size_t fitting(const struct msg_watcher *watcher, size_t room)
{
	struct bytes rest = {watcher->queued.data, watcher->queued.size};
	struct msg_event event;
	size_t n = 0;

	if (room > FRAME_STREAM_DATA_MAX)
		room = FRAME_STREAM_DATA_MAX;
	if (rest.size <= room)
		return rest.size;
	while (rest.size > 0 && codec_decode(&msg_event_record, &rest, &event, NULL) == 0 &&
	       watcher->queued.size - rest.size <= room)
		n = watcher->queued.size - rest.size;
	return n;
}

static void flush(struct msg_watcher *watcher)
{
	size_t n = fitting(watcher, request_stream_room(watcher->stream));

	if (n == 0 ||
	    request_stream_write(watcher->stream, 0, (struct bytes){watcher->queued.data, n}) < 0)
		return;
	watcher->queued.size -= n;
	memmove(watcher->queued.data, watcher->queued.data + n, watcher->queued.size);
}

static void on_ready(void *arg, int error)
{
	struct msg_watcher *watcher = arg;

	if (error < 0)
		free_watcher(watcher);
	else
		flush(watcher);
}

void msg_events_handle(struct msg_guest *guest, struct request *request)
{
	const struct args_msg_events *args = request->args;
	struct msg *msg = guest->msg;
	struct msg_watcher *watcher = calloc(1, sizeof(*watcher));
	struct result_msg_events result = {0};
	char *name = bytes_to_text(args->peer);
	struct request_stream *stream;
	const char *id = name && name[0] ? msg->options.find_peer(msg->options.arg, name) : "";

	free(name);
	if (!watcher || !id) {
		free(watcher);
		request_fail(request, id ? -ENOMEM : -ENOENT);
		return;
	}
	watcher->msg = msg;
	watcher->queued.limit = QUEUED_MAX;
	strcpy(watcher->peer, id);
	TAILQ_INSERT_TAIL(&msg->watchers, watcher, entry);
	/* If its link has gone, on_ready has been called, and it is gone. */
	stream = request_reply_stream(request, &result, on_ready, watcher);
	if (stream)
		watcher->stream = stream;
}

static void tell(struct msg_watcher *watcher, const struct msg_event *event)
{
	if (codec_encode(&msg_event_record, event, &watcher->queued, NULL) == 0) {
		flush(watcher);
		return;
	}
	/* It asks anew, and looks at what there is. */
	request_stream_end(watcher->stream, -EMSGSIZE);
	free_watcher(watcher);
}

void msg_events_tell(struct msg *msg, enum msg_event_kind kind, const struct msg_row *row)
{
	const char *name = msg->options.peer_name(msg->options.arg, row->peer);
	struct msg_watcher *watcher, *next;
	struct msg_event event = {
	    .kind = kind,
	    .id = {(const uint8_t *)row->id, strlen(row->id)},
	    .type = row->type,
	    .time = msg_time(wall_clock_ns()),
	};

	if (!name)
		return; /* it was unpaired meanwhile */
	event.peer = (struct bytes){(const uint8_t *)name, strlen(name)};
	for (watcher = TAILQ_FIRST(&msg->watchers); watcher; watcher = next) {
		next = TAILQ_NEXT(watcher, entry);
		if (watcher->stream && (!watcher->peer[0] || strcmp(watcher->peer, row->peer) == 0))
			tell(watcher, &event);
	}
}

void msg_events_tell_all(struct msg *msg, enum msg_event_kind kind, const struct msg_rows *rows)
{
	for (size_t i = 0; i < rows->n; i++)
		msg_events_tell(msg, kind, &rows->rows[i]);
}

void msg_audit(struct msg *msg, bool is_local, const char *what, const struct msg_row *row)
{
	const char *name = msg->options.peer_name(msg->options.arg, row->peer);
	struct msg_told told = {
	    .peer = is_local ? NULL : name,
	    .what = what,
	    .with = is_local ? name : NULL,
	    .id = row->id,
	    .type = row->type,
	    .size = row->size,
	};

	if (msg->options.told && name)
		msg->options.told(msg->options.arg, &told);
}
