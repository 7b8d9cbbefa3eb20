#ifndef DAEMON_API_KEY_H
#define DAEMON_API_KEY_H

#include <stdbool.h>

#include "daemon/failure.h"

/*
 * The API key that agents present on the local control socket: 32 random bytes as base64url
 * without padding (RFC 4648, section 5), one line in api.key.
 */
#define API_KEY_LENGTH 43

/* Makes a new key. 0 or -errno of getrandom. */
int api_key_generate(char ret_key[API_KEY_LENGTH + 1]);

/* Reads the key. 0, -ENOENT, -EBADMSG if the file holds no key, or as private_file_read. */
int api_key_load(const char *path, char ret_key[API_KEY_LENGTH + 1], struct failure *failure);

/* Writes the key, replacing an older one if replace. 0, -EEXIST, or as private_file_write. */
int api_key_save(const char *path, const char *key, bool replace, struct failure *failure);

/* Whether the text from outside is this key; takes the same time wherever they differ. */
bool api_key_equals(const char *key, const char *text);

#endif
