/* What a watch tree tells of changes: all of them, and only of what may be seen. */
#include <errno.h>
#include <poll.h>
#include <sys/stat.h>

#include "daemon/serve/exports.h"
#include "daemon/serve/mounts.h"
#include "daemon/watch/watch_tree.h"
#include "proto/ops_peer.h"
#include "tests/unit/daemon/scratch.h"

TestSuite(watch_tree, .init = scratch_init, .fini = scratch_fini);

static struct mounts *mounts;
static struct exports exports;
static struct watch_tree *tree;

static void init(bool recursive, size_t max_watches)
{
	static const char *const deny[] = {"secret"};
	struct exports_option option = {
	    .name = "x", .path = scratch_dir, .deny = deny, .n_deny = 1};

	cr_assert_eq(mounts_new("/proc/self/mountinfo", &mounts), 0);
	cr_assert_eq(exports_init(&exports, &option, 1, mounts), 0);
	cr_assert_eq(watch_tree_new(&exports, mounts, recursive, max_watches, &tree), 0);
}

static void fini(void)
{
	watch_tree_free(tree);
	exports_deinit(&exports);
	mounts_free(mounts);
}

static void make(const char *name)
{
	FILE *file = fopen(scratch_path(name), "w");

	cr_assert_not_null(file);
	fputc('x', file);
	fclose(file);
}

static void make_dir(const char *name)
{
	cr_assert_eq(mkdir(scratch_path(name), 0700), 0);
}

static void move(const char *from, const char *to)
{
	cr_assert_eq(rename(scratch_path(from), scratch_path(to)), 0);
}

/* Reads until an event of that kind and name has come; every event is appended to `log` as
 * "kind name\n". */
static char log_text[1 << 16];

static bool take(struct bytes *rest, enum watch_kind kind, const char *name)
{
	static const char *const words[] = {"created", "changed",    "removed",  "from",
					    "to",      "attributes", "overflow", "gone"};
	bool found = false;
	struct watch_event event;

	while (rest->size > 0) {
		cr_assert_eq(codec_decode(&watch_event_record, rest, &event, NULL), 0);
		sprintf(log_text + strlen(log_text), "%s%s %u:%.*s\n", words[event.kind],
			event.dir ? "/" : "", (unsigned)event.path, (int)event.name.size,
			(const char *)event.name.data);
		if (event.kind == kind && event.name.size == strlen(name) &&
		    memcmp(event.name.data, name, event.name.size) == 0)
			found = true;
	}
	return found;
}

static void read_until(enum watch_kind kind, const char *name)
{
	struct pollfd poll_fd = {.fd = watch_tree_fd(tree), .events = POLLIN};
	bool found = false;
	int more = 0;

	while (!found) {
		struct buffer out = {0};
		struct bytes rest;

		cr_assert(more || poll(&poll_fd, 1, 60000) == 1, "no such event: %d %s\n%s", kind,
			  name, log_text);
		more = watch_tree_read(tree, 64 * 1024, &out);
		cr_assert_geq(more, 0);
		rest = (struct bytes){out.data, out.size};
		found = take(&rest, kind, name);
		buffer_deinit(&out);
	}
}

static void told(const char *line)
{
	cr_assert_not_null(strstr(log_text, line), "not told: %s in\n%s", line, log_text);
}

static void not_told(const char *word)
{
	cr_assert_null(strstr(log_text, word), "told: %s in\n%s", word, log_text);
}

Test(watch_tree, tells_what_happens_in_a_directory)
{
	init(false, 100);
	make_dir("d");
	make_dir("d/below");
	cr_assert_eq(watch_tree_add(tree, 0, bytes_of_text("d")), 0);
	make("d/a");
	make("d/below/not_told");
	move("d/a", "d/b");
	chmod(scratch_path("d/b"), 0640);
	unlink(scratch_path("d/b"));
	read_until(WATCH_REMOVED, "b");
	cr_assert_str_eq(log_text, "created 0:a\nchanged 0:a\nfrom 0:a\nto 0:b\nattributes 0:b\n"
				   "removed 0:b\n");
	fini();
}

