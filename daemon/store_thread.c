/*
 *   submit (loop) ──> waiting ──> batch (thread): BEGIN, each in its SAVEPOINT, COMMIT
 *                                                  │
 *   done (loop) <── uv_async <── finished <────────┘
 *
 * The mutex guards the two lists and the two flags, nothing else: a batch belongs to the thread
 * while it runs.
 */
#include "daemon/store_thread.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "daemon/log.h"

#define BATCH_MAX 512

struct list {
	struct store_request *first, **last;
};

struct store_thread {
	sqlite3 *db; /* the thread's */
	uv_thread_t thread;
	uv_async_t async;
	uv_mutex_t mutex;
	uv_cond_t cond;
	struct list waiting, finished; /* mutex */
	bool stopping, ended;          /* mutex */
	void (*closed)(void *data);
	void *closed_data;
};

static void list_init(struct list *list)
{
	list->first = NULL;
	list->last = &list->first;
}

static void list_append(struct list *list, struct store_request *request)
{
	request->next = NULL;
	*list->last = request;
	list->last = &request->next;
}

static struct store_request *list_pop(struct list *list)
{
	struct store_request *request = list->first;

	list->first = request->next;
	if (!list->first)
		list->last = &list->first;
	return request;
}

int store_thread_errno(int sqlite_result)
{
	switch (sqlite_result & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_CONSTRAINT:
		return -EEXIST;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EBADMSG;
	case SQLITE_PERM:
	case SQLITE_AUTH:
	case SQLITE_CANTOPEN:
		return -EACCES;
	default:
		return -EIO;
	}
}

static int execute(sqlite3 *db, const char *sql)
{
	return store_thread_errno(sqlite3_exec(db, sql, NULL, NULL, NULL));
}

/* What the transaction promised so far will not be. */
static void fail_transaction(struct list *batch, int status)
{
	for (struct store_request *request = batch->first; request; request = request->next) {
		if (request->in_transaction && request->status == 0)
			request->status = status;
		request->in_transaction = false;
	}
}

static void run_in_transaction(struct store_thread *thread, struct list *batch,
			       struct store_request *request)
{
	sqlite3 *db = thread->db;
	int r = 0;

	if (sqlite3_get_autocommit(db))
		r = execute(db, "BEGIN IMMEDIATE");
	if (r == 0)
		r = execute(db, "SAVEPOINT request");
	if (r == 0) {
		r = request->run(request, db);
		if (r < 0 && !sqlite3_get_autocommit(db))
			execute(db, "ROLLBACK TO request");
		if (!sqlite3_get_autocommit(db)) {
			int released = execute(db, "RELEASE request");

			r = r < 0 ? r : released;
		}
	}
	request->status = r;
	request->in_transaction = true;
	/* A full disk or an I/O error makes SQLite give up the transaction as a whole. */
	if (r < 0 && sqlite3_get_autocommit(db))
		fail_transaction(batch, r);
}

static void run_batch(struct store_thread *thread, struct list *batch)
{
	struct store_request *request;
	int r;

	for (request = batch->first; request; request = request->next) {
		if (request->plain)
			request->status = request->run(request, NULL);
		else if (request->reads)
			request->status = request->run(request, thread->db);
		else
			run_in_transaction(thread, batch, request);
	}
	if (sqlite3_get_autocommit(thread->db))
		return;
	r = execute(thread->db, "COMMIT");
	if (r < 0) {
		log_error("store", "what=commit error=%s", LOG_VALUE(sqlite3_errmsg(thread->db)));
		if (!sqlite3_get_autocommit(thread->db))
			execute(thread->db, "ROLLBACK");
		fail_transaction(batch, r);
	}
}

