#include "daemon/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/permissions.h"
#include "daemon/store_schema.h"
#include "daemon/store_thread.h"

struct store {
	sqlite3 *db; /* the thread's, but for the loads at the start */
	struct store_thread *thread, *reader;
	void (*closed)(void *data);
	void *closed_data;
};

static const char *const state_names[] = {
    [STORE_PEER_PENDING] = "pending",
    [STORE_PEER_PAIRED] = "paired",
};

/* SQLite would make the file with the umask's mode; its -wal and -shm take that of the file. */
static int make_file(const char *path, struct failure *failure)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600), r = 0;
	struct stat st;

	if (fd < 0)
		return failure_set(failure, -errno, "cannot open %.256s: %m", path);
	if (fstat(fd, &st) < 0 || fchmod(fd, 0600) < 0)
		r = failure_set(failure, -errno, "cannot protect %.256s: %m", path);
	else if (!S_ISREG(st.st_mode) || st.st_uid != geteuid())
		r = failure_set(failure, -EPERM, "%.256s is no regular file of uid %u", path,
				(unsigned)geteuid());
	close(fd);
	return r;
}

static void on_closed(void *data)
{
	struct store *store = data;

	if (store->closed)
		store->closed(store->closed_data);
	free(store);
}

/* SQLite's own words, or what is as good. */
static int complain(sqlite3 *db, int r, const char *path, struct failure *failure)
{
	return failure_set(failure, r, "%.200s: %.256s", path,
			   db ? sqlite3_errmsg(db) : "out of memory");
}

static int open_db(const char *path, int flags, const char *pragmas, sqlite3 **ret_db,
		   struct failure *failure)
{
	sqlite3 *db = NULL;
	int r = store_thread_errno(
	    sqlite3_open_v2(path, &db, flags | SQLITE_OPEN_FULLMUTEX | SQLITE_OPEN_NOFOLLOW, NULL));

	if (r == 0) {
		sqlite3_busy_timeout(db, 5000);
		r = store_thread_errno(sqlite3_exec(db, pragmas, NULL, NULL, NULL));
	}
	if (r < 0) {
		complain(db, r, path, failure);
		sqlite3_close(db);
		return r;
	}
	*ret_db = db;
	return 0;
}

static int start_thread(uv_loop_t *loop, sqlite3 *db, struct store_thread **ret_thread,
			struct failure *failure)
{
	int r = store_thread_new(loop, db, ret_thread);

	if (r < 0)
		failure_set(failure, r, "cannot start the store's thread: %s", strerror(-r));
	return r;
}

static void on_reader_closed(void *data)
{
	struct store *store = data;

	store_thread_close(store->thread, on_closed, store);
}

static int open_reader(uv_loop_t *loop, const char *path, struct store *store,
		       struct failure *failure)
{
	sqlite3 *db;
	int r = open_db(path, SQLITE_OPEN_READONLY,
			"PRAGMA trusted_schema = OFF; PRAGMA cache_size = -2048", &db, failure);

	return r < 0 ? r : start_thread(loop, db, &store->reader, failure);
}

int store_open(uv_loop_t *loop, const char *path, struct store **ret_store, struct failure *failure)
{
	struct failure why = {""};
	struct store *store;
	int r = make_file(path, failure);

	if (r < 0)
		return r;
	store = calloc(1, sizeof(*store));
	if (!store)
		return -ENOMEM;
	/* Debian's SQLite overwrites all that is deleted, which takes as much room on the disk
	 * again: of a full one nothing could be removed. */
	r = open_db(path, SQLITE_OPEN_READWRITE,
		    "PRAGMA journal_mode = WAL;"
		    "PRAGMA secure_delete = FAST;"
		    "PRAGMA synchronous = FULL;"
		    "PRAGMA foreign_keys = ON;"
		    "PRAGMA trusted_schema = OFF;"
		    "PRAGMA cache_size = -2048",
		    &store->db, failure);
	if (r < 0)
		goto fail;
	r = store_schema_migrate(store->db, &why);
	if (r < 0) {
		failure_set(failure, r, "%.200s: %.256s", path, why.text);
		sqlite3_close(store->db);
		goto fail;
	}
	r = start_thread(loop, store->db, &store->thread, failure);
	if (r < 0)
		goto fail;
	r = open_reader(loop, path, store, failure);
	if (r < 0) {
		store_thread_close(store->thread, on_closed, store);
		return r;
	}
	*ret_store = store;
	return 0;
fail:
	free(store);
	return r;
}

