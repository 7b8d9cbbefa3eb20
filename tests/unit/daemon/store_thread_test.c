#include "daemon/store_thread.h"

#include <errno.h>

#include "tests/unit/daemon/loop_until.h"
#include "tests/unit/daemon/scratch.h"

static uv_loop_t loop;
static struct store_thread *thread;
static int n_done, n_closed, n_commits;

struct job {
	struct store_request request;
	const char *sql;
	uv_sem_t *entered, *wait; /* run posts the one, then waits for the other */
	int result;               /* of run, if the sql succeeds */
	int status;
	int order;
};

static int count_commit(void *data)
{
	(void)data;
	n_commits++;
	return 0;
}

static int run(struct store_request *request, sqlite3 *db)
{
	struct job *job = (struct job *)request;
	int r = 0;

	if (job->wait) {
		uv_sem_post(job->entered);
		uv_sem_wait(job->wait);
	}
	if (job->sql)
		r = store_thread_errno(sqlite3_exec(db, job->sql, NULL, NULL, NULL));
	return r < 0 ? r : job->result;
}

static void done(struct store_request *request, int status)
{
	struct job *job = (struct job *)request;

	job->status = status;
	job->order = n_done++;
}

static void closed(void *data)
{
	(void)data;
	n_closed++;
}

static sqlite3 *open_db(void)
{
	sqlite3 *db;

	cr_assert_eq(sqlite3_open(scratch_path("db"), &db), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db,
				  "PRAGMA journal_mode = WAL; PRAGMA foreign_keys = ON;"
				  "CREATE TABLE IF NOT EXISTS t (k INTEGER PRIMARY KEY);"
				  "CREATE TABLE IF NOT EXISTS late (k INTEGER PRIMARY KEY,"
				  " t REFERENCES t (k) DEFERRABLE INITIALLY DEFERRED)",
				  NULL, NULL, NULL),
		     SQLITE_OK);
	return db;
}

static void init(void)
{
	sqlite3 *db;

	scratch_init();
	db = open_db();
	sqlite3_commit_hook(db, count_commit, NULL);
	cr_assert_eq(uv_loop_init(&loop), 0);
	cr_assert_eq(store_thread_new(&loop, db, &thread), 0);
}

static void close_thread(void)
{
	store_thread_close(thread, closed, NULL);
	loop_until(&loop, &n_closed, 1);
	cr_assert_eq(uv_loop_close(&loop), 0, "nothing is left on the loop");
}

TestSuite(store_thread, .init = init, .fini = scratch_fini);

static int count_rows(const char *where)
{
	sqlite3 *db = open_db();
	sqlite3_stmt *statement;
	char sql[128];
	int n;

	snprintf(sql, sizeof(sql), "SELECT count(*) FROM t WHERE %s", where);
	cr_assert_eq(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
	cr_assert_eq(sqlite3_step(statement), SQLITE_ROW);
	n = sqlite3_column_int(statement, 0);
	sqlite3_finalize(statement);
	sqlite3_close(db);
	return n;
}

static void submit(struct job *job)
{
	job->request.run = run;
	job->request.done = done;
	job->status = 77;
	cr_assert_eq(store_thread_submit(thread, &job->request), 0);
}

/* Holds the thread in a first batch of its own, so that what follows is one batch. */
static void submit_together(struct job *jobs, int n)
{
	struct job first = {.sql = NULL};
	uv_sem_t entered, sem;

	uv_sem_init(&entered, 0);
	uv_sem_init(&sem, 0);
	first.entered = &entered;
	first.wait = &sem;
	first.request.plain = true;
	submit(&first);
	uv_sem_wait(&entered);
	for (int i = 0; i < n; i++)
		submit(&jobs[i]);
	uv_sem_post(&sem);
	loop_until(&loop, &n_done, n + 1);
	uv_sem_destroy(&sem);
	uv_sem_destroy(&entered);
}

Test(store_thread, done_comes_after_the_commit_in_order)
{
	struct job jobs[3] = {{.sql = "INSERT INTO t VALUES (1)"},
			      {.sql = "INSERT INTO t VALUES (2)"},
			      {.sql = "INSERT INTO t VALUES (3)"}};

	submit_together(jobs, 3);
	cr_assert_eq(count_rows("1"), 3, "seen by another connection before the thread ends");
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(jobs[i].status, 0);
		cr_assert_eq(jobs[i].order, i + 1);
	}
	close_thread();
}

Test(store_thread, many_requests_go_to_one_commit)
{
	static struct job jobs[400];

	for (int i = 0; i < 400; i++)
		jobs[i].sql = "INSERT INTO t VALUES (NULL)";
	submit_together(jobs, 400);
	close_thread();
	cr_assert_eq(n_commits, 1);
	cr_assert_eq(count_rows("1"), 400);
}

