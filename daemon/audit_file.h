#ifndef DAEMON_AUDIT_FILE_H
#define DAEMON_AUDIT_FILE_H

#include <stddef.h>
#include <stdint.h>

/*
 * Appends whole lines (n bytes, the last a newline) to the file at path, made 0600 if it is
 * missing. A file that would grow over max_size becomes path.1, path.1 becomes path.2, and so on;
 * what would be above path.keep goes. Either all of a chunk between two rotations is written, or
 * none of it. Waits for the disk. 0 or -errno.
 */
int audit_file_append(const char *path, const char *lines, size_t n, int64_t max_size,
		      int64_t keep);

#endif
