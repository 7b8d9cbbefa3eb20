#include "kv_world.h"

static struct kv_world world;

TestSuite(kv, .init = scratch_init, .fini = scratch_fini);

#define expect_value(key, expected)                                                                \
	do {                                                                                       \
		char *value_ = kv_get(&world, key);                                                \
		cr_assert_not_null(value_, "no %s", key);                                          \
		cr_assert_str_eq(value_, expected);                                                \
		free(value_);                                                                      \
	} while (0)

static int set_if(const char *key, const char *value, uint64_t flags, uint64_t version)
{
	struct args_kv_set args = {.key = bytes_of_text(key),
				   .value = bytes_of_text(value),
				   .flags = flags,
				   .version = version};

	return kv_world_ask(&world, OP_KV_SET, &args, NULL);
}

Test(kv, what_was_set_is_got_also_after_a_restart)
{
	struct result_kv_stat stat;

	kv_world_open(&world);
	cr_assert_null(kv_get(&world, "a"));
	cr_assert_gt(kv_set(&world, "a", "one"), 0);
	cr_assert_gt(kv_set(&world, "empty", ""), 0);
	expect_value("a", "one");
	cr_assert_str_eq(world.told, "set empty");
	kv_world_close(&world);
	kv_world_open(&world);
	expect_value("a", "one");
	expect_value("empty", "");
	cr_assert_eq(
	    kv_world_ask(&world, OP_KV_STAT, &(struct args_kv_stat){bytes_of_text("a")}, &stat), 0);
	cr_assert_eq(stat.entry.size, 3);
	cr_assert_eq(stat.entry.ttl_ms, 0);
	cr_assert_eq(memcmp(stat.entry.from.data, "me", 2), 0);
	kv_world_close(&world);
}

Test(kv, versions_rise_and_never_repeat_even_after_deletion_and_restart)
{
	int64_t first, second, third;

	kv_world_open(&world);
	first = kv_set(&world, "a", "1");
	second = kv_set(&world, "b", "1");
	cr_assert_gt(second, first);
	cr_assert_eq(kv_del(&world, "b"), 0);
	cr_assert_eq(kv_del(&world, "a"), 0);
	kv_world_close(&world);
	kv_world_open(&world);
	third = kv_set(&world, "a", "1");
	cr_assert_geq(third, second + 3);
	cr_assert_gt(kv_set(&world, "a", "1"), third);
	kv_world_close(&world);
}

Test(kv, conditions_hold_or_nothing_is_changed)
{
	int64_t version;

	kv_world_open(&world);
	cr_assert_eq(set_if("a", "x", KV_IF_VERSION, 7), -EREMCHG);
	cr_assert_eq(set_if("a", "x", KV_KEEP_VALUE, 0), -ENOENT);
	cr_assert_eq(set_if("a", "first", KV_IF_ABSENT, 0), 0);
	cr_assert_eq(set_if("a", "second", KV_IF_ABSENT, 0), -EEXIST);
	cr_assert_eq(set_if("a", "second", KV_IF_VERSION, 0), -EREMCHG, "0: absent");
	expect_value("a", "first");
	version = kv_set(&world, "a", "second");
	cr_assert_eq(set_if("a", "no", KV_IF_VERSION, (uint64_t)version - 1), -EREMCHG);
	cr_assert_eq(set_if("a", "third", KV_IF_VERSION, (uint64_t)version), 0);
	cr_assert_eq(set_if("b", "new", KV_IF_VERSION, 0), 0);
	expect_value("a", "third");
	cr_assert_eq(kv_world_ask(&world, OP_KV_DEL,
				  &(struct args_kv_del){.key = bytes_of_text("a"),
							.flags = KV_IF_VERSION,
							.version = (uint64_t)version},
				  NULL),
		     -EREMCHG);
	cr_assert_eq(kv_del(&world, "a"), 0);
	cr_assert_eq(kv_del(&world, "a"), -ENOENT);
	cr_assert_str_eq(world.told, "delete a");
	kv_world_close(&world);
}

