#ifndef DAEMON_STORE_THREAD_H
#define DAEMON_STORE_THREAD_H

#include <stdbool.h>
#include <sqlite3.h>
#include <uv.h>

/*
 * The thread that SQLite works on. Requests are run in the order in which they were submitted; what
 * is waiting when the thread comes round is run in one transaction and made durable by one commit,
 * and only then are the requests done.
 */
struct store_thread;

struct store_request {
	/*
	 * On the store's thread. Within the transaction it may change what it likes; after a
	 * negative errno its changes, and only its, are undone. Without `plain`, db is open.
	 */
	int (*run)(struct store_request *request, sqlite3 *db);
	/*
	 * On the loop's thread, exactly once: 0 when the changes are on the disk, or why they are
	 * not. The request is the submitter's again from here on.
	 */
	void (*done)(struct store_request *request, int status);
	bool plain; /* no business of the database: run with db NULL (the audit log) */
	bool reads; /* changes nothing: run without a savepoint (and so also with a read-only db) */

	/* The thread's own. */
	struct store_request *next;
	int status;
	bool in_transaction;
};

/* Takes over db in any case. 0 or -errno. */
int store_thread_new(uv_loop_t *loop, sqlite3 *db, struct store_thread **ret_thread);

/*
 * Hands the request over until its done is called, never from within. Returns 0, or -ESHUTDOWN once
 * store_thread_close was called: then it stays the caller's. On the loop's thread only.
 */
int store_thread_submit(struct store_thread *thread, struct store_request *request);

/*
 * Runs what is waiting, calls done for all of it, closes the database, ends the thread, frees, and
 * then calls closed(data) from the loop. On the loop's thread only.
 */
void store_thread_close(struct store_thread *thread, void (*closed)(void *data), void *data);

/* The errno for a result of SQLite, negative; 0 for SQLITE_OK, _ROW and _DONE. */
int store_thread_errno(int sqlite_result);

#endif
