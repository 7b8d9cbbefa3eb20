/*
 * The kernel's side of open files, for tests of fs/.
 */
#ifndef TESTS_FS_KERNEL_FILES_H
#define TESTS_FS_KERNEL_FILES_H

#include "fs_kernel.h"

struct fs_kernel_file {
	uint64_t node;
	uint64_t handle;
	uint32_t flags;      /* as opened; sent with each request */
	uint32_t open_flags; /* FOPEN_* of the reply */
	uint64_t owner;      /* of locks */
};

/* Opens a file at a path below the root. 0 or -errno. */
int fs_kernel_file_open(struct fs_kernel *kernel, const char *path, uint32_t flags,
			struct fs_kernel_file *ret_file);
int fs_kernel_file_create(struct fs_kernel *kernel, const char *parent, const char *name,
			  uint32_t flags, struct fs_kernel_file *ret_file);

/* Only send. */
uint64_t fs_kernel_file_send_read(struct fs_kernel *kernel, const struct fs_kernel_file *file,
				  uint64_t offset, uint32_t size);
uint64_t fs_kernel_file_send_write(struct fs_kernel *kernel, const struct fs_kernel_file *file,
				   uint64_t offset, const void *data, size_t size);
uint64_t fs_kernel_file_send_flush(struct fs_kernel *kernel, const struct fs_kernel_file *file);
uint64_t fs_kernel_file_send_lock(struct fs_kernel *kernel, const struct fs_kernel_file *file,
				  int type, bool wait, bool flock);
void fs_kernel_file_interrupt(struct fs_kernel *kernel, uint64_t unique);

/* The error of a reply that must have come, or 1 if it has not. */
int fs_kernel_file_took(struct fs_kernel *kernel, uint64_t unique);

/* Ask and wait. Bytes, or -errno. */
int fs_kernel_file_read(struct fs_kernel *kernel, const struct fs_kernel_file *file,
			uint64_t offset, void *data, uint32_t size);
int fs_kernel_file_write(struct fs_kernel *kernel, const struct fs_kernel_file *file,
			 uint64_t offset, const void *data, size_t size);
int fs_kernel_file_flush(struct fs_kernel *kernel, const struct fs_kernel_file *file);
int fs_kernel_file_fsync(struct fs_kernel *kernel, const struct fs_kernel_file *file);
/* FLUSH and RELEASE. Returns FLUSH's error. */
int fs_kernel_file_close(struct fs_kernel *kernel, const struct fs_kernel_file *file);

/* Ends the mount: nothing may be left open on the peer, and no frame kept. */
void fs_kernel_file_finish(struct fs_kernel *kernel);

#endif