void store_close(struct store *store, void (*closed)(void *data), void *data)
{
	store->closed = closed;
	store->closed_data = data;
	store_thread_close(store->reader, on_reader_closed, store);
}

struct store_thread *store_get_thread(struct store *store)
{
	return store->thread;
}

sqlite3 *store_get_db(struct store *store)
{
	return store->db;
}

struct store_thread *store_get_reader(struct store *store)
{
	return store->reader;
}

/* --- loading ---------------------------------------------------------------------------------- */

/* Copies a text or blob column with NUL; false if it is too long for size or has a NUL in it. */
static bool copy_column(sqlite3_stmt *statement, int column, char *out, size_t size)
{
	const void *bytes = sqlite3_column_blob(statement, column);
	size_t n = (size_t)sqlite3_column_bytes(statement, column);

	if (n >= size || (n > 0 && (!bytes || memchr(bytes, '\0', n))))
		return false;
	if (n > 0)
		memcpy(out, bytes, n);
	out[n] = '\0';
	return true;
}

static bool is_sound(const struct store_peer *peer)
{
	char id[IDENTITY_ID_SIZE];

	identity_fingerprint_id(peer->fingerprint, id);
	return strcmp(id, peer->id) == 0 && peer_name_is_valid(peer->name) &&
	       (unsigned)peer->state <= STORE_PEER_PAIRED &&
	       peer->n_addresses <= STORE_ADDRESSES_MAX;
}

static bool read_peer(sqlite3_stmt *statement, struct store_peer *peer)
{
	char permissions[PERMISSIONS_TEXT_MAX], state[16];

	memset(peer, 0, sizeof(*peer));
	if (sqlite3_column_bytes(statement, 1) != sizeof(peer->fingerprint))
		return false;
	memcpy(peer->fingerprint, sqlite3_column_blob(statement, 1), sizeof(peer->fingerprint));
	if (!copy_column(statement, 0, peer->id, sizeof(peer->id)) ||
	    !copy_column(statement, 2, peer->name, sizeof(peer->name)) ||
	    !copy_column(statement, 3, peer->remote_name, sizeof(peer->remote_name)) ||
	    !copy_column(statement, 4, permissions, sizeof(permissions)) ||
	    !copy_column(statement, 5, state, sizeof(state)) ||
	    permissions_parse(permissions, &peer->permissions, NULL) < 0)
		return false;
	peer->state = strcmp(state, "paired") == 0 ? STORE_PEER_PAIRED : STORE_PEER_PENDING;
	peer->pending_until_ms = sqlite3_column_int64(statement, 6);
	peer->added_ms = sqlite3_column_int64(statement, 7);
	peer->last_seen_ms = sqlite3_column_int64(statement, 8);
	return is_sound(peer);
}

static int load_peer_addresses(sqlite3 *db, struct store_peer *peer)
{
	sqlite3_stmt *statement;
	int r = sqlite3_prepare_v2(db,
				   "SELECT address, manual FROM peer_address WHERE peer = ?"
				   " ORDER BY position",
				   -1, &statement, NULL);

	if (r == SQLITE_OK)
		r = sqlite3_bind_text(statement, 1, peer->id, -1, SQLITE_STATIC);
	while (r == SQLITE_OK || r == SQLITE_ROW) {
		struct store_address *address = &peer->addresses[peer->n_addresses];

		r = sqlite3_step(statement);
		if (r != SQLITE_ROW || peer->n_addresses == STORE_ADDRESSES_MAX)
			break;
		if (!copy_column(statement, 0, address->text, sizeof(address->text)))
			continue;
		address->manual = sqlite3_column_int(statement, 1) != 0;
		peer->n_addresses++;
	}
	sqlite3_finalize(statement);
	return store_thread_errno(r);
}

static int remove_expired(sqlite3 *db, int64_t now_ms)
{
	sqlite3_stmt *statement;
	int r = sqlite3_prepare_v2(
	    db, "DELETE FROM peer WHERE state = 'pending' AND pending_until_ms <= ?", -1,
	    &statement, NULL);

	if (r == SQLITE_OK)
		r = sqlite3_bind_int64(statement, 1, now_ms);
	if (r == SQLITE_OK)
		r = sqlite3_step(statement);
	sqlite3_finalize(statement);
	return store_thread_errno(r);
}

