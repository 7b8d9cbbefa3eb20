#include <stdlib.h>
#include <unistd.h>

#include "daemon/kv/kv_log.h"
#include "kv_world.h"

#define SEEN 4096

static struct kv_world world;

TestSuite(kv_watch, .init = scratch_init, .fini = scratch_fini);

struct watching {
	struct transport_call *call;
	bool is_answered, has_ended, holds_credit;
	int error;
	uint64_t since; /* where it begins */
	size_t n, unconsumed;
	struct {
		uint64_t kind, version;
		char key[32];
	} seen[SEEN]; /* the last ones, in turn */
};

static void on_reply(void *arg, const struct transport_reply *reply)
{
	struct watching *watching = arg;

	watching->is_answered = true;
	watching->error = reply->error;
	if (reply->error == 0)
		watching->since = ((const struct result_kv_watch *)reply->result)->version;
}

static void on_data(void *arg, unsigned channel, struct bytes data)
{
	struct watching *watching = arg;
	size_t size = data.size;
	struct kv_change change;

	while (data.size > 0) {
		cr_assert_eq(codec_decode(&kv_change_record, &data, &change, NULL), 0);
		watching->seen[watching->n % SEEN].kind = change.kind;
		watching->seen[watching->n % SEEN].version = change.entry.version;
		snprintf(watching->seen[watching->n % SEEN].key, 32, "%.*s",
			 (int)change.entry.key.size,
			 change.entry.key.size ? (const char *)change.entry.key.data : "");
		watching->n++;
	}
	if (watching->holds_credit)
		watching->unconsumed += size;
	else
		world.transport->ops->consumed(watching->call, channel, size);
}

static void on_end(void *arg, unsigned channel, int error)
{
	struct watching *watching = arg;

	watching->has_ended = true;
	watching->error = error;
}

static const struct transport_handler handler = {on_reply, on_data, on_end};

static void watch(struct watching *watching, const char *prefix, uint64_t since)
{
	struct args_kv_watch args = {.prefix = bytes_of_text(prefix), .since = since};

	cr_assert_eq(world.transport->ops->call(world.transport, OP_KV_WATCH, &args, NULL, &handler,
						watching, NULL, &watching->call),
		     0);
	kv_world_until(&world, watching->is_answered);
	cr_assert_eq(watching->error, 0);
}

static void expect(const struct watching *watching, size_t i, uint64_t kind, const char *key,
		   int64_t version)
{
	cr_assert_eq(watching->seen[i].kind, kind);
	cr_assert_str_eq(watching->seen[i].key, key);
	cr_assert_eq(watching->seen[i].version, (uint64_t)version);
}

Test(kv_watch, every_change_is_told_once_and_in_order)
{
	struct args_kv_rename rename = {.key = bytes_of_text("a"), .new_key = bytes_of_text("b")};
	static struct watching watching;
	int64_t version;

	kv_world_open(&world);
	kv_set(&world, "before", "x");
	watch(&watching, "", OPS_ANY);
	version = kv_set(&world, "a", "1");
	kv_set(&world, "a", "2");
	cr_assert_eq(kv_world_ask(&world, OP_KV_RENAME, &rename, NULL), 0);
	kv_del(&world, "b");
	kv_world_until(&world, watching.n >= 5);
	cr_assert_eq(watching.since, (uint64_t)version - 1, "%lu", watching.since);
	expect(&watching, 0, KV_SET_CHANGE, "a", version);
	expect(&watching, 1, KV_SET_CHANGE, "a", version + 1);
	expect(&watching, 2, KV_DELETED, "a", version + 2);
	expect(&watching, 3, KV_SET_CHANGE, "b", version + 3);
	expect(&watching, 4, KV_DELETED, "b", version + 4);
	kv_world_close(&world);
	cr_assert_eq(watching.n, 5);
	cr_assert(watching.has_ended);
}

Test(kv_watch, only_keys_that_begin_so_are_told)
{
	static struct watching watching;

	kv_world_open(&world);
	watch(&watching, "a/", OPS_ANY);
	kv_set(&world, "a", "1");
	kv_set(&world, "a/x", "1");
	kv_set(&world, "b", "1");
	kv_set(&world, "a/y", "1");
	kv_world_until(&world, watching.n >= 2);
	cr_assert_str_eq(watching.seen[0].key, "a/x");
	cr_assert_str_eq(watching.seen[1].key, "a/y");
	kv_world_close(&world);
	cr_assert_eq(watching.n, 2);
}

Test(kv_watch, goes_on_behind_a_version)
{
	static struct watching first, second;
	int64_t version;

	kv_world_open(&world);
	watch(&first, "", OPS_ANY);
	version = kv_set(&world, "a", "1");
	kv_world_until(&world, first.n == 1);
	world.transport->ops->abandon(first.call);
	kv_set(&world, "b", "1");
	kv_set(&world, "c", "1");
	watch(&second, "", (uint64_t)version);
	kv_set(&world, "d", "1");
	kv_world_until(&world, second.n >= 3);
	expect(&second, 0, KV_SET_CHANGE, "b", version + 1);
	expect(&second, 1, KV_SET_CHANGE, "c", version + 2);
	expect(&second, 2, KV_SET_CHANGE, "d", version + 3);
	kv_world_close(&world);
}

