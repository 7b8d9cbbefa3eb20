#ifndef DAEMON_PRIVATE_FILE_H
#define DAEMON_PRIVATE_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/failure.h"

/*
 * Secrets as small files: identity.pem and api.key. What is read must be a regular file of ours
 * that nobody else can open; what is written is 0600 and appears whole or not at all.
 */
#define PRIVATE_FILE_MAX 65536

/*
 * Reads the whole file into memory of the caller's, NUL added after *ret_n bytes. Returns 0,
 * -ENOENT, -EPERM (owner, mode or kind; failure says what to do), -EFBIG, or another -errno. Wipe
 * it with private_file_free.
 */
int private_file_read(const char *path, char **ret_bytes, size_t *ret_n, struct failure *failure);

/*
 * Writes n bytes to a new file beside path, syncs it and puts it in place. Without replace an
 * existing file stays as it is and -EEXIST is returned. Returns 0 or -errno.
 */
int private_file_write(const char *path, const void *bytes, size_t n, bool replace,
		       struct failure *failure);

/* Overwrites and frees. NULL is fine. */
void private_file_free(char *bytes, size_t n);

#endif
