#include "daemon/store.h"

#include <errno.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>

#include "daemon/permissions.h"
#include "daemon/store_jobs.h"
#include "tests/unit/daemon/loop_until.h"
#include "tests/unit/daemon/scratch.h"

static uv_loop_t loop;
static struct store *store;
static struct failure failure;
static int n_done, n_closed, last_status;

static void closed(void *data)
{
	(void)data;
	n_closed++;
}

static void done(void *data, int status)
{
	(void)data;
	last_status = status;
	n_done++;
}

static void open_store(void)
{
	n_closed = 0;
	cr_assert_eq(uv_loop_init(&loop), 0);
	cr_assert_eq(store_open(&loop, scratch_path("loopsy.db"), &store, &failure), 0, "%s",
		     failure.text);
}

static void close_store(void)
{
	store_close(store, closed, NULL);
	loop_until(&loop, &n_closed, 1);
	cr_assert_eq(uv_loop_close(&loop), 0);
}

static void init(void)
{
	scratch_init();
	open_store();
}

TestSuite(store, .init = init, .fini = scratch_fini);

static struct store_peer make_peer(unsigned char key, const char *name)
{
	struct store_peer peer = {.permissions = PERMISSIONS_DEFAULT,
				  .state = STORE_PEER_PAIRED,
				  .added_ms = key,
				  .last_seen_ms = 1234567890123};

	memset(peer.fingerprint, key, sizeof(peer.fingerprint));
	identity_fingerprint_id(peer.fingerprint, peer.id);
	strcpy(peer.name, name);
	strcpy(peer.remote_name, "Anna's \xff\x1b[2J desk\n");
	return peer;
}

static int put(const struct store_peer *peer)
{
	n_done = 0;
	cr_assert_eq(store_put_peer(store, peer, done, NULL), 0);
	loop_until(&loop, &n_done, 1);
	return last_status;
}

static size_t load(struct store_peer **ret_peers, int64_t now_ms)
{
	size_t n = 0;

	*ret_peers = NULL;
	close_store();
	open_store();
	cr_assert_eq(store_load_peers(store, now_ms, ret_peers, &n), 0);
	return n;
}

Test(store, peer_comes_back_as_it_was_put)
{
	struct store_peer peer = make_peer(1, "desk"), *peers;

	strcpy(peer.addresses[0].text, "10.0.0.2:19532");
	strcpy(peer.addresses[1].text, "desk.example:1");
	peer.addresses[1].manual = true;
	peer.n_addresses = 2;
	peer.permissions = PERMISSION_FS_RO;
	cr_assert_eq(put(&peer), 0);
	cr_assert_eq(load(&peers, 0), 1);
	cr_assert_arr_eq(&peers[0], &peer, sizeof(peer));
	free(peers);

	/* The second address worked last. */
	strcpy(peer.addresses[0].text, "desk.example:1");
	peer.addresses[0].manual = true;
	memset(&peer.addresses[1], 0, sizeof(peer.addresses[1]));
	peer.n_addresses = 1;
	strcpy(peer.name, "laptop");
	cr_assert_eq(put(&peer), 0);
	cr_assert_eq(load(&peers, 0), 1);
	cr_assert_arr_eq(&peers[0], &peer, sizeof(peer));
	free(peers);
	close_store();
}

Test(store, names_and_keys_are_unique)
{
	struct store_peer desk = make_peer(1, "desk"), other = make_peer(2, "desk"), *peers;

	cr_assert_eq(put(&desk), 0);
	cr_assert_eq(put(&other), -EEXIST);
	cr_assert_eq(load(&peers, 0), 1);
	free(peers);
	strcpy(other.name, "other");
	cr_assert_eq(put(&other), 0);
	strcpy(other.name, "desk");
	cr_assert_eq(put(&other), -EEXIST);
	cr_assert_eq(load(&peers, 0), 2);
	cr_assert_str_eq(peers[0].name, "desk");
	cr_assert_str_eq(peers[1].name, "other");
	free(peers);
	close_store();
}

