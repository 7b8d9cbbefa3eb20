#include "daemon/store_jobs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/log.h"
#include "daemon/store_thread.h"

/* --- changes ---------------------------------------------------------------------------------- */

struct change {
	struct store_request request;
	const char *what;
	struct store_job job; /* of a removal: the peer, and the number if it is only one */
};

static int run_put(struct store_request *request, sqlite3 *db)
{
	const struct store_job *job = &((struct change *)request)->job;
	sqlite3_stmt *statement;
	int r = sqlite3_prepare_v2(db,
				   "INSERT OR REPLACE INTO job (peer, number, name, cmd, tty,"
				   " started_s, started_ns) VALUES (?, ?, ?, ?, ?, ?, ?)",
				   -1, &statement, NULL);

	if (r != SQLITE_OK)
		return store_thread_errno(r);
	sqlite3_bind_text(statement, 1, job->peer, -1, SQLITE_STATIC);
	sqlite3_bind_int64(statement, 2, (int64_t)job->number);
	sqlite3_bind_text(statement, 3, job->name, -1, SQLITE_STATIC);
	sqlite3_bind_text(statement, 4, job->cmd, -1, SQLITE_STATIC);
	sqlite3_bind_int(statement, 5, job->tty);
	sqlite3_bind_int64(statement, 6, job->started.tv_sec);
	sqlite3_bind_int64(statement, 7, job->started.tv_nsec);
	r = sqlite3_step(statement);
	sqlite3_finalize(statement);
	return store_thread_errno(r);
}

static int run_remove(struct store_request *request, sqlite3 *db)
{
	const struct store_job *job = &((struct change *)request)->job;
	sqlite3_stmt *statement;
	int r = sqlite3_prepare_v2(db,
				   job->number ? "DELETE FROM job WHERE peer = ? AND number = ?"
					       : "DELETE FROM job WHERE peer = ?",
				   -1, &statement, NULL);

	if (r != SQLITE_OK)
		return store_thread_errno(r);
	sqlite3_bind_text(statement, 1, job->peer, -1, SQLITE_STATIC);
	if (job->number)
		sqlite3_bind_int64(statement, 2, (int64_t)job->number);
	r = sqlite3_step(statement);
	sqlite3_finalize(statement);
	return store_thread_errno(r);
}

static void on_changed(struct store_request *request, int status)
{
	struct change *change = (struct change *)request;

	if (status < 0)
		log_error("store", "what=%s error=%s", change->what, LOG_VALUE(strerror(-status)));
	free(change);
}

static int change(struct store *store, const char *what,
		  int (*run)(struct store_request *request, sqlite3 *db),
		  const struct store_job *job)
{
	struct change *change = calloc(1, sizeof(*change));
	int r;

	if (!change)
		return -ENOMEM;
	change->request.run = run;
	change->request.done = on_changed;
	change->what = what;
	change->job = *job;
	r = store_thread_submit(store_get_thread(store), &change->request);
	if (r < 0)
		free(change);
	return r;
}

int store_put_job(struct store *store, const struct store_job *job)
{
	return change(store, "put_job", run_put, job);
}

int store_remove_job(struct store *store, const char *peer, uint64_t number)
{
	struct store_job job = {.number = number};

	if (number == 0)
		return -EINVAL;
	snprintf(job.peer, sizeof(job.peer), "%s", peer);
	return change(store, "remove_job", run_remove, &job);
}

int store_remove_jobs(struct store *store, const char *peer)
{
	struct store_job job = {0};

	snprintf(job.peer, sizeof(job.peer), "%s", peer);
	return change(store, "remove_jobs", run_remove, &job);
}

/* --- loading ---------------------------------------------------------------------------------- */

struct load {
	struct store_request request;
	void (*found)(void *arg, const struct store_job *job);
	void *arg;
	struct store_job *jobs;
	size_t n;
};

/* False if it does not fit, or has a NUL in it. */
static bool copy_text(sqlite3_stmt *statement, int column, char *out, size_t size)
{
	const unsigned char *text = sqlite3_column_text(statement, column);
	size_t n = (size_t)sqlite3_column_bytes(statement, column);

	if (!text || n >= size || strlen((const char *)text) != n)
		return false;
	memcpy(out, text, n + 1);
	return true;
}

static bool read_row(sqlite3_stmt *statement, struct store_job *ret_job)
{
	*ret_job = (struct store_job){
	    .number = (uint64_t)sqlite3_column_int64(statement, 1),
	    .tty = sqlite3_column_int(statement, 4) != 0,
	    .started = {.tv_sec = sqlite3_column_int64(statement, 5),
			.tv_nsec = sqlite3_column_int64(statement, 6)},
	};
	return ret_job->number != 0 && ret_job->started.tv_nsec >= 0 &&
	       ret_job->started.tv_nsec < 1000000000 &&
	       copy_text(statement, 0, ret_job->peer, sizeof(ret_job->peer)) &&
	       copy_text(statement, 2, ret_job->name, sizeof(ret_job->name)) &&
	       copy_text(statement, 3, ret_job->cmd, sizeof(ret_job->cmd));
}

static int run_load(struct store_request *request, sqlite3 *db)
{
	struct load *load = (struct load *)request;
	sqlite3_stmt *statement;
	int r = sqlite3_prepare_v2(db,
				   "SELECT peer, number, name, cmd, tty, started_s, started_ns"
				   " FROM job ORDER BY started_s, started_ns",
				   -1, &statement, NULL);

	while (r == SQLITE_OK && (r = sqlite3_step(statement)) == SQLITE_ROW) {
		struct store_job *grown =
		    reallocarray(load->jobs, load->n + 1, sizeof(*load->jobs));

		r = grown ? SQLITE_OK : SQLITE_NOMEM;
		if (!grown)
			break;
		load->jobs = grown;
		load->n += read_row(statement, &grown[load->n]);
	}
	sqlite3_finalize(statement);
	return store_thread_errno(r);
}

static void on_loaded(struct store_request *request, int status)
{
	struct load *load = (struct load *)request;

	if (status < 0)
		log_error("store", "what=load_jobs error=%s", LOG_VALUE(strerror(-status)));
	for (size_t i = 0; i < load->n && status == 0; i++)
		load->found(load->arg, &load->jobs[i]);
	free(load->jobs);
	free(load);
}

int store_load_jobs(struct store *store, void (*found)(void *arg, const struct store_job *job),
		    void *arg)
{
	struct load *load = calloc(1, sizeof(*load));
	int r;

	if (!load)
		return -ENOMEM;
	load->request.run = run_load;
	load->request.done = on_loaded;
	load->found = found;
	load->arg = arg;
	r = store_thread_submit(store_get_thread(store), &load->request);
	if (r < 0)
		free(load);
	return r;
}
