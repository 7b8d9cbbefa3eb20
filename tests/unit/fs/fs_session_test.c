#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>

#include "fs_kernel.h"

#define SECOND 1000000000ull

Test(fs_session, nodes_are_found_again_by_their_names)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_fake_object *a =
	    fs_fake_add(kernel->fake, kernel->fake->root, "a", S_IFDIR | 0755);
	struct fs_fake_object *b = fs_fake_add(kernel->fake, a, "b", S_IFDIR | 0755);
	struct fs_fake_object *c = fs_fake_add(kernel->fake, b, "c", S_IFREG | 0644);
	uint64_t node = fs_kernel_walk(kernel, "desk/a/b/c");
	struct fuse_attr_out attr;

	c->size = 11;
	fs_kernel_pass(kernel, 2 * SECOND);
	fs_fake_session_new(kernel->fake);
	cr_assert_eq(fs_kernel_getattr(kernel, node, &attr), 0);
	cr_assert_eq(attr.attr.size, 11);
	cr_assert_eq(kernel->fake->n_asked[OP_LOOKUP], 3 + 3);
	/* The next one knows where it is. */
	fs_kernel_pass(kernel, 2 * SECOND);
	cr_assert_eq(fs_kernel_getattr(kernel, node, &attr), 0);
	cr_assert_eq(kernel->fake->n_asked[OP_LOOKUP], 3 + 3);
	fs_kernel_free(kernel, false);
}

Test(fs_session, many_calls_wait_for_one_walk)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_fake_object *a =
	    fs_fake_add(kernel->fake, kernel->fake->root, "a", S_IFDIR | 0755);
	uint64_t node, uniques[20];
	struct fuse_getattr_in in = {0};

	fs_fake_add(kernel->fake, a, "b", S_IFREG | 0644);
	node = fs_kernel_walk(kernel, "desk/a/b");
	fs_kernel_pass(kernel, 2 * SECOND);
	fs_fake_session_new(kernel->fake);
	kernel->fake->n_asked[OP_LOOKUP] = 0;
	for (int i = 0; i < 20; i++)
		uniques[i] = fs_kernel_send(kernel, FUSE_GETATTR, node, &in, sizeof(in));
	fs_kernel_run(kernel);
	for (int i = 0; i < 20; i++) {
		struct fs_kernel_reply *reply = fs_kernel_take(kernel, uniques[i]);

		cr_assert(reply && !reply->error);
		free(reply);
	}
	cr_assert_eq(kernel->fake->n_asked[OP_LOOKUP], 2);
	fs_kernel_free(kernel, false);
}

Test(fs_session, what_is_gone_or_replaced_is_stale)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_fake_object *a =
	    fs_fake_add(kernel->fake, kernel->fake->root, "a", S_IFDIR | 0755);
	uint64_t gone, replaced, dir;
	struct fuse_attr_out attr;
	struct fuse_entry_out entry;

	fs_fake_add(kernel->fake, a, "gone", S_IFREG | 0644);
	fs_fake_add(kernel->fake, a, "replaced", S_IFREG | 0644);
	gone = fs_kernel_walk(kernel, "desk/a/gone");
	replaced = fs_kernel_walk(kernel, "desk/a/replaced");
	dir = fs_kernel_walk(kernel, "desk/a");
	fs_kernel_pass(kernel, 2 * SECOND);
	fs_fake_remove(a, "gone");
	fs_fake_remove(a, "replaced");
	fs_fake_add(kernel->fake, a, "replaced", S_IFREG | 0644);
	fs_fake_session_new(kernel->fake);
	cr_assert_eq(fs_kernel_getattr(kernel, gone, &attr), -ESTALE);
	cr_assert_eq(fs_kernel_getattr(kernel, replaced, &attr), -ESTALE);
	cr_assert_eq(fs_kernel_lookup(kernel, dir, "replaced", &entry), 0);
	cr_assert_neq(entry.nodeid, replaced);
	cr_assert_eq(fs_kernel_getattr(kernel, entry.nodeid, &attr), 0);
	fs_kernel_free(kernel, false);
}

