/*
 * The kernel's side of directories that are read, for tests of fs/.
 */
#ifndef TESTS_FS_KERNEL_DIR_H
#define TESTS_FS_KERNEL_DIR_H

#include "fs_kernel.h"

/* What was seen of a directory. */
struct fs_kernel_seen {
	struct fs_kernel *kernel;
	unsigned n, n_nodes;
	uint64_t ino_sum;
	char last[256], first[256];
	bool forget; /* looked up nodes at once */
	bool saw_hidden;
};

/* For fs_kernel_readdir: `arg` is a struct fs_kernel_seen. */
void fs_kernel_see(void *arg, const struct fuse_dirent *dirent, const struct fuse_entry_out *entry);
/* Reads from an offset to the end. 0 or -errno. */
int fs_kernel_read_dir(struct fs_kernel_seen *seen, uint64_t node, uint64_t handle, uint64_t offset,
		       bool plus);
/* file-0000000 to file-000000N in the peer's root. */
void fs_kernel_add_files(struct fs_kernel *kernel, unsigned n);

#endif
