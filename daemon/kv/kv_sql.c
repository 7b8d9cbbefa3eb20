#include "daemon/kv/kv_sql.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/kv/kv_sql_private.h"
#include "daemon/store_thread.h"

#define MS 1000000ll /* ns */
#define S  1000000000ll

static const char *const texts[KV_SQL_N] = {
    [KV_SQL_READ_VERSION] = "SELECT version FROM kv_state",
    [KV_SQL_RAISE_VERSION] = "UPDATE kv_state SET version = version + 1 RETURNING version",
    [KV_SQL_FIND] = "SELECT " KV_SQL_COLUMNS ", id FROM kv WHERE key = ?1",
    [KV_SQL_FIND_VALUE] = "SELECT " KV_SQL_COLUMNS ", value FROM kv WHERE key = ?1",
    [KV_SQL_INSERT] =
	"INSERT INTO kv (version, size, writer, created_ns, changed_ns, expires_ns, key,"
	" value) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [KV_SQL_UPDATE] = "UPDATE kv SET version = ?1, size = ?2, writer = ?3, created_ns = ?4,"
		      " changed_ns = ?5, expires_ns = ?6, value = ?8 WHERE id = ?9",
    [KV_SQL_UPDATE_TIMES] =
	"UPDATE kv SET version = ?1, writer = ?3, changed_ns = ?5, expires_ns = ?6"
	" WHERE id = ?9",
    [KV_SQL_MOVE] = "UPDATE kv SET version = ?1, changed_ns = ?5, key = ?7 WHERE id = ?9",
    [KV_SQL_DELETE] = "DELETE FROM kv WHERE id = ?1",
    [KV_SQL_COUNT_WRITER] =
	"INSERT INTO kv_writer VALUES (?1, ?2, ?3) ON CONFLICT (writer) DO UPDATE SET"
	" entries = entries + ?2, bytes = bytes + ?3",
    [KV_SQL_READ_WRITER] = "SELECT entries, bytes FROM kv_writer WHERE writer = ?1",
    [KV_SQL_LIST] = "SELECT " KV_SQL_COLUMNS " FROM kv WHERE key >= ?1 AND key < ?2 AND key != ?3"
		    " AND (expires_ns = 0 OR expires_ns > ?4) ORDER BY key",
    [KV_SQL_LOG] =
	"INSERT INTO kv_change (version, size, writer, created_ns, changed_ns, expires_ns, key,"
	" kind) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [KV_SQL_TRIM_LOG] = "DELETE FROM kv_change WHERE version <= ?1",
};
_Static_assert((int)KV_SQL_N <= KV_SQL_STATEMENTS, "raise KV_SQL_STATEMENTS");

/* A row of the table. */
struct row {
	int64_t id; /* 0: it is not there */
	struct kv_meta meta;
};

bool kv_sql_is_key(struct bytes key)
{
	if (key.size < 1 || key.size > OPS_KV_KEY_MAX)
		return false;
	for (size_t i = 0; i < key.size; i++)
		/* U+0000 to U+001F, U+007F, and U+0080 to U+009F, which begin with C2 */
		if (key.data[i] < 0x20 || key.data[i] == 0x7f ||
		    (key.data[i] == 0xc2 && i + 1 < key.size && key.data[i + 1] < 0xa0))
			return false;
	return true;
}

static struct timespec time_of(int64_t ns)
{
	return (struct timespec){.tv_sec = ns / S, .tv_nsec = ns % S};
}

struct kv_entry kv_sql_entry(const struct kv_meta *meta, int64_t now_ns)
{
	struct kv_entry entry = {
	    .key = {(const uint8_t *)meta->key, meta->key_size},
	    .version = meta->version,
	    .size = meta->size,
	    .from = {(const uint8_t *)meta->from, strlen(meta->from)},
	    .created = time_of(meta->created_ns),
	    .changed = time_of(meta->changed_ns),
	};

	if (meta->expires_ns > 0)
		entry.ttl_ms =
		    meta->expires_ns - now_ns > MS ? (uint64_t)(meta->expires_ns - now_ns) / MS : 1;
	return entry;
}

/* --- statements ------------------------------------------------------------------------------- */

sqlite3_stmt *kv_sql_take(struct kv_sql *sql, enum kv_sql_statement which, int *ret_r)
{
	sqlite3_stmt **statement = &sql->statements[which];
	int r = SQLITE_OK;

	if (!*statement)
		r = sqlite3_prepare_v3(sql->db, texts[which], -1, SQLITE_PREPARE_PERSISTENT,
				       statement, NULL);
	else
		sqlite3_reset(*statement);
	*ret_r = store_thread_errno(r);
	return r == SQLITE_OK ? *statement : NULL;
}

