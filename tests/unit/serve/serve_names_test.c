#include <errno.h>
#include <fcntl.h>
#include <sys/xattr.h>

#include "tests/unit/serve/serve_fake.h"

TestSuite(serve_names, .init = scratch_init, .fini = scratch_fini);

static struct serve_fake fake;

Test(serve_names, lookup_tells_attributes_and_target)
{
	const struct result_getattr *attr;
	struct entry entry;
	struct stat st;

	serve_fake_init(&fake, NULL);
	scratch_write(serve_fake_path("file"), "hello", 5, 0640);
	cr_assert_eq(symlink("../else where", serve_fake_path("link")), 0);
	cr_assert_eq(serve_fake_walk(&fake, 0, "file", &entry), 0);
	cr_assert_eq(stat(serve_fake_path("file"), &st), 0);
	cr_assert_eq(entry.attr.ino, st.st_ino);
	cr_assert_eq(entry.attr.mode, st.st_mode);
	cr_assert_eq(entry.attr.size, 5);
	cr_assert_eq(entry.attr.mtime.tv_sec, st.st_mtim.tv_sec);
	cr_assert_eq(entry.attr.mtime.tv_nsec, st.st_mtim.tv_nsec);
	cr_assert_eq(entry.target.size, 0);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, GETATTR, getattr, &attr, entry.node), 0);
	cr_assert_eq(attr->attr.ino, st.st_ino);
	cr_assert_eq(serve_fake_walk(&fake, 0, "link", &entry), 0);
	cr_assert(S_ISLNK(entry.attr.mode));
	cr_assert_eq(entry.target.size, 13);
	cr_assert_eq(memcmp(entry.target.data, "../else where", 13), 0);
	cr_assert_eq(serve_fake_walk(&fake, 0, "none", &entry), -ENOENT);
	cr_assert_eq(serve_fake_walk(&fake, 0, "file/x", &entry), -ENOTDIR);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, GETATTR, getattr, NULL, 4711), -ESTALE);
	serve_fake_deinit(&fake);
}

Test(serve_names, makes_and_removes_every_type)
{
	const struct result_mknod *made;
	struct stat st;

	serve_fake_init(&fake, NULL);
	cr_assert_eq(
	    SERVE_FAKE_CALL(&fake, MKDIR, mkdir, NULL, 1, serve_fake_bytes("dir"), 0777, 027), 0);
	cr_assert_eq(scratch_mode(serve_fake_path("dir")), 0750);
	cr_assert_eq(
	    SERVE_FAKE_CALL(&fake, MKDIR, mkdir, NULL, 1, serve_fake_bytes("dir"), 0777, 0),
	    -EEXIST);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, MKNOD, mknod, &made, 1, serve_fake_bytes("fifo"),
				     S_IFIFO | 0666, 0, 022),
		     0);
	cr_assert(S_ISFIFO(made->entry.attr.mode));
	cr_assert_eq(SERVE_FAKE_CALL(&fake, MKNOD, mknod, &made, 1, serve_fake_bytes("sock"),
				     S_IFSOCK | 0666, 0, 0),
		     0);
	cr_assert_eq(made->entry.attr.mode, S_IFSOCK | 0666);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, MKNOD, mknod, &made, 1, serve_fake_bytes("file"),
				     S_IFREG | 06755, 0, 0),
		     0);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, SYMLINK, symlink, NULL, 1, serve_fake_bytes("link"),
				     serve_fake_bytes("\xff\xfe/..")),
		     0);
	cr_assert_eq(lstat(serve_fake_path("link"), &st), 0);
	cr_assert_eq(st.st_size, 5);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, LINK, link, NULL, serve_fake_node(&fake, "file"), 1,
				     serve_fake_bytes("again")),
		     0);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, LINK, link, NULL, serve_fake_node(&fake, "link"), 1,
				     serve_fake_bytes("link2")),
		     0);
	cr_assert_eq(serve_fake_node(&fake, "file"), serve_fake_node(&fake, "again"));
	cr_assert_eq(serve_fake_node(&fake, "link"), serve_fake_node(&fake, "link2"));
	cr_assert_eq(SERVE_FAKE_CALL(&fake, UNLINK, unlink, NULL, 1, serve_fake_bytes("file")), 0);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, UNLINK, unlink, NULL, 1, serve_fake_bytes("file")),
		     -ENOENT);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, UNLINK, unlink, NULL, 1, serve_fake_bytes("dir")),
		     -EISDIR);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, RMDIR, rmdir, NULL, 1, serve_fake_bytes("again")),
		     -ENOTDIR);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, RMDIR, rmdir, NULL, 1, serve_fake_bytes("dir")), 0);
	serve_fake_deinit(&fake);
}

