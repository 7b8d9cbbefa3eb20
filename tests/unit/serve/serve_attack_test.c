/*
 * A paired peer that tries to get out of the exports, to open what is no file, and to use what is
 * not its own. (Names that are none do not get here: tests/unit/net/session_test.c.)
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>

#include "tests/unit/serve/serve_fake.h"

TestSuite(serve_attack, .init = scratch_init, .fini = scratch_fini, .timeout = 120);

static struct serve_fake fake;

/* A file beside the export, that nobody may reach. */
static void open_with_secret(void)
{
	serve_fake_init(&fake, NULL);
	scratch_write(scratch_path("secret"), "secret", 6, 0600);
}

static void expect_secret_untouched(void)
{
	char text[16] = "";
	struct stat st;
	int fd = open(scratch_path("secret"), O_RDONLY);

	cr_assert_eq(read(fd, text, sizeof(text)), 6);
	cr_assert_str_eq(text, "secret");
	cr_assert_eq(fstat(fd, &st), 0);
	cr_assert_eq(st.st_mode & 07777, 0600);
	cr_assert_eq(st.st_nlink, 1);
	cr_assert_lt(getxattr(scratch_path("secret"), "user.x", NULL, 0), 0);
	close(fd);
}

static int open_node(uint64_t node, uint64_t flags)
{
	return SERVE_FAKE_CALL(&fake, OPEN, open, NULL, node, flags, OPS_CONTENT_MAX);
}

static int create(uint64_t parent, const char *name, uint64_t flags)
{
	return SERVE_FAKE_CALL(&fake, CREATE, create, NULL, parent, serve_fake_bytes(name),
			       O_RDWR | flags, 0644);
}

Test(serve_attack, links_out_are_neither_opened_nor_changed_through)
{
	static const char *const names[] = {"absolute", "relative", "to-link", "magic"};
	struct stat st;

	open_with_secret();
	cr_assert_eq(symlink(scratch_path("secret"), serve_fake_path("absolute")), 0);
	cr_assert_eq(symlink("../secret", serve_fake_path("relative")), 0);
	cr_assert_eq(symlink("absolute", serve_fake_path("to-link")), 0);
	cr_assert_eq(symlink("/proc/self/cwd/../secret", serve_fake_path("magic")), 0);
	for (size_t i = 0; i < 4; i++) {
		uint64_t node = serve_fake_node(&fake, names[i]);
		struct args_setattr args = {.node = node, .valid = SETATTR_SIZE};
		struct entry entry;

		cr_assert_eq(open_node(node, O_RDONLY), -ELOOP);
		cr_assert_eq(open_node(node, O_WRONLY | O_TRUNC), -ELOOP);
		cr_assert_eq(create(1, names[i], 0), -ELOOP);
		cr_assert_eq(create(1, names[i], O_TRUNC), -ELOOP);
		cr_assert_eq(create(1, names[i], O_EXCL), -EEXIST);
		cr_assert_eq(create(node, "x", 0), -ENOTDIR);
		cr_assert_eq(serve_fake_call(&fake, OP_SETATTR, &args, NULL), -EINVAL);
		args.valid = SETATTR_MODE;
		args.mode = 0777;
		cr_assert_eq(serve_fake_call(&fake, OP_SETATTR, &args, NULL), -EOPNOTSUPP);
		cr_assert_lt(SERVE_FAKE_CALL(&fake, SETXATTR, setxattr, NULL, node,
					     serve_fake_bytes("user.x"), 0, serve_fake_bytes("y")),
			     0);
		cr_assert_eq(serve_fake_walk(&fake, 0, names[i], &entry), 0);
		/* a hard link to it is one to the link itself */
		cr_assert_eq(
		    SERVE_FAKE_CALL(&fake, LINK, link, NULL, node, 1, serve_fake_bytes("again")),
		    0);
		cr_assert_eq(lstat(serve_fake_path("again"), &st), 0);
		cr_assert(S_ISLNK(st.st_mode));
		cr_assert_eq(unlink(serve_fake_path("again")), 0);
	}
	expect_secret_untouched();
	serve_fake_deinit(&fake);
}

Test(serve_attack, a_link_to_nothing_is_not_where_a_file_is_made)
{
	open_with_secret();
	cr_assert_eq(symlink("../made", serve_fake_path("dangling")), 0);
	cr_assert_eq(create(1, "dangling", 0), -ELOOP);
	cr_assert_neq(access(scratch_path("made"), F_OK), 0);
	cr_assert_eq(
	    SERVE_FAKE_CALL(&fake, MKDIR, mkdir, NULL, 1, serve_fake_bytes("dangling"), 0755),
	    -EEXIST);
	serve_fake_deinit(&fake);
}