Test(store, removed_peer_is_gone_with_its_addresses)
{
	struct store_peer peer = make_peer(1, "desk"), *peers;

	strcpy(peer.addresses[0].text, "10.0.0.2:1");
	peer.n_addresses = 1;
	cr_assert_eq(put(&peer), 0);
	n_done = 0;
	cr_assert_eq(store_remove_peer(store, peer.id, done, NULL), 0);
	cr_assert_eq(store_remove_peer(store, peer.id, done, NULL), 0);
	loop_until(&loop, &n_done, 2);
	cr_assert_eq(last_status, 0);
	cr_assert_eq(load(&peers, 0), 0);
	peer.n_addresses = 0;
	memset(peer.addresses, 0, sizeof(peer.addresses));
	cr_assert_eq(put(&peer), 0);
	cr_assert_eq(load(&peers, 0), 1);
	cr_assert_eq(peers[0].n_addresses, 0);
	free(peers);
	close_store();
}

Test(store, pending_peer_ends_with_its_time)
{
	struct store_peer peer = make_peer(1, "desk"), *peers;

	peer.state = STORE_PEER_PENDING;
	peer.pending_until_ms = 1000;
	cr_assert_eq(put(&peer), 0);
	cr_assert_eq(load(&peers, 999), 1);
	cr_assert_eq(peers[0].state, STORE_PEER_PENDING);
	cr_assert_eq(peers[0].pending_until_ms, 1000);
	free(peers);
	cr_assert_eq(load(&peers, 1000), 0);
	cr_assert_eq(load(&peers, 999), 0, "it is not only hidden");
	close_store();
}

Test(store, peer_that_makes_no_sense_is_refused)
{
	struct store_peer peer = make_peer(1, "desk");

	strcpy(peer.name, "../x");
	cr_assert_eq(store_put_peer(store, &peer, done, NULL), -EINVAL);
	peer = make_peer(1, "desk");
	peer.id[0] = 'f';
	cr_assert_eq(store_put_peer(store, &peer, done, NULL), -EINVAL);
	cr_assert_eq(store_remove_peer(store, "x", done, NULL), -EINVAL);
	cr_assert_eq(store_put_address(store, "", done, NULL), -EINVAL);
	close_store();
	cr_assert_eq(n_done, 0);
}

static void execute(const char *sql)
{
	sqlite3 *db;

	cr_assert_eq(sqlite3_open(scratch_path("loopsy.db"), &db), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
	sqlite3_close(db);
}

Test(store, rows_that_make_no_sense_are_left_out)
{
	static const char *const changes[] = {
	    "UPDATE peer SET name = '../etc' WHERE added_ms = 1",
	    "UPDATE peer SET id = 'x' WHERE added_ms = 2",
	    "UPDATE peer SET permissions = 'root' WHERE added_ms = 3",
	    "UPDATE peer SET fingerprint = zeroblob(32) WHERE added_ms = 4",
	    "UPDATE peer SET remote_name = zeroblob(1000) WHERE added_ms = 5",
	    "UPDATE peer SET name = 'a' || char(0) || 'b' WHERE added_ms = 6",
	    ("UPDATE peer SET permissions = replace(hex(zeroblob(100)), '00', 'fs:rw,') WHERE "
	     "added_ms = 7"),
	};
	struct store_peer *peers;

	for (unsigned char i = 1; i <= 8; i++) {
		char name[] = {'p', (char)('0' + i), '\0'};
		struct store_peer peer = make_peer(i, name);

		cr_assert_eq(put(&peer), 0);
	}
	close_store();
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++)
		execute(changes[i]);
	execute("INSERT INTO peer_address SELECT id, 0, hex(zeroblob(500)), 0 FROM peer;"
		"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40)"
		"INSERT INTO peer_address SELECT id, i, 'a:' || i, 0 FROM peer, n");
	open_store();
	cr_assert_eq(load(&peers, 0), 1);
	cr_assert_str_eq(peers[0].name, "p8");
	cr_assert_eq(peers[0].n_addresses, STORE_ADDRESSES_MAX);
	cr_assert_str_eq(peers[0].addresses[0].text, "a:1");
	free(peers);
	close_store();
}

