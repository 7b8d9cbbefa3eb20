#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>

#include "fs/dir.h"
#include "fs_kernel_dir.h"

#define SECOND 1000000000ull

Test(fs_dir, a_directory_is_one_question_and_answers_lookups)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_seen seen = {.kernel = kernel, .forget = true};
	uint64_t desk = fs_kernel_walk(kernel, "desk"), handle;
	struct fuse_entry_out entry;

	fs_kernel_add_files(kernel, 1000);
	fs_fake_add(kernel->fake, kernel->fake->root, ".loopsy", S_IFDIR | 0755);
	cr_assert_eq(fs_kernel_open(kernel, FUSE_OPENDIR, desk, &handle), 0);
	cr_assert_eq(fs_kernel_read_dir(&seen, desk, handle, 0, true), 0);
	cr_assert_eq(seen.n, 1002);
	cr_assert(!seen.saw_hidden, "the peer's own .loopsy is not listed");
	cr_assert_eq(seen.n_nodes, 1000);
	cr_assert_eq(kernel->fake->n_asked[OP_READDIR], 1);
	fs_kernel_release(kernel, FUSE_RELEASEDIR, desk, handle);
	/* Present and absent names, without asking. */
	cr_assert_eq(fs_kernel_lookup(kernel, desk, "file-0000500", NULL), 0);
	cr_assert_eq(fs_kernel_lookup(kernel, desk, "absent", NULL), -ENOENT);
	cr_assert_eq(kernel->fake->n_asked[OP_LOOKUP], 1, "only what had been forgotten");
	cr_assert_eq(fs_kernel_lookup(kernel, desk, "file-0000501", &entry), 0);
	fs_kernel_pass(kernel, SECOND);
	cr_assert_eq(fs_kernel_lookup(kernel, desk, "absent", NULL), -ENOENT);
	cr_assert_geq(kernel->fake->n_asked[OP_LOOKUP], 2, "a second is over");
	fs_kernel_free(kernel, false);
}

Test(fs_dir, what_was_listed_and_not_used_goes_back_to_the_server)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_seen seen = {.kernel = kernel};
	uint64_t desk = fs_kernel_walk(kernel, "desk"), handle;

	fs_kernel_add_files(kernel, 500);
	cr_assert_eq(fs_kernel_open(kernel, FUSE_OPENDIR, desk, &handle), 0);
	cr_assert_eq(fs_kernel_read_dir(&seen, desk, handle, 0, false), 0);
	cr_assert_eq(seen.n, 502);
	fs_kernel_release(kernel, FUSE_RELEASEDIR, desk, handle);
	cr_assert_eq(fs_fake_outstanding(kernel->fake), 500);
	fs_kernel_forget(kernel, desk, 1);
	fs_kernel_free(kernel, true);
}

Test(fs_dir, offsets_are_stable_over_seeks)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_seen all = {.kernel = kernel}, again = {.kernel = kernel},
			      part = {.kernel = kernel};
	uint64_t desk = fs_kernel_walk(kernel, "desk"), handle, offset = 0;

	fs_kernel_add_files(kernel, 300);
	cr_assert_eq(fs_kernel_open(kernel, FUSE_OPENDIR, desk, &handle), 0);
	cr_assert_eq(fs_kernel_read_dir(&all, desk, handle, 0, false), 0);
	/* seekdir into the middle, then rewinddir. */
	cr_assert_eq(fs_kernel_read_dir(&part, desk, handle, 102, false), 0);
	cr_assert_eq(part.n, 200);
	cr_assert_str_eq(part.first, "file-0000100");
	cr_assert_eq(fs_kernel_read_dir(&again, desk, handle, 0, false), 0);
	cr_assert_eq(again.n, all.n);
	cr_assert_eq(again.ino_sum, all.ino_sum);
	/* rewinddir after a second sees what is new. */
	fs_kernel_pass(kernel, 2 * SECOND);
	fs_fake_add(kernel->fake, kernel->fake->root, "new", S_IFREG | 0644);
	again.n = 0;
	cr_assert_eq(fs_kernel_read_dir(&again, desk, handle, 0, false), 0);
	cr_assert_eq(again.n, all.n + 1);
	cr_assert_eq(fs_kernel_readdir(kernel, desk, handle, &offset, 64, false, NULL, NULL), 2);
	fs_kernel_release(kernel, FUSE_RELEASEDIR, desk, handle);
	fs_kernel_forget(kernel, desk, 1);
	fs_kernel_free(kernel, true);
}