Test(serve_names, default_acl_takes_the_place_of_the_umask)
{
	/* user::rwx, group::r-x, mask::r-x, other::--- as in linux/posix_acl_xattr.h */
	static const uint8_t acl[] = {2, 0,   0,   0,   1,   0,  7, 0, 255, 255, 255, 255, 4,  0, 7,
				      0, 255, 255, 255, 255, 32, 0, 0, 0,   255, 255, 255, 255};

	serve_fake_init(&fake, NULL);
	cr_assert_eq(mkdir(serve_fake_path("dir"), 0755), 0);
	if (setxattr(serve_fake_path("dir"), "system.posix_acl_default", acl, sizeof(acl), 0) < 0)
		scratch_skip_test("no ACLs on this file system");
	cr_assert_eq(SERVE_FAKE_CALL(&fake, MKDIR, mkdir, NULL, serve_fake_node(&fake, "dir"),
				     serve_fake_bytes("sub"), 0777, 077),
		     0);
	cr_assert_eq(scratch_mode(serve_fake_path("dir/sub")), 0770);
	serve_fake_deinit(&fake);
}

Test(serve_names, names_are_bytes)
{
	struct entry entry;
	char longest[256];

	serve_fake_init(&fake, NULL);
	memset(longest, 'n', 255);
	longest[255] = '\0';
	cr_assert_eq(
	    SERVE_FAKE_CALL(&fake, MKDIR, mkdir, NULL, 1, serve_fake_bytes("\xff\n\x01 "), 0755),
	    0);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, MKDIR, mkdir, NULL, 1, serve_fake_bytes(longest), 0755),
		     0);
	cr_assert_eq(serve_fake_walk(&fake, 0, "\xff\n\x01 ", &entry), 0);
	cr_assert_eq(serve_fake_walk(&fake, 0, longest, &entry), 0);
	cr_assert_eq(access(serve_fake_path("\xff\n\x01 "), F_OK), 0);
	serve_fake_deinit(&fake);
}

Test(serve_names, renamed_directories_keep_working)
{
	uint64_t a, file;
	const struct result_getattr *got;

	/* never believed, one descriptor: every use walks */
	serve_fake_init(&fake, &(struct serve_options){.verify_ms = -1, .max_kept = 1});
	cr_assert_eq(mkdir(serve_fake_path("a"), 0755), 0);
	cr_assert_eq(mkdir(serve_fake_path("b"), 0755), 0);
	cr_assert_eq(mkdir(serve_fake_path("a/sub"), 0755), 0);
	scratch_write(serve_fake_path("a/sub/file"), "1234", 4, 0644);
	a = serve_fake_node(&fake, "a");
	file = serve_fake_node(&fake, "a/sub/file");
	cr_assert_eq(SERVE_FAKE_CALL(&fake, RENAME, rename, NULL, 1, serve_fake_bytes("a"),
				     serve_fake_node(&fake, "b"),
				     serve_fake_bytes("much longer name")),
		     0);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, GETATTR, getattr, &got, file), 0);
	cr_assert_eq(got->attr.size, 4);
	cr_assert_eq(serve_fake_node(&fake, "b/much longer name"), a);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, RENAME, rename, NULL, a, serve_fake_bytes("sub"), 1,
				     serve_fake_bytes("s")),
		     0);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, RENAME, rename, NULL, 1, serve_fake_bytes("s"), 1,
				     serve_fake_bytes("b"), RENAME_NOREPLACE),
		     -EEXIST);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, RENAME, rename, NULL, 1, serve_fake_bytes("s"), 1,
				     serve_fake_bytes("b"), RENAME_EXCHANGE),
		     0);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, GETATTR, getattr, &got, file), 0);
	cr_assert_eq(serve_fake_node(&fake, "b/file"), file);
	cr_assert_eq(serve_fake_node(&fake, "s/much longer name"), a);
	serve_fake_deinit(&fake);
}

Test(serve_names, another_object_of_that_name_is_stale)
{
	struct file_handle handle = {0};
	int mount_id;
	uint64_t node;

	if (name_to_handle_at(AT_FDCWD, scratch_dir, &handle, &mount_id, 0) < 0 &&
	    errno == EOPNOTSUPP)
		scratch_skip_test("this file system has no handles");
	serve_fake_init(&fake, &(struct serve_options){.verify_ms = -1, .max_kept = 1});
	for (unsigned i = 0; i < 100; i++) { /* ext4 gives the same inode number again */
		scratch_write(serve_fake_path("file"), "x", 1, 0644);
		node = serve_fake_node(&fake, "file");
		serve_fake_node(&fake, ""); /* nothing: node 1 */
		cr_assert_eq(SERVE_FAKE_CALL(&fake, GETATTR, getattr, NULL, 1), 0); /* evicts it */
		cr_assert_eq(unlink(serve_fake_path("file")), 0);
		scratch_write(serve_fake_path("file"), "y", 1, 0644);
		cr_assert_eq(SERVE_FAKE_CALL(&fake, GETATTR, getattr, NULL, node), -ESTALE);
		cr_assert_neq(serve_fake_node(&fake, "file"), node);
		cr_assert_eq(unlink(serve_fake_path("file")), 0);
	}
	serve_fake_deinit(&fake);
}