int kv_sql_finish(sqlite3_stmt *statement)
{
	int r = sqlite3_step(statement);

	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
	return r == SQLITE_DONE ? 0 : r == SQLITE_ROW ? -EIO : store_thread_errno(r);
}

void kv_sql_bind_bytes(sqlite3_stmt *statement, int index, struct bytes bytes)
{
	sqlite3_bind_blob(statement, index, bytes.size > 0 ? (const void *)bytes.data : "",
			  (int)bytes.size, SQLITE_STATIC);
}

void kv_sql_bind_meta(sqlite3_stmt *statement, const struct kv_meta *meta)
{
	sqlite3_bind_int64(statement, 1, (int64_t)meta->version);
	sqlite3_bind_int64(statement, 2, (int64_t)meta->size);
	sqlite3_bind_text(statement, 3, meta->from, -1, SQLITE_STATIC);
	sqlite3_bind_int64(statement, 4, meta->created_ns);
	sqlite3_bind_int64(statement, 5, meta->changed_ns);
	sqlite3_bind_int64(statement, 6, meta->expires_ns);
	kv_sql_bind_bytes(statement, 7, (struct bytes){(const uint8_t *)meta->key, meta->key_size});
}

int kv_sql_read_meta(sqlite3_stmt *statement, struct kv_meta *meta)
{
	const char *from = (const char *)sqlite3_column_text(statement, 2);
	const void *key = sqlite3_column_blob(statement, 6);
	size_t key_size = (size_t)sqlite3_column_bytes(statement, 6);

	if (!from || strlen(from) >= sizeof(meta->from) || !key || key_size > sizeof(meta->key))
		return -EBADMSG;
	meta->version = (uint64_t)sqlite3_column_int64(statement, 0);
	meta->size = (uint64_t)sqlite3_column_int64(statement, 1);
	strcpy(meta->from, from);
	meta->created_ns = sqlite3_column_int64(statement, 3);
	meta->changed_ns = sqlite3_column_int64(statement, 4);
	meta->expires_ns = sqlite3_column_int64(statement, 5);
	memcpy(meta->key, key, key_size);
	meta->key_size = (uint16_t)key_size;
	return 0;
}

static bool is_over(const struct kv_meta *meta, int64_t now_ns)
{
	return meta->expires_ns > 0 && meta->expires_ns <= now_ns;
}

/* The row that it steps to, of KV_SQL_COLUMNS and the id; none leaves the id 0. */
static int step_row(sqlite3_stmt *statement, struct row *ret_row)
{
	int r = sqlite3_step(statement);

	if (r != SQLITE_ROW)
		return store_thread_errno(r);
	ret_row->id = sqlite3_column_int64(statement, 7);
	return kv_sql_read_meta(statement, &ret_row->meta);
}

static int find(struct kv_sql *sql, struct bytes key, struct row *ret_row)
{
	int r;
	sqlite3_stmt *statement = kv_sql_take(sql, KV_SQL_FIND, &r);

	ret_row->id = 0;
	if (!statement)
		return r;
	kv_sql_bind_bytes(statement, 1, key);
	r = step_row(statement, ret_row);
	sqlite3_reset(statement);
	return r;
}

static int read_number(struct kv_sql *sql, enum kv_sql_statement which, uint64_t *ret_number)
{
	int r;
	sqlite3_stmt *statement = kv_sql_take(sql, which, &r);

	if (!statement)
		return r;
	r = sqlite3_step(statement);
	if (r == SQLITE_ROW) {
		*ret_number = (uint64_t)sqlite3_column_int64(statement, 0);
		/* An UPDATE is done only when it has been stepped to its end. */
		r = sqlite3_step(statement);
	}
	sqlite3_reset(statement);
	return r == SQLITE_DONE ? 0 : store_thread_errno(r);
}

int kv_sql_version(struct kv_sql *sql, uint64_t *ret_version)
{
	return read_number(sql, KV_SQL_READ_VERSION, ret_version);
}

/* --- what each writer has --------------------------------------------------------------------- */

static int64_t weight(const struct kv_meta *meta)
{
	return (int64_t)(meta->size + meta->key_size);
}

