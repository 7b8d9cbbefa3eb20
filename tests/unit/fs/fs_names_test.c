#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "fs_kernel.h"

#define SECOND 1000000000ull

Test(fs_names, root_lists_peers_and_never_asks_them)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fuse_entry_out entry;
	struct fuse_attr_out attr;
	uint64_t desk;

	fs_kernel_run(kernel);
	kernel->fake->is_held = true;
	memset(kernel->fake->n_asked, 0, sizeof(kernel->fake->n_asked));
	cr_assert_eq(fs_kernel_lookup(kernel, FUSE_ROOT_ID, "nobody", NULL), -ENOENT);
	cr_assert_eq(fs_kernel_lookup(kernel, FUSE_ROOT_ID, "desk", &entry), 0);
	cr_assert(S_ISDIR(entry.attr.mode));
	cr_assert_eq(entry.attr.uid, 1000);
	desk = entry.nodeid;
	cr_assert_eq(fs_kernel_getattr(kernel, FUSE_ROOT_ID, &attr), 0);
	cr_assert_eq(attr.attr.nlink, 3);
	cr_assert_eq(fs_kernel_getattr(kernel, desk, &attr), 0);
	cr_assert_eq(fs_kernel_name_op(kernel, FUSE_MKDIR, FUSE_ROOT_ID, &(struct fuse_mkdir_in){0},
				       sizeof(struct fuse_mkdir_in), "x", NULL),
		     -EPERM);
	for (int op = 0; op < 64; op++)
		cr_assert_eq(kernel->fake->n_asked[op], 0, "op %d was asked", op);
	kernel->fake->is_held = false;
	fs_kernel_forget(kernel, desk, 1);
	fs_kernel_free(kernel, true);
}

Test(fs_names, peers_come_go_and_change_their_names)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_fake *other = fs_fake_new();
	struct fs_peer *peer;
	struct bytes id = {(const uint8_t *)"other", 5};
	uint64_t desk, note;

	fs_fake_add(kernel->fake, kernel->fake->root, "note", S_IFREG | 0644);
	cr_assert_eq(fs_peer_add(kernel->fs, "desk", id, &other->transport, NULL, &peer), -EEXIST);
	cr_assert_eq(fs_peer_add(kernel->fs, ".x", id, &other->transport, NULL, &peer), -EINVAL);
	cr_assert_eq(fs_peer_add(kernel->fs, "a/b", id, &other->transport, NULL, &peer), -EINVAL);
	cr_assert_eq(fs_peer_add(kernel->fs, "two", id, &other->transport, NULL, &peer), 0);
	cr_assert_eq(fs_peer_rename(peer, "desk"), -EEXIST);
	cr_assert_eq(fs_peer_rename(peer, "lap"), 0);
	cr_assert_neq(fs_kernel_walk(kernel, "lap"), 0);
	cr_assert_eq(fs_kernel_walk(kernel, "two"), 0);
	fs_peer_remove(peer);
	cr_assert_eq(fs_kernel_walk(kernel, "lap"), 0);
	desk = fs_kernel_walk(kernel, "desk");
	note = fs_kernel_walk(kernel, "desk/note");
	fs_peer_remove(kernel->peer);
	cr_assert_eq(fs_kernel_getattr(kernel, note, &(struct fuse_attr_out){0}), -ESTALE);
	cr_assert_eq(fs_kernel_lookup(kernel, desk, "note", NULL), -ESTALE);
	cr_assert_eq(kernel->fake->listener, NULL);
	fs_kernel_forget(kernel, note, 1);
	fs_kernel_forget(kernel, desk, 2);
	fs_fake_free(other);
	fs_kernel_free(kernel, false);
}

Test(fs_names, references_come_back_when_the_kernel_forgets)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_fake_object *dir =
	    fs_fake_add(kernel->fake, kernel->fake->root, "dir", S_IFDIR | 0755);
	struct fuse_entry_out entry = {0};
	uint64_t desk = fs_kernel_walk(kernel, "desk"), node, file;

	fs_fake_add(kernel->fake, dir, "file", S_IFREG | 0600);
	cr_assert_eq(fs_kernel_lookup(kernel, desk, "dir", &entry), 0);
	node = entry.nodeid;
	cr_assert_eq(fs_kernel_lookup(kernel, node, "file", &entry), 0);
	file = entry.nodeid;
	fs_kernel_pass(kernel, 2 * SECOND);
	cr_assert_eq(fs_kernel_lookup(kernel, node, "file", &entry), 0);
	cr_assert_eq(entry.nodeid, file, "the same object is the same node");
	cr_assert_geq(fs_fake_outstanding(kernel->fake), 3);
	/* The directory first: its children still need its name. */
	fs_kernel_forget(kernel, node, 1);
	fs_kernel_forget(kernel, file, 2);
	fs_kernel_forget(kernel, desk, 1);
	fs_kernel_free(kernel, true);
}