Test(fs_dir, own_changes_void_the_listing)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_seen seen = {.kernel = kernel};
	uint64_t desk = fs_kernel_walk(kernel, "desk"), handle;

	fs_kernel_add_files(kernel, 10);
	cr_assert_eq(fs_kernel_open(kernel, FUSE_OPENDIR, desk, &handle), 0);
	cr_assert_eq(fs_kernel_read_dir(&seen, desk, handle, 0, false), 0);
	fs_kernel_release(kernel, FUSE_RELEASEDIR, desk, handle);
	cr_assert_eq(fs_kernel_name_op(kernel, FUSE_UNLINK, desk, NULL, 0, "file-0000003", NULL),
		     0);
	cr_assert_eq(fs_kernel_lookup(kernel, desk, "file-0000003", NULL), -ENOENT);
	seen.n = 0;
	cr_assert_eq(fs_kernel_open(kernel, FUSE_OPENDIR, desk, &handle), 0);
	cr_assert_eq(fs_kernel_read_dir(&seen, desk, handle, 0, false), 0);
	cr_assert_eq(seen.n, 11);
	fs_kernel_release(kernel, FUSE_RELEASEDIR, desk, handle);
	fs_kernel_forget(kernel, desk, 1);
	fs_kernel_free(kernel, true);
}

/* Files in a directory that was made from here: none is asked for before it is made. */
Test(fs_dir, a_new_directory_is_known_to_be_empty)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	uint64_t desk = fs_kernel_walk(kernel, "desk");
	struct fuse_mkdir_in mkdir = {.mode = 0777};
	struct fs_fake_object *there;
	struct fuse_entry_out dir, entry;
	unsigned n_asked;
	char name[16];

	cr_assert_eq(
	    fs_kernel_name_op(kernel, FUSE_MKDIR, desk, &mkdir, sizeof(mkdir), "new", &dir), 0);
	n_asked = kernel->fake->n_asked[OP_LOOKUP];
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "%d", i);
		cr_assert_eq(fs_kernel_lookup(kernel, dir.nodeid, name, NULL), -ENOENT);
		cr_assert_eq(fs_kernel_name_op(kernel, FUSE_MKDIR, dir.nodeid, &mkdir,
					       sizeof(mkdir), name, &entry),
			     0);
	}
	cr_assert_eq(kernel->fake->n_asked[OP_LOOKUP], n_asked);
	cr_assert_eq(kernel->fake->n_asked[OP_READDIR], 0);
	/* What was made is there, and what was removed is not. */
	cr_assert_eq(fs_kernel_lookup(kernel, dir.nodeid, "7", &entry), 0);
	cr_assert_eq(fs_kernel_name_op(kernel, FUSE_RMDIR, dir.nodeid, NULL, 0, "7", NULL), 0);
	cr_assert_eq(fs_kernel_lookup(kernel, dir.nodeid, "7", NULL), -ENOENT);
	/* After a second, what others did there is seen. */
	there = fs_fake_find(kernel->fake->root, "new");
	fs_fake_add(kernel->fake, there, "theirs", S_IFREG | 0644);
	cr_assert_eq(fs_kernel_lookup(kernel, dir.nodeid, "theirs", NULL), -ENOENT);
	fs_kernel_pass(kernel, SECOND);
	cr_assert_eq(fs_kernel_lookup(kernel, dir.nodeid, "theirs", NULL), 0);
	fs_kernel_free(kernel, false);
}

