/* Calls that carry a caller (fs:ids), on a real disk and as root: else there is nobody to act as.
 */
#include <errno.h>
#include <sys/xattr.h>

#include "tests/unit/serve/serve_fake.h"

TestSuite(serve_acting, .init = scratch_init, .fini = scratch_fini);

#define USER 4711

static struct serve_fake fake;

/* An export for everyone, and calls by USER. */
static void begin(uint16_t permissions)
{
	if (geteuid() != 0)
		scratch_skip_test("needs root");
	serve_fake_init(&fake, NULL);
	cr_assert_eq(chmod(scratch_dir, 0711) + chmod(fake.export_path, 01777), 0);
	fake.permissions = permissions;
	fake.caller = (struct caller){.uid = USER, .gid = USER};
}

static struct stat stat_of(const char *name)
{
	struct stat st;

	cr_assert_eq(lstat(serve_fake_path(name), &st), 0);
	return st;
}

static int make(const char *name, const struct result_create **ret_created)
{
	return SERVE_FAKE_CALL(&fake, CREATE, create, ret_created, 1, serve_fake_bytes(name),
			       O_RDWR, 0644);
}

Test(serve_acting, what_is_made_belongs_to_the_caller)
{
	begin(PERMISSION_FS_RW | PERMISSION_FS_IDS);
	cr_assert_eq(make("file", NULL), 0);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, MKDIR, mkdir, NULL, 1, serve_fake_bytes("dir"), 0755),
		     0);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, SYMLINK, symlink, NULL, 1, serve_fake_bytes("link"),
				     serve_fake_bytes("file")),
		     0);
	cr_assert_eq(
	    SERVE_FAKE_CALL(&fake, MKNOD, mknod, NULL, 1, serve_fake_bytes("fifo"), S_IFIFO | 0600),
	    0);
	for (const char *const *name = (const char *const[]){"file", "dir", "link", "fifo", NULL};
	     *name; name++) {
		cr_assert_eq(stat_of(*name).st_uid, USER, "%s", *name);
		cr_assert_eq(stat_of(*name).st_gid, USER, "%s", *name);
	}
	serve_fake_deinit(&fake);
}

Test(serve_acting, threads_are_the_daemon_again_afterwards)
{
	begin(PERMISSION_FS_RW | PERMISSION_FS_IDS);
	cr_assert_eq(mkdir(serve_fake_path("closed"), 0700), 0);
	for (int i = 0; i < 50; i++) {
		char name[16];

		fake.caller.uid = USER;
		cr_assert_eq(SERVE_FAKE_CALL(&fake, MKDIR, mkdir, NULL,
					     serve_fake_node(&fake, "closed"),
					     serve_fake_bytes("x"), 0755),
			     -EACCES);
		fake.caller.uid = 0; /* no caller at all */
		snprintf(name, sizeof(name), "root%d", i);
		cr_assert_eq(make(name, NULL), 0);
		cr_assert_eq(stat_of(name).st_uid, 0);
		cr_assert_eq(stat_of(name).st_gid, getegid());
	}
	serve_fake_deinit(&fake);
}

Test(serve_acting, a_group_of_the_caller_lets_it_in)
{
	begin(PERMISSION_FS_RW | PERMISSION_FS_IDS);
	cr_assert_eq(mkdir(serve_fake_path("team"), 0), 0);
	cr_assert_eq(chown(serve_fake_path("team"), 0, 999), 0);
	cr_assert_eq(chmod(serve_fake_path("team"), 02770), 0);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, MKDIR, mkdir, NULL, serve_fake_node(&fake, "team"),
				     serve_fake_bytes("x"), 0755),
		     -EACCES);
	fake.caller.n_groups = 2;
	fake.caller.groups[0] = 998;
	fake.caller.groups[1] = 999;
	cr_assert_eq(SERVE_FAKE_CALL(&fake, MKDIR, mkdir, NULL, serve_fake_node(&fake, "team"),
				     serve_fake_bytes("x"), 0755),
		     0);
	cr_assert_eq(stat_of("team/x").st_gid, 999);
	cr_assert_eq(stat_of("team/x").st_mode, S_IFDIR | 02755);
	serve_fake_deinit(&fake);
}

