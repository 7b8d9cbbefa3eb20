/* Who walks a tree finds the directories ahead listed already. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "fs/walk.h"
#include "fs_kernel.h"

#define SECOND 1000000000ull
#define N_DIRS 40
#define N_SUBS 5

static struct fs_kernel *kernel;
static unsigned *n_asked;

static void visit(void *arg, const struct fuse_dirent *dirent, const struct fuse_entry_out *entry)
{
	if (entry && entry->nodeid) {
		struct fuse_forget_in in = {.nlookup = 1};

		fs_kernel_send(kernel, FUSE_FORGET, entry->nodeid, &in, sizeof(in));
	}
}

/* Reads a directory to its end. Returns how many READDIRs the peer got meanwhile. */
static unsigned read_dir(const char *path)
{
	uint64_t node = fs_kernel_walk(kernel, path), handle, offset = 0;
	unsigned before = *n_asked;
	int n;

	cr_assert_neq(node, 0);
	cr_assert_eq(fs_kernel_open(kernel, FUSE_OPENDIR, node, &handle), 0);
	do
		n = fs_kernel_readdir(kernel, node, handle, &offset, 4096, false, visit, NULL);
	while (n > 0);
	cr_assert_eq(n, 0);
	fs_kernel_release(kernel, FUSE_RELEASEDIR, node, handle);
	return *n_asked - before;
}

static void start(void)
{
	char name[16];

	kernel = fs_kernel_new(NULL);
	n_asked = &kernel->fake->n_asked[OP_READDIR];
	for (int i = 0; i < N_DIRS; i++) {
		struct fs_fake_object *dir;

		snprintf(name, sizeof(name), "d%02d", i);
		dir = fs_fake_add(kernel->fake, kernel->fake->root, name, S_IFDIR | 0755);
		for (int j = 0; j < N_SUBS; j++) {
			snprintf(name, sizeof(name), "s%d", j);
			fs_fake_add(kernel->fake, dir, name, S_IFDIR | 0755);
		}
	}
}

static void finish(void)
{
	fs_kernel_pass(kernel, 5 * SECOND);
	fs_kernel_free(kernel, false);
}

Test(fs_walk, directories_ahead_are_there_when_they_are_read)
{
	char path[32];

	start();
	read_dir("desk");
	read_dir("desk/d00");
	kernel->fake->is_held = true; /* the peer answers nothing from here on */
	for (int i = 1; i < 8; i++) {
		snprintf(path, sizeof(path), "desk/d%02d", i);
		read_dir(path);
	}
	kernel->fake->is_held = false;
	fs_kernel_run(kernel);
	for (int j = 0; j < N_SUBS; j++) {
		snprintf(path, sizeof(path), "desk/d07/s%d", j);
		cr_assert_eq(read_dir(path), 0, "%s was asked for", path);
	}
	finish();
}

Test(fs_walk, each_directory_is_asked_for_once)
{
	char path[32];

	start();
	read_dir("desk");
	for (int i = 0; i < N_DIRS; i++) {
		snprintf(path, sizeof(path), "desk/d%02d", i);
		read_dir(path);
		for (int j = 0; j < N_SUBS; j++) {
			snprintf(path, sizeof(path), "desk/d%02d/s%d", i, j);
			read_dir(path);
		}
	}
	cr_assert_eq(*n_asked, 1 + N_DIRS + N_DIRS * N_SUBS);
	finish();
}

Test(fs_walk, one_directory_alone_asks_for_no_other)
{
	start();
	read_dir("desk");
	fs_kernel_run(kernel);
	cr_assert_eq(*n_asked, 1);
	fs_kernel_pass(kernel, 3 * SECOND);
	read_dir("desk/d05");
	fs_kernel_run(kernel);
	/* desk once more, for the name, and d05: what was read long ago is no walk. */
	cr_assert_eq(*n_asked, 3);
	finish();
}

Test(fs_walk, a_walker_is_never_far_behind)
{
	start();
	read_dir("desk");
	read_dir("desk/d00");
	fs_kernel_run(kernel);
	/* desk, d00, those beside it and those in it */
	cr_assert_leq(*n_asked, 2 + WALK_AHEAD + N_SUBS);
	finish();
}

Test(fs_walk, a_session_that_ends_meanwhile_leaves_nothing_behind)
{
	start();
	read_dir("desk");
	read_dir("desk/d00");
	kernel->fake->is_held = true;
	read_dir("desk/d01");
	fs_fake_session_new(kernel->fake);
	kernel->fake->is_held = false;
	fs_kernel_run(kernel);
	read_dir("desk/d02");
	read_dir("desk/d02/s1");
	finish();
}
