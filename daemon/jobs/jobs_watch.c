/* Watchers: streams that are told of starts and ends of a peer's jobs. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/jobs/jobs_private.h"

#define QUEUED_MAX (64 * 1024) /* for one that does not listen */

static void free_watcher(struct jobs_watcher *watcher)
{
	TAILQ_REMOVE(&watcher->peer->watchers, watcher, entry);
	buffer_deinit(&watcher->queued);
	free(watcher);
}

static void flush(struct jobs_watcher *watcher)
{
	size_t room = request_stream_room(watcher->stream);
	struct bytes bytes = {watcher->queued.data, watcher->queued.size};

	if (bytes.size == 0 || room == 0)
		return;
	if (bytes.size > room)
		bytes.size = room;
	if (bytes.size > FRAME_STREAM_DATA_MAX)
		bytes.size = FRAME_STREAM_DATA_MAX;
	if (request_stream_write(watcher->stream, 0, bytes) < 0)
		return;
	watcher->queued.size -= bytes.size;
	memmove(watcher->queued.data, watcher->queued.data + bytes.size, watcher->queued.size);
}

static void on_ready(void *arg, int error)
{
	struct jobs_watcher *watcher = arg;

	if (error < 0)
		free_watcher(watcher);
	else
		flush(watcher);
}

void jobs_watch(struct jobs_peer *peer, struct request *request)
{
	struct jobs_watcher *watcher = calloc(1, sizeof(*watcher));
	struct result_job_events result = {0};
	struct request_stream *stream;

	if (!watcher) {
		request_fail(request, -ENOMEM);
		return;
	}
	watcher->peer = peer;
	watcher->queued.limit = QUEUED_MAX;
	TAILQ_INSERT_TAIL(&peer->watchers, watcher, entry);
	/* If its link has gone, on_ready has been called, and it is gone. */
	stream = request_reply_stream(request, &result, on_ready, watcher);
	if (stream)
		watcher->stream = stream;
}

void jobs_watch_tell(struct jobs_peer *peer, const struct job_info *info)
{
	struct jobs_watcher *watcher, *next;

	for (watcher = TAILQ_FIRST(&peer->watchers); watcher; watcher = next) {
		next = TAILQ_NEXT(watcher, entry);
		if (codec_encode(&job_info_record, info, &watcher->queued, NULL) < 0) {
			/* It asks anew, and lists what there is. */
			request_stream_end(watcher->stream, -EMSGSIZE);
			free_watcher(watcher);
			continue;
		}
		flush(watcher);
	}
}

void jobs_watch_end(struct jobs_peer *peer, int error)
{
	struct jobs_watcher *watcher;

	while ((watcher = TAILQ_FIRST(&peer->watchers))) {
		request_stream_end(watcher->stream, error);
		free_watcher(watcher);
	}
}