int store_load_peers(struct store *store, int64_t now_ms, struct store_peer **ret_peers,
		     size_t *ret_n)
{
	sqlite3_stmt *statement = NULL;
	struct store_peer *peers = NULL;
	size_t n = 0;
	int r = remove_expired(store->db, now_ms);

	if (r == 0)
		r = store_thread_errno(sqlite3_prepare_v2(
		    store->db,
		    "SELECT id, fingerprint, name, remote_name, permissions, state,"
		    " pending_until_ms, added_ms, last_seen_ms FROM peer ORDER BY added_ms, id",
		    -1, &statement, NULL));
	while (r == 0) {
		struct store_peer *grown;
		int step = sqlite3_step(statement);

		r = store_thread_errno(step);
		if (step != SQLITE_ROW)
			break;
		grown = reallocarray(peers, n + 1, sizeof(*peers));
		if (!grown) {
			r = -ENOMEM;
			break;
		}
		peers = grown;
		if (!read_peer(statement, &peers[n])) {
			log_warning("store", "what=load error=\"row makes no sense\" peer=%s",
				    LOG_VALUE((const char *)sqlite3_column_text(statement, 2)));
			continue;
		}
		r = load_peer_addresses(store->db, &peers[n]);
		n++;
	}
	sqlite3_finalize(statement);
	if (r < 0) {
		free(peers);
		return r;
	}
	*ret_peers = peers;
	*ret_n = n;
	return 0;
}

int store_load_addresses(struct store *store, struct store_address **ret_addresses, size_t *ret_n)
{
	struct store_address *addresses = NULL;
	sqlite3_stmt *statement = NULL;
	size_t n = 0;
	int r = store_thread_errno(sqlite3_prepare_v2(
	    store->db, "SELECT address FROM manual_address ORDER BY rowid", -1, &statement, NULL));

	while (r == 0) {
		struct store_address *grown;
		int step = sqlite3_step(statement);

		r = store_thread_errno(step);
		if (step != SQLITE_ROW)
			break;
		grown = reallocarray(addresses, n + 1, sizeof(*addresses));
		if (!grown) {
			r = -ENOMEM;
			break;
		}
		addresses = grown;
		addresses[n].manual = true;
		if (copy_column(statement, 0, addresses[n].text, sizeof(addresses[n].text)))
			n++;
	}
	sqlite3_finalize(statement);
	if (r < 0) {
		free(addresses);
		return r;
	}
	*ret_addresses = addresses;
	*ret_n = n;
	return 0;
}

/* --- changes ---------------------------------------------------------------------------------- */

struct change {
	struct store_request request;
	const char *what;
	store_done_fn done;
	void *data;
	struct store_peer peer; /* only id for a removal */
	char address[STORE_ADDRESS_TEXT_MAX + 1];
};

/* Prepares, binds the text to the first parameter if there is one, steps once. */
static int execute(sqlite3 *db, const char *sql, const char *text)
{
	sqlite3_stmt *statement;
	int r = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);

	if (r == SQLITE_OK)
		r = sqlite3_bind_text(statement, 1, text, -1, SQLITE_STATIC);
	if (r == SQLITE_OK)
		r = sqlite3_step(statement);
	sqlite3_finalize(statement);
	return store_thread_errno(r);
}

static int put_peer_row(sqlite3 *db, const struct store_peer *peer)
{
	char permissions[PERMISSIONS_TEXT_MAX];
	sqlite3_stmt *statement;
	int r = sqlite3_prepare_v2(
	    db,
	    "INSERT INTO peer (id, fingerprint, name, remote_name, permissions, state,"
	    " pending_until_ms, added_ms, last_seen_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
	    " ON CONFLICT (id) DO UPDATE SET fingerprint = excluded.fingerprint,"
	    " name = excluded.name, remote_name = excluded.remote_name,"
	    " permissions = excluded.permissions, state = excluded.state,"
	    " pending_until_ms = excluded.pending_until_ms, added_ms = excluded.added_ms,"
	    " last_seen_ms = excluded.last_seen_ms",
	    -1, &statement, NULL);

	if (r != SQLITE_OK)
		return store_thread_errno(r);
	sqlite3_bind_text(statement, 1, peer->id, -1, SQLITE_STATIC);
	sqlite3_bind_blob(statement, 2, peer->fingerprint, sizeof(peer->fingerprint),
			  SQLITE_STATIC);
	sqlite3_bind_text(statement, 3, peer->name, -1, SQLITE_STATIC);
	sqlite3_bind_blob(statement, 4, peer->remote_name, (int)strlen(peer->remote_name),
			  SQLITE_STATIC);
	sqlite3_bind_text(statement, 5, permissions_print(peer->permissions, permissions), -1,
			  SQLITE_STATIC);
	sqlite3_bind_text(statement, 6, state_names[peer->state], -1, SQLITE_STATIC);
	sqlite3_bind_int64(statement, 7, peer->pending_until_ms);
	sqlite3_bind_int64(statement, 8, peer->added_ms);
	sqlite3_bind_int64(statement, 9, peer->last_seen_ms);
	r = sqlite3_step(statement);
	sqlite3_finalize(statement);
	return store_thread_errno(r);
}

