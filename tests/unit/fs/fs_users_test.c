/* Several users of one mount (allow_other). The kernel's requests come from 1000:1000. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs_kernel.h"

#define SECOND 1000000000ull

static const struct fs_config everybody = {.allow_other = true};

static uint32_t mode_of_top(struct fs_kernel *kernel, uint64_t top)
{
	struct fuse_attr_out attr;

	cr_assert_eq(fs_kernel_getattr(kernel, top, &attr), 0);
	return attr.attr.mode;
}

static int make(struct fs_kernel *kernel, uint64_t parent, const char *name)
{
	struct fuse_mkdir_in in = {.mode = 0755};
	struct fuse_entry_out entry;

	return fs_kernel_name_op(kernel, FUSE_MKDIR, parent, &in, sizeof(in), name, &entry);
}

Test(fs_users, the_kernel_checks_modes_and_acls)
{
	struct fs_kernel *kernel = fs_kernel_new(&everybody);

	cr_assert(kernel->init_flags & FUSE_POSIX_ACL);
	fs_kernel_free(kernel, true);
	kernel = fs_kernel_new(NULL);
	cr_assert_not(kernel->init_flags & FUSE_POSIX_ACL, "the server decides");
	cr_assert(kernel->init_flags & FUSE_HANDLE_KILLPRIV_V2);
	fs_kernel_free(kernel, true);
}

Test(fs_users, a_peers_directory_is_as_it_is_there)
{
	struct fs_kernel *kernel = fs_kernel_new(&everybody);
	uint64_t top = fs_kernel_walk(kernel, "desk");
	struct fuse_attr_out attr;

	cr_assert_eq(fs_kernel_getattr(kernel, top, &attr), 0);
	cr_assert_eq(attr.attr.mode, S_IFDIR | 0755);
	cr_assert_eq(attr.attr.uid, 4000);
	/* What becomes of it is asked for, and nobody waits for the answer. */
	kernel->fake->root->mode = S_IFDIR | 01750;
	kernel->fake->root->uid = 4711;
	fs_kernel_pass(kernel, 2 * SECOND);
	kernel->fake->is_held = true;
	cr_assert_eq(mode_of_top(kernel, top), S_IFDIR | 0755);
	kernel->fake->is_held = false;
	fs_kernel_run(kernel);
	cr_assert_eq(fs_kernel_getattr(kernel, top, &attr), 0);
	cr_assert_eq(attr.attr.mode, S_IFDIR | 01750);
	cr_assert_eq(attr.attr.uid, 4711);
	fs_kernel_free(kernel, true);
}

Test(fs_users, the_mounting_users_view_is_local)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);

	kernel->fake->root->mode = S_IFDIR | 01777;
	cr_assert_eq(mode_of_top(kernel, fs_kernel_walk(kernel, "desk")), S_IFDIR | 0700);
	cr_assert_eq(kernel->fake->n_asked[OP_GETATTR], 0);
	fs_kernel_free(kernel, true);
}

Test(fs_users, callers_go_along_to_who_can_act_as_them)
{
	struct fs_kernel *kernel = fs_kernel_new(&everybody);
	gid_t groups[FRAME_GROUPS_MAX];
	int n = getgroups(FRAME_GROUPS_MAX, groups);
	uint64_t top = fs_kernel_walk(kernel, "desk");

	cr_assert_eq(make(kernel, top, "a"), 0);
	cr_assert_eq(kernel->fake->n_callers, 0, "its daemon is not root");
	kernel->fake->uid = 0;
	fs_fake_session_new(kernel->fake);
	cr_assert_eq(make(kernel, top, "b"), 0);
	cr_assert_eq(kernel->fake->n_callers, 1);
	cr_assert_eq(kernel->fake->caller.uid, 1000);
	cr_assert_eq(kernel->fake->caller.gid, 1000);
	cr_assert_eq(kernel->fake->caller.n_groups, (uint32_t)n);
	for (int i = 0; i < n; i++)
		cr_assert_eq(kernel->fake->caller.groups[i], groups[i]);
	fs_kernel_free(kernel, false);
}

static int get_attribute(struct fs_kernel *kernel, uint64_t node, const char *name)
{
	struct {
		struct fuse_getxattr_in in;
		char name[64];
	} body = {.in = {.size = 100}};
	struct fs_kernel_reply *reply;
	int error;

	strcpy(body.name, name);
	reply =
	    fs_kernel_ask(kernel, FUSE_GETXATTR, node, &body, sizeof(body.in) + strlen(name) + 1);
	error = reply->error;
	free(reply);
	return error;
}

Test(fs_users, a_file_system_without_acls_can_be_entered)
{
	for (int all = 0; all < 2; all++) {
		struct fs_kernel *kernel = fs_kernel_new(all ? &everybody : NULL);
		uint64_t node;

		fs_fake_add(kernel->fake, kernel->fake->root, "dir", S_IFDIR | 0755)->has_xattr =
		    true; /* so that each is asked for */
		node = fs_kernel_walk(kernel, "desk/dir");
		kernel->fake->error[OP_GETXATTR] = -EOPNOTSUPP;
		cr_assert_eq(get_attribute(kernel, node, "system.posix_acl_access"),
			     all ? -ENODATA : -EOPNOTSUPP);
		cr_assert_eq(get_attribute(kernel, node, "user.a"), -EOPNOTSUPP);
		fs_kernel_free(kernel, false);
	}
}

Test(fs_users, one_users_mount_has_no_callers)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);

	kernel->fake->uid = 0;
	fs_fake_session_new(kernel->fake);
	cr_assert_eq(make(kernel, fs_kernel_walk(kernel, "desk"), "a"), 0);
	cr_assert_eq(kernel->fake->n_callers, 0);
	fs_kernel_free(kernel, false);
}