Test(kv_watch, what_expires_is_told)
{
	struct args_kv_set set = {
	    .key = bytes_of_text("a"), .value = bytes_of_text("v"), .ttl_ms = 1};
	static struct watching watching;

	kv_world_open(&world);
	watch(&watching, "", OPS_ANY);
	cr_assert_eq(kv_world_ask(&world, OP_KV_SET, &set, NULL), 0);
	kv_world_until(&world, watching.n >= 2);
	cr_assert_eq(watching.seen[0].kind, KV_SET_CHANGE);
	cr_assert_eq(watching.seen[1].kind, KV_EXPIRED);
	cr_assert_str_eq(watching.seen[1].key, "a");
	kv_world_close(&world);
}

Test(kv_watch, what_expires_around_a_restart_is_told)
{
	struct args_kv_set set = {
	    .key = bytes_of_text("a"), .value = bytes_of_text("v"), .ttl_ms = 1};
	static struct watching watching;

	kv_world_open(&world);
	cr_assert_eq(kv_world_ask(&world, OP_KV_SET, &set, NULL), 0);
	kv_world_close(&world);
	kv_world_open(&world);
	watch(&watching, "", 1);
	kv_world_until(&world, watching.n >= 1);
	expect(&watching, 0, KV_EXPIRED, "a", 2);
	kv_world_close(&world);
	cr_assert_eq(watching.n, 1);
}

Test(kv_watch, changes_are_kept_over_a_restart)
{
	struct args_kv_rename rename = {.key = bytes_of_text("a"), .new_key = bytes_of_text("b")};
	static struct watching watching;
	int64_t version;

	kv_world_open(&world);
	version = kv_set(&world, "a", "1");
	kv_set(&world, "a", "2");
	cr_assert_eq(kv_world_ask(&world, OP_KV_RENAME, &rename, NULL), 0);
	cr_assert_eq(kv_del(&world, "b"), 0);
	cr_assert_eq(kv_del(&world, "b"), -ENOENT); /* no change */
	kv_world_close(&world);
	kv_world_open(&world);
	watch(&watching, "", (uint64_t)version);
	kv_set(&world, "c", "1");
	kv_world_until(&world, watching.n >= 5);
	expect(&watching, 0, KV_SET_CHANGE, "a", version + 1);
	expect(&watching, 1, KV_DELETED, "a", version + 2);
	expect(&watching, 2, KV_SET_CHANGE, "b", version + 3);
	expect(&watching, 3, KV_DELETED, "b", version + 4);
	expect(&watching, 4, KV_SET_CHANGE, "c", version + 5);
	kv_world_close(&world);
	cr_assert_eq(watching.n, 5);
}

/* Behind the daemon's back. */
static void execute(const char *sql)
{
	sqlite3 *db;

	cr_assert_eq(sqlite3_open(scratch_path("db"), &db), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
	sqlite3_close(db);
}

/* Of an older loopsyd; with a gap, before which nothing is of use; or what makes no sense. */
Test(kv_watch, who_asks_for_more_than_is_kept_is_told)
{
	static const char *const forget[] = {"DELETE FROM kv_change",
					     "DELETE FROM kv_change WHERE version = 2",
					     "UPDATE kv_change SET kind = 9 WHERE version = 2"};
	int64_t version;

	for (size_t i = 0; i < sizeof(forget) / sizeof(forget[0]); i++) {
		struct watching watching = {0}, current = {0};

		unlink(scratch_path("db"));
		kv_world_open(&world);
		kv_set(&world, "a", "1");
		version = kv_set(&world, "a", "2");
		kv_world_close(&world);
		execute(forget[i]);
		kv_world_open(&world);
		watch(&current, "", (uint64_t)version);
		watch(&watching, "", (uint64_t)version - 1);
		kv_set(&world, "b", "1");
		kv_world_until(&world, watching.n >= 2 && current.n >= 1);
		expect(&watching, 0, KV_LOST, "", version);
		expect(&watching, 1, KV_SET_CHANGE, "b", version + 1);
		expect(&current, 0, KV_SET_CHANGE, "b", version + 1);
		kv_world_close(&world);
	}
}

/* A mount believes what its watch did not tell to have changed. */
Test(kv_watch, who_watches_hears_of_a_change_before_who_made_it)
{
	static struct watching watching;

	kv_world_open(&world);
	watch(&watching, "", OPS_ANY);
	for (size_t i = 1; i <= 100; i++) {
		kv_set(&world, "a", "1");
		cr_assert_eq(watching.n, i);
	}
	kv_world_close(&world);
}

Test(kv_watch, who_falls_behind_is_told_and_stops_nobody)
{
	static struct watching slow = {.holds_credit = true}, quick;
	struct kv_meta meta = {.key = "kkkkkkkk", .key_size = 8};
	struct kv_log log = {0};

	/* the log alone: as many as it keeps, and more */
	for (meta.version = 1; meta.version <= KV_LOG_MAX + 10; meta.version++)
		kv_log_add(&log, KV_SET_CHANGE, &meta);
	cr_assert_eq(log.next - log.first, KV_LOG_MAX);
	cr_assert_eq(log.floor, 10);
	cr_assert_eq(kv_log_find(&log, 10), log.first);
	cr_assert_eq(kv_log_version(&log, kv_log_find(&log, 777)), 778);
	cr_assert_eq(kv_log_find(&log, KV_LOG_MAX + 10), log.next);
	kv_log_deinit(&log);

	kv_world_open(&world);
	watch(&slow, "", OPS_ANY);
	watch(&quick, "", OPS_ANY);
	for (int i = 0; i < 100; i++)
		kv_set(&world, "a", "1");
	kv_world_until(&world, quick.n == 100 && slow.n == 100);
	world.transport->ops->consumed(slow.call, 0, slow.unconsumed);
	kv_world_close(&world);
}