Test(kv, keys_are_text_without_control_characters)
{
	static const char *const bad[] = {"", "a\nb", "\x7f", "a\xc2\x85"};
	char longest[OPS_KV_KEY_MAX + 1];

	kv_world_open(&world);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_eq(kv_set(&world, bad[i], "x"), -EINVAL, "%zu", i);
	memset(longest, 'k', OPS_KV_KEY_MAX);
	longest[OPS_KV_KEY_MAX] = '\0';
	cr_assert_gt(kv_set(&world, longest, "x"), 0);
	cr_assert_gt(kv_set(&world, "\xc3\xa4/..\xc2\xa0", "x"), 0);
	expect_value(longest, "x");
	kv_world_close(&world);
}

Test(kv, lists_are_by_prefix_in_the_order_of_bytes_and_paged)
{
	static const char *const keys[] = {"b", "a/2", "a/10", "a", "\xc3\xa4", "a/1", "B", "a0"};

	kv_world_open(&world);
	cr_assert_str_eq(kv_list(&world, "", 10), "");
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		cr_assert_gt(kv_set(&world, keys[i], "x"), 0);
	cr_assert_str_eq(kv_list(&world, "", 1000), "B a a/1 a/10 a/2 a0 b \xc3\xa4");
	cr_assert_str_eq(kv_list(&world, "", 1), "B a a/1 a/10 a/2 a0 b \xc3\xa4");
	cr_assert_str_eq(kv_list(&world, "a/", 2), "a/1 a/10 a/2");
	kv_world_close(&world);
}

Test(kv, a_value_gets_another_key)
{
	struct args_kv_rename args = {.key = bytes_of_text("a"), .new_key = bytes_of_text("b")};
	struct result_kv_rename result;
	int64_t version;

	kv_world_open(&world);
	cr_assert_eq(kv_world_ask(&world, OP_KV_RENAME, &args, &result), -ENOENT);
	kv_set(&world, "a", "one");
	version = kv_set(&world, "b", "two");
	args.flags = KV_IF_ABSENT;
	cr_assert_eq(kv_world_ask(&world, OP_KV_RENAME, &args, &result), -EEXIST);
	expect_value("b", "two");
	args.flags = 0;
	cr_assert_eq(kv_world_ask(&world, OP_KV_RENAME, &args, &result), 0);
	cr_assert_eq(result.entry.version, (uint64_t)version + 2, "two changes");
	cr_assert_null(kv_get(&world, "a"));
	expect_value("b", "one");
	args.key = bytes_of_text("b");
	cr_assert_eq(kv_world_ask(&world, OP_KV_RENAME, &args, &result), 0, "to itself");
	cr_assert_eq(result.entry.version, (uint64_t)version + 2);
	cr_assert_str_eq(kv_list(&world, "", 10), "b");
	kv_world_close(&world);
}

/* --- time to live ----------------------------------------------------------------------------- */

static int set_ttl(const char *key, uint64_t ttl_ms, uint64_t flags)
{
	struct args_kv_set args = {.key = bytes_of_text(key),
				   .value = bytes_of_text("v"),
				   .ttl_ms = ttl_ms,
				   .flags = flags};

	return kv_world_ask(&world, OP_KV_SET, &args, NULL);
}

static uint64_t ttl_of(const char *key)
{
	struct args_kv_stat args = {bytes_of_text(key)};
	struct result_kv_stat stat;

	cr_assert_eq(kv_world_ask(&world, OP_KV_STAT, &args, &stat), 0);
	return stat.entry.ttl_ms;
}

Test(kv, what_is_over_is_absent_at_once)
{
	kv_world_open(&world);
	cr_assert_eq(set_ttl("a", 1, 0), 0);
	kv_world_until(&world, kv_get(&world, "a") == NULL);
	cr_assert_str_eq(kv_list(&world, "", 10), "");
	cr_assert_eq(kv_del(&world, "a"), -ENOENT);
	cr_assert_eq(set_ttl("a", 1, 0), 0);
	kv_world_until(&world, set_ttl("a", 0, KV_IF_ABSENT) == 0);
	cr_assert_eq(ttl_of("a"), 0);
	kv_world_close(&world);
}

Test(kv, the_time_to_live_is_kept_or_set_anew)
{
	kv_world_open(&world);
	cr_assert_eq(set_ttl("a", 1000000, 0), 0);
	cr_assert(ttl_of("a") > 900000 && ttl_of("a") <= 1000000);
	cr_assert_eq(set_ttl("a", 0, KV_KEEP_TTL), 0);
	cr_assert(ttl_of("a") > 900000 && ttl_of("a") <= 1000000);
	cr_assert_eq(set_if("a", "", KV_KEEP_VALUE | KV_KEEP_TTL, 0), 0);
	cr_assert_gt(ttl_of("a"), 900000);
	expect_value("a", "v");
	cr_assert_eq(set_ttl("a", 0, 0), 0);
	cr_assert_eq(ttl_of("a"), 0);
	kv_world_close(&world);
}