Test(fs_names, forgets_are_sent_in_batches)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	uint64_t desk = fs_kernel_walk(kernel, "desk"), nodes[100];
	char name[16];

	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		fs_fake_add(kernel->fake, kernel->fake->root, name, S_IFREG | 0600);
		nodes[i] = 0;
	}
	for (int i = 0; i < 100; i++) {
		struct fuse_entry_out entry;

		snprintf(name, sizeof(name), "f%d", i);
		cr_assert_eq(fs_kernel_lookup(kernel, desk, name, &entry), 0);
		nodes[i] = entry.nodeid;
	}
	for (int i = 0; i < 100; i++)
		fs_kernel_forget(kernel, nodes[i], 1);
	fs_kernel_forget(kernel, desk, 1);
	fs_kernel_pass(kernel, 5 * SECOND);
	cr_assert_leq(kernel->fake->n_forget_events, 3);
	fs_kernel_free(kernel, true);
}

Test(fs_names, an_object_of_another_type_is_another_node)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	uint64_t desk = fs_kernel_walk(kernel, "desk");
	struct fuse_entry_out first, second;
	struct fs_fake_object *object =
	    fs_fake_add(kernel->fake, kernel->fake->root, "x", S_IFREG | 0644);

	cr_assert_eq(fs_kernel_lookup(kernel, desk, "x", &first), 0);
	object->mode = S_IFDIR | 0755; /* the same number, as a hostile peer might say */
	fs_kernel_pass(kernel, 2 * SECOND);
	cr_assert_eq(fs_kernel_lookup(kernel, desk, "x", &second), 0);
	cr_assert_neq(first.nodeid, second.nodeid);
	cr_assert(S_ISDIR(second.attr.mode));
	cr_assert_eq(fs_kernel_getattr(kernel, first.nodeid, &(struct fuse_attr_out){0}), -ESTALE);
	fs_kernel_forget(kernel, first.nodeid, 1);
	fs_kernel_forget(kernel, second.nodeid, 1);
	fs_kernel_forget(kernel, desk, 1);
	fs_kernel_free(kernel, true);
}

Test(fs_names, own_changes_are_seen_at_once)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	uint64_t desk = fs_kernel_walk(kernel, "desk");
	struct fuse_mkdir_in mkdir = {.mode = 0777, .umask = 022};
	struct fuse_entry_out dir, entry;

	cr_assert_eq(fs_kernel_lookup(kernel, desk, "new", NULL), -ENOENT);
	cr_assert_eq(
	    fs_kernel_name_op(kernel, FUSE_MKDIR, desk, &mkdir, sizeof(mkdir), "new", &dir), 0);
	cr_assert_eq(dir.attr.mode, S_IFDIR | 0755);
	cr_assert_eq(fs_kernel_lookup(kernel, desk, "new", &entry), 0);
	cr_assert_eq(entry.nodeid, dir.nodeid);
	cr_assert_eq(fs_kernel_rename(kernel, desk, "new", desk, "newer", 0), 0);
	cr_assert_eq(fs_kernel_lookup(kernel, desk, "new", NULL), -ENOENT);
	cr_assert_eq(fs_kernel_lookup(kernel, desk, "newer", &entry), 0);
	cr_assert_eq(entry.nodeid, dir.nodeid);
	cr_assert_eq(fs_kernel_name_op(kernel, FUSE_RMDIR, desk, NULL, 0, "newer", NULL), 0);
	cr_assert_eq(fs_kernel_lookup(kernel, desk, "newer", NULL), -ENOENT);
	fs_kernel_forget(kernel, dir.nodeid, 3);
	fs_kernel_forget(kernel, desk, 1);
	fs_kernel_free(kernel, true);
}

