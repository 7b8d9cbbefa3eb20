#include <errno.h>
#include <sys/statvfs.h>

#include "proto/codec.h"
#include "tests/unit/serve/serve_fake.h"

TestSuite(serve_attrs, .init = scratch_init, .fini = scratch_fini);

static struct serve_fake fake;

static int set(uint64_t node, struct args_setattr args, const struct result_setattr **ret_result)
{
	args.node = node;
	return serve_fake_call(&fake, OP_SETATTR, &args, ret_result);
}

Test(serve_attrs, sets_mode_size_owner_and_times)
{
	const struct result_setattr *got;
	struct stat st;
	uint64_t file;

	serve_fake_init(&fake, NULL);
	scratch_write(serve_fake_path("file"), "0123456789", 10, 0644);
	file = serve_fake_node(&fake, "file");
	cr_assert_eq(set(file, (struct args_setattr){.valid = SETATTR_MODE, .mode = 04711}, &got),
		     0);
	cr_assert_eq(got->attr.mode, S_IFREG | 04711);
	cr_assert_eq(set(file, (struct args_setattr){.valid = SETATTR_SIZE, .size = 4}, &got), 0);
	cr_assert_eq(got->attr.size, 4);
	cr_assert_eq(set(file,
			 (struct args_setattr){.valid = SETATTR_MTIME, .mtime = {-5, 123456789}},
			 &got),
		     0);
	cr_assert_eq(got->attr.mtime.tv_sec, -5);
	cr_assert_eq(got->attr.mtime.tv_nsec, 123456789);
	cr_assert_eq(stat(serve_fake_path("file"), &st), 0);
	cr_assert_eq(st.st_mtim.tv_sec, -5);
	cr_assert_eq(set(file, (struct args_setattr){.valid = SETATTR_MTIME_NOW}, &got), 0);
	cr_assert_gt(got->attr.mtime.tv_sec, 1000000000);
	cr_assert_eq(set(1, (struct args_setattr){.valid = SETATTR_SIZE}, NULL), -EISDIR);
	if (geteuid() == 0) {
		cr_assert_eq(
		    set(file, (struct args_setattr){.valid = SETATTR_GID, .gid = 4321}, &got), 0);
		cr_assert_eq(got->attr.gid, 4321);
		cr_assert_eq(got->attr.uid, 0);
	}
	serve_fake_deinit(&fake);
}

Test(serve_attrs, setuid_bits_go_when_asked)
{
	const struct result_setattr *got;
	uint64_t file;

	serve_fake_init(&fake, NULL);
	scratch_write(serve_fake_path("file"), "x", 1, 06755);
	file = serve_fake_node(&fake, "file");
	cr_assert_eq(
	    set(file, (struct args_setattr){.valid = SETATTR_SIZE | SETATTR_KILL_SUIDGID}, &got),
	    0);
	cr_assert_eq(got->attr.mode, S_IFREG | 0755);
	serve_fake_deinit(&fake);
}

Test(serve_attrs, a_link_has_its_own_times_and_owner)
{
	struct stat link, file;
	const struct result_setattr *got;
	const struct result_readlink *target;
	uint64_t node;

	serve_fake_init(&fake, NULL);
	scratch_write(serve_fake_path("file"), "x", 1, 0644);
	cr_assert_eq(symlink("file", serve_fake_path("link")), 0);
	node = serve_fake_node(&fake, "link");
	cr_assert_eq(
	    set(node, (struct args_setattr){.valid = SETATTR_MTIME, .mtime = {100, 7}}, &got), 0);
	cr_assert_eq(set(node, (struct args_setattr){.valid = SETATTR_MODE, .mode = 0777}, NULL),
		     -EOPNOTSUPP);
	cr_assert_eq(lstat(serve_fake_path("link"), &link), 0);
	cr_assert_eq(stat(serve_fake_path("link"), &file), 0);
	cr_assert_eq(link.st_mtim.tv_sec, 100);
	cr_assert_eq(link.st_mtim.tv_nsec, 7);
	cr_assert_neq(file.st_mtim.tv_sec, 100);
	if (geteuid() == 0) {
		cr_assert_eq(
		    set(node, (struct args_setattr){.valid = SETATTR_UID, .uid = 77}, NULL), 0);
		cr_assert_eq(lstat(serve_fake_path("link"), &link), 0);
		cr_assert_eq(stat(serve_fake_path("link"), &file), 0);
		cr_assert_eq(link.st_uid, 77);
		cr_assert_eq(file.st_uid, 0);
	}
	cr_assert_eq(SERVE_FAKE_CALL(&fake, READLINK, readlink, &target, node), 0);
	cr_assert_eq(target->target.size, 4);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, READLINK, readlink, NULL, 1), -EINVAL);
	serve_fake_deinit(&fake);
}

Test(serve_attrs, space_is_that_of_the_disk)
{
	const struct result_statfs *got;
	struct statvfs info;

	serve_fake_init(&fake, NULL);
	cr_assert_eq(statvfs(fake.export_path, &info), 0);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, STATFS, statfs, &got, 1), 0);
	cr_assert_eq(got->blocks, info.f_blocks);
	cr_assert_eq(got->fragment_size, info.f_frsize);
	cr_assert_eq(got->files, info.f_files);
	cr_assert_eq(got->name_max, info.f_namemax);
	serve_fake_deinit(&fake);
}