static int count_writer(struct kv_sql *sql, const char *writer, int64_t entries, int64_t bytes)
{
	int r;
	sqlite3_stmt *statement;

	if (entries == 0 && bytes == 0)
		return 0;
	statement = kv_sql_take(sql, KV_SQL_COUNT_WRITER, &r);
	if (!statement)
		return r;
	sqlite3_bind_text(statement, 1, writer, -1, SQLITE_STATIC);
	sqlite3_bind_int64(statement, 2, entries);
	sqlite3_bind_int64(statement, 3, bytes);
	return kv_sql_finish(statement);
}

/* May it have what it has now? */
static int check_writer(struct kv_sql *sql, const char *writer, uint64_t max_entries,
			uint64_t max_bytes)
{
	int r;
	sqlite3_stmt *statement = kv_sql_take(sql, KV_SQL_READ_WRITER, &r);

	if (!statement)
		return r;
	sqlite3_bind_text(statement, 1, writer, -1, SQLITE_STATIC);
	r = sqlite3_step(statement);
	if (r == SQLITE_ROW)
		r = (uint64_t)sqlite3_column_int64(statement, 0) > max_entries ||
			    (uint64_t)sqlite3_column_int64(statement, 1) > max_bytes
			? -ENOSPC
			: 0;
	else
		r = store_thread_errno(r);
	sqlite3_reset(statement);
	return r;
}

/* --- changes ---------------------------------------------------------------------------------- */

/* The next change, with a version of its own. */
static int add_change(struct kv_sql *sql, struct kv_changes *changes, enum kv_change_kind kind,
		      const struct kv_meta *meta, int64_t now_ns, struct kv_meta **ret_meta)
{
	struct kv_change_made *change = &changes->list[changes->n];
	int r;

	change->kind = kind;
	change->meta = *meta;
	change->meta.changed_ns = now_ns;
	r = read_number(sql, KV_SQL_RAISE_VERSION, &change->meta.version);
	if (r < 0)
		return r;
	changes->n++;
	*ret_meta = &change->meta;
	return kv_sql_log_add(sql, change);
}

/* Takes the row out. */
static int remove_row(struct kv_sql *sql, struct kv_changes *changes, enum kv_change_kind kind,
		      struct row *row, int64_t now_ns)
{
	struct kv_meta *meta;
	sqlite3_stmt *statement;
	int r = add_change(sql, changes, kind, &row->meta, now_ns, &meta);

	if (r < 0)
		return r;
	statement = kv_sql_take(sql, KV_SQL_DELETE, &r);
	if (!statement)
		return r;
	sqlite3_bind_int64(statement, 1, row->id);
	r = kv_sql_finish(statement);
	row->id = 0;
	return r < 0 ? r : count_writer(sql, row->meta.from, -1, -weight(&row->meta));
}

/* As it is now: what is over is taken out. */
static int find_now(struct kv_sql *sql, struct bytes key, int64_t now_ns, struct row *ret_row,
		    struct kv_changes *changes)
{
	int r = find(sql, key, ret_row);

	if (r == 0 && ret_row->id && is_over(&ret_row->meta, now_ns))
		r = remove_row(sql, changes, KV_EXPIRED, ret_row, now_ns);
	return r;
}

int kv_sql_get(struct kv_sql *sql, struct bytes key, int64_t now_ns, struct kv_meta *ret_meta,
	       uint8_t **ret_value)
{
	enum kv_sql_statement which = ret_value ? KV_SQL_FIND_VALUE : KV_SQL_FIND;
	uint8_t *value = NULL;
	size_t size;
	int r;
	sqlite3_stmt *statement = kv_sql_take(sql, which, &r);

	if (!statement)
		return r;
	kv_sql_bind_bytes(statement, 1, key);
	r = sqlite3_step(statement);
	if (r == SQLITE_ROW)
		r = kv_sql_read_meta(statement, ret_meta);
	else
		r = r == SQLITE_DONE ? -ENOENT : store_thread_errno(r);
	if (r == 0 && is_over(ret_meta, now_ns))
		r = -ENOENT;
	if (r == 0 && ret_value) {
		size = (size_t)sqlite3_column_bytes(statement, 7);
		value = malloc(size > 0 ? size : 1);
		r = !value ? -ENOMEM : size != ret_meta->size ? -EBADMSG : 0;
		if (r == 0 && size > 0)
			memcpy(value, sqlite3_column_blob(statement, 7), size);
	}
	sqlite3_reset(statement);
	if (r < 0)
		free(value);
	else if (ret_value)
		*ret_value = value;
	return r;
}

static int64_t expiry(uint64_t ttl_ms, int64_t now_ns)
{
	return ttl_ms > 0 ? now_ns + (int64_t)ttl_ms * MS : 0;
}