Test(watch_tree, follows_directories_that_come_and_go)
{
	init(true, 100);
	make_dir("d");
	make_dir("d/old");
	cr_assert_eq(watch_tree_add(tree, 0, bytes_of_text("d")), 0);
	make_dir("d/new");
	make_dir("d/new/deep");
	make("d/new/deep/first");
	read_until(WATCH_CREATED, "new/deep/first");
	make("d/new/deep/second");
	read_until(WATCH_CREATED, "new/deep/second");
	move("d/new", "d/old/moved");
	read_until(WATCH_MOVED_TO, "old/moved");
	make("d/old/moved/deep/third");
	read_until(WATCH_CREATED, "old/moved/deep/third");
	not_told("new/deep/third");
	move("d/old/moved", "out");
	read_until(WATCH_MOVED_FROM, "old/moved");
	make("out/deep/unseen");
	make("d/last");
	read_until(WATCH_CREATED, "last");
	not_told("unseen");
	fini();
}

Test(watch_tree, a_file_is_watched_by_its_name_even_if_it_is_replaced)
{
	init(false, 100);
	make("f");
	make("other");
	cr_assert_eq(watch_tree_add(tree, 0, bytes_of_text("f")), 0);
	make("other");
	make("new");
	move("new", "f");
	read_until(WATCH_MOVED_TO, "");
	make("f");
	read_until(WATCH_CHANGED, "");
	unlink(scratch_path("f"));
	read_until(WATCH_REMOVED, "");
	not_told("other");
	not_told("new");
	fini();
}

Test(watch_tree, several_paths_are_told_apart)
{
	init(true, 100);
	make_dir("d");
	make_dir("d/e");
	cr_assert_eq(watch_tree_add(tree, 0, bytes_of_text("d")), 0);
	cr_assert_eq(watch_tree_add(tree, 1, bytes_of_text("d/e")), 0);
	make("d/e/f");
	make("d/end");
	read_until(WATCH_CHANGED, "end");
	told("created 0:e/f\n");
	told("created 1:f\n");
	cr_assert_eq(watch_tree_add(tree, 2, bytes_of_text("nothing")), -ENOENT);
	cr_assert_eq(watch_tree_add(tree, 2, bytes_of_text("../etc")), -ENOENT);
	cr_assert_eq(watch_tree_add(tree, 2, bytes_of_text("/etc")), -ENOENT);
	fini();
}

Test(watch_tree, what_is_denied_is_not_told)
{
	init(true, 100);
	make_dir("secret");
	cr_assert_eq(watch_tree_add(tree, 0, bytes_of_text("secret")), -ENOENT);
	cr_assert_eq(watch_tree_add(tree, 0, bytes_of_text("")), 0);
	make("secret/key");
	move("secret", "gone");
	move("gone", "secret");
	rmdir(scratch_path("secret"));
	make("end");
	read_until(WATCH_CHANGED, "end");
	not_told("secret");
	not_told("key");
	fini();
}

Test(watch_tree, the_end_of_what_is_watched_is_told)
{
	init(true, 100);
	make_dir("d");
	make_dir("e");
	cr_assert_eq(watch_tree_add(tree, 0, bytes_of_text("d")), 0);
	cr_assert_eq(watch_tree_add(tree, 1, bytes_of_text("e")), 0);
	move("d", "elsewhere");
	rmdir(scratch_path("e"));
	read_until(WATCH_GONE, "");
	if (!strstr(log_text, "gone/ 1:\n"))
		read_until(WATCH_GONE, "");
	told("gone/ 0:\n");
	told("gone/ 1:\n");
	fini();
}

Test(watch_tree, more_directories_than_it_may_watch_are_refused_or_told_of)
{
	init(true, 3);
	make_dir("d");
	make_dir("d/a");
	cr_assert_eq(watch_tree_add(tree, 0, bytes_of_text("d")), 0);
	make_dir("d/b");
	make_dir("d/c");
	read_until(WATCH_OVERFLOW, "");
	cr_assert_eq(watch_tree_add(tree, 1, bytes_of_text("")), -ENOSPC);
	fini();
}

Test(watch_tree, a_large_tree_that_appears_costs_bounded_memory)
{
	char name[256];

	init(true, 1000);
	make_dir("d");
	make_dir("t");
	for (int i = 0; i < 6000; i++) {
		sprintf(name, "t/%0200d", i);
		make(name);
	}
	cr_assert_eq(watch_tree_add(tree, 0, bytes_of_text("")), 0);
	make_dir("d/new");
	/* Before it is read: what the walk of d/new finds is new. */
	cr_assert_eq(rmdir(scratch_path("d/new")), 0);
	move("t", "d/new");
	for (int more = 1; more;) {
		struct buffer out = {0};

		more = watch_tree_read(tree, 64 * 1024, &out);
		cr_assert_geq(more, 0);
		cr_assert_leq(out.size, 3 << 20);
		buffer_deinit(&out);
	}
	fini();
}
