/* Directories that are too large for one answer: what is read of them while they are coming. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "fs_kernel_dir.h"

#define SECOND 1000000000ull

/* What a large directory costs: bounded stream, bounded memory while it is read, and it comes back
 * when the kernel forgets. */
Test(fs_dir_stream, a_large_directory_streams_and_its_memory_comes_back, .timeout = 300)
{
	enum { ENTRIES = 300000 };
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_seen seen = {.kernel = kernel, .forget = true};
	uint64_t desk = fs_kernel_walk(kernel, "desk"), handle;

	fs_kernel_add_files(kernel, ENTRIES);
	kernel->fake->batch = OPS_DIR_BATCH_MAX;
	cr_assert_eq(fs_kernel_open(kernel, FUSE_OPENDIR, desk, &handle), 0);
	cr_assert_eq(fs_kernel_read_dir(&seen, desk, handle, 0, true), 0);
	cr_assert_eq(seen.n, ENTRIES + 2);
	cr_assert_eq(kernel->fake->n_asked[OP_READDIR], 2, "names first, then attributes too");
	cr_assert_leq(kernel->fake->most_streamed, kernel->fake->credit + OPS_DIR_BATCH_MAX);
	/* Most of it was let go of while it was read. */
	cr_assert_leq(fs_fake_outstanding(kernel->fake), ENTRIES * 2 / 3);
	/* Going back means another listing, from which the same is read. */
	seen.n = 0;
	cr_assert_eq(fs_kernel_read_dir(&seen, desk, handle, 102, false), 0);
	cr_assert_eq(seen.n, ENTRIES - 100);
	cr_assert_str_eq(seen.first, "file-0000100");
	cr_assert_eq(kernel->fake->n_asked[OP_READDIR], 3);
	fs_kernel_release(kernel, FUSE_RELEASEDIR, desk, handle);
	fs_kernel_forget(kernel, desk, 1);
	fs_kernel_free(kernel, true);
}

/* `ls -f`, shell patterns: after the first reply the kernel takes names, for which the peer need
 * not look at anything. */
Test(fs_dir_stream, names_that_nobody_looks_at_come_bare)
{
	enum { ENTRIES = 5000 };
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	const unsigned *n_asked = kernel->fake->n_asked;
	uint64_t desk = fs_kernel_walk(kernel, "desk"), handle, offset = 0;
	struct fs_kernel_seen seen = {.kernel = kernel}, again = {.kernel = kernel};
	struct fuse_entry_out entry;
	char name[32];

	fs_kernel_add_files(kernel, ENTRIES);
	cr_assert_eq(fs_kernel_open(kernel, FUSE_OPENDIR, desk, &handle), 0);
	cr_assert_gt(
	    fs_kernel_readdir(kernel, desk, handle, &offset, 4096, true, fs_kernel_see, &seen), 2);
	cr_assert_eq(fs_kernel_read_dir(&seen, desk, handle, offset, false), 0);
	cr_assert_eq(seen.n, ENTRIES + 2);
	cr_assert_eq(n_asked[OP_READDIR], 1);
	cr_assert_lt(fs_fake_outstanding(kernel->fake), ENTRIES / 2);
	/* Numbers and types are what they are otherwise. */
	cr_assert_eq(fs_kernel_read_dir(&again, desk, handle, 0, false), 0);
	cr_assert_eq(again.ino_sum, seen.ino_sum);
	/* It says what is absent, and not what the others are; */
	cr_assert_eq(fs_kernel_lookup(kernel, desk, "absent", &entry), -ENOENT);
	cr_assert_eq(n_asked[OP_LOOKUP], 0);
	cr_assert_eq(fs_kernel_lookup(kernel, desk, "file-0004999", &entry), 0);
	cr_assert_eq(n_asked[OP_LOOKUP], 1);
	/* if many are looked at, all are asked for. */
	for (unsigned i = 4000; i < 4500; i++) {
		snprintf(name, sizeof(name), "file-%07u", i);
		cr_assert_eq(fs_kernel_lookup(kernel, desk, name, NULL), 0);
	}
	cr_assert_eq(n_asked[OP_READDIR], 2);
	cr_assert_lt(n_asked[OP_LOOKUP], 100);
	fs_kernel_release(kernel, FUSE_RELEASEDIR, desk, handle);
	fs_kernel_free(kernel, false);
}