Test(fs_dir, a_listing_holds_for_names_that_were_not_touched)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_seen seen = {.kernel = kernel, .forget = true};
	uint64_t desk = fs_kernel_walk(kernel, "desk"), handle;
	unsigned *n_asked = &kernel->fake->n_asked[OP_LOOKUP];
	struct fuse_entry_out entry;
	char name[32];

	fs_kernel_add_files(kernel, 50);
	cr_assert_eq(fs_kernel_open(kernel, FUSE_OPENDIR, desk, &handle), 0);
	cr_assert_eq(fs_kernel_read_dir(&seen, desk, handle, 0, false), 0);
	fs_kernel_release(kernel, FUSE_RELEASEDIR, desk, handle);
	cr_assert_eq(fs_kernel_name_op(kernel, FUSE_UNLINK, desk, NULL, 0, "file-0000003", NULL),
		     0);
	cr_assert_eq(fs_kernel_rename(kernel, desk, "file-0000004", desk, "moved", 0), 0);
	cr_assert_eq(*n_asked, 0);
	for (int i = 10; i < 50; i++) {
		snprintf(name, sizeof(name), "file-%07u", i);
		cr_assert_eq(fs_kernel_lookup(kernel, desk, name, NULL), 0);
	}
	cr_assert_eq(fs_kernel_lookup(kernel, desk, "absent", NULL), -ENOENT);
	cr_assert_eq(*n_asked, 0);
	cr_assert_eq(fs_kernel_lookup(kernel, desk, "file-0000003", NULL), -ENOENT);
	cr_assert_eq(fs_kernel_lookup(kernel, desk, "file-0000004", NULL), -ENOENT);
	cr_assert_eq(fs_kernel_lookup(kernel, desk, "moved", &entry), 0);
	cr_assert_eq(*n_asked, 3);
	fs_kernel_free(kernel, false);
}

Test(fs_dir, a_listing_overtaken_by_an_own_change_is_not_believed)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	uint64_t desk = fs_kernel_walk(kernel, "desk"), handle, listed, removed;
	struct fuse_read_in in = {.size = 4096};
	struct fs_kernel_reply *reply;

	fs_kernel_add_files(kernel, 5);
	cr_assert_eq(fs_kernel_open(kernel, FUSE_OPENDIR, desk, &handle), 0);
	in.fh = handle;
	kernel->fake->is_held = true;
	listed = fs_kernel_send(kernel, FUSE_READDIR, desk, &in, sizeof(in));
	fs_kernel_run(kernel);
	removed = fs_kernel_send(kernel, FUSE_UNLINK, desk, "file-0000001", 13);
	fs_kernel_run(kernel);
	kernel->fake->is_held = false;
	fs_kernel_run(kernel);
	reply = fs_kernel_take(kernel, listed);
	cr_assert(reply && !reply->error);
	free(reply);
	reply = fs_kernel_take(kernel, removed);
	cr_assert(reply && !reply->error);
	free(reply);
	cr_assert_eq(fs_kernel_lookup(kernel, desk, "file-0000001", NULL), -ENOENT);
	cr_assert_eq(kernel->fake->n_asked[OP_LOOKUP], 1, "the listing did not know yet");
	fs_kernel_release(kernel, FUSE_RELEASEDIR, desk, handle);
	fs_kernel_forget(kernel, desk, 1);
	fs_kernel_free(kernel, true);
}

Test(fs_dir, single_questions_lead_to_one_for_all)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	uint64_t desk = fs_kernel_walk(kernel, "desk");
	char name[32];

	fs_kernel_add_files(kernel, 200);
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "file-%07u", i);
		cr_assert_eq(fs_kernel_lookup(kernel, desk, name, NULL), 0);
	}
	cr_assert_leq(kernel->fake->n_asked[OP_LOOKUP], 5);
	cr_assert_eq(kernel->fake->n_asked[OP_READDIR], 1);
	fs_kernel_free(kernel, false);
}

