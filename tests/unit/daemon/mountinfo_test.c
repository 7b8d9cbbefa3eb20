#include "daemon/mountinfo.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct mountinfo_entry entry;

static int parse(const char *line)
{
	return mountinfo_parse_line(line, strlen(line), &entry);
}

static void fini(void)
{
	mountinfo_deinit_entry(&entry);
	memset(&entry, 0, sizeof(entry));
}

TestSuite(mountinfo, .fini = fini);

Test(mountinfo, line_of_the_manual_is_read)
{
	cr_assert_eq(
	    parse("36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=x"), 0);
	cr_assert_eq(entry.id, 36);
	cr_assert_eq(entry.parent, 35);
	cr_assert_str_eq(entry.mount_point, "/mnt2");
	cr_assert_str_eq(entry.fs_type, "ext3");
	cr_assert_str_eq(entry.source, "/dev/root");
}

Test(mountinfo, optional_fields_may_be_none_or_many)
{
	cr_assert_eq(parse("1 2 0:1 / /a rw - fuse.loopsy loopsy rw"), 0);
	cr_assert_str_eq(entry.fs_type, "fuse.loopsy");
	fini();
	cr_assert_eq(
	    parse("1 2 0:1 / /a rw shared:1 master:2 propagate_from:3 unbindable - tmpfs t rw"), 0);
	cr_assert_str_eq(entry.fs_type, "tmpfs");
	fini();
	cr_assert_eq(parse("1 2 0:1 / /a rw - tmpfs  rw,x"), 0, "an empty source");
	cr_assert_str_eq(entry.source, "");
}

Test(mountinfo, octal_escapes_are_resolved)
{
	cr_assert_eq(parse("1 2 0:1 / /a\\040b\\011c\\012d\\134e\\043f\xff rw - fuse x\\040y rw"),
		     0);
	cr_assert_str_eq(entry.mount_point, "/a b\tc\nd\\e#f\xff");
	cr_assert_str_eq(entry.source, "x y");
	fini();
	cr_assert_eq(parse("1 2 0:1 / /a\\9\\04\\400\\ rw - f s rw"), 0);
	cr_assert_str_eq(entry.mount_point, "/a\\9\\04\\400\\");
}

Test(mountinfo, other_lines_are_refused)
{
	static const char *const lines[] = {
	    "",
	    " ",
	    "1",
	    "x 2 0:1 / /a rw - f s rw",
	    "1 -2 0:1 / /a rw - f s rw",
	    "99999999999999999999 2 0:1 / /a rw - f s rw",
	    "1 2 0:1 / a rw - f s rw",
	    "1 2 0:1 / /a rw",
	    "1 2 0:1 / /a rw shared:1",
	    "1 2 0:1 / /a rw -",
	    "1 2 0:1 / /a rw - f",
	    "1 2 0:1 / /a rw -f s rw",
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		cr_assert_eq(parse(lines[i]), -EINVAL, "%s", lines[i]);
}

Test(mountinfo, any_bytes_are_survived)
{
	static const char alphabet[] = "0123 /-\\:ax\xff";

	srand(1);
	for (int round = 0; round < 100000; round++) {
		size_t n = (size_t)rand() % 60;
		char *line = malloc(n);

		for (size_t i = 0; i < n; i++)
			line[i] = alphabet[(size_t)rand() % sizeof(alphabet)];
		if (mountinfo_parse_line(line, n, &entry) == 0)
			fini();
		free(line);
	}
}

static int find(const char *text, const char *mount_point)
{
	return mountinfo_find(text, strlen(text), mount_point, &entry);
}

Test(mountinfo, mount_on_top_is_found)
{
	const char *text = "20 1 0:1 / / rw - ext4 /dev/sda rw\n"
			   "garbage\n"
			   "30 20 0:2 / /m rw - fuse.loopsy first rw\n"
			   "31 30 0:3 / /m rw - fuse.loopsy second rw\n"
			   "32 20 0:4 / /m2 rw - tmpfs other rw";

	cr_assert_eq(find(text, "/m"), 0);
	cr_assert_str_eq(entry.source, "second");
	fini();
	cr_assert_eq(find(text, "/m2"), 0);
	cr_assert_eq(entry.id, 32);
	fini();
	cr_assert_eq(find(text, "/"), 0);
	fini();
	cr_assert_eq(find(text, "/m/"), -ENOENT);
	cr_assert_eq(find(text, "/m3"), -ENOENT);
	cr_assert_eq(find("", "/"), -ENOENT);
}

Test(mountinfo, order_of_the_lines_does_not_matter)
{
	cr_assert_eq(
	    find("31 30 0:3 / /m rw - f second rw\n30 20 0:2 / /m rw - f first rw\n", "/m"), 0);
	cr_assert_str_eq(entry.source, "second");
}

Test(mountinfo, kernels_own_is_read)
{
	cr_assert_eq(mountinfo_find_now("/proc", &entry), 0);
	cr_assert_str_eq(entry.fs_type, "proc");
	fini();
	cr_assert_eq(mountinfo_find_now("/no/such/mount", &entry), -ENOENT);
}
