/* Directories that their own user may not search any more. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>

#include "fs_kernel.h"

/* Its own user's desk/d, with a file f in it. */
static uint64_t make_own_directory(struct fs_kernel *kernel)
{
	struct fs_fake_object *dir =
	    fs_fake_add(kernel->fake, kernel->fake->root, "d", S_IFDIR | 0755);

	dir->uid = kernel->fake->uid;
	fs_fake_add(kernel->fake, dir, "f", S_IFREG | 0644);
	return fs_kernel_walk(kernel, "desk/d");
}

/* Sends it; returns how often the kernel had been told to ask for all names when the answer came.
 */
static unsigned change(struct fs_kernel *kernel, uint32_t opcode, uint64_t dir, const void *body,
		       size_t size)
{
	struct fs_kernel_reply *reply = fs_kernel_ask(kernel, opcode, dir, body, size);
	unsigned n = reply->n_epochs;

	cr_assert_eq(reply->error, 0);
	free(reply);
	return n;
}

static unsigned change_mode(struct fs_kernel *kernel, uint64_t dir, uint32_t mode)
{
	struct fuse_setattr_in in = {.valid = FATTR_MODE, .mode = S_IFDIR | mode};

	return change(kernel, FUSE_SETATTR, dir, &in, sizeof(in));
}

static unsigned set_xattr(struct fs_kernel *kernel, uint64_t dir, const char *name)
{
	struct {
		uint32_t size, flags;
		char rest[64];
	} body = {.size = 5};
	size_t n = strlen(name) + 1;

	memcpy(body.rest, name, n);
	memcpy(body.rest + n, "value", 5);
	return change(kernel, FUSE_SETXATTR, dir, &body, 8 + n + 5);
}

Test(fs_search, names_are_taken_back_before_a_directory_is_closed)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	uint64_t dir = make_own_directory(kernel);

	cr_assert_eq(fs_kernel_lookup(kernel, dir, "f", NULL), 0);
	cr_assert_eq(change_mode(kernel, dir, 0700), 0);
	cr_assert_eq(change_mode(kernel, dir, 0600), 1);
	kernel->fake->error[OP_LOOKUP] = -EACCES;
	cr_assert_eq(fs_kernel_lookup(kernel, dir, "f", NULL), -EACCES);
	fs_kernel_free(kernel, false);
}

Test(fs_search, an_acl_may_close_a_directory_too)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	uint64_t dir = make_own_directory(kernel);

	cr_assert_eq(set_xattr(kernel, dir, "user.a"), 0);
	cr_assert_eq(set_xattr(kernel, dir, "system.posix_acl_default"), 0);
	cr_assert_eq(
	    set_xattr(kernel, fs_kernel_walk(kernel, "desk/d/f"), "system.posix_acl_access"), 0);
	cr_assert_eq(set_xattr(kernel, dir, "system.posix_acl_access"), 1);
	fs_kernel_free(kernel, false);
}

/* With allow_other the kernel looks at the mode itself. */
Test(fs_search, names_are_not_taken_back_where_the_kernel_checks)
{
	struct fs_kernel *kernel = fs_kernel_new(&(struct fs_config){.allow_other = true});
	uint64_t dir = make_own_directory(kernel);

	cr_assert_eq(change_mode(kernel, dir, 0600), 0);
	cr_assert_eq(set_xattr(kernel, dir, "system.posix_acl_access"), 0);
	fs_kernel_free(kernel, false);
}

/* Who may read it and not search it may not know that a name is not there. */
Test(fs_search, of_a_closed_directory_the_peer_says_what_is_absent)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	uint64_t dir = make_own_directory(kernel);
	unsigned *n_asked = &kernel->fake->n_asked[OP_LOOKUP];

	for (unsigned is_open = 0; is_open < 2; is_open++) {
		change_mode(kernel, dir, is_open ? 0700 : 0677);
		cr_assert_str_eq(fs_kernel_list(kernel, "desk/d"), ". .. f ");
		kernel->fake->error[OP_LOOKUP] = -EACCES;
		*n_asked = 0;
		cr_assert_eq(fs_kernel_lookup(kernel, dir, "absent", NULL),
			     is_open ? -ENOENT : -EACCES);
		cr_assert_eq(*n_asked, !is_open);
		kernel->fake->error[OP_LOOKUP] = 0;
	}
	fs_kernel_free(kernel, false);
}
