#include "fs_kernel_dir.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

void fs_kernel_see(void *arg, const struct fuse_dirent *dirent, const struct fuse_entry_out *entry)
{
	struct fs_kernel_seen *seen = arg;

	snprintf(seen->last, sizeof(seen->last), "%.*s", (int)dirent->namelen, dirent->name);
	if (!seen->n++)
		strcpy(seen->first, seen->last);
	seen->saw_hidden |= strcmp(seen->last, ".loopsy") == 0;
	seen->ino_sum += dirent->ino;
	if (entry && entry->nodeid) {
		struct fuse_forget_in in = {.nlookup = 1};

		seen->n_nodes++;
		cr_assert_eq(entry->attr.ino, dirent->ino);
		if (seen->forget)
			fs_kernel_send(seen->kernel, FUSE_FORGET, entry->nodeid, &in, sizeof(in));
	}
}

int fs_kernel_read_dir(struct fs_kernel_seen *seen, uint64_t node, uint64_t handle, uint64_t offset,
		       bool plus)
{
	int n;

	do
		n = fs_kernel_readdir(seen->kernel, node, handle, &offset, 4096, plus,
				      fs_kernel_see, seen);
	while (n > 0);
	return n;
}

void fs_kernel_add_files(struct fs_kernel *kernel, unsigned n)
{
	char name[32];

	for (unsigned i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "file-%07u", i);
		fs_fake_add(kernel->fake, kernel->fake->root, name, S_IFREG | 0644);
	}
}