Test(store_thread, more_than_a_batch_is_done_too)
{
	static struct job jobs[3000];

	for (int i = 0; i < 3000; i++)
		jobs[i].sql = "INSERT INTO t VALUES (NULL)";
	submit_together(jobs, 3000);
	close_thread();
	cr_assert_eq(count_rows("1"), 3000);
}

Test(store_thread, failed_request_undoes_only_itself)
{
	struct job jobs[4] = {{.sql = "INSERT INTO t VALUES (1)"},
			      {.sql = "INSERT INTO t VALUES (2); INSERT INTO t VALUES (1)"},
			      {.sql = "INSERT INTO t VALUES (3)", .result = -ECANCELED},
			      {.sql = "INSERT INTO t VALUES (4)"}};

	submit_together(jobs, 4);
	close_thread();
	cr_assert_eq(jobs[0].status, 0);
	cr_assert_eq(jobs[1].status, -EEXIST);
	cr_assert_eq(jobs[2].status, -ECANCELED);
	cr_assert_eq(jobs[3].status, 0);
	cr_assert_eq(count_rows("k IN (1, 4)"), 2);
	cr_assert_eq(count_rows("1"), 2);
}

Test(store_thread, failed_commit_fails_every_request_of_it)
{
	struct job jobs[4] = {{.sql = "INSERT INTO t VALUES (1)"},
			      {.sql = "INSERT INTO late VALUES (1, 99)"},
			      {.request.plain = true},
			      {.sql = "INSERT INTO t VALUES (2)"}};
	struct job after = {.sql = "INSERT INTO t VALUES (5)"};

	submit_together(jobs, 4);
	cr_assert_lt(jobs[0].status, 0);
	cr_assert_lt(jobs[1].status, 0);
	cr_assert_eq(jobs[2].status, 0, "not of the transaction");
	cr_assert_lt(jobs[3].status, 0);
	cr_assert_eq(count_rows("1"), 0);
	n_done = 0;
	submit(&after);
	loop_until(&loop, &n_done, 1);
	cr_assert_eq(after.status, 0);
	cr_assert_eq(count_rows("k = 5"), 1);
	close_thread();
}

Test(store_thread, transaction_given_up_by_sqlite_fails_what_came_before)
{
	struct job jobs[4] = {{.sql = "INSERT INTO t VALUES (1)"},
			      {.sql = "INSERT INTO t VALUES (2)", .result = -ECANCELED},
			      {.sql = "INSERT OR ROLLBACK INTO t VALUES (1)"},
			      {.sql = "INSERT INTO t VALUES (3)"}};

	submit_together(jobs, 4);
	close_thread();
	cr_assert_eq(jobs[0].status, -EEXIST);
	cr_assert_eq(jobs[1].status, -ECANCELED);
	cr_assert_eq(jobs[2].status, -EEXIST);
	cr_assert_eq(jobs[3].status, 0);
	cr_assert_eq(count_rows("k = 3"), 1);
	cr_assert_eq(count_rows("1"), 1);
}

Test(store_thread, close_runs_what_is_waiting_and_then_refuses)
{
	struct job jobs[50], late = {.request = {.run = run, .done = done}};

	memset(jobs, 0, sizeof(jobs));
	for (int i = 0; i < 50; i++) {
		jobs[i].sql = "INSERT INTO t VALUES (NULL)";
		submit(&jobs[i]);
	}
	store_thread_close(thread, closed, NULL);
	cr_assert_eq(store_thread_submit(thread, &late.request), -ESHUTDOWN);
	loop_until(&loop, &n_closed, 1);
	cr_assert_eq(n_done, 50);
	cr_assert_eq(uv_loop_close(&loop), 0);
	cr_assert_eq(count_rows("1"), 50);
}

static struct job resubmitted[100];

static void submit_next(struct store_request *request, int status)
{
	struct job *job = (struct job *)request;

	cr_assert_eq(status, 0);
	n_done++;
	if (++job < resubmitted + 100) {
		*job = (struct job){.request = {.run = run, .done = submit_next},
				    .sql = "INSERT INTO t VALUES (NULL)"};
		cr_assert_eq(store_thread_submit(thread, &job->request), 0);
	}
}

Test(store_thread, done_may_submit_again)
{
	resubmitted[0] = (struct job){.request = {.run = run, .done = submit_next},
				      .sql = "INSERT INTO t VALUES (NULL)"};
	cr_assert_eq(store_thread_submit(thread, &resubmitted[0].request), 0);
	loop_until(&loop, &n_done, 100);
	close_thread();
	cr_assert_eq(count_rows("1"), 100);
}
