#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

#include "tests/unit/serve/serve_fake.h"

TestSuite(serve_removed, .init = scratch_init, .fini = scratch_fini, .timeout = 120);

static struct serve_fake fake;

/* How many of our descriptors hold a file or link of the scratch directory's file system that has
 * no name any more. (Criterion has such files in /dev/shm.) */
static unsigned n_holding(void)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	struct stat scratch;
	unsigned n = 0;

	cr_assert_not_null(dir);
	cr_assert_eq(stat(scratch_dir, &scratch), 0);
	while ((entry = readdir(dir))) {
		struct stat st;

		/* By name: threads may be closing it, which is no use of a descriptor of ours. */
		if (entry->d_name[0] == '.' || fstatat(dirfd(dir), entry->d_name, &st, 0) < 0)
			continue;
		n += st.st_dev == scratch.st_dev && st.st_nlink == 0 &&
		     (S_ISREG(st.st_mode) || S_ISLNK(st.st_mode));
	}
	closedir(dir);
	return n;
}

/* A file that both sessions keep a descriptor of. */
static uint64_t known_file(const char *name)
{
	struct entry entry;

	scratch_write(serve_fake_path(name), "text", 4, 0644);
	cr_assert_eq(serve_fake_walk(&fake, 1, name, &entry), 0);
	return serve_fake_node(&fake, name);
}

static uint64_t open_handle(uint64_t node)
{
	const struct result_open *opened;

	cr_assert_eq(SERVE_FAKE_CALL(&fake, OPEN, open, &opened, node, O_RDWR), 0);
	return opened->handle;
}

Test(serve_removed, nothing_holds_a_file_whose_removal_was_answered)
{
	serve_fake_init(&fake, &(struct serve_options){.sweep_ms = UINT32_MAX});
	known_file("file");
	cr_assert_eq(symlink("file", serve_fake_path("link")), 0);
	serve_fake_node(&fake, "link");
	cr_assert_eq(SERVE_FAKE_CALL(&fake, UNLINK, unlink, NULL, 1, serve_fake_bytes("file")), 0);
	cr_assert_eq(n_holding(), 0);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, UNLINK, unlink, NULL, 1, serve_fake_bytes("link")), 0);
	cr_assert_eq(n_holding(), 0);
	serve_fake_deinit(&fake);
}

/* Nobody waits for the end of what was only read; but who removes a file waits for its space. */
Test(serve_removed, nothing_holds_a_file_that_was_read_until_just_before)
{
	const struct result_open *opened;
	uint64_t node;

	serve_fake_init(&fake, &(struct serve_options){.sweep_ms = UINT32_MAX});
	node = known_file("file");
	cr_assert_eq(SERVE_FAKE_CALL(&fake, OPEN, open, &opened, node, O_RDONLY), 0);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, RELEASE, release, NULL, node, opened->handle), 0);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, UNLINK, unlink, NULL, 1, serve_fake_bytes("file")), 0);
	cr_assert_eq(n_holding(), 0);
	node = known_file("file");
	cr_assert_eq(SERVE_FAKE_CALL(&fake, OPEN, open, &opened, node, O_RDONLY), 0);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, UNLINK, unlink, NULL, 1, serve_fake_bytes("file")), 0);
	cr_assert_eq(n_holding(), 1, "it is open");
	cr_assert_eq(SERVE_FAKE_CALL(&fake, RELEASE, release, NULL, node, opened->handle), 0);
	cr_assert_eq(n_holding(), 0);
	serve_fake_deinit(&fake);
}

Test(serve_removed, nothing_holds_a_file_that_a_rename_has_replaced)
{
	serve_fake_init(&fake, &(struct serve_options){.sweep_ms = UINT32_MAX});
	known_file("old");
	known_file("new");
	cr_assert_eq(SERVE_FAKE_CALL(&fake, RENAME, rename, NULL, 1, serve_fake_bytes("new"), 1,
				     serve_fake_bytes("old")),
		     0);
	cr_assert_eq(n_holding(), 0);
	serve_fake_deinit(&fake);
}

Test(serve_removed, a_file_with_another_name_or_open_stays_usable)
{
	const struct result_getattr *got;
	const struct result_read *text;
	uint64_t node, handle;

	serve_fake_init(&fake, &(struct serve_options){.sweep_ms = UINT32_MAX});
	node = known_file("file");
	cr_assert_eq(link(serve_fake_path("file"), serve_fake_path("other")), 0);
	handle = open_handle(node);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, UNLINK, unlink, NULL, 1, serve_fake_bytes("file")), 0);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, GETATTR, getattr, &got, node), 0);
	cr_assert_eq(got->attr.nlink, 1);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, UNLINK, unlink, NULL, 1, serve_fake_bytes("other")), 0);
	cr_assert_eq(n_holding(), 1, "the open file's own");
	cr_assert_eq(SERVE_FAKE_CALL(&fake, GETATTR, getattr, &got, node), 0);
	cr_assert_eq(got->attr.nlink, 0);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, READ, read, &text, node, handle, 0, 100), 0);
	cr_assert_eq(text->data.size, 4);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, RELEASE, release, NULL, node, handle), 0);
	cr_assert_eq(n_holding(), 0);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, GETATTR, getattr, NULL, node), -ESTALE);
	serve_fake_deinit(&fake);
}

Test(serve_removed, a_removed_directory_is_still_there_for_who_is_in_it)
{
	const struct result_getattr *got;
	uint64_t node;

	serve_fake_init(&fake, &(struct serve_options){.sweep_ms = UINT32_MAX});
	cr_assert_eq(mkdir(serve_fake_path("dir"), 0755), 0);
	node = serve_fake_node(&fake, "dir");
	cr_assert_eq(SERVE_FAKE_CALL(&fake, RMDIR, rmdir, NULL, 1, serve_fake_bytes("dir")), 0);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, GETATTR, getattr, &got, node), 0);
	cr_assert(S_ISDIR(got->attr.mode));
	cr_assert_eq(SERVE_FAKE_CALL(&fake, MKDIR, mkdir, NULL, node, serve_fake_bytes("x"), 0755),
		     -ENOENT);
	serve_fake_deinit(&fake);
}

Test(serve_removed, what_others_remove_is_let_go_of)
{
	uint64_t node;

	serve_fake_init(&fake, &(struct serve_options){.sweep_ms = 1});
	known_file("stays");
	node = known_file("file");
	cr_assert_eq(unlink(serve_fake_path("file")), 0);
	while (n_holding() > 0) /* the loop runs for calls only */
		cr_assert_eq(SERVE_FAKE_CALL(&fake, GETATTR, getattr, NULL, 1), 0);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, GETATTR, getattr, NULL, node), -ESTALE);
	cr_assert_eq(
	    SERVE_FAKE_CALL(&fake, GETATTR, getattr, NULL, serve_fake_node(&fake, "stays")), 0);
	serve_fake_deinit(&fake);
}

Test(serve_removed, forgotten_nodes_are_let_go_of_without_waiting)
{
	struct entry entry;

	serve_fake_init(&fake, &(struct serve_options){.sweep_ms = UINT32_MAX});
	scratch_write(serve_fake_path("file"), "text", 4, 0644);
	cr_assert_eq(serve_fake_walk(&fake, 0, "file", &entry), 0);
	cr_assert_eq(unlink(serve_fake_path("file")), 0);
	serve_fake_forget(&fake, 0, entry.node, 1);
	while (n_holding() > 0)
		uv_run(&fake.loop, UV_RUN_ONCE);
	serve_fake_deinit(&fake);
}
