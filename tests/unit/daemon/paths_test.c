#include "daemon/paths.h"

#include <errno.h>

#include "tests/unit/daemon/scratch.h"

static struct paths *paths;
static struct failure failure;

static void init(void)
{
	scratch_init();
	unsetenv("LOOPSY_HOME");
	unsetenv("XDG_CONFIG_HOME");
	unsetenv("XDG_STATE_HOME");
	setenv("XDG_RUNTIME_DIR", scratch_path("runtime"), 1);
	setenv("HOME", scratch_path("me"), 1);
}

static void fini(void)
{
	paths = paths_free(paths);
	scratch_fini();
}

TestSuite(paths, .init = init, .fini = fini);

Test(paths, are_below_loopsy_home)
{
	setenv("LOOPSY_HOME", "/a/b//", 1);
	cr_assert_eq(paths_new(NULL, &paths, &failure), 0);
	cr_assert_str_eq(paths->loopsy_home, "/a/b");
	cr_assert_str_eq(paths->config_file, "/a/b/config/loopsy.conf");
	cr_assert_str_eq(paths->identity, "/a/b/config/identity.pem");
	cr_assert_str_eq(paths->api_key, "/a/b/config/api.key");
	cr_assert_str_eq(paths->database, "/a/b/state/loopsy.db");
	cr_assert_str_eq(paths->audit, "/a/b/state/audit.jsonl");
	cr_assert_str_eq(paths->lock, "/a/b/state/loopsyd.pid");
	cr_assert_str_eq(paths->socket, "/a/b/run/ctl.sock");
	cr_assert_str_eq(paths->mount, "/a/b/mnt");
	cr_assert_str_eq(paths->home_dir, scratch_path("me"));
}

Test(paths, argument_wins_over_environment_and_may_be_relative)
{
	char here[1024];

	setenv("LOOPSY_HOME", "/a/b", 1);
	cr_assert_eq(paths_new("/c", &paths, &failure), 0);
	cr_assert_str_eq(paths->config_dir, "/c/config");
	paths = paths_free(paths);
	cr_assert_eq(chdir(scratch_dir), 0);
	cr_assert_not_null(getcwd(here, sizeof(here) - 16));
	cr_assert_eq(paths_new("fleet/1", &paths, &failure), 0);
	cr_assert_str_eq(paths->state_dir, strcat(here, "/fleet/1/state"));
}

Test(paths, follow_xdg)
{
	cr_assert_eq(paths_new(NULL, &paths, &failure), 0);
	cr_assert_null(paths->loopsy_home);
	cr_assert_str_eq(paths->config_dir, scratch_path("me/.config/loopsy"));
	cr_assert_str_eq(paths->state_dir, scratch_path("me/.local/state/loopsy"));
	cr_assert_str_eq(paths->run_dir, scratch_path("runtime/loopsy"));
	cr_assert_str_eq(paths->mount, scratch_path("me/loopsy"));
	paths = paths_free(paths);

	setenv("XDG_CONFIG_HOME", "/x/config", 1);
	setenv("XDG_STATE_HOME", "relative/is/ignored", 1);
	cr_assert_eq(paths_new(NULL, &paths, &failure), 0);
	cr_assert_str_eq(paths->config_dir, "/x/config/loopsy");
	cr_assert_str_eq(paths->state_dir, scratch_path("me/.local/state/loopsy"));
}

Test(paths, empty_loopsy_home_is_none)
{
	setenv("LOOPSY_HOME", "", 1);
	cr_assert_eq(paths_new(NULL, &paths, &failure), 0);
	cr_assert_null(paths->loopsy_home);
}

Test(paths, refuse_a_socket_path_that_the_kernel_would_not_take)
{
	char dir[200];

	memset(dir, 'a', sizeof(dir));
	dir[0] = '/';
	dir[sizeof(dir) - 1] = '\0';
	cr_assert_eq(paths_new(dir, &paths, &failure), -EINVAL);
	cr_assert(strstr(failure.text, "too long for a socket"), "%s", failure.text);
}

Test(paths, private_directories_are_made_0700)
{
	cr_assert_eq(paths_new(scratch_path("new/home"), &paths, &failure), 0);
	cr_assert_eq(paths_create(paths, &failure), 0, "%s", failure.text);
	cr_assert_eq(scratch_mode(paths->loopsy_home), 0700);
	cr_assert_eq(scratch_mode(paths->config_dir), 0700);
	cr_assert_eq(scratch_mode(paths->state_dir), 0700);
	cr_assert_eq(scratch_mode(paths->run_dir), 0700);
	cr_assert_eq(paths_create(paths, &failure), 0, "a second time");
}

Test(paths, refuse_a_directory_that_others_can_write)
{
	cr_assert_eq(paths_new(scratch_path("h"), &paths, &failure), 0);
	cr_assert_eq(paths_create(paths, &failure), 0);
	for (int i = 0; i < 2; i++) {
		cr_assert_eq(chmod(paths->state_dir, i ? 0720 : 0702), 0);
		cr_assert_eq(paths_create(paths, &failure), -EPERM);
		cr_assert(strstr(failure.text, paths->state_dir), "%s", failure.text);
		cr_assert(strstr(failure.text, "chmod 700"), "%s", failure.text);
	}
	cr_assert_eq(chmod(paths->state_dir, 0755), 0);
	cr_assert_eq(paths_create(paths, &failure), 0);
}

Test(paths, refuse_a_directory_of_another_user)
{
	if (geteuid() != 0)
		scratch_skip_test("only root can give a directory away");
	cr_assert_eq(paths_new(scratch_path("h"), &paths, &failure), 0);
	cr_assert_eq(paths_create(paths, &failure), 0);
	cr_assert_eq(chown(paths->config_dir, 12345, 12345), 0);
	cr_assert_eq(paths_create(paths, &failure), -EPERM);
	cr_assert(strstr(failure.text, "belongs to uid 12345"), "%s", failure.text);
}

Test(paths, refuse_a_file_where_a_directory_should_be)
{
	cr_assert_eq(paths_new(scratch_path("h"), &paths, &failure), 0);
	scratch_write(scratch_path("h"), "", 0, 0600);
	cr_assert_lt(paths_create(paths, &failure), 0);
	cr_assert_neq(failure.text[0], '\0');
}

Test(paths, mount_point_is_0500_and_spelled_without_links)
{
	char real[1024];

	cr_assert_eq(mkdir(scratch_path("real"), 0700), 0);
	cr_assert_eq(symlink("real", scratch_path("link")), 0);
	cr_assert_not_null(realpath(scratch_path("real"), real));
	cr_assert_eq(paths_new(scratch_path("h"), &paths, &failure), 0);
	cr_assert_eq(paths_set_mount(paths, scratch_path("link/deep/mnt")), 0);
	cr_assert_eq(paths_create_mount_point(paths, &failure), 0, "%s", failure.text);
	cr_assert_str_eq(paths->mount, strcat(real, "/deep/mnt"));
	cr_assert_eq(scratch_mode(paths->mount), 0500);
	cr_assert_eq(paths_create_mount_point(paths, &failure), 0, "a second time");

	cr_assert_eq(paths_set_mount(paths, "/"), 0);
	cr_assert_eq(paths_create_mount_point(paths, &failure), -EINVAL);
}
