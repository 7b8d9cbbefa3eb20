#include "daemon/serve/serve.h"

#include <assert.h>
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "daemon/serve/place.h"
#include "daemon/serve/serve_private.h"

#define FIRST_OP OP_LOOKUP
#define LAST_OP  59
#define SWEEP_MS 5000

static const struct work_handler *const rooms[] = {
    attrs_handlers, dirs_handlers,  files_handlers,  locks_handlers,
    names_handlers, opens_handlers, xattrs_handlers,
};

static const struct work_handler *find_handler(uint16_t op)
{
	for (size_t i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++) {
		for (const struct work_handler *row = rooms[i]; row->op; row++) {
			if (row->op == op)
				return row;
		}
	}
	return NULL;
}

static int session_open(void *arg, struct session *session, void **ret_state)
{
	struct guest *guest;
	int error = guest_new(arg, session ? session_peer(session) : NULL, &guest);

	if (error < 0)
		return error;
	*ret_state = guest;
	return 0;
}

static void trim_run(uv_work_t *uv)
{
	malloc_trim(0);
}

static void trim_done(uv_work_t *uv, int status)
{
	struct serve *serve = uv->data;

	serve->trimming = false;
	serve_settle(serve);
}

/* glibc keeps what was freed in small pieces, until told (tried: 200 MiB after a million nodes). */
static void trim(struct serve *serve)
{
	if (serve->trimming)
		return;
	serve->trimming = true;
	serve->trim.data = serve;
	if (uv_queue_work(serve->loop, &serve->trim, trim_run, trim_done) < 0)
		serve->trimming = false;
}

static void session_close(void *arg, void *state)
{
	guest_close(state);
}

static void handle(void *arg, void *state, struct request *request)
{
	work_begin(state, find_handler(request->op->number), request);
}

static void event(void *arg, void *state, uint16_t op, const void *args)
{
	struct guest *guest = state;
	struct forgotten forgotten;
	struct list nodes;

	if (op != OP_FORGET)
		return;
	nodes = ((const struct args_forget *)args)->nodes;
	while (nodes.n > 0 && codec_list_next(&nodes, &forgotten_record, &forgotten, NULL) == 0)
		nodes_forget(&guest->nodes, forgotten.node, forgotten.count);
	if (nodes_want_sweep(&guest->nodes, true))
		guest_sweep(guest);
	if (nodes_want_trim(&guest->nodes))
		trim(arg);
}

static void on_sweep(uv_timer_t *timer)
{
	struct serve *serve = timer->data;

	for (struct guest *guest = serve->guests; guest; guest = guest->next)
		if (nodes_want_sweep(&guest->nodes, false))
			guest_sweep(guest);
}

static void start_sweeping(struct serve *serve, uint64_t every_ms)
{
	if (every_ms == 0)
		every_ms = SWEEP_MS;
	uv_timer_init(serve->loop, &serve->sweep);
	serve->sweep.data = serve;
	uv_timer_start(&serve->sweep, on_sweep, every_ms, every_ms);
	uv_unref((uv_handle_t *)&serve->sweep);
}

static void cancel(void *arg, void *state, struct request *request)
{
	if (request->room)
		work_cancel(request->room);
}

/* A quarter of what we may open is for a session's cache. */
static size_t default_kept(void)
{
	struct rlimit limit;
	size_t kept = 1024;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur / 4 < kept)
		kept = limit.rlim_cur / 4;
	return kept < 16 ? 16 : kept;
}

static bool is_manned(void *arg)
{
	const struct serve *serve = arg;

	return serve->pool.running > 0;
}

static void between(void *arg)
{
	struct serve *serve = arg;

	closings_pass(&serve->closings);
}

static void on_closings_settled(void *arg)
{
	serve_settle(arg);
}

