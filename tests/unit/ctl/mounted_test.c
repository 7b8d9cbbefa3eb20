#include "ctl/mounted.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A home with a directory that stands for the mount. */
struct home {
	char path[64], mount[512], saved[512];
};

static void home_init(struct home *home)
{
	char command[2048];

	*home = (struct home){.path = "/tmp/loopsy-mounted-XXXXXX"};
	cr_assert_not_null(getcwd(home->saved, sizeof(home->saved)));
	cr_assert_not_null(mkdtemp(home->path));
	snprintf(home->mount, sizeof(home->mount), "%s/loopsy", home->path);
	snprintf(command, sizeof(command),
		 "mkdir -p %s/desk/a/b %s/elsewhere && ln -s %s/desk %s/link", home->mount,
		 home->path, home->mount, home->path);
	cr_assert_eq(system(command), 0);
}

static void home_deinit(struct home *home)
{
	char command[128];

	cr_assert_eq(chdir(home->saved), 0);
	snprintf(command, sizeof(command), "rm -r %s", home->path);
	cr_assert_eq(system(command), 0);
}

static void go(const struct home *home, const char *below)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", home->path, below);
	cr_assert_eq(chdir(path), 0);
}

static void expect(const struct home *home, const char *path, const char *peer, const char *there)
{
	struct mounted mounted;
	int r = mounted_find(home->mount, path, &mounted);

	cr_assert_eq(r, 0, "%s: %s", path, strerror(-r));
	cr_assert_str_eq(mounted.peer, peer);
	cr_assert_str_eq(mounted.path, there);
	mounted_deinit(&mounted);
}

static void expect_error(const struct home *home, const char *path, int error)
{
	struct mounted mounted;

	cr_assert_eq(mounted_find(home->mount, path, &mounted), error, "%s", path);
}

Test(mounted, finds_the_machine_and_the_path_there)
{
	struct home home;

	home_init(&home);
	go(&home, "loopsy/desk/a");
	expect(&home, ".", "desk", "a");
	expect(&home, "b/c", "desk", "a/b/c");
	expect(&home, "../x//y/", "desk", "x/y");
	expect(&home, "../..//lap", "lap", "");
	expect_error(&home, "../..", -EISDIR);
	expect_error(&home, "../../../elsewhere", -EXDEV);
	expect_error(&home, "/", -EXDEV);
	go(&home, "elsewhere");
	expect(&home, "../loopsy/desk", "desk", "");
	expect_error(&home, ".", -EXDEV);
	home_deinit(&home);
}

Test(mounted, follows_links_above_the_mount)
{
	struct home home, other;
	char path[400];

	home_init(&home);
	go(&home, "elsewhere");
	expect(&home, "../link/a", "desk", "a");
	go(&home, "link/a");
	expect(&home, "", "desk", "a");
	/* The mount itself is said by a path with a link in it. */
	other = home;
	snprintf(path, sizeof(path), "%s/elsewhere/home", home.path);
	cr_assert_eq(symlink("..", path), 0);
	snprintf(other.mount, sizeof(other.mount), "%s/loopsy", path);
	expect(&other, "b", "desk", "a/b");
	/* A name that only begins like the mount's. */
	snprintf(path, sizeof(path), "%s/loopsy-not/desk", home.path);
	expect_error(&home, path, -EXDEV);
	/* Links that lead to each other. */
	go(&home, "elsewhere");
	cr_assert_eq(symlink("two", "one"), 0);
	cr_assert_eq(symlink("one", "two"), 0);
	expect_error(&home, "one/x", -ELOOP);
	home_deinit(&home);
}
