/* Paths in one piece lead to what peers see, and to nothing else. */
#include <errno.h>
#include <limits.h>

#include "daemon/serve/deny.h"
#include "daemon/serve/mounts.h"
#include "daemon/serve/place.h"
#include "tests/unit/serve/serve_fake.h"

TestSuite(serve_place, .init = scratch_init, .fini = scratch_fini);

static struct mounts *mounts;
static struct exports exports;

/* One export, "x", or a second one, "y". */
static void init(size_t n, const char *deny)
{
	char path[600], other[600];
	struct exports_option options[2] = {
	    {.name = "x", .path = path, .deny = &deny, .n_deny = deny ? 1 : 0},
	    {.name = "y", .path = other},
	};

	snprintf(path, sizeof(path), "%s/export", scratch_dir);
	snprintf(other, sizeof(other), "%s/other", scratch_dir);
	mkdir(path, 0700);
	mkdir(other, 0700);
	cr_assert_eq(mounts_new("/proc/self/mountinfo", &mounts), 0);
	cr_assert_eq(exports_init(&exports, options, n, mounts), 0);
}

static void fini(void)
{
	exports_deinit(&exports);
	mounts_free(mounts);
}

/* The inode found, 0 for none; *ret_error says why. */
static uint64_t find(const char *path, int *ret_error)
{
	struct place place = {.look = LOOK_NULL};
	uint64_t ino;

	*ret_error = place_find(&exports, mounts, serve_fake_bytes(path), &place);
	if (*ret_error < 0)
		return 0;
	ino = place.look.stx.stx_ino;
	confine_look_close(&place.look);
	return ino;
}

static void leads(const char *path, const char *below_scratch)
{
	struct stat st;
	int error;
	uint64_t ino = find(path, &error);

	cr_assert_eq(error, 0, "%s: %d", path, error);
	cr_assert_eq(stat(scratch_path(below_scratch), &st), 0);
	cr_assert_eq(ino, st.st_ino, "%s does not lead to %s", path, below_scratch);
}

static void fails(const char *path, int wanted)
{
	int error;

	find(path, &error);
	cr_assert_eq(error, wanted, "%s: %d", path, error);
}

Test(serve_place, a_path_leads_to_what_lies_below_the_top)
{
	init(1, NULL);
	mkdir(serve_fake_path("a"), 0700);
	mkdir(serve_fake_path("a/b"), 0700);
	leads("", "export");
	leads("a", "export/a");
	leads("a//b/", "export/a/b");
	leads("a/./b/../b", "export/a/b");
	fails("a/c", -ENOENT);
	fails("..", -ENOENT);
	fails("a/../../export", -ENOENT);
	leads(scratch_path("export/a"), "export/a");
	leads(scratch_path("export"), "export");
	fails(scratch_path(""), -ENOENT);
	fails(scratch_path("exported"), -ENOENT);
	fails("/", -ENOENT);
	fini();
}

Test(serve_place, with_several_exports_the_first_component_is_one)
{
	init(2, NULL);
	mkdir(serve_fake_path("a"), 0700);
	leads("x/a", "export/a");
	leads("y", "other");
	fails("", -EACCES);
	fails("z", -ENOENT);
	fails("x/../y", -ENOENT);
	leads(scratch_path("other"), "other");
	fini();
}

Test(serve_place, links_are_followed_within_the_export_only)
{
	init(1, NULL);
	mkdir(serve_fake_path("a"), 0700);
	mkdir(serve_fake_path("a/b"), 0700);
	cr_assert_eq(symlink("a/b", serve_fake_path("relative")), 0);
	cr_assert_eq(symlink("../a", serve_fake_path("a/up")), 0);
	cr_assert_eq(symlink(scratch_path("export/a"), serve_fake_path("absolute")), 0);
	cr_assert_eq(symlink("../other", serve_fake_path("out")), 0);
	cr_assert_eq(symlink("/etc", serve_fake_path("etc")), 0);
	cr_assert_eq(symlink("/proc/self/root", serve_fake_path("magic")), 0);
	cr_assert_eq(symlink("loop", serve_fake_path("loop")), 0);
	leads("relative", "export/a/b");
	leads("relative/..", "export/a");
	leads("a/up/b", "export/a/b");
	leads("absolute/b", "export/a/b");
	fails("out", -ENOENT);
	fails("etc", -ENOENT);
	fails("magic", -ENOENT);
	fails("loop", -ELOOP);
	fini();
}

Test(serve_place, what_is_denied_is_not_there_nor_passed_through)
{
	init(1, "secret");
	mkdir(serve_fake_path("secret"), 0700);
	mkdir(serve_fake_path("secret/a"), 0700);
	cr_assert_eq(symlink("secret/a", serve_fake_path("link")), 0);
	fails("secret", -ENOENT);
	fails("secret/a", -ENOENT);
	fails("secret/..", -ENOENT);
	fails("link", -ENOENT);
	fails(scratch_path("export/secret/a"), -ENOENT);
	fini();
}

Test(serve_place, a_path_that_is_too_long_or_has_a_nul_is_refused)
{
	static uint8_t text[PATH_MAX + 1];
	struct place place;

	init(1, NULL);
	memset(text, 'a', sizeof(text));
	cr_assert_eq(place_find(&exports, mounts, (struct bytes){text, sizeof(text)}, &place),
		     -ENAMETOOLONG);
	cr_assert_eq(place_find(&exports, mounts, (struct bytes){text, 300}, &place),
		     -ENAMETOOLONG);
	text[1] = '\0';
	cr_assert_eq(place_find(&exports, mounts, (struct bytes){text, 3}, &place), -EINVAL);
	memset(text, '/', sizeof(text));
	cr_assert_eq(place_find(&exports, mounts, (struct bytes){text, PATH_MAX - 1}, &place),
		     -ENOENT);
	fini();
}