/* Value as one: SQLite takes no parts. `ret_joined` is to be freed. */
static int join(const struct bytes value[2], struct bytes *ret_value, uint8_t **ret_joined)
{
	*ret_joined = NULL;
	if (value[0].size == 0 || value[1].size == 0) {
		*ret_value = value[0].size > 0 ? value[0] : value[1];
		return 0;
	}
	*ret_joined = malloc(value[0].size + value[1].size);
	if (!*ret_joined)
		return -ENOMEM;
	memcpy(*ret_joined, value[0].data, value[0].size);
	memcpy(*ret_joined + value[0].size, value[1].data, value[1].size);
	*ret_value = (struct bytes){*ret_joined, value[0].size + value[1].size};
	return 0;
}

static int check_conditions(const struct kv_sql_set *set, const struct row *row)
{
	uint64_t version = row->id ? row->meta.version : 0;

	if ((set->flags & KV_IF_ABSENT) && row->id)
		return -EEXIST;
	if ((set->flags & KV_IF_VERSION) && set->version != version)
		return -EREMCHG;
	return (set->flags & KV_KEEP_VALUE) && !row->id ? -ENOENT : 0;
}

static int store_row(struct kv_sql *sql, enum kv_sql_statement which, const struct kv_meta *meta,
		     int64_t id, struct bytes value)
{
	int r;
	sqlite3_stmt *statement = kv_sql_take(sql, which, &r);

	if (!statement)
		return r;
	kv_sql_bind_meta(statement, meta);
	kv_sql_bind_bytes(statement, 8, value);
	if (id)
		sqlite3_bind_int64(statement, 9, id);
	return kv_sql_finish(statement);
}

/* The entry's new state, before it has a version. */
static struct kv_meta state_after(const struct kv_sql_set *set, const struct row *row, size_t size,
				  int64_t now_ns)
{
	struct kv_meta meta = {.size = size, .created_ns = now_ns};

	if (row->id) {
		meta.created_ns = row->meta.created_ns;
		meta.size = set->flags & KV_KEEP_VALUE ? row->meta.size : size;
	}
	meta.expires_ns = (set->flags & KV_KEEP_TTL) && row->id ? row->meta.expires_ns
								: expiry(set->ttl_ms, now_ns);
	memcpy(meta.key, set->key.data, set->key.size);
	meta.key_size = (uint16_t)set->key.size;
	strcpy(meta.from, set->from);
	return meta;
}

static int write_entry(struct kv_sql *sql, const struct kv_sql_set *set, const struct row *row,
		       struct bytes value, int64_t now_ns, struct kv_changes *changes)
{
	struct kv_meta state = state_after(set, row, value.size, now_ns), *meta;
	int r = add_change(sql, changes, KV_SET_CHANGE, &state, now_ns, &meta);

	if (r < 0)
		return r;
	r = store_row(sql,
		      !row->id                     ? KV_SQL_INSERT
		      : set->flags & KV_KEEP_VALUE ? KV_SQL_UPDATE_TIMES
						   : KV_SQL_UPDATE,
		      meta, row->id, value);
	if (r == 0 && row->id && strcmp(row->meta.from, set->from) == 0)
		return count_writer(sql, set->from, 0, weight(meta) - weight(&row->meta));
	if (r == 0 && row->id)
		r = count_writer(sql, row->meta.from, -1, -weight(&row->meta));
	return r < 0 ? r : count_writer(sql, set->from, 1, weight(meta));
}

/* Has that writer more than before? What it had, it may change. */
static bool has_grown(const struct kv_sql_set *set, const struct row *row,
		      const struct kv_meta *meta)
{
	return !row->id || strcmp(row->meta.from, set->from) != 0 ||
	       weight(meta) > weight(&row->meta);
}

int kv_sql_set(struct kv_sql *sql, const struct kv_sql_set *set, int64_t now_ns,
	       struct kv_changes *ret_changes)
{
	struct bytes value;
	uint8_t *joined;
	struct row row;
	int r;

	ret_changes->n = 0;
	if (set->value[0].size + set->value[1].size > OPS_KV_VALUE_MAX)
		return -EFBIG;
	r = find_now(sql, set->key, now_ns, &row, ret_changes);
	if (r == 0)
		r = check_conditions(set, &row);
	if (r < 0)
		return r;
	r = join(set->value, &value, &joined);
	if (r == 0)
		r = write_entry(sql, set, &row, value, now_ns, ret_changes);
	if (r == 0 && has_grown(set, &row, &ret_changes->list[ret_changes->n - 1].meta))
		r = check_writer(sql, set->from, set->max_entries, set->max_bytes);
	free(joined);
	return r;
}

