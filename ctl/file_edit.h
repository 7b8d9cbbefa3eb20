/*
 * File edit: a small file of somebody else's that is read, changed and written back whole.
 *
 * A symbolic link is followed: the file that it leads to is what is changed. Written is a new file
 * beside it, on the disk before it takes the name, with the mode, owner and extended attributes of
 * the old one. What others have done to the file since it was read is not lost.
 */
#ifndef CTL_FILE_EDIT_H
#define CTL_FILE_EDIT_H

#include <stdbool.h>
#include <sys/stat.h>

#include "proto/codec.h"

#define FILE_EDIT_MAX (64 * 1024 * 1024) /* bytes */

struct file_edit {
	char *path; /* as it was given */
	char *file; /* where links lead */
	bool exists;
	struct stat st;
	struct buffer text;
};

/* Reads it; a file that is not there is read as empty. Returns 0, -EISDIR and the like when it is
 * no regular file, -EFBIG, or another -errno. Freed with file_edit_deinit. */
int file_edit_read(const char *path, struct file_edit *ret_edit);
void file_edit_deinit(struct file_edit *edit);

/* Writes `text` instead; a new file has mode 0600. Makes directories that are missing, and says how
 * many in `ret_n_made`. Returns 0, -EBUSY when somebody changed it meanwhile (nothing is changed
 * then), or -errno. */
int file_edit_write(const struct file_edit *edit, struct bytes text, unsigned *ret_n_made);
/* Removes it, and that many of the directories it is in, if they are empty. Likewise. */
int file_edit_remove(const struct file_edit *edit, unsigned n_directories);

/* Keeps what was read as `path` and ".loopsy-backup", unless there is such a file. Returns 1, 0
 * when there was one, or -errno. *ret_path (malloc'ed) is set in any case but an error. */
int file_edit_back_up(const struct file_edit *edit, char **ret_path);

#endif