int serve_new(uv_loop_t *loop, const struct serve_options *options, struct serve **ret_serve)
{
	struct serve *serve = calloc(1, sizeof(*serve));
	int error;

	if (!serve)
		return -ENOMEM;
	serve->loop = loop;
	serve->max_nodes = options->max_nodes ? options->max_nodes : 1000000;
	serve->max_open_files = options->max_open_files ? options->max_open_files : 4096;
	serve->max_kept = options->max_kept ? options->max_kept : default_kept();
	serve->verify_ms = options->verify_ms ? options->verify_ms : 2000;
	serve->service = (struct service){
	    .name = "files",
	    .first_op = FIRST_OP,
	    .last_op = LAST_OP,
	    .session_open = session_open,
	    .session_close = session_close,
	    .handle = handle,
	    .event = event,
	    .cancel = cancel,
	    .arg = serve,
	};
	error = mounts_new(options->mountinfo ? options->mountinfo : "/proc/self/mountinfo",
			   &serve->mounts);
	if (error < 0)
		goto fail;
	error = exports_init(&serve->exports, options->exports, options->n_exports, serve->mounts);
	if (error < 0)
		goto fail;
	error = acting_self_init(&serve->self);
	if (error < 0)
		goto fail_exports;
	error = pool_init(&serve->pool, loop, options->threads ? options->threads : 14, work_go,
			  work_run, work_done);
	if (error < 0)
		goto fail_self;
	serve->pool.between = between;
	serve->pool.arg = serve;
	closings_init(&serve->closings, loop, is_manned, on_closings_settled, serve);
	removed_init(&serve->removed, &serve->closings);
	locks_waiters_init(&serve->lock_waiters, serve);
	start_sweeping(serve, options->sweep_ms);
	umask(0);
	*ret_serve = serve;
	return 0;
fail_self:
	acting_self_deinit(&serve->self);
fail_exports:
	exports_deinit(&serve->exports);
fail:
	mounts_free(serve->mounts);
	free(serve);
	return error;
}

const struct service *serve_service(const struct serve *serve)
{
	return &serve->service;
}

int serve_find_place(const struct serve *serve, struct bytes path, struct place *ret_place)
{
	return place_find(&serve->exports, serve->mounts, path, ret_place);
}

const struct exports *serve_exports(const struct serve *serve)
{
	return &serve->exports;
}

struct mounts *serve_mounts(const struct serve *serve)
{
	return serve->mounts;
}

int serve_open_directory(const struct serve *serve, struct bytes path)
{
	struct place place;
	int error = serve_find_place(serve, path, &place);

	if (error < 0)
		return error;
	if (S_ISDIR(place.look.stx.stx_mode))
		return place.look.fd;
	confine_look_close(&place.look);
	return -ENOTDIR;
}

static void on_closings_closed(uv_handle_t *handle)
{
	struct serve *serve = handle->data;

	serve->stopped(serve->stopped_arg);
}

static void on_pool_closed(uv_handle_t *handle)
{
	struct serve *serve = handle->data;

	closings_deinit(&serve->closings, on_closings_closed, serve);
}

/* The threads first: one that has ended its last work may still look for what is to be closed. */
static void on_sweep_closed(uv_handle_t *handle)
{
	struct serve *serve = handle->data;

	pool_deinit(&serve->pool, on_pool_closed, serve);
}

static void on_waiters_closed(struct serve *serve)
{
	uv_close((uv_handle_t *)&serve->sweep, on_sweep_closed);
}

void serve_settle(struct serve *serve)
{
	if (!serve->stopping || serve->guests || serve->trimming || serve->n_closing ||
	    closings_are_busy(&serve->closings))
		return;
	serve->stopping = false;
	locks_waiters_close(&serve->lock_waiters, on_waiters_closed);
}

void serve_stop(struct serve *serve, void (*done)(void *arg), void *arg)
{
	serve->stopping = true;
	serve->stopped = done;
	serve->stopped_arg = arg;
	serve_settle(serve);
}

void serve_free(struct serve *serve)
{
	if (!serve)
		return;
	assert(!serve->guests && !serve->trimming);
	acting_self_deinit(&serve->self);
	removed_deinit(&serve->removed);
	exports_deinit(&serve->exports);
	mounts_free(serve->mounts);
	free(serve);
}
