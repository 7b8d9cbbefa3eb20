/*
 * A watching is WORKING in the pool (setting watches, reading events), SENDING what it read while
 * there is room in its stream, or WAITING for its inotify descriptor. One that is over is freed
 * when it does not work.
 *
 *     (request) ─► WORKING ─► SENDING ─► WAITING
 *                     ▲          │ more     │ readable
 *                     └──────────┴──────────┘
 */
#include "daemon/watch/watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "daemon/serve/place.h"
#include "daemon/serve/serve.h"
#include "daemon/watch/watch_tree.h"
#include "proto/ops_peer.h"

#define BATCH        (64 * 1024)
#define WATCHES_MIN  1024
#define WATCHES_FILE "/proc/sys/fs/inotify/max_user_watches"

struct watch_room {
	struct service service;
	uv_loop_t *loop;
	const struct serve *serve;
	size_t max_watches; /* of one watching */
	size_t n;           /* watchings, also those that are over */
	void (*stopped)(void *arg);
	void *stopped_arg;
};

/* What a session has. */
struct watcher {
	unsigned n;
	bool is_closed;
};

enum state { WORKING, SENDING, WAITING };

struct watching {
	struct watch_room *room;
	struct watcher *watcher;
	enum state state;
	bool is_over;
	struct request *request; /* until it is answered */
	struct request_stream *stream;
	struct watch_tree *tree;
	uv_work_t work;
	uv_poll_t poll;
	bool has_poll;
	int error; /* of the work */
	bool more;
	struct buffer out;
	size_t n_sent; /* bytes of out */
};

/* --- ends ------------------------------------------------------------------------------------- */

static void let_go(struct watcher *watcher)
{
	watcher->n--;
	if (watcher->is_closed && watcher->n == 0)
		free(watcher);
}

static void settle(struct watch_room *room)
{
	void (*stopped)(void *) = room->stopped;

	if (!stopped || room->n > 0)
		return;
	room->stopped = NULL;
	stopped(room->stopped_arg);
}

static void free_watching(struct watching *watching)
{
	struct watch_room *room = watching->room;

	watch_tree_free(watching->tree);
	buffer_deinit(&watching->out);
	let_go(watching->watcher);
	free(watching);
	room->n--;
	settle(room);
}

static void on_closed(uv_handle_t *handle)
{
	free_watching(handle->data);
}

/* It is over and does not work. */
static void end(struct watching *watching)
{
	if (watching->has_poll)
		uv_close((uv_handle_t *)&watching->poll, on_closed);
	else
		free_watching(watching);
}

/* --- the pool --------------------------------------------------------------------------------- */

static int open_tree(struct watching *watching)
{
	const struct args_watch *args = watching->request->args;
	const struct watch_room *room = watching->room;
	struct list paths = args->paths;
	struct watch_path path;
	int error = watch_tree_new(serve_exports(room->serve), serve_mounts(room->serve),
				   args->recursive, room->max_watches, &watching->tree);

	for (unsigned i = 0; error == 0 && paths.n > 0; i++) {
		if (codec_list_next(&paths, &watch_path_record, &path, NULL) < 0)
			return -EINVAL;
		error = watch_tree_add(watching->tree, i, path.path);
	}
	return error;
}

static void work(uv_work_t *work)
{
	struct watching *watching = work->data;

	if (!watching->tree) {
		watching->error = open_tree(watching);
		return;
	}
	watching->error = watch_tree_read(watching->tree, BATCH, &watching->out);
	watching->more = watching->error > 0;
}

static void on_worked(uv_work_t *work, int status);

static void start_work(struct watching *watching)
{
	watching->state = WORKING;
	watching->work.data = watching;
	uv_queue_work(watching->room->loop, &watching->work, work, on_worked);
}

/* --- the loop --------------------------------------------------------------------------------- */

static void on_readable(uv_poll_t *poll, int status, int events)
{
	uv_poll_stop(poll);
	start_work(poll->data);
}

/* Whole events, as many as there is room for. They are cut apart by decoding them. */
static size_t fitting(const struct watching *watching, size_t room)
{
	struct bytes rest = {watching->out.data + watching->n_sent,
			     watching->out.size - watching->n_sent};
	const uint8_t *start = rest.data;
	struct watch_event event;
	size_t n = 0;

	if (room > FRAME_STREAM_DATA_MAX)
		room = FRAME_STREAM_DATA_MAX;
	while (rest.size > 0 && codec_decode(&watch_event_record, &rest, &event, NULL) == 0 &&
	       (size_t)(rest.data - start) <= room)
		n = (size_t)(rest.data - start);
	return n;
}