Test(fs_session, repeatable_calls_are_sent_again_and_others_fail)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_fake_object *a =
	    fs_fake_add(kernel->fake, kernel->fake->root, "a", S_IFDIR | 0755);
	uint64_t dir = fs_kernel_walk(kernel, "desk/a"), looked_up, made;
	struct fuse_mkdir_in mkdir = {.mode = 0777};
	struct fs_kernel_reply *reply;
	char body[32];

	fs_fake_add(kernel->fake, a, "x", S_IFREG | 0644);
	kernel->fake->is_held = true;
	looked_up = fs_kernel_send(kernel, FUSE_LOOKUP, dir, "x", 2);
	memcpy(body, &mkdir, sizeof(mkdir));
	memcpy(body + sizeof(mkdir), "y", 2);
	made = fs_kernel_send(kernel, FUSE_MKDIR, dir, body, sizeof(mkdir) + 2);
	fs_kernel_run(kernel);
	fs_fake_session_new(kernel->fake);
	kernel->fake->is_held = false;
	fs_kernel_run(kernel);
	reply = fs_kernel_take(kernel, looked_up);
	cr_assert(reply && !reply->error);
	free(reply);
	reply = fs_kernel_take(kernel, made);
	cr_assert(reply && reply->error == -EIO, "whether it was made is not known");
	free(reply);
	fs_kernel_free(kernel, false);
}

Test(fs_session, a_peer_that_is_down_fails_at_once_and_comes_back)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	uint64_t node;
	struct fuse_attr_out attr;

	fs_fake_add(kernel->fake, kernel->fake->root, "a", S_IFREG | 0644);
	node = fs_kernel_walk(kernel, "desk/a");
	fs_kernel_pass(kernel, 2 * SECOND);
	kernel->fake->is_down = true;
	cr_assert_eq(fs_kernel_getattr(kernel, node, &attr), -EHOSTDOWN);
	fs_fake_session_new(kernel->fake);
	cr_assert_eq(fs_kernel_getattr(kernel, node, &attr), -EHOSTDOWN);
	kernel->fake->is_down = false;
	cr_assert_eq(fs_kernel_getattr(kernel, node, &attr), 0);
	fs_kernel_free(kernel, false);
}

Test(fs_session, a_removed_peer_ends_what_waits)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_fake_object *a =
	    fs_fake_add(kernel->fake, kernel->fake->root, "a", S_IFDIR | 0755);
	uint64_t dir, node, desk, waiting[3], handle;
	struct fuse_getattr_in in = {0};
	struct fuse_read_in read_in = {.size = 4096};

	fs_fake_add(kernel->fake, a, "x", S_IFREG | 0644);
	node = fs_kernel_walk(kernel, "desk/a/x");
	dir = fs_kernel_walk(kernel, "desk/a");
	desk = fs_kernel_walk(kernel, "desk");
	cr_assert_eq(fs_kernel_open(kernel, FUSE_OPENDIR, desk, &handle), 0);
	fs_kernel_pass(kernel, 2 * SECOND);
	fs_fake_session_new(kernel->fake); /* so that some wait for others */
	kernel->fake->is_held = true;
	waiting[0] = fs_kernel_send(kernel, FUSE_GETATTR, node, &in, sizeof(in));
	waiting[1] = fs_kernel_send(kernel, FUSE_LOOKUP, dir, "y", 2);
	read_in.fh = handle;
	waiting[2] = fs_kernel_send(kernel, FUSE_READDIR, desk, &read_in, sizeof(read_in));
	fs_kernel_run(kernel);
	fs_peer_remove(kernel->peer);
	fs_kernel_run(kernel);
	for (int i = 0; i < 3; i++) {
		struct fs_kernel_reply *reply = fs_kernel_take(kernel, waiting[i]);

		cr_assert(reply && reply->error == -ESTALE, "request %d", i);
		free(reply);
	}
	fs_kernel_release(kernel, FUSE_RELEASEDIR, desk, handle);
	kernel->fake->is_held = false;
	fs_kernel_free(kernel, false);
}
