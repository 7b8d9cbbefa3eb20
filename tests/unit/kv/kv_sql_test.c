/* The table of values, as the store's thread works on it. */
#include "daemon/kv/kv_log.h"
#include "kv_world.h"

#define NOW 1000

TestSuite(kv_sql, .init = scratch_init, .fini = scratch_fini);

static void open_table(struct kv_sql *sql)
{
	static struct kv_world world;

	kv_world_open(&world); /* which makes it */
	kv_world_close(&world);
	cr_assert_eq(sqlite3_open(scratch_path("db"), &sql->db), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(sql->db, "BEGIN", NULL, NULL, NULL), SQLITE_OK);
}

static void close_table(struct kv_sql *sql)
{
	cr_assert_eq(sqlite3_exec(sql->db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
	for (size_t i = 0; i < KV_SQL_STATEMENTS; i++)
		sqlite3_finalize(sql->statements[i]);
	cr_assert_eq(sqlite3_close(sql->db), SQLITE_OK);
}

static struct bytes key_of(char text[16], unsigned i)
{
	snprintf(text, 16, "key/%06u", i);
	return bytes_of_text(text);
}

static void set(struct kv_sql *sql, struct bytes key)
{
	struct kv_sql_set set = {.key = key,
				 .value = {bytes_of_text("value")},
				 .from = "me",
				 .max_entries = 1000000,
				 .max_bytes = 1ull << 40};
	struct kv_changes changes;

	cr_assert_eq(kv_sql_set(sql, &set, NOW, &changes), 0);
	cr_assert_eq(changes.n, 1);
}

static void fill(struct kv_sql *sql, unsigned from, unsigned n)
{
	char text[16];

	for (unsigned i = from; i < n; i++)
		set(sql, key_of(text, i));
}

static void get(struct kv_sql *sql, struct bytes key)
{
	struct kv_meta meta;
	uint8_t *value;

	cr_assert_eq(kv_sql_get(sql, key, NOW, &meta, &value), 0);
	free(value);
	cr_assert_eq(kv_sql_get(sql, key, NOW, &meta, NULL), 0);
}

static void list(struct kv_sql *sql, const char *prefix, const char *after, const char *expected)
{
	struct kv_meta meta;

	cr_assert_eq(kv_sql_list(sql, bytes_of_text(prefix), bytes_of_text(after), NOW), 0);
	cr_assert_eq(kv_sql_list_next(sql, &meta), 0);
	cr_assert_eq(meta.key_size, strlen(expected));
	cr_assert_eq(memcmp(meta.key, expected, meta.key_size), 0, "%.*s", (int)meta.key_size,
		     meta.key);
	kv_sql_list_end(sql);
}

/* Of the statements, since they were asked last: what they did, in SQLite's own steps. */
static long steps_of(struct kv_sql *sql)
{
	long n = 0;

	for (size_t i = 0; i < KV_SQL_STATEMENTS; i++)
		if (sql->statements[i])
			n += sqlite3_stmt_status(sql->statements[i], SQLITE_STMTSTATUS_VM_STEP, 1);
	return n;
}

/* Each operation once, in the midst of the keys; all is as before afterwards. */
static long cost(struct kv_sql *sql, unsigned i)
{
	char text[16], next[16];
	struct kv_changes changes;
	struct kv_meta meta;
	int64_t expires;

	steps_of(sql);
	set(sql, key_of(text, i));
	get(sql, bytes_of_text(text));
	list(sql, "", "", "key/000000");
	list(sql, text, "", text);
	list(sql, "key/", text, (const char *)key_of(next, i + 1).data);
	list(sql, "key/00", text, next);
	cr_assert_eq(kv_sql_rename(sql, bytes_of_text(text), bytes_of_text("moved"), false,
				   UINT64_MAX, NOW, &changes, &meta),
		     0);
	list(sql, "m", "", "moved");
	cr_assert_eq(kv_sql_delete(sql, bytes_of_text("moved"), false, 0, NOW, &changes), 0);
	cr_assert_eq(kv_sql_next_expiry(sql, &expires), 0);
	set(sql, bytes_of_text(text));
	return steps_of(sql);
}

Test(kv_sql, nothing_costs_more_with_more_keys)
{
	struct kv_sql sql = {0};
	long few, many;

	open_table(&sql);
	fill(&sql, 0, 100);
	cost(&sql, 50); /* all statements are made */
	few = cost(&sql, 50);
	fill(&sql, 100, 20000);
	many = cost(&sql, 5000);
	cr_assert_gt(few, 0);
	cr_assert_eq(many, few, "%ld steps with many, %ld with few", many, few);
	close_table(&sql);
}

static int count(void *arg, int n_columns, char **values, char **names)
{
	*(long *)arg = atol(values[0]);
	return 0;
}

Test(kv_sql, changes_that_are_kept_are_bounded)
{
	struct kv_sql sql = {0};
	long n = 0;

	open_table(&sql);
	for (long i = 0; i < KV_LOG_MAX + 1000; i++)
		set(&sql, bytes_of_text("a"));
	cr_assert_eq(sqlite3_exec(sql.db, "SELECT count(*) FROM kv_change", count, &n, NULL),
		     SQLITE_OK);
	cr_assert_geq(n, KV_LOG_MAX);
	cr_assert_leq(n, KV_LOG_MAX + 256);
	close_table(&sql);
}
