#ifndef DAEMON_IDENTITY_FILE_H
#define DAEMON_IDENTITY_FILE_H

#include "daemon/failure.h"
#include "proto/identity.h"

/*
 * This machine's identity in identity.pem. Returns 0, -ENOENT, -EBADMSG if the file holds no
 * identity, or as private_file_read.
 */
int identity_file_load(const char *path, struct identity **ret_identity, struct failure *failure);

/*
 * Makes a new identity and writes it; an existing file is never replaced (-EEXIST): with its key
 * every pairing would be lost. Returns 0 or -errno; ret_identity may be NULL.
 */
int identity_file_create(const char *path, struct identity **ret_identity, struct failure *failure);

#endif