static void thread_main(void *data)
{
	struct store_thread *thread = data;
	sqlite3_stmt *statement;
	struct list batch;

	uv_mutex_lock(&thread->mutex);
	for (;;) {
		while (!thread->waiting.first && !thread->stopping)
			uv_cond_wait(&thread->cond, &thread->mutex);
		if (!thread->waiting.first)
			break;
		list_init(&batch);
		for (int n = 0; n < BATCH_MAX && thread->waiting.first; n++)
			list_append(&batch, list_pop(&thread->waiting));
		uv_mutex_unlock(&thread->mutex);

		run_batch(thread, &batch);

		uv_mutex_lock(&thread->mutex);
		while (batch.first)
			list_append(&thread->finished, list_pop(&batch));
		uv_async_send(&thread->async);
	}
	uv_mutex_unlock(&thread->mutex);

	while ((statement = sqlite3_next_stmt(thread->db, NULL)))
		sqlite3_finalize(statement); /* of rooms that keep theirs */
	/* The last checkpoint may take its time: not on the loop. */
	sqlite3_close(thread->db);
	uv_mutex_lock(&thread->mutex);
	thread->ended = true;
	uv_async_send(&thread->async);
	uv_mutex_unlock(&thread->mutex);
}

static void on_closed(uv_handle_t *handle)
{
	struct store_thread *thread = handle->data;

	uv_cond_destroy(&thread->cond);
	uv_mutex_destroy(&thread->mutex);
	if (thread->closed)
		thread->closed(thread->closed_data);
	free(thread);
}

static void on_async(uv_async_t *async)
{
	struct store_thread *thread = async->data;
	struct list finished;
	bool ended;

	list_init(&finished);
	uv_mutex_lock(&thread->mutex);
	while (thread->finished.first)
		list_append(&finished, list_pop(&thread->finished));
	ended = thread->ended;
	uv_mutex_unlock(&thread->mutex);

	while (finished.first) {
		struct store_request *request = list_pop(&finished);

		request->done(request, request->status);
	}
	if (ended && !uv_is_closing((uv_handle_t *)async)) {
		uv_thread_join(&thread->thread); /* it has nothing left to do */
		uv_close((uv_handle_t *)async, on_closed);
	}
}

int store_thread_new(uv_loop_t *loop, sqlite3 *db, struct store_thread **ret_thread)
{
	struct store_thread *thread = calloc(1, sizeof(*thread));
	int r = -ENOMEM;

	if (!thread)
		goto fail;
	thread->db = db;
	list_init(&thread->waiting);
	list_init(&thread->finished);
	r = uv_mutex_init(&thread->mutex);
	if (r < 0)
		goto fail;
	r = uv_cond_init(&thread->cond);
	if (r < 0)
		goto fail_mutex;
	r = uv_async_init(loop, &thread->async, on_async);
	if (r < 0)
		goto fail_cond;
	thread->async.data = thread;
	r = uv_thread_create(&thread->thread, thread_main, thread);
	if (r < 0) {
		/* Without a thread, only the close callback may free. */
		sqlite3_close(db);
		uv_close((uv_handle_t *)&thread->async, on_closed);
		return r;
	}
	*ret_thread = thread;
	return 0;
fail_cond:
	uv_cond_destroy(&thread->cond);
fail_mutex:
	uv_mutex_destroy(&thread->mutex);
fail:
	sqlite3_close(db);
	free(thread);
	return r;
}

int store_thread_submit(struct store_thread *thread, struct store_request *request)
{
	int r = 0;

	uv_mutex_lock(&thread->mutex);
	if (thread->stopping) {
		r = -ESHUTDOWN;
	} else {
		request->status = 0;
		request->in_transaction = false;
		list_append(&thread->waiting, request);
		uv_cond_signal(&thread->cond);
	}
	uv_mutex_unlock(&thread->mutex);
	return r;
}

void store_thread_close(struct store_thread *thread, void (*closed)(void *data), void *data)
{
	uv_mutex_lock(&thread->mutex);
	assert(!thread->stopping);
	thread->stopping = true;
	thread->closed = closed;
	thread->closed_data = data;
	uv_cond_signal(&thread->cond);
	uv_mutex_unlock(&thread->mutex);
}