/* `ls -l`: the kernel asks with READDIRPLUS each time that entries were looked at. */
Test(fs_dir_stream, bare_names_that_are_looked_at_come_again_with_attributes)
{
	enum { ENTRIES = 5000 };
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	const unsigned *n_asked = kernel->fake->n_asked;
	uint64_t desk = fs_kernel_walk(kernel, "desk"), one, other;
	struct fs_kernel_seen seen = {.kernel = kernel}, ahead = {.kernel = kernel};
	uint64_t offset = 0;

	fs_kernel_add_files(kernel, ENTRIES);
	cr_assert_eq(fs_kernel_open(kernel, FUSE_OPENDIR, desk, &one), 0);
	cr_assert_eq(fs_kernel_open(kernel, FUSE_OPENDIR, desk, &other), 0);
	/* One who is ahead of it is not told of the same entries once more. */
	cr_assert_eq(fs_kernel_read_dir(&ahead, desk, other, 0, false), 0);
	cr_assert_eq(ahead.n, ENTRIES + 2);
	cr_assert_eq(fs_kernel_read_dir(&seen, desk, one, 0, true), 0);
	cr_assert_eq(seen.n, ENTRIES + 2);
	cr_assert_lt(seen.n_nodes, ENTRIES / 2);
	cr_assert_eq(n_asked[OP_READDIR], 1);
	fs_kernel_release(kernel, FUSE_RELEASEDIR, desk, other);
	fs_kernel_release(kernel, FUSE_RELEASEDIR, desk, one);
	fs_kernel_pass(kernel, 2 * SECOND);

	seen = (struct fs_kernel_seen){.kernel = kernel};
	cr_assert_eq(fs_kernel_open(kernel, FUSE_OPENDIR, desk, &one), 0);
	while (seen.n < 3000)
		cr_assert_gt(fs_kernel_readdir(kernel, desk, one, &offset, 4096, false,
					       fs_kernel_see, &seen),
			     0);
	cr_assert_eq(fs_kernel_read_dir(&seen, desk, one, offset, true), 0);
	cr_assert_eq(seen.n, ENTRIES + 2);
	cr_assert_eq(seen.n_nodes, ENTRIES + 2 - (offset + 0), "all of the rest were looked up");
	cr_assert_eq(n_asked[OP_READDIR], 3);
	cr_assert_eq(seen.ino_sum, ahead.ino_sum);
	fs_kernel_release(kernel, FUSE_RELEASEDIR, desk, one);
	fs_kernel_free(kernel, false);
}