Test(fs_names, a_file_that_lost_its_other_name_has_one_link_less)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_fake_object *root = kernel->fake->root;
	uint64_t desk = fs_kernel_walk(kernel, "desk");
	struct fs_fake_object *object = fs_fake_add(kernel->fake, root, "a", S_IFREG | 0644);
	struct fuse_entry_out a, b;
	struct fuse_attr_out attr;

	fs_fake_link(root, "b", object);
	fs_fake_link(root, "c", object);
	cr_assert_eq(fs_kernel_lookup(kernel, desk, "a", &a), 0);
	cr_assert_eq(fs_kernel_lookup(kernel, desk, "b", &b), 0);
	cr_assert_eq(a.nodeid, b.nodeid);
	cr_assert_eq(fs_kernel_name_op(kernel, FUSE_UNLINK, desk, NULL, 0, "a", NULL), 0);
	cr_assert_eq(fs_kernel_getattr(kernel, b.nodeid, &attr), 0);
	cr_assert_eq(attr.attr.nlink, 2);
	fs_fake_add(kernel->fake, root, "x", S_IFREG | 0644);
	cr_assert_eq(fs_kernel_rename(kernel, desk, "x", desk, "c", 0), 0);
	cr_assert_eq(fs_kernel_getattr(kernel, b.nodeid, &attr), 0);
	cr_assert_eq(attr.attr.nlink, 1);
	fs_kernel_forget(kernel, b.nodeid, 2);
	fs_kernel_forget(kernel, desk, 1);
	fs_kernel_free(kernel, true);
}

Test(fs_names, a_reply_overtaken_by_an_own_change_is_not_cached)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	uint64_t desk = fs_kernel_walk(kernel, "desk"), looked_up, made;
	struct fuse_mkdir_in mkdir = {.mode = 0777};
	char body[32];
	struct fs_kernel_reply *reply;
	struct fuse_entry_out entry;

	/* LOOKUP is sent first and answered ENOENT, but its answer comes after MKDIR's. */
	fs_kernel_run(kernel);
	kernel->fake->is_held = true;
	looked_up = fs_kernel_send(kernel, FUSE_LOOKUP, desk, "new", 4);
	fs_kernel_run(kernel);
	memcpy(body, &mkdir, sizeof(mkdir));
	strcpy(body + sizeof(mkdir), "new");
	made = fs_kernel_send(kernel, FUSE_MKDIR, desk, body, sizeof(mkdir) + 4);
	fs_kernel_run(kernel);
	fs_fake_reverse(kernel->fake);
	kernel->fake->error[OP_LOOKUP] = -ENOENT;
	kernel->fake->is_held = false;
	fs_kernel_run(kernel);
	kernel->fake->error[OP_LOOKUP] = 0;
	reply = fs_kernel_take(kernel, made);
	cr_assert(reply && !reply->error);
	memcpy(&entry, reply->data, sizeof(entry));
	fs_kernel_forget(kernel, entry.nodeid, 1);
	free(reply);
	reply = fs_kernel_take(kernel, looked_up);
	cr_assert(reply && !reply->error);
	memcpy(&entry, reply->data, sizeof(entry));
	cr_assert_eq(entry.nodeid, 0);
	cr_assert_eq(entry.entry_valid, 0);
	cr_assert_eq(entry.entry_valid_nsec, 0, "a negative entry that is wrong by now");
	free(reply);
	fs_kernel_forget(kernel, desk, 1);
	fs_kernel_free(kernel, true);
}

Test(fs_names, attributes_are_asked_for_once_a_second)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_fake_object *object =
	    fs_fake_add(kernel->fake, kernel->fake->root, "x", S_IFREG | 0644);
	uint64_t desk = fs_kernel_walk(kernel, "desk"), node = fs_kernel_walk(kernel, "desk/x");
	struct fuse_attr_out attr;

	object->size = 5;
	cr_assert_eq(fs_kernel_getattr(kernel, node, &attr), 0);
	cr_assert_eq(attr.attr.size, 0);
	cr_assert_eq(kernel->fake->n_asked[OP_GETATTR], 0);
	cr_assert_leq(attr.attr_valid * SECOND + attr.attr_valid_nsec, SECOND);
	fs_kernel_pass(kernel, SECOND);
	cr_assert_eq(fs_kernel_getattr(kernel, node, &attr), 0);
	cr_assert_eq(attr.attr.size, 5);
	cr_assert_eq(kernel->fake->n_asked[OP_GETATTR], 1);
	cr_assert_eq(attr.attr.uid, 1000, "the peer's user shows as the mounting user");
	object->uid = 77;
	fs_kernel_pass(kernel, SECOND);
	cr_assert_eq(fs_kernel_getattr(kernel, node, &attr), 0);
	cr_assert_eq(attr.attr.uid, 77);
	fs_kernel_forget(kernel, node, 1);
	fs_kernel_forget(kernel, desk, 2);
	fs_kernel_free(kernel, true);
}