Test(serve_attack, what_is_no_file_is_not_opened)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	static const char *const names[] = {"fifo", "socket", "device"};
	struct stat st;

	serve_fake_init(&fake, NULL);
	cr_assert_eq(mkfifo(serve_fake_path("fifo"), 0666), 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", serve_fake_path("socket"));
	cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	cr_assert_eq(listen(fd, 1), 0);
	if (mknod(serve_fake_path("device"), S_IFCHR | 0666, makedev(1, 5)) < 0) /* /dev/zero */
		cr_assert_eq(symlink("x", serve_fake_path("device")), 0);        /* not root */
	for (size_t i = 0; i < 3; i++) {
		uint64_t node = serve_fake_node(&fake, names[i]);
		int error = open_node(node, O_RDONLY);

		cr_assert(error == -EACCES || error == -ELOOP, "%s: %d", names[i], error);
		error = open_node(node, O_RDWR);
		cr_assert(error == -EACCES || error == -ELOOP, "%s: %d", names[i], error);
		error = create(1, names[i], O_TRUNC);
		cr_assert(error == -EACCES || error == -ELOOP, "%s: %d", names[i], error);
		cr_assert_eq(SERVE_FAKE_CALL(&fake, SETATTR, setattr, NULL, node, 0, SETATTR_SIZE),
			     -EINVAL);
	}
	cr_assert_eq(open_node(1, O_RDONLY), -EISDIR);
	cr_assert_eq(stat(serve_fake_path("fifo"), &st), 0);
	close(fd);
	serve_fake_deinit(&fake);
}

Test(serve_attack, numbers_of_nobody_or_of_others_are_refused)
{
	const struct result_open *opened;
	struct serve_fake_call *call;
	struct args_read read_args;
	uint64_t node, handle;
	static const uint64_t numbers[] = {0, 2, 99999, UINT64_MAX, 1ull << 32, (1ull << 32) + 1};

	open_with_secret();
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		cr_assert_eq(SERVE_FAKE_CALL(&fake, GETATTR, getattr, NULL, numbers[i]), -ESTALE);
		cr_assert_eq(open_node(numbers[i], O_RDONLY), -ESTALE);
		serve_fake_forget(&fake, 0, numbers[i], UINT64_MAX);
	}
	scratch_write(serve_fake_path("file"), "text", 4, 0644);
	node = serve_fake_node(&fake, "file");
	cr_assert_eq(SERVE_FAKE_CALL(&fake, OPEN, open, &opened, node, O_RDWR), 0);
	handle = opened->handle;
	/* another session has neither the node nor the file */
	read_args = (struct args_read){.node = node, .handle = handle, .size = 4};
	call = serve_fake_start(&fake, 1, OP_READ, &read_args);
	cr_assert_eq(serve_fake_wait(&fake, call), -EBADF);
	call = serve_fake_start(&fake, 1, OP_GETATTR, &(struct args_getattr){node});
	cr_assert_eq(serve_fake_wait(&fake, call), -ESTALE);
	/* a handle of another node, or that was never given */
	cr_assert_eq(SERVE_FAKE_CALL(&fake, READ, read, NULL, 1, handle, 0, 4), -EBADF);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, READ, read, NULL, node, handle + 1, 0, 4), -EBADF);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, RELEASE, release, NULL, node, UINT64_MAX), -EBADF);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, RELEASE, release, NULL, node, handle), 0);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, RELEASE, release, NULL, node, handle), -EBADF);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, WRITE, write, NULL, node, handle, 0, false,
				     serve_fake_bytes("x")),
		     -EBADF);
	serve_fake_deinit(&fake);
}

Test(serve_attack, forgotten_nodes_in_use_stay_until_they_are_not)
{
	enum { N = 200 };
	struct serve_fake_call *calls[N];
	struct entry entry;

	serve_fake_init(&fake, &(struct serve_options){.verify_ms = -1});
	cr_assert_eq(mkdir(serve_fake_path("a"), 0755), 0);
	cr_assert_eq(mkdir(serve_fake_path("a/b"), 0755), 0);
	for (unsigned round = 0; round < 20; round++) {
		cr_assert_eq(serve_fake_walk(&fake, 0, "a/b", &entry), 0);
		for (unsigned i = 0; i < N; i++) {
			calls[i] = serve_fake_start(&fake, 0, OP_GETATTR,
						    &(struct args_getattr){entry.node});
			serve_fake_forget(&fake, 0, entry.node, UINT64_MAX);
			serve_fake_forget(&fake, 0, 1, UINT64_MAX);
		}
		for (unsigned i = 0; i < N; i++) {
			int error = serve_fake_wait(&fake, calls[i]);

			cr_assert(error == 0 || error == -ESTALE);
		}
	}
	serve_fake_deinit(&fake);
}