/* `ls -l` asks about each entry as soon as it has read it. */
Test(fs_dir_stream, a_listing_that_is_still_coming_tells_of_what_is_there)
{
	enum { ENTRIES = 20000 };
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_fake_object *root = kernel->fake->root;
	const unsigned *n_asked = kernel->fake->n_asked;
	uint64_t desk = fs_kernel_walk(kernel, "desk"), handle, offset = 0;
	struct fs_kernel_seen seen = {.kernel = kernel};
	struct fuse_entry_out entry;
	struct fuse_getxattr_in xattr = {.size = 100};
	struct {
		struct fuse_getxattr_in in;
		char name[16];
	} body = {.in = xattr, .name = "user.a"};
	struct fs_kernel_reply *reply;
	char name[32];

	fs_kernel_add_files(kernel, ENTRIES);
	fs_fake_add(kernel->fake, root, "last", S_IFREG | 0644);
	cr_assert_eq(fs_kernel_open(kernel, FUSE_OPENDIR, desk, &handle), 0);
	cr_assert_gt(
	    fs_kernel_readdir(kernel, desk, handle, &offset, 4096, true, fs_kernel_see, &seen), 2);
	cr_assert_eq(fs_kernel_lookup(kernel, desk, "file-0000003", &entry), 0);
	cr_assert_gt(entry.attr_valid_nsec + entry.attr_valid, 0);
	reply = fs_kernel_ask(kernel, FUSE_GETXATTR, entry.nodeid, &body, sizeof(xattr) + 7);
	cr_assert_eq(reply->error, -ENODATA);
	free(reply);
	cr_assert_eq(n_asked[OP_LOOKUP] + n_asked[OP_GETXATTR], 0);
	/* Of what has not come it says nothing, nor later than within a second. */
	cr_assert_eq(fs_kernel_lookup(kernel, desk, "last", NULL), 0);
	cr_assert_eq(fs_kernel_lookup(kernel, desk, "absent", &entry), -ENOENT);
	cr_assert_eq(n_asked[OP_LOOKUP], 2);
	fs_kernel_pass(kernel, SECOND);
	fs_fake_remove(root, "file-0000003");
	cr_assert_eq(fs_kernel_lookup(kernel, desk, "file-0000003", &entry), -ENOENT);
	/* And all of it is not asked for again while it is coming. */
	for (unsigned i = 10; i < 1000; i++) {
		snprintf(name, sizeof(name), "file-%07u", i);
		cr_assert_eq(fs_kernel_lookup(kernel, desk, name, NULL), 0);
	}
	cr_assert_eq(n_asked[OP_LOOKUP], 2 + 1 + 990);
	cr_assert_eq(n_asked[OP_READDIR], 1);
	fs_kernel_release(kernel, FUSE_RELEASEDIR, desk, handle);
	fs_kernel_free(kernel, false);
}

/* What was read and let go of is not found in the place of what is there. */
Test(fs_dir_stream, a_listing_that_was_let_go_of_in_part_tells_of_the_rest, .timeout = 300)
{
	enum { ENTRIES = 150000 };
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	const unsigned *n_asked = kernel->fake->n_asked;
	uint64_t desk = fs_kernel_walk(kernel, "desk"), handle, offset = 0;
	struct fs_kernel_seen seen = {.kernel = kernel};
	unsigned n_reads = 0;

	fs_kernel_add_files(kernel, ENTRIES);
	kernel->fake->batch = OPS_DIR_BATCH_MAX;
	cr_assert_eq(fs_kernel_open(kernel, FUSE_OPENDIR, desk, &handle), 0);
	while (fs_kernel_readdir(kernel, desk, handle, &offset, 4096, true, fs_kernel_see, &seen) >
	       0) {
		if (n_reads++ % 16 == 0)
			cr_assert_eq(fs_kernel_lookup(kernel, desk, seen.last, NULL), 0);
	}
	cr_assert_eq(seen.n, ENTRIES + 2);
	cr_assert_eq(n_asked[OP_READDIR], 2, "names, then attributes too");
	cr_assert_eq(n_asked[OP_LOOKUP], 0);
	cr_assert_eq(fs_kernel_lookup(kernel, desk, "file-0000003", NULL), 0);
	cr_assert_eq(n_asked[OP_LOOKUP], 1);
	fs_kernel_release(kernel, FUSE_RELEASEDIR, desk, handle);
	fs_kernel_free(kernel, false);
}

Test(fs_dir_stream, a_closed_directory_is_not_read_on)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	uint64_t desk = fs_kernel_walk(kernel, "desk"), handle, offset = 0;

	fs_kernel_add_files(kernel, 50000);
	cr_assert_eq(fs_kernel_open(kernel, FUSE_OPENDIR, desk, &handle), 0);
	cr_assert_gt(fs_kernel_readdir(kernel, desk, handle, &offset, 4096, false, NULL, NULL), 2);
	fs_kernel_release(kernel, FUSE_RELEASEDIR, desk, handle);
	fs_kernel_forget(kernel, desk, 1);
	fs_kernel_free(kernel, true);
}