static int put_peer_address(sqlite3 *db, const struct store_peer *peer, size_t position)
{
	sqlite3_stmt *statement;
	int r = sqlite3_prepare_v2(
	    db, "INSERT INTO peer_address (peer, position, address, manual) VALUES (?, ?, ?, ?)",
	    -1, &statement, NULL);

	if (r != SQLITE_OK)
		return store_thread_errno(r);
	sqlite3_bind_text(statement, 1, peer->id, -1, SQLITE_STATIC);
	sqlite3_bind_int64(statement, 2, (int64_t)position);
	sqlite3_bind_text(statement, 3, peer->addresses[position].text, -1, SQLITE_STATIC);
	sqlite3_bind_int(statement, 4, peer->addresses[position].manual);
	r = sqlite3_step(statement);
	sqlite3_finalize(statement);
	return store_thread_errno(r);
}

static int run_put_peer(struct store_request *request, sqlite3 *db)
{
	const struct store_peer *peer = &((struct change *)request)->peer;
	int r = put_peer_row(db, peer);

	if (r == 0)
		r = execute(db, "DELETE FROM peer_address WHERE peer = ?", peer->id);
	for (size_t i = 0; r == 0 && i < peer->n_addresses; i++)
		r = put_peer_address(db, peer, i);
	return r;
}

static int run_remove_peer(struct store_request *request, sqlite3 *db)
{
	return execute(db, "DELETE FROM peer WHERE id = ?", ((struct change *)request)->peer.id);
}

static int run_put_address(struct store_request *request, sqlite3 *db)
{
	return execute(db, "INSERT OR IGNORE INTO manual_address (address) VALUES (?)",
		       ((struct change *)request)->address);
}

static int run_remove_address(struct store_request *request, sqlite3 *db)
{
	return execute(db, "DELETE FROM manual_address WHERE address = ?",
		       ((struct change *)request)->address);
}

static void on_done(struct store_request *request, int status)
{
	struct change *change = (struct change *)request;

	if (change->done)
		change->done(change->data, status);
	else if (status < 0)
		log_error("store", "what=%s error=%s", change->what, LOG_VALUE(strerror(-status)));
	free(change);
}

static struct change *change_new(const char *what,
				 int (*run)(struct store_request *request, sqlite3 *db),
				 store_done_fn done, void *data)
{
	struct change *change = calloc(1, sizeof(*change));

	if (!change)
		return NULL;
	change->request.run = run;
	change->request.done = on_done;
	change->what = what;
	change->done = done;
	change->data = data;
	return change;
}

static int change_submit(struct store *store, struct change *change)
{
	int r = store_thread_submit(store->thread, &change->request);

	if (r < 0)
		free(change);
	return r;
}

int store_put_peer(struct store *store, const struct store_peer *peer, store_done_fn done,
		   void *data)
{
	struct change *change;

	if (!is_sound(peer))
		return -EINVAL;
	change = change_new("put_peer", run_put_peer, done, data);
	if (!change)
		return -ENOMEM;
	change->peer = *peer;
	return change_submit(store, change);
}

int store_remove_peer(struct store *store, const char *id, store_done_fn done, void *data)
{
	struct change *change;

	if (!identity_id_is_valid(id))
		return -EINVAL;
	change = change_new("remove_peer", run_remove_peer, done, data);
	if (!change)
		return -ENOMEM;
	strcpy(change->peer.id, id);
	return change_submit(store, change);
}

static int change_address(struct store *store, const char *what, const char *address,
			  int (*run)(struct store_request *request, sqlite3 *db),
			  store_done_fn done, void *data)
{
	struct change *change;

	if (strlen(address) > STORE_ADDRESS_TEXT_MAX || address[0] == '\0')
		return -EINVAL;
	change = change_new(what, run, done, data);
	if (!change)
		return -ENOMEM;
	strcpy(change->address, address);
	return change_submit(store, change);
}

int store_put_address(struct store *store, const char *address, store_done_fn done, void *data)
{
	return change_address(store, "put_address", address, run_put_address, done, data);
}

int store_remove_address(struct store *store, const char *address, store_done_fn done, void *data)
{
	return change_address(store, "remove_address", address, run_remove_address, done, data);
}