static void finish(struct watching *watching, int error)
{
	struct request_stream *stream = watching->stream;

	watching->stream = NULL;
	if (stream)
		request_stream_end(stream, error);
	end(watching);
}

static void send_on(struct watching *watching)
{
	watching->state = SENDING;
	while (watching->n_sent < watching->out.size) {
		size_t n = fitting(watching, request_stream_room(watching->stream));
		int error;

		if (n == 0)
			return; /* ready will come */
		error = request_stream_write(
		    watching->stream, 0, (struct bytes){watching->out.data + watching->n_sent, n});
		if (error < 0) {
			finish(watching, error);
			return;
		}
		watching->n_sent += n;
	}
	watching->out.size = watching->n_sent = 0;
	if (watching->out.capacity > 2 * BATCH)
		buffer_deinit(&watching->out);
	if (watching->more) {
		start_work(watching);
		return;
	}
	watching->state = WAITING;
	uv_poll_start(&watching->poll, UV_READABLE, on_readable);
}

static void on_ready(void *arg, int error)
{
	struct watching *watching = arg;

	if (error < 0) {
		watching->stream = NULL;
		watching->is_over = true;
		if (watching->state != WORKING)
			end(watching);
	} else if (watching->state == SENDING) {
		send_on(watching);
	}
}

static void answer(struct watching *watching, int error)
{
	struct request *request = watching->request;
	struct result_watch result = {0};

	watching->request = NULL;
	if (error == 0)
		error = uv_poll_init(watching->room->loop, &watching->poll,
				     watch_tree_fd(watching->tree));
	if (error < 0) {
		request_fail(request, error == -EMFILE ? -ENFILE : error);
		end(watching);
		return;
	}
	watching->has_poll = true;
	watching->poll.data = watching;
	watching->stream = request_reply_stream(request, &result, on_ready, watching);
	if (watching->stream)
		send_on(watching);
	else
		end(watching);
}

static void on_worked(uv_work_t *work, int status)
{
	struct watching *watching = work->data;

	if (watching->request)
		answer(watching, watching->is_over ? -EINTR : watching->error);
	else if (watching->is_over)
		end(watching);
	else if (watching->error < 0)
		finish(watching, watching->error);
	else
		send_on(watching);
}

/* --- the service ------------------------------------------------------------------------------ */

static void handle(void *arg, void *state, struct request *request)
{
	struct watch_room *room = arg;
	struct watcher *watcher = state;
	struct watching *watching;

	if (watcher->n >= WATCH_STREAMS_MAX) {
		request_fail(request, -ENFILE);
		return;
	}
	watching = calloc(1, sizeof(*watching));
	if (!watching) {
		request_fail(request, -ENOMEM);
		return;
	}
	watching->room = room;
	watching->watcher = watcher;
	watching->request = request;
	request->room = watching;
	watcher->n++;
	room->n++;
	start_work(watching);
}

static void cancel(void *arg, void *state, struct request *request)
{
	struct watching *watching = request->room;

	watching->is_over = true;
}

static int session_open(void *arg, struct session *session, void **ret_state)
{
	*ret_state = calloc(1, sizeof(struct watcher));
	return *ret_state ? 0 : -ENOMEM;
}

static void session_close(void *arg, void *state)
{
	struct watcher *watcher = state;

	watcher->is_closed = true;
	if (watcher->n == 0)
		free(watcher);
}

/* A quarter of what this user may have: others want some too. */
static size_t read_max_watches(void)
{
	unsigned long max = 0;
	FILE *file = fopen(WATCHES_FILE, "re");

	if (file && fscanf(file, "%lu", &max) != 1)
		max = 0;
	if (file)
		fclose(file);
	return max / 4 > WATCHES_MIN ? max / 4 : WATCHES_MIN;
}

int watch_room_new(uv_loop_t *loop, const struct serve *serve, struct watch_room **ret_room)
{
	struct watch_room *room = calloc(1, sizeof(*room));

	if (!room)
		return -ENOMEM;
	room->loop = loop;
	room->serve = serve;
	room->max_watches = read_max_watches();
	room->service = (struct service){
	    .name = "watch",
	    .first_op = OP_WATCH,
	    .last_op = OP_WATCH,
	    .session_open = session_open,
	    .session_close = session_close,
	    .handle = handle,
	    .cancel = cancel,
	    .arg = room,
	};
	*ret_room = room;
	return 0;
}

const struct service *watch_room_service(const struct watch_room *room)
{
	return &room->service;
}

void watch_room_stop(struct watch_room *room, void (*done)(void *arg), void *arg)
{
	room->stopped = done;
	room->stopped_arg = arg;
	settle(room);
}

void watch_room_free(struct watch_room *room)
{
	free(room);
}