Test(store, addresses_to_look_at_come_back_in_order)
{
	struct store_address *addresses = NULL;
	size_t n = 0;

	cr_assert_eq(store_put_address(store, "b:1", done, NULL), 0);
	cr_assert_eq(store_put_address(store, "a:1", done, NULL), 0);
	cr_assert_eq(store_put_address(store, "c:1", done, NULL), 0);
	cr_assert_eq(store_put_address(store, "a:1", done, NULL), 0);
	cr_assert_eq(store_remove_address(store, "c:1", NULL, NULL), 0);
	loop_until(&loop, &n_done, 4);
	close_store();
	open_store();
	cr_assert_eq(store_load_addresses(store, &addresses, &n), 0);
	cr_assert_eq(n, 2);
	cr_assert_str_eq(addresses[0].text, "b:1");
	cr_assert_str_eq(addresses[1].text, "a:1");
	cr_assert(addresses[0].manual);
	free(addresses);
	close_store();
}

Test(store, files_are_private)
{
	struct store_peer peer = make_peer(1, "desk");

	cr_assert_eq(put(&peer), 0);
	cr_assert_eq(scratch_mode(scratch_path("loopsy.db")), 0600);
	cr_assert_eq(scratch_mode(scratch_path("loopsy.db-wal")), 0600);
	cr_assert_eq(scratch_mode(scratch_path("loopsy.db-shm")), 0600);
	close_store();
}

Test(store, is_durable_wal_with_full_sync)
{
	sqlite3 *db;
	sqlite3_stmt *statement;

	close_store();
	cr_assert_eq(sqlite3_open(scratch_path("loopsy.db"), &db), SQLITE_OK);
	cr_assert_eq(sqlite3_prepare_v2(db, "PRAGMA journal_mode", -1, &statement, NULL),
		     SQLITE_OK);
	cr_assert_eq(sqlite3_step(statement), SQLITE_ROW);
	cr_assert_str_eq((const char *)sqlite3_column_text(statement, 0), "wal");
	sqlite3_finalize(statement);
	sqlite3_close(db);
}

Test(store, refuses_what_is_no_database)
{
	char garbage[4096];
	int r;

	close_store();
	memset(garbage, 'x', sizeof(garbage));
	scratch_write(scratch_path("garbage"), garbage, sizeof(garbage), 0600);
	cr_assert_eq(uv_loop_init(&loop), 0);
	r = store_open(&loop, scratch_path("garbage"), &store, &failure);
	cr_assert_eq(r, -EBADMSG);
	cr_assert(strstr(failure.text, "garbage: file is not a database"), "%s", failure.text);
	cr_assert_eq(store_open(&loop, scratch_path("no/such"), &store, &failure), -ENOENT);
	cr_assert_eq(symlink("loopsy.db", scratch_path("link")), 0);
	cr_assert_eq(store_open(&loop, scratch_path("link"), &store, &failure), -ELOOP);
	cr_assert_eq(mkfifo(scratch_path("fifo"), 0600), 0);
	cr_assert_eq(store_open(&loop, scratch_path("fifo"), &store, &failure), -EPERM);
	cr_assert_eq(uv_loop_close(&loop), 0);
}

Test(store, refuses_a_newer_schema_and_leaves_it_alone)
{
	close_store();
	execute("PRAGMA user_version = 4711");
	cr_assert_eq(uv_loop_init(&loop), 0);
	cr_assert_eq(store_open(&loop, scratch_path("loopsy.db"), &store, &failure),
		     -EPROTONOSUPPORT);
	cr_assert(strstr(failure.text, "newer loopsyd (version 4711"), "%s", failure.text);
	cr_assert_eq(uv_loop_close(&loop), 0);
}

