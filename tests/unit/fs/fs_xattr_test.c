/* Extended attributes that are known to be absent are not asked for. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "fs_kernel_files.h"

#define SECOND 1000000000ull

static int get(struct fs_kernel *kernel, uint64_t node, const char *name)
{
	struct {
		struct fuse_getxattr_in in;
		char name[64];
	} body = {.in = {.size = 100}};
	struct fs_kernel_reply *reply;
	int r;

	strcpy(body.name, name);
	reply =
	    fs_kernel_ask(kernel, FUSE_GETXATTR, node, &body, sizeof(body.in) + strlen(name) + 1);
	r = reply->error ? reply->error : (int)reply->size;
	free(reply);
	return r;
}

static uint64_t start_set(struct fs_kernel *kernel, uint64_t node)
{
	struct {
		uint32_t size, flags;
		char rest[16];
	} body = {.size = 5, .rest = "user.a\0value"};

	return fs_kernel_send(kernel, FUSE_SETXATTR, node, &body, 8 + 7 + 5);
}

static void take(struct fs_kernel *kernel, uint64_t unique)
{
	struct fs_kernel_reply *reply = fs_kernel_take(kernel, unique);

	cr_assert(reply && reply->error == 0);
	free(reply);
}

Test(fs_xattr, a_peer_that_was_removed_is_not_asked)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	uint64_t node;

	fs_fake_add(kernel->fake, kernel->fake->root, "f", S_IFREG | 0644);
	node = fs_kernel_walk(kernel, "desk/f");
	fs_peer_remove(kernel->peer);
	cr_assert_lt(get(kernel, node, "user.a"), 0);
	cr_assert_lt(get(kernel, node, "system.posix_acl_access"), 0);
	fs_kernel_free(kernel, false);
}

Test(fs_xattr, what_has_none_is_asked_once_a_second)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	unsigned *n_asked = &kernel->fake->n_asked[OP_GETXATTR];
	struct fs_fake_object *file =
	    fs_fake_add(kernel->fake, kernel->fake->root, "f", S_IFREG | 0644);
	uint64_t node = fs_kernel_walk(kernel, "desk/f");

	cr_assert_eq(get(kernel, node, "user.a"), -ENODATA);
	cr_assert_eq(get(kernel, node, "security.capability"), -ENODATA);
	cr_assert_eq(get(kernel, node, "system.posix_acl_access"), -ENODATA);
	cr_assert_eq(get(kernel, node, "security.selinux"), -EOPNOTSUPP);
	cr_assert_eq(*n_asked, 0);
	/* Other names are the peer's to judge. */
	cr_assert_eq(get(kernel, node, "strange.a"), -ENODATA);
	cr_assert_eq(*n_asked, 1);
	file->has_xattr = true;
	cr_assert_eq(get(kernel, node, "user.a"), -ENODATA);
	fs_kernel_pass(kernel, SECOND);
	cr_assert_eq(get(kernel, node, "user.a"), 5);
	cr_assert_eq(*n_asked, 2);
	fs_kernel_free(kernel, false);
}

Test(fs_xattr, one_set_here_is_seen_at_once)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	uint64_t node, set;

	fs_fake_add(kernel->fake, kernel->fake->root, "f", S_IFREG | 0644);
	node = fs_kernel_walk(kernel, "desk/f");
	cr_assert_eq(get(kernel, node, "user.a"), -ENODATA);
	set = start_set(kernel, node);
	fs_kernel_run(kernel);
	take(kernel, set);
	cr_assert_eq(get(kernel, node, "user.a"), 5);
	fs_kernel_free(kernel, false);
}

/* Each write(2) asks for security.capability; the attributes are ours while writes are under way.
 */
Test(fs_xattr, a_writer_is_not_asked_before_each_write)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_file file;

	cr_assert_eq(fs_kernel_file_create(kernel, "desk", "f", O_RDWR | O_EXCL, &file), 0);
	for (unsigned i = 0; i < 40; i++) {
		cr_assert_eq(get(kernel, file.node, "security.capability"), -ENODATA);
		cr_assert_eq(fs_kernel_file_write(kernel, &file, 5 * i, "bytes", 5), 5);
		fs_kernel_pass(kernel, SECOND / 10);
	}
	cr_assert_eq(kernel->fake->n_asked[OP_GETXATTR], 0);
	cr_assert_eq(fs_kernel_file_close(kernel, &file), 0);
	fs_kernel_free(kernel, false);
}

/* The answer to a write says what was true before the attribute was set. */
Test(fs_xattr, a_reply_overtaken_by_an_own_change_is_not_believed)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_fake_object *object;
	struct fs_kernel_file file;
	uint64_t written, set;

	cr_assert_eq(fs_kernel_file_create(kernel, "desk", "f", O_RDWR | O_EXCL, &file), 0);
	object = fs_fake_find(kernel->fake->root, "f");
	kernel->fake->is_held = true;
	set = start_set(kernel, file.node);
	fs_kernel_run(kernel);
	written = fs_kernel_file_send_write(kernel, &file, 0, "bytes", 5);
	fs_kernel_run(kernel);
	fs_fake_reverse(kernel->fake);
	kernel->fake->is_held = false;
	fs_kernel_run(kernel);
	take(kernel, set);
	take(kernel, written);
	cr_assert(object->has_xattr);
	cr_assert_eq(get(kernel, file.node, "user.a"), 5);
	cr_assert_eq(fs_kernel_file_close(kernel, &file), 0);
	fs_kernel_free(kernel, false);
}