/* Reads the directory once, and lets what was read grow too old. */
static void read_once(struct fs_kernel *kernel, uint64_t node)
{
	struct fs_kernel_seen seen = {.kernel = kernel, .forget = true};
	uint64_t handle;

	cr_assert_eq(fs_kernel_open(kernel, FUSE_OPENDIR, node, &handle), 0);
	cr_assert_eq(fs_kernel_read_dir(&seen, node, handle, 0, false), 0);
	fs_kernel_release(kernel, FUSE_RELEASEDIR, node, handle);
	fs_kernel_pass(kernel, 2 * SECOND);
}

Test(fs_dir, lookups_in_a_small_directory_are_one_question)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	uint64_t desk = fs_kernel_walk(kernel, "desk"), lookups[40];
	char name[32];

	fs_kernel_add_files(kernel, 30);
	read_once(kernel, desk);
	kernel->fake->is_held = true;
	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "file-%07u", i);
		lookups[i] = fs_kernel_send(kernel, FUSE_LOOKUP, desk, name, strlen(name) + 1);
	}
	fs_kernel_run(kernel);
	kernel->fake->is_held = false;
	fs_kernel_run(kernel);
	for (int i = 0; i < 40; i++) {
		struct fs_kernel_reply *reply = fs_kernel_take(kernel, lookups[i]);

		cr_assert(reply && !reply->error);
		cr_assert_eq(((struct fuse_entry_out *)reply->data)->nodeid != 0, i < 30);
		free(reply);
	}
	cr_assert_eq(kernel->fake->n_asked[OP_LOOKUP], 0);
	cr_assert_eq(kernel->fake->n_asked[OP_READDIR], 2);
	fs_kernel_free(kernel, false);
}

Test(fs_dir, a_lookup_that_waits_for_a_listing_ends_with_its_caller_and_with_the_peer)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	uint64_t desk = fs_kernel_walk(kernel, "desk"), killed, failed;
	struct fuse_interrupt_in in;
	struct fs_kernel_reply *reply;

	fs_kernel_add_files(kernel, 30);
	read_once(kernel, desk);
	kernel->fake->is_held = true;
	killed = fs_kernel_send(kernel, FUSE_LOOKUP, desk, "file-0000001", 13);
	failed = fs_kernel_send(kernel, FUSE_LOOKUP, desk, "file-0000002", 13);
	fs_kernel_run(kernel);
	in.unique = killed;
	fs_kernel_send(kernel, FUSE_INTERRUPT, 0, &in, sizeof(in));
	fs_kernel_run(kernel);
	fs_kernel_pass(kernel, 3 * SECOND);
	reply = fs_kernel_take(kernel, killed);
	cr_assert(reply);
	cr_assert_eq(reply->error, -EINTR);
	free(reply);
	kernel->fake->error[OP_READDIR] = -EACCES;
	kernel->fake->error[OP_LOOKUP] = -EACCES;
	kernel->fake->is_held = false;
	fs_kernel_run(kernel);
	reply = fs_kernel_take(kernel, failed);
	cr_assert(reply);
	cr_assert_eq(reply->error, -EACCES);
	free(reply);
	fs_kernel_forget(kernel, desk, 1);
	fs_kernel_free(kernel, true);
}