/* --- large values ----------------------------------------------------------------------------- */

static uint8_t *pattern(size_t size)
{
	uint8_t *data = malloc(size);

	for (size_t i = 0; i < size; i++)
		data[i] = (uint8_t)(i * 2654435761u >> 13);
	return data;
}

Test(kv, values_of_any_size_are_whole)
{
	static const size_t sizes[] = {
	    0, 1, OPS_IO_MAX, OPS_IO_MAX + 1, 3 * OPS_IO_MAX, 1000003, OPS_KV_VALUE_MAX};
	uint8_t *data = pattern(OPS_KV_VALUE_MAX), *got;
	size_t size;

	kv_world_open(&world);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		cr_assert_eq(kv_set_large(&world, "a", data, sizes[i]), 0);
		if (sizes[i] <= OPS_IO_MAX)
			continue;
		got = kv_get_large(&world, "a", &size);
		cr_assert_eq(size, sizes[i]);
		cr_assert_eq(memcmp(got, data, size), 0);
		free(got);
	}
	free(data);
	kv_world_close(&world);
}

Test(kv, what_is_too_large_leaves_the_old_value)
{
	uint8_t *data = pattern(OPS_KV_VALUE_MAX + 1);

	kv_world_open(&world);
	kv_set(&world, "a", "old");
	cr_assert_eq(kv_set_large(&world, "a", data, OPS_KV_VALUE_MAX + 1), -EFBIG);
	expect_value("a", "old");
	free(data);
	kv_world_close(&world);
}

Test(kv, parts_come_in_their_order_and_may_come_twice)
{
	struct args_kv_stage stage = {.upload = 5, .part = bytes_of_text("abc")};
	struct args_kv_set set = {
	    .upload = 5, .key = bytes_of_text("a"), .value = bytes_of_text("f")};
	struct result_kv_stage result;

	kv_world_open(&world);
	cr_assert_eq(kv_world_ask(&world, OP_KV_SET, &set, NULL), -ENOKEY);
	cr_assert_eq(kv_world_ask(&world, OP_KV_STAGE, &stage, &result), 0);
	cr_assert_eq(kv_world_ask(&world, OP_KV_STAGE, &stage, &result), 0);
	cr_assert_eq(result.end, 3);
	stage.offset = 2;
	stage.part = bytes_of_text("cde");
	cr_assert_eq(kv_world_ask(&world, OP_KV_STAGE, &stage, &result), 0);
	cr_assert_eq(result.end, 5);
	cr_assert_eq(kv_world_ask(&world, OP_KV_SET, &set, NULL), 0);
	expect_value("a", "abcdef");
	cr_assert_eq(kv_world_ask(&world, OP_KV_SET, &set, NULL), -ENOKEY, "it is over");
	stage.offset = 9;
	cr_assert_eq(kv_world_ask(&world, OP_KV_STAGE, &stage, &result), -ENOKEY);
	kv_world_close(&world);
}

struct waiting {
	struct transport_call *call;
	unsigned n;
	int error;
};

static void on_reply(void *arg, const struct transport_reply *reply)
{
	struct waiting *waiting = arg;

	waiting->n++;
	waiting->error = reply->error;
}

static const struct transport_handler handler = {.reply = on_reply};

static void start(uint16_t op, const void *args, struct waiting *waiting)
{
	cr_assert_eq(world.transport->ops->call(world.transport, op, args, NULL, &handler, waiting,
						NULL, &waiting->call),
		     0);
}

