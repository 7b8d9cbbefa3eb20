/*
 * File copy: one regular file, whole or not at all. Written is a file beside the target, which
 * takes its name only when all of it is on the disk and has been read back as it was.
 */
#ifndef CTL_MCP_FILE_COPY_H
#define CTL_MCP_FILE_COPY_H

#include <stdatomic.h>
#include <stdint.h>

#define FILE_COPY_SHA256_MAX 65 /* bytes, with the NUL */
#define FILE_COPY_REASON_MAX 500

struct file_copy {
	char *from, *to; /* owned */
	atomic_bool stop;
	_Atomic uint64_t done, total; /* bytes: each is copied, and then read back */
	/* afterwards */
	int error; /* 0 or -errno, with `reason` */
	char reason[FILE_COPY_REASON_MAX];
	uint64_t size;
	char sha256[FILE_COPY_SHA256_MAX], sha256_back[FILE_COPY_SHA256_MAX];
};

/* For aside_new: `arg` is a struct file_copy. Mode and time of the change are those of the source;
 * a file that is replaced keeps its mode. */
void file_copy_run(void *arg);
/* Frees it, too. */
void file_copy_free(void *arg);

#endif