Test(serve_names, read_only_export_refuses_changes)
{
	struct exports_option export = {.name = "x", .read_only = true};
	char path[600];

	snprintf(path, sizeof(path), "%s/export", scratch_dir);
	export.path = path;
	serve_fake_init(&fake, &(struct serve_options){.exports = &export, .n_exports = 1});
	scratch_write(serve_fake_path("file"), "x", 1, 0644);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, MKDIR, mkdir, NULL, 1, serve_fake_bytes("d"), 0755),
		     -EROFS);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, MKNOD, mknod, NULL, 1, serve_fake_bytes("d"), S_IFREG),
		     -EROFS);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, SYMLINK, symlink, NULL, 1, serve_fake_bytes("d"),
				     serve_fake_bytes("t")),
		     -EROFS);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, UNLINK, unlink, NULL, 1, serve_fake_bytes("file")),
		     -EROFS);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, RENAME, rename, NULL, 1, serve_fake_bytes("file"), 1,
				     serve_fake_bytes("f")),
		     -EROFS);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, LINK, link, NULL, serve_fake_node(&fake, "file"), 1,
				     serve_fake_bytes("f")),
		     -EROFS);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, SETATTR, setattr, NULL, serve_fake_node(&fake, "file"),
				     0, SETATTR_MODE, 0600),
		     -EROFS);
	cr_assert_eq(
	    SERVE_FAKE_CALL(&fake, ACCESS, access, NULL, serve_fake_node(&fake, "file"), W_OK),
	    -EROFS);
	cr_assert_eq(
	    SERVE_FAKE_CALL(&fake, ACCESS, access, NULL, serve_fake_node(&fake, "file"), R_OK), 0);
	serve_fake_deinit(&fake);
}

Test(serve_names, several_exports_are_a_directory_of_their_names)
{
	struct exports_option exports[2] = {{.name = "one"}, {.name = "two"}};
	char one[600], two[600];
	struct serve_fake_call *call;
	struct entry entry;

	snprintf(one, sizeof(one), "%s/one", scratch_dir);
	snprintf(two, sizeof(two), "%s/two", scratch_dir);
	cr_assert_eq(mkdir(one, 0755) + mkdir(two, 0755), 0);
	exports[0].path = one;
	exports[1].path = two;
	serve_fake_init(&fake, &(struct serve_options){.exports = exports, .n_exports = 2});
	cr_assert_eq(serve_fake_walk(&fake, 0, "three", &entry), -ENOENT);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, MKDIR, mkdir, NULL, 1, serve_fake_bytes("d"), 0755),
		     -EACCES);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, MKDIR, mkdir, NULL, serve_fake_node(&fake, "two"),
				     serve_fake_bytes("d"), 0755),
		     0);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, RENAME, rename, NULL, serve_fake_node(&fake, "two"),
				     serve_fake_bytes("d"), serve_fake_node(&fake, "one"),
				     serve_fake_bytes("d")),
		     -EXDEV);
	cr_assert_eq(
	    SERVE_FAKE_CALL(&fake, GETATTR, getattr, NULL, serve_fake_node(&fake, "two/d")), 0);
	call = serve_fake_start(&fake, 0, OP_READDIR, &(struct args_readdir){1});
	cr_assert_eq(serve_fake_wait(&fake, call), 0);
	cr_assert(memmem(call->encoded.data, call->encoded.size, "one", 3));
	cr_assert(memmem(call->encoded.data, call->encoded.size, "two", 3));
	serve_fake_deinit(&fake);
}

Test(serve_names, nodes_are_limited_and_forgotten)
{
	struct entry entry;
	uint64_t first;

	serve_fake_init(&fake, &(struct serve_options){.max_nodes = 3});
	cr_assert_eq(mkdir(serve_fake_path("a"), 0755), 0);
	cr_assert_eq(mkdir(serve_fake_path("a/b"), 0755), 0);
	cr_assert_eq(mkdir(serve_fake_path("c"), 0755), 0);
	first = serve_fake_node(&fake, "a");
	cr_assert_eq(serve_fake_walk(&fake, 0, "a/b", &entry), 0);
	cr_assert_eq(serve_fake_walk(&fake, 0, "c", &entry), -ENFILE);
	serve_fake_forget(&fake, 0, first, 2); /* its child keeps it */
	cr_assert_eq(serve_fake_walk(&fake, 0, "c", &entry), -ENFILE);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, GETATTR, getattr, NULL, first), 0);
	cr_assert_eq(serve_fake_walk(&fake, 1, "c", &entry), 0); /* another session's limit */
	cr_assert_eq(serve_fake_walk(&fake, 0, "a/b", &entry), 0);
	serve_fake_forget(&fake, 0, entry.node, 2);
	serve_fake_forget(&fake, 0, first, 99);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, GETATTR, getattr, NULL, first), -ESTALE);
	cr_assert_eq(serve_fake_walk(&fake, 0, "c", &entry), 0);
	serve_fake_forget(&fake, 0, 1, 99); /* the root stays */
	cr_assert_eq(SERVE_FAKE_CALL(&fake, GETATTR, getattr, NULL, 1), 0);
	serve_fake_deinit(&fake);
}