Test(fs_dir, what_took_long_to_come_is_believed_longer)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_seen seen = {.kernel = kernel, .forget = true};
	uint64_t desk = fs_kernel_walk(kernel, "desk"), handle;
	struct fuse_read_in in = {.size = 4096};
	unsigned *n_asked = &kernel->fake->n_asked[OP_LOOKUP];
	uint64_t listed;

	fs_kernel_add_files(kernel, 200);
	cr_assert_eq(fs_kernel_open(kernel, FUSE_OPENDIR, desk, &handle), 0);
	in.fh = handle;
	kernel->fake->is_held = true;
	listed = fs_kernel_send(kernel, FUSE_READDIR, desk, &in, sizeof(in));
	fs_kernel_run(kernel);
	fs_kernel_pass(kernel, 2 * SECOND);
	kernel->fake->is_held = false;
	fs_kernel_run(kernel);
	free(fs_kernel_take(kernel, listed));
	cr_assert_eq(fs_kernel_read_dir(&seen, desk, handle, 0, false), 0);
	fs_kernel_pass(kernel, 19 * SECOND);
	cr_assert_eq(fs_kernel_lookup(kernel, desk, "file-0000150", NULL), 0);
	cr_assert_eq(*n_asked, 0);
	fs_kernel_pass(kernel, 2 * SECOND);
	cr_assert_eq(fs_kernel_lookup(kernel, desk, "file-0000151", NULL), 0);
	cr_assert_eq(*n_asked, 1);
	fs_kernel_release(kernel, FUSE_RELEASEDIR, desk, handle);
	fs_kernel_free(kernel, false);
}

Test(fs_dir, errors_are_told_to_who_opens)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	uint64_t dir, handle;

	fs_fake_add(kernel->fake, kernel->fake->root, "dir", S_IFDIR | 0000);
	dir = fs_kernel_walk(kernel, "desk/dir");
	kernel->fake->error[OP_READDIR] = -EACCES;
	cr_assert_eq(fs_kernel_open(kernel, FUSE_OPENDIR, dir, &handle), -EACCES);
	kernel->fake->is_down = true;
	cr_assert_eq(fs_kernel_open(kernel, FUSE_OPENDIR, dir, &handle), -EHOSTDOWN);
	kernel->fake->is_down = false;
	fs_kernel_free(kernel, false);
}

Test(fs_dir, where_something_is_locked_each_name_is_asked_for)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_fake_object *dir =
	    fs_fake_add(kernel->fake, kernel->fake->root, "dir", S_IFDIR | 0755);
	uint64_t node = fs_kernel_walk(kernel, "desk/dir");
	struct fuse_entry_out entry;
	struct fuse_attr_out attr;
	time_t deadline = time(NULL) + 60;

	fs_fake_add(kernel->fake, dir, "db", S_IFREG | 0644);
	cr_assert_eq(fs_kernel_lookup(kernel, node, "db", &entry), 0);
	cr_assert_eq(fs_kernel_lookup(kernel, node, "db-journal", NULL), -ENOENT);
	dir_ask_each_time(kernel->fs, (struct fs_node *)(uintptr_t)node);
	/* Both names are taken back from the kernel, by another thread. */
	while (kernel->n_notified < 2 && time(NULL) < deadline)
		fs_kernel_run(kernel);
	cr_assert_geq(kernel->n_notified, 2);
	kernel->fake->n_asked[OP_LOOKUP] = 0;
	for (int i = 0; i < 10; i++) {
		cr_assert_eq(fs_kernel_lookup(kernel, node, "db", &entry), 0);
		cr_assert_eq(entry.entry_valid + entry.entry_valid_nsec, 0);
		cr_assert_eq(entry.attr_valid + entry.attr_valid_nsec, 0);
	}
	cr_assert_eq(kernel->fake->n_asked[OP_LOOKUP], 10);
	cr_assert_eq(kernel->fake->n_asked[OP_READDIR], 0);
	cr_assert_eq(fs_kernel_getattr(kernel, entry.nodeid, &attr), 0);
	cr_assert_eq(fs_kernel_getattr(kernel, entry.nodeid, &attr), 0);
	cr_assert_eq(kernel->fake->n_asked[OP_GETATTR], 2);
	fs_kernel_pass(kernel, 61 * SECOND);
	cr_assert_eq(fs_kernel_lookup(kernel, node, "db", &entry), 0);
	cr_assert_neq(entry.entry_valid + entry.entry_valid_nsec, 0);
	fs_kernel_free(kernel, false);
}