Test(serve_attack, the_ground_does_not_move_under_the_export)
{
	uint64_t a, b;

	serve_fake_init(&fake, &(struct serve_options){.verify_ms = -1});
	cr_assert_eq(mkdir(serve_fake_path("a"), 0755), 0);
	cr_assert_eq(mkdir(serve_fake_path("a/b"), 0755), 0);
	a = serve_fake_node(&fake, "a");
	b = serve_fake_node(&fake, "a/b");
	/* into itself, and below itself */
	cr_assert_eq(SERVE_FAKE_CALL(&fake, RENAME, rename, NULL, 1, serve_fake_bytes("a"), a,
				     serve_fake_bytes("x")),
		     -EINVAL);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, RENAME, rename, NULL, 1, serve_fake_bytes("a"), b,
				     serve_fake_bytes("x")),
		     -EINVAL);
	cr_assert_lt(SERVE_FAKE_CALL(&fake, RENAME, rename, NULL, 1, serve_fake_bytes("a"), b,
				     serve_fake_bytes("x"), RENAME_EXCHANGE),
		     0);
	cr_assert_lt(SERVE_FAKE_CALL(&fake, RENAME, rename, NULL, a, serve_fake_bytes("b"), 1,
				     serve_fake_bytes("x"), RENAME_EXCHANGE | RENAME_NOREPLACE),
		     0);
	/* the owner moves a directory out while the peer holds it and what is in it */
	cr_assert_eq(rename(serve_fake_path("a"), scratch_path("moved")), 0);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, MKDIR, mkdir, NULL, a, serve_fake_bytes("x"), 0755),
		     -ESTALE);
	cr_assert_eq(create(b, "x", 0), -ESTALE);
	cr_assert_neq(access(scratch_path("moved/x"), F_OK), 0);
	cr_assert_neq(access(scratch_path("moved/b/x"), F_OK), 0);
	serve_fake_deinit(&fake);
}

Test(serve_attack, odd_arguments_are_answered)
{
	uint64_t dir, file, handle;
	const struct result_open *opened;

	serve_fake_init(&fake, NULL);
	cr_assert_eq(mkdir(serve_fake_path("dir"), 0755), 0);
	scratch_write(serve_fake_path("file"), "text", 4, 0644);
	dir = serve_fake_node(&fake, "dir");
	file = serve_fake_node(&fake, "file");
	cr_assert_lt(
	    SERVE_FAKE_CALL(&fake, MKNOD, mknod, NULL, dir, serve_fake_bytes("x"), S_IFDIR | 0755),
	    0);
	cr_assert_lt(
	    SERVE_FAKE_CALL(&fake, MKNOD, mknod, NULL, dir, serve_fake_bytes("x"), S_IFLNK | 0755),
	    0);
	cr_assert_lt(
	    SERVE_FAKE_CALL(&fake, MKNOD, mknod, NULL, dir, serve_fake_bytes("x"), 0150000), 0);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, SYMLINK, symlink, NULL, dir, serve_fake_bytes("x"),
				     (struct bytes){(const uint8_t *)"a\0b", 3}),
		     -EINVAL);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, READDIR, readdir, NULL, file), -ENOTDIR);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, READLINK, readlink, NULL, file), -EINVAL);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, LINK, link, NULL, dir, 1, serve_fake_bytes("x")),
		     -EPERM);
	cr_assert_lt(SERVE_FAKE_CALL(&fake, GETXATTR, getxattr, NULL, file,
				     (struct bytes){(const uint8_t *)"user.\0x", 7}),
		     0);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, OPEN, open, &opened, file, O_RDWR), 0);
	handle = opened->handle;
	cr_assert_lt(SERVE_FAKE_CALL(&fake, FALLOCATE, fallocate, NULL, file, handle, UINT32_MAX, 0,
				     INT64_MAX),
		     0);
	cr_assert_lt(SERVE_FAKE_CALL(&fake, LSEEK, lseek, NULL, file, handle, INT64_MAX, true), 0);
	cr_assert_lt(SERVE_FAKE_CALL(&fake, WRITE, write, NULL, file, handle, INT64_MAX, false,
				     serve_fake_bytes("x")),
		     0);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, READ, read, NULL, file, handle, INT64_MAX, 0), 0);
	cr_assert_lt(SERVE_FAKE_CALL(&fake, COPY_RANGE, copy_range, NULL, file, handle, 0, file,
				     handle, 1, INT64_MAX),
		     0);
	cr_assert_eq(scratch_mode(serve_fake_path("file")), 0644);
	serve_fake_deinit(&fake);
}