Test(kv, one_upload_too_many_waits_for_room)
{
	struct waiting waiting = {0}, given_up = {0};
	struct args_kv_stage stage = {.part = bytes_of_text("x")};
	struct args_kv_set set = {.key = bytes_of_text("a")};

	kv_world_open(&world);
	for (stage.upload = 1; stage.upload <= 16; stage.upload++)
		cr_assert_eq(kv_world_ask(&world, OP_KV_STAGE, &stage, NULL), 0);
	start(OP_KV_STAGE, &stage, &given_up);
	stage.upload++;
	start(OP_KV_STAGE, &stage, &waiting);
	cr_assert_gt(kv_set(&world, "b", "others do not wait"), 0);
	cr_assert_eq(waiting.n + given_up.n, 0);
	world.transport->ops->cancel(given_up.call);
	kv_world_until(&world, given_up.n);
	cr_assert_eq(given_up.error, -EINTR);
	set.upload = 1;
	cr_assert_eq(kv_world_ask(&world, OP_KV_SET, &set, NULL), 0);
	kv_world_until(&world, waiting.n);
	cr_assert_eq(waiting.error, 0);
	kv_world_close(&world);
}

/* --- limits ----------------------------------------------------------------------------------- */

Test(kv, each_machine_may_keep_so_many_values)
{
	world.max_entries = 3;
	kv_world_open(&world);
	cr_assert(kv_set(&world, "a", "1") > 0 && kv_set(&world, "b", "1") > 0 &&
		  kv_set(&world, "c", "1") > 0);
	cr_assert_eq(kv_set(&world, "d", "1"), -ENOSPC);
	cr_assert_gt(kv_set(&world, "c", "2"), 0, "what is there may be changed");
	strcpy(world.from, "other");
	world.as_peer = true;
	cr_assert_gt(kv_set(&world, "d", "1"), 0, "another one has its own");
	cr_assert_gt(kv_set(&world, "a", "1"), 0, "this is its own now");
	strcpy(world.from, "me");
	world.as_peer = false;
	cr_assert_gt(kv_set(&world, "e", "1"), 0);
	cr_assert_eq(kv_set(&world, "f", "1"), -ENOSPC);
	cr_assert_eq(kv_del(&world, "b"), 0);
	kv_world_close(&world);
	kv_world_open(&world);
	cr_assert_gt(kv_set(&world, "f", "1"), 0);
	cr_assert_eq(kv_set(&world, "g", "1"), -ENOSPC);
	cr_assert_str_eq(kv_list(&world, "", 10), "a c d e f");
	kv_world_close(&world);
}

Test(kv, each_machine_may_keep_so_many_bytes)
{
	world.max_bytes = 20;
	kv_world_open(&world);
	cr_assert_gt(kv_set(&world, "a", "123456789"), 0);
	cr_assert_gt(kv_set(&world, "b", "123456789"), 0);
	cr_assert_eq(kv_set(&world, "b", "1234567890"), -ENOSPC);
	expect_value("b", "123456789");
	cr_assert_eq(kv_set(&world, "c", ""), -ENOSPC);
	cr_assert_gt(kv_set(&world, "b", "1234"), 0);
	cr_assert_gt(kv_set(&world, "c", "1234"), 0);
	kv_world_close(&world);
}

/* --- many at once ----------------------------------------------------------------------------- */

Test(kv, many_at_once_are_all_answered_and_kept)
{
	enum { N = 2000 };
	struct waiting *waiting = calloc(N, sizeof(*waiting));
	struct args_kv_set set = {.value = bytes_of_text("v")};
	char key[16];

	kv_world_open(&world);
	for (int i = 0; i < N; i++) {
		snprintf(key, sizeof(key), "%d", i % 500);
		set.key = bytes_of_text(key);
		start(OP_KV_SET, &set, &waiting[i]);
	}
	for (int i = 0; i < N; i++) {
		kv_world_until(&world, waiting[i].n);
		cr_assert_eq(waiting[i].error, 0);
	}
	cr_assert_eq(kv_set(&world, "last", "v"), N + 1);
	free(waiting);
	kv_world_close(&world);
}

Test(kv, it_ends_with_changes_under_way)
{
	enum { N = 100 };
	struct waiting waiting[N] = {0};
	struct args_kv_set set = {.key = bytes_of_text("a"), .value = bytes_of_text("v")};
	struct args_kv_get get = {.key = bytes_of_text("a")};

	kv_world_open(&world);
	for (int i = 0; i < N; i += 2) {
		start(OP_KV_SET, &set, &waiting[i]);
		start(OP_KV_GET, &get, &waiting[i + 1]);
	}
	uv_run(&world.loop, UV_RUN_NOWAIT);
	kv_world_close(&world);
	for (int i = 0; i < N; i++)
		cr_assert_eq(waiting[i].n, 1);
}