int kv_sql_delete(struct kv_sql *sql, struct bytes key, bool if_version, uint64_t version,
		  int64_t now_ns, struct kv_changes *ret_changes)
{
	struct row row;
	int r = find(sql, key, &row);

	ret_changes->n = 0;
	if (r < 0)
		return r;
	if (!row.id || is_over(&row.meta, now_ns))
		return -ENOENT;
	if (if_version && row.meta.version != version)
		return -EREMCHG;
	return remove_row(sql, ret_changes, KV_DELETED, &row, now_ns);
}

/* Gives the row its new key: the old one's deletion, and the entry under the new one. */
static int move_row(struct kv_sql *sql, const struct row *row, struct bytes new_key, int64_t now_ns,
		    struct kv_changes *changes, struct kv_meta *ret_meta)
{
	struct kv_meta state = row->meta, *meta;
	int r = add_change(sql, changes, KV_DELETED, &row->meta, now_ns, &meta);

	if (r < 0)
		return r;
	memcpy(state.key, new_key.data, new_key.size);
	state.key_size = (uint16_t)new_key.size;
	r = add_change(sql, changes, KV_SET_CHANGE, &state, now_ns, &meta);
	if (r == 0)
		r = store_row(sql, KV_SQL_MOVE, meta, row->id, (struct bytes){0});
	if (r == 0)
		r = count_writer(sql, state.from, 0, weight(meta) - weight(&row->meta));
	*ret_meta = *meta;
	return r;
}

/* What was there under the new key goes without a change of its own: it is replaced. */
static int drop_replaced(struct kv_sql *sql, const struct row *row)
{
	int r;
	sqlite3_stmt *statement = kv_sql_take(sql, KV_SQL_DELETE, &r);

	if (!statement)
		return r;
	sqlite3_bind_int64(statement, 1, row->id);
	r = kv_sql_finish(statement);
	return r < 0 ? r : count_writer(sql, row->meta.from, -1, -weight(&row->meta));
}

int kv_sql_rename(struct kv_sql *sql, struct bytes key, struct bytes new_key, bool if_absent,
		  uint64_t max_bytes, int64_t now_ns, struct kv_changes *ret_changes,
		  struct kv_meta *ret_meta)
{
	struct row row, other;
	int r = find(sql, key, &row);

	ret_changes->n = 0;
	if (r == 0 && (!row.id || is_over(&row.meta, now_ns)))
		r = -ENOENT;
	if (r == 0 && key.size == new_key.size && memcmp(key.data, new_key.data, key.size) == 0) {
		*ret_meta = row.meta;
		return if_absent ? -EEXIST : 0;
	}
	if (r == 0)
		r = find(sql, new_key, &other);
	if (r == 0 && other.id && if_absent && !is_over(&other.meta, now_ns))
		r = -EEXIST;
	if (r == 0 && other.id)
		r = drop_replaced(sql, &other);
	if (r == 0)
		r = move_row(sql, &row, new_key, now_ns, ret_changes, ret_meta);
	if (r == 0 && new_key.size > key.size)
		r = check_writer(sql, row.meta.from, UINT64_MAX, max_bytes);
	return r;
}

/* --- what is over ----------------------------------------------------------------------------- */

/* Rare: prepared each time. */
static int find_expiring(struct kv_sql *sql, struct row *ret_row)
{
	sqlite3_stmt *statement;
	int r = sqlite3_prepare_v2(sql->db,
				   "SELECT " KV_SQL_COLUMNS ", id FROM kv WHERE expires_ns > 0"
				   " ORDER BY expires_ns LIMIT 1",
				   -1, &statement, NULL);

	ret_row->id = 0;
	r = r == SQLITE_OK ? step_row(statement, ret_row) : store_thread_errno(r);
	sqlite3_finalize(statement);
	return r;
}

int kv_sql_expire(struct kv_sql *sql, int64_t now_ns, struct kv_changes *ret_changes)
{
	struct row row;
	int r = find_expiring(sql, &row);

	ret_changes->n = 0;
	if (r < 0)
		return r;
	if (!row.id || !is_over(&row.meta, now_ns))
		return -ENOENT;
	return remove_row(sql, ret_changes, KV_EXPIRED, &row, now_ns);
}

int kv_sql_next_expiry(struct kv_sql *sql, int64_t *ret_ns)
{
	struct row row;
	int r = find_expiring(sql, &row);

	if (r == 0)
		*ret_ns = row.id ? row.meta.expires_ns : 0;
	return r;
}
