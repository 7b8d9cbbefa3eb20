#include "daemon/dead_mount.h"

#include <errno.h>
#include <sched.h>
#include <sys/mount.h>

#include "daemon/mountinfo.h"
#include "tests/unit/daemon/scratch.h"

static char mount_point[1024];
static struct failure failure;

/* A mount namespace of the test's own, so that nothing is left whatever happens. */
static void init(void)
{
	scratch_init();
	cr_assert_eq(mkdir(scratch_path("m n"), 0700), 0);
	cr_assert_not_null(realpath(scratch_path("m n"), mount_point));
}

static void fini(void)
{
	while (umount2(mount_point, MNT_DETACH) == 0)
		;
	scratch_fini();
}

TestSuite(dead_mount, .init = init, .fini = fini);

static void need_mounts(void)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		scratch_skip_test("needs root: no mount namespace of its own");
}

/* A FUSE mount whose server never answers; it dies when the descriptor is closed. */
static int mount_fuse(const char *type)
{
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	char options[128];

	if (fd < 0)
		scratch_skip_test("/dev/fuse cannot be opened");
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=%u,group_id=%u", fd,
		 (unsigned)getuid(), (unsigned)getgid());
	if (mount("loopsy", mount_point, type, MS_NOSUID | MS_NODEV, options) < 0)
		scratch_skip_test("FUSE cannot be mounted here");
	return fd;
}

static int is_mounted(void)
{
	struct mountinfo_entry entry;

	if (mountinfo_find_now(mount_point, &entry) < 0)
		return 0;
	mountinfo_deinit_entry(&entry);
	return 1;
}

Test(dead_mount, nothing_mounted_is_nothing_to_clear)
{
	cr_assert_eq(dead_mount_clear(mount_point, &failure), 0);
}

Test(dead_mount, is_cleared)
{
	need_mounts();
	close(mount_fuse(DEAD_MOUNT_FS_TYPE));
	cr_assert(is_mounted());
	cr_assert_eq(dead_mount_clear(mount_point, &failure), 0, "%s", failure.text);
	cr_assert_not(is_mounted());
	cr_assert_eq(access(mount_point, F_OK), 0);
}

Test(dead_mount, several_over_one_another_are_cleared)
{
	need_mounts();
	close(mount_fuse(DEAD_MOUNT_FS_TYPE));
	close(mount_fuse(DEAD_MOUNT_FS_TYPE));
	cr_assert_eq(dead_mount_clear(mount_point, &failure), 0);
	cr_assert_not(is_mounted());
}

/* It never answers, so the patience is always over. */
Test(dead_mount, mount_in_use_is_left_alone)
{
	int fd;

	need_mounts();
	fd = mount_fuse(DEAD_MOUNT_FS_TYPE);
	cr_assert_eq(dead_mount_clear(mount_point, &failure), -EBUSY);
	cr_assert(strstr(failure.text, "another loopsyd has its mount at"), "%s", failure.text);
	cr_assert(is_mounted());
	close(fd);
}

Test(dead_mount, other_file_systems_are_left_alone)
{
	need_mounts();
	close(mount_fuse("fuse.sshfs"));
	cr_assert_eq(dead_mount_clear(mount_point, &failure), -EBUSY);
	cr_assert(strstr(failure.text, "a fuse.sshfs file system is mounted there"), "%s",
		  failure.text);
	cr_assert(is_mounted());
}

Test(dead_mount, is_found_through_links_in_its_parent)
{
	need_mounts();
	cr_assert_eq(symlink(scratch_dir, scratch_path("link")), 0);
	close(mount_fuse(DEAD_MOUNT_FS_TYPE));
	cr_assert_eq(dead_mount_clear(scratch_path("link/m n"), &failure), 0, "%s", failure.text);
	cr_assert_not(is_mounted());
	cr_assert_eq(dead_mount_clear(scratch_path("no/such/parent"), &failure), 0);
	cr_assert_eq(dead_mount_clear("relative", &failure), -EINVAL);
}