/* attr_timeout: for how long, and that 0 is never. */
Test(fs_names, how_long_attributes_are_believed_is_configured)
{
	struct fs_config config = {.trust = 5 * SECOND};
	struct fs_kernel *kernel = fs_kernel_new(&config);
	uint64_t node;

	fs_fake_add(kernel->fake, kernel->fake->root, "x", S_IFREG | 0644);
	node = fs_kernel_walk(kernel, "desk/x");
	fs_kernel_pass(kernel, 4 * SECOND);
	cr_assert_eq(fs_kernel_getattr(kernel, node, NULL), 0);
	cr_assert_eq(kernel->fake->n_asked[OP_GETATTR], 0);
	fs_kernel_pass(kernel, SECOND);
	cr_assert_eq(fs_kernel_getattr(kernel, node, NULL), 0);
	cr_assert_eq(kernel->fake->n_asked[OP_GETATTR], 1);
	fs_kernel_free(kernel, false);

	config.trust = 1;
	kernel = fs_kernel_new(&config);
	fs_fake_add(kernel->fake, kernel->fake->root, "x", S_IFREG | 0644);
	node = fs_kernel_walk(kernel, "desk/x");
	for (unsigned i = 1; i < 10; i++) {
		fs_kernel_pass(kernel, 1000);
		cr_assert_eq(fs_kernel_lookup(kernel, fs_kernel_walk(kernel, "desk"), "x", NULL),
			     0);
		cr_assert_eq(kernel->fake->n_asked[OP_LOOKUP], 1 + i);
		cr_assert_eq(fs_kernel_getattr(kernel, node, NULL), 0);
	}
	cr_assert_eq(kernel->fake->n_asked[OP_READDIR], 0);
	fs_kernel_free(kernel, false);
}

Test(fs_names, hidden_directory_has_status_and_cannot_be_changed)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	uint64_t desk = fs_kernel_walk(kernel, "desk"), status, handle;
	struct fuse_read_in in = {.size = 4096};
	struct fs_kernel_reply *reply;
	struct fuse_attr_out attr;

	fs_kernel_run(kernel);
	kernel->fake->is_held = true;
	status = fs_kernel_walk(kernel, "desk/.loopsy/status");
	cr_assert_neq(status, 0);
	cr_assert_eq(fs_kernel_getattr(kernel, status, &attr), 0);
	cr_assert_eq(attr.attr.size, strlen("name desk\n"));
	cr_assert_eq(fs_kernel_open(kernel, FUSE_OPEN, status, &handle), 0);
	in.fh = handle;
	reply = fs_kernel_ask(kernel, FUSE_READ, status, &in, sizeof(in));
	cr_assert_eq(reply->error, 0);
	cr_assert_str_eq((char *)reply->data, "name desk\n");
	free(reply);
	fs_kernel_release(kernel, FUSE_RELEASE, status, handle);
	cr_assert_neq(fs_kernel_walk(kernel, ".loopsy/status"), 0);
	cr_assert_eq(fs_kernel_walk(kernel, "desk/.loopsy/nothing"), 0);
	cr_assert_eq(fs_kernel_name_op(kernel, FUSE_RMDIR, desk, NULL, 0, ".loopsy", NULL), -EPERM);
	cr_assert_eq(fs_kernel_rename(kernel, desk, ".loopsy", desk, "x", 0), -EPERM);
	kernel->fake->is_held = false;
	fs_kernel_free(kernel, true);
}

Test(fs_names, init_allows_lookups_side_by_side)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);

	cr_assert(kernel->init_flags & FUSE_PARALLEL_DIROPS);
	cr_assert(kernel->init_flags & FUSE_DO_READDIRPLUS);
	cr_assert(!(kernel->init_flags & FUSE_WRITEBACK_CACHE));
	fs_kernel_free(kernel, true);
}

static void count_begun(void *arg)
{
	struct fs_kernel *kernel = arg;

	kernel->n_begun++;
}

Test(fs_names, the_owner_is_told_once_that_the_kernel_has_begun)
{
	struct fs_kernel *kernel = fs_kernel_new(&(struct fs_config){.begun = count_begun});

	cr_assert_eq(kernel->n_begun, 1);
	cr_assert_neq(fs_kernel_walk(kernel, "desk"), 0);
	cr_assert_eq(kernel->n_begun, 1);
	fs_kernel_free(kernel, true);
}