Test(serve_acting, the_caller_has_no_capability_left)
{
	begin(PERMISSION_FS_RW | PERMISSION_FS_IDS);
	cr_assert_eq(make("file", NULL), 0);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, SETXATTR, setxattr, NULL,
				     serve_fake_node(&fake, "file"), serve_fake_bytes("trusted.x"),
				     0, serve_fake_bytes("y")),
		     -EPERM);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, MKNOD, mknod, NULL, 1, serve_fake_bytes("device"),
				     S_IFCHR | 0666, 0x103),
		     -EPERM);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, SETATTR, setattr, NULL, serve_fake_node(&fake, "file"),
				     0, SETATTR_UID, .uid = 0),
		     -EPERM);
	serve_fake_deinit(&fake);
}

/* Writes a byte to what is opened, and returns the mode afterwards. */
static mode_t write_to(const char *name)
{
	const struct result_open *opened;
	uint64_t node = serve_fake_node(&fake, name);

	cr_assert_eq(SERVE_FAKE_CALL(&fake, OPEN, open, &opened, node, O_WRONLY), 0);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, WRITE, write, NULL, node, opened->handle, 0, false,
				     serve_fake_bytes("y")),
		     0);
	return stat_of(name).st_mode & 07777;
}

Test(serve_acting, writing_clears_set_id_bits_as_the_opener_would)
{
	begin(PERMISSION_FS_RW | PERMISSION_FS_IDS);
	scratch_write(serve_fake_path("file"), "x", 1, 0);
	cr_assert_eq(chmod(serve_fake_path("file"), 06777), 0);
	fake.caller.uid = 0; /* no caller: root */
	cr_assert_eq(write_to("file"), 06777);
	fake.caller.uid = USER;
	cr_assert_eq(write_to("file"), 0777);
	serve_fake_deinit(&fake);
}

Test(serve_acting, without_fs_ids_the_caller_is_ignored_but_for_set_id_bits)
{
	begin(PERMISSION_FS_RW);
	cr_assert_eq(make("file", NULL), 0);
	cr_assert_eq(stat_of("file").st_uid, 0);
	/* The kernel of the other machine has judged whether it may be set. */
	cr_assert_eq(chown(serve_fake_path("file"), USER, USER), 0);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, SETATTR, setattr, NULL, serve_fake_node(&fake, "file"),
				     0, SETATTR_MODE, 06777),
		     0);
	cr_assert_eq(stat_of("file").st_mode & 07777, 06777);
	cr_assert_eq(write_to("file"), 0777);
	cr_assert_eq(chmod(serve_fake_path("file"), 06777), 0);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, SETATTR, setattr, NULL, serve_fake_node(&fake, "file"),
				     0, SETATTR_SIZE, .size = 1),
		     0);
	cr_assert_eq(stat_of("file").st_mode & 07777, 0777);
	cr_assert_eq(chmod(serve_fake_path("file"), 06777), 0);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, OPEN, open, NULL, serve_fake_node(&fake, "file"),
				     O_WRONLY | O_TRUNC),
		     0);
	cr_assert_eq(stat_of("file").st_mode & 07777, 0777);
	serve_fake_deinit(&fake);
}

/* As execve: who may execute a file need not be able to read it; but only to execute it. */
Test(serve_acting, who_may_execute_a_file_opens_it_to_execute_it)
{
	static const struct {
		mode_t mode;
		uint64_t flags;
		int error;
	} cases[] = {
	    {0711, O_RDONLY | OPS_OPEN_EXECUTE, 0},
	    {0711, O_RDONLY, -EACCES},
	    {0744, O_RDONLY, 0},
	    {0700, O_RDONLY | OPS_OPEN_EXECUTE, -EACCES},
	    {0766, O_RDWR | OPS_OPEN_EXECUTE, 0},
	    {0711, O_RDWR | OPS_OPEN_EXECUTE, -EACCES},
	    {0711, O_RDONLY | O_TRUNC | OPS_OPEN_EXECUTE, -EACCES},
	};

	begin(PERMISSION_FS_RW | PERMISSION_FS_IDS);
	scratch_write(serve_fake_path("file"), "#!/bin/true\n", 12, 0755);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t node = serve_fake_node(&fake, "file");

		cr_assert_eq(chmod(serve_fake_path("file"), cases[i].mode), 0);
		cr_assert_eq(SERVE_FAKE_CALL(&fake, OPEN, open, NULL, node, cases[i].flags, 0),
			     cases[i].error, "case %zu", i);
	}
	serve_fake_deinit(&fake);
}