Test(serve_attrs, an_open_file_is_truncated_whatever_its_mode)
{
	const struct result_create *created;
	const struct result_setattr *got;
	struct args_setattr args = {.valid = SETATTR_SIZE, .size = 77};

	serve_fake_init(&fake, NULL);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, CREATE, create, &created, 1, serve_fake_bytes("file"),
				     O_RDWR, 0400),
		     0);
	args.handle = created->handle;
	cr_assert_eq(set(created->entry.node, args, &got), 0);
	cr_assert_eq(got->attr.size, 77);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, UNLINK, unlink, NULL, 1, serve_fake_bytes("file")), 0);
	args.size = 78;
	cr_assert_eq(set(created->entry.node, args, &got), 0);
	cr_assert_eq(got->attr.nlink, 0);
	args.handle++;
	cr_assert_eq(set(created->entry.node, args, NULL), -EBADF);
	serve_fake_deinit(&fake);
}

/* Root may do anything: so as somebody else. */
static void become_user(void)
{
	if (geteuid() != 0)
		return;
	cr_assert_eq(chown(scratch_dir, 65534, 65534), 0);
	cr_assert_eq(setresgid(65534, 65534, 65534), 0);
	cr_assert_eq(setresuid(65534, 65534, 65534), 0);
}

Test(serve_attrs, what_may_not_be_searched_is_listed_by_name)
{
	const struct result_readdir *result;
	struct bytes entries;
	struct dir_entry entry;
	struct entry found;
	uint64_t dir;

	become_user();
	serve_fake_init(&fake, NULL);
	cr_assert_eq(mkdir(serve_fake_path("dir"), 0755), 0);
	cr_assert_eq(mkdir(serve_fake_path("dir/sub"), 0755), 0);
	cr_assert_eq(chmod(serve_fake_path("dir"), 0444), 0);
	dir = serve_fake_node(&fake, "dir");
	cr_assert_eq(SERVE_FAKE_CALL(&fake, READDIR, readdir, &result, dir), 0);
	entries = result->entries;
	cr_assert_eq(codec_decode(&dir_entry_record, &entries, &entry, NULL), 0);
	cr_assert_eq(entry.entry.node, 0);
	cr_assert(S_ISDIR(entry.entry.attr.mode));
	cr_assert_neq(entry.entry.attr.ino, 0);
	cr_assert_eq(serve_fake_walk(&fake, 0, "dir/sub", &found), -EACCES);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, ACCESS, access, NULL, dir, X_OK), -EACCES);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, ACCESS, access, NULL, dir, R_OK), 0);
	cr_assert_eq(chmod(serve_fake_path("dir"), 0311), 0);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, READDIR, readdir, NULL, dir), -EACCES);
	cr_assert_eq(serve_fake_walk(&fake, 0, "dir/sub", &found), 0);
	cr_assert_eq(chmod(serve_fake_path("dir"), 0755), 0);
	serve_fake_deinit(&fake);
}

Test(serve_attrs, a_held_directory_works_when_those_above_are_closed)
{
	uint64_t inner;

	become_user();
	serve_fake_init(&fake, &(struct serve_options){.verify_ms = -1});
	cr_assert_eq(mkdir(serve_fake_path("outer"), 0755), 0);
	cr_assert_eq(mkdir(serve_fake_path("outer/inner"), 0755), 0);
	inner = serve_fake_node(&fake, "outer/inner");
	cr_assert_eq(chmod(serve_fake_path("outer"), 0), 0);
	cr_assert_eq(
	    SERVE_FAKE_CALL(&fake, MKDIR, mkdir, NULL, inner, serve_fake_bytes("new"), 0755), 0);
	cr_assert_eq(chmod(serve_fake_path("outer"), 0755), 0);
	cr_assert_eq(access(serve_fake_path("outer/inner/new"), F_OK), 0);
	serve_fake_deinit(&fake);
}

static void expect_places(const char *const *expected, size_t n)
{
	const struct result_exports *result;
	struct export_place place;
	struct list list;

	cr_assert_eq(SERVE_FAKE_CALL(&fake, EXPORTS, exports, &result), 0);
	list = result->exports;
	cr_assert_eq(list.n, n);
	for (size_t i = 0; i < n; i++) {
		cr_assert_eq(codec_list_next(&list, &export_place_record, &place, NULL), 0);
		cr_assert_eq(place.name.size, strlen(expected[2 * i]));
		cr_assert_arr_eq(place.name.data, expected[2 * i], place.name.size);
		cr_assert_eq(place.path.size, strlen(expected[2 * i + 1]));
		cr_assert_arr_eq(place.path.data, expected[2 * i + 1], place.path.size);
	}
}

Test(serve_attrs, the_exports_tell_where_they_are)
{
	struct exports_option exports[2] = {{.name = "one"}, {.name = "two"}};
	const char *one = scratch_path("one"), *two = scratch_path("two");

	serve_fake_init(&fake, NULL);
	expect_places((const char *[]){"", fake.export_path}, 1);
	serve_fake_deinit(&fake);
	cr_assert_eq(mkdir(one, 0755), 0);
	cr_assert_eq(symlink(one, two), 0);
	exports[0].path = one;
	exports[1].path = two;
	serve_fake_init(&fake, &(struct serve_options){.exports = exports, .n_exports = 2});
	expect_places((const char *[]){"one", one, "two", two, "two", one}, 3);
	serve_fake_deinit(&fake);
}