/* A change of a daemon that is killed right after it was told that it is done. */
Test(store, acknowledged_change_survives_a_kill)
{
	struct store_peer *peers = NULL;
	size_t n = 0;
	int status = -1;
	pid_t child;

	close_store();
	child = fork();
	if (child == 0) {
		struct store_peer peer = make_peer(1, "desk");

		open_store();
		n_done = 0;
		store_put_peer(store, &peer, done, NULL);
		while (n_done == 0)
			uv_run(&loop, UV_RUN_ONCE);
		kill(getpid(), SIGKILL);
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert(WIFSIGNALED(status));
	open_store();
	cr_assert_eq(store_load_peers(store, 0, &peers, &n), 0);
	cr_assert_eq(n, 1);
	free(peers);
	close_store();
}

static struct store_job found_jobs[4];
static int n_found;

static void found(void *arg, const struct store_job *job)
{
	cr_assert_lt(n_found, 4);
	found_jobs[n_found++] = *job;
}

Test(store, jobs_outlive_it_and_go_with_their_peer)
{
	struct store_peer desk = make_peer(1, "desk"), pad = make_peer(2, "pad");
	struct store_job job = {
	    .number = UINT64_MAX, .name = "build", .cmd = "make '\xc3\xa9'", .tty = true};

	cr_assert_eq(put(&desk), 0);
	cr_assert_eq(put(&pad), 0);
	strcpy(job.peer, pad.id);
	job.started = (struct timespec){1000, 999999999};
	cr_assert_eq(store_put_job(store, &job), 0);
	job.number = 2;
	job.started.tv_sec = 10;
	cr_assert_eq(store_put_job(store, &job), 0);
	strcpy(job.peer, desk.id);
	job.started.tv_sec = 1;
	cr_assert_eq(store_put_job(store, &job), 0);
	job.number = 3;
	cr_assert_eq(store_put_job(store, &job), 0);
	cr_assert_eq(store_remove_job(store, desk.id, 3), 0);
	cr_assert_eq(store_remove_job(store, desk.id, 0), -EINVAL);
	close_store();
	open_store();
	n_found = 0;
	cr_assert_eq(store_load_jobs(store, found, NULL), 0);
	loop_until(&loop, &n_found, 3);
	cr_assert_str_eq(found_jobs[0].peer, desk.id);
	cr_assert_eq(found_jobs[0].number, 2);
	cr_assert_eq(found_jobs[1].number, 2);
	cr_assert_eq(found_jobs[2].number, UINT64_MAX);
	cr_assert_str_eq(found_jobs[2].name, "build");
	cr_assert_str_eq(found_jobs[2].cmd, "make '\xc3\xa9'");
	cr_assert(found_jobs[2].tty);
	cr_assert_eq(found_jobs[2].started.tv_nsec, 999999999);
	/* One peer goes, of the other all jobs. */
	cr_assert_eq(store_remove_peer(store, pad.id, NULL, NULL), 0);
	strcpy(job.peer, desk.id);
	cr_assert_eq(store_put_job(store, &job), 0);
	n_found = 0;
	cr_assert_eq(store_load_jobs(store, found, NULL), 0);
	loop_until(&loop, &n_found, 2);
	cr_assert_str_eq(found_jobs[0].peer, desk.id);
	cr_assert_str_eq(found_jobs[1].peer, desk.id);
	cr_assert_eq(store_remove_jobs(store, desk.id), 0);
	job.number = 9;
	cr_assert_eq(store_put_job(store, &job), 0);
	n_found = 0;
	cr_assert_eq(store_load_jobs(store, found, NULL), 0);
	loop_until(&loop, &n_found, 1);
	cr_assert_eq(found_jobs[0].number, 9);
	close_store();
}