/* A tree whose directories the peer itself renames, many calls at once: nothing is ever missed. */
Test(serve_names, own_renames_are_never_missed_by_other_calls)
{
	static struct serve_fake_call *renames[2], *attrs[16];
	uint64_t dirs[2], file;

	serve_fake_init(&fake, &(struct serve_options){.verify_ms = -1, .max_kept = 4});
	cr_assert_eq(mkdir(serve_fake_path("p"), 0755), 0);
	cr_assert_eq(mkdir(serve_fake_path("q"), 0755), 0);
	cr_assert_eq(mkdir(serve_fake_path("p/dir"), 0755), 0);
	cr_assert_eq(mkdir(serve_fake_path("p/dir/sub"), 0755), 0);
	scratch_write(serve_fake_path("p/dir/sub/file"), "x", 1, 0644);
	dirs[0] = serve_fake_node(&fake, "p");
	dirs[1] = serve_fake_node(&fake, "q");
	file = serve_fake_node(&fake, "p/dir/sub/file");
	for (unsigned i = 0; i < 300; i++) {
		struct args_getattr getattr = {file};
		struct args_rename there = {dirs[i % 2], serve_fake_bytes("dir"), dirs[1 - i % 2],
					    serve_fake_bytes("dir")};

		for (unsigned j = 0; j < 8; j++)
			attrs[j] = serve_fake_start(&fake, 0, OP_GETATTR, &getattr);
		renames[0] = serve_fake_start(&fake, 0, OP_RENAME, &there);
		for (unsigned j = 8; j < 16; j++)
			attrs[j] = serve_fake_start(&fake, 0, OP_GETATTR, &getattr);
		cr_assert_eq(serve_fake_wait(&fake, renames[0]), 0);
		for (unsigned j = 0; j < 16; j++)
			cr_assert_eq(serve_fake_wait(&fake, attrs[j]), 0, "%s",
				     strerror(-attrs[j]->error));
	}
	serve_fake_deinit(&fake);
}

/* Two sessions change the same tree at once, one moves what the other works in. */
Test(serve_names, sessions_do_not_disturb_each_other)
{
	uint64_t dir[2], root = 1;
	struct entry entry;

	serve_fake_init(&fake, &(struct serve_options){.verify_ms = -1});
	cr_assert_eq(mkdir(serve_fake_path("a"), 0755), 0);
	cr_assert_eq(mkdir(serve_fake_path("b"), 0755), 0);
	cr_assert_eq(mkdir(serve_fake_path("a/work"), 0755), 0);
	for (unsigned i = 0; i < 2; i++) {
		cr_assert_eq(serve_fake_walk(&fake, i, "a/work", &entry), 0);
		dir[i] = entry.node;
	}
	for (unsigned i = 0; i < 100; i++) {
		char name[16], from[2] = {"ab"[i % 2]}, to[2] = {"ba"[i % 2]};
		struct args_mkdir mkdir_args = {dir[0], serve_fake_bytes(name), 0755, 0};
		struct args_rename move = {.name = serve_fake_bytes("work"),
					   .new_name = serve_fake_bytes("work")};
		struct serve_fake_call *making, *moving;

		snprintf(name, sizeof(name), "n%u", i);
		mkdir_args.name = serve_fake_bytes(name);
		cr_assert_eq(serve_fake_walk(&fake, 1, from, &entry), 0);
		move.parent = entry.node;
		cr_assert_eq(serve_fake_walk(&fake, 1, to, &entry), 0);
		move.new_parent = entry.node;
		moving = serve_fake_start(&fake, 1, OP_RENAME, &move);
		making = serve_fake_start(&fake, 0, OP_MKDIR, &mkdir_args);
		cr_assert_eq(serve_fake_wait(&fake, moving), 0);
		cr_assert_eq(serve_fake_wait(&fake, making), 0, "%s", strerror(-making->error));
	}
	cr_assert_eq(SERVE_FAKE_CALL(&fake, GETATTR, getattr, NULL, root), 0);
	serve_fake_deinit(&fake);
}
