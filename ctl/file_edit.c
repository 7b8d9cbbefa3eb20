#include "ctl/file_edit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#define LINKS_MAX 40

void file_edit_deinit(struct file_edit *edit)
{
	free(edit->path);
	free(edit->file);
	buffer_deinit(&edit->text);
	*edit = (struct file_edit){0};
}

/* --- reading ---------------------------------------------------------------------------------- */

/* Where links lead, also when there is nothing; malloc'ed. */
static int follow(const char *path, char **ret_file)
{
	char at[PATH_MAX], target[PATH_MAX];

	if (snprintf(at, sizeof(at), "%s", path) >= (int)sizeof(at))
		return -ENAMETOOLONG;
	for (unsigned i = 0; i < LINKS_MAX; i++) {
		ssize_t n = readlink(at, target, sizeof(target) - 1);
		char *slash = strrchr(at, '/');

		if (n < 0 && errno != EINVAL && errno != ENOENT)
			return -errno;
		if (n < 0) {
			*ret_file = strdup(at);
			return *ret_file ? 0 : -ENOMEM;
		}
		target[n] = '\0';
		if (target[0] == '/')
			slash = at;
		else if (slash)
			slash++;
		else
			slash = at;
		if ((size_t)n + 1 > sizeof(at) - (size_t)(slash - at))
			return -ENAMETOOLONG;
		strcpy(slash, target);
	}
	return -ELOOP;
}

static int read_all(int fd, struct buffer *out)
{
	for (;;) {
		int r = buffer_reserve(out, 64 * 1024);
		ssize_t n;

		if (r < 0)
			return r == -EMSGSIZE ? -EFBIG : r;
		n = read(fd, out->data + out->size, 64 * 1024);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		out->size += (size_t)n;
	}
}

static int read_file(struct file_edit *edit)
{
	int fd = open(edit->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), r = 0;

	edit->text = (struct buffer){.limit = FILE_EDIT_MAX + 64 * 1024};
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	edit->exists = true;
	if (fstat(fd, &edit->st) < 0)
		r = -errno;
	else if (!S_ISREG(edit->st.st_mode))
		r = S_ISDIR(edit->st.st_mode) ? -EISDIR : -EINVAL;
	else
		r = read_all(fd, &edit->text);
	close(fd);
	return r;
}

int file_edit_read(const char *path, struct file_edit *ret_edit)
{
	struct file_edit edit = {.path = strdup(path)};
	int r = edit.path ? follow(path, &edit.file) : -ENOMEM;

	r = r < 0 ? r : read_file(&edit);
	if (r < 0) {
		file_edit_deinit(&edit);
		return r;
	}
	*ret_edit = edit;
	return 0;
}

/* 0 if the file is as it was read, or -EBUSY. */
static int compare(const struct file_edit *edit, const char *path)
{
	struct file_edit now = {.file = (char *)path};
	int r = read_file(&now);

	if (r == 0 &&
	    (now.exists != edit->exists || now.text.size != edit->text.size ||
	     (now.text.size > 0 && memcmp(now.text.data, edit->text.data, now.text.size) != 0)))
		r = -EBUSY;
	buffer_deinit(&now.text);
	return r;
}

/* --- writing ---------------------------------------------------------------------------------- */

static int write_all(int fd, struct bytes text)
{
	while (text.size > 0) {
		ssize_t n = write(fd, text.data, text.size);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			text = (struct bytes){text.data + n, text.size - (size_t)n};
	}
	return 0;
}

/* ACLs and the like, as far as we may. */
static void copy_attributes(const char *from, int to)
{
	char names[4096], value[4096];
	ssize_t n = listxattr(from, names, sizeof(names)), size;

	for (char *name = names; n > 0 && name < names + n; name += strlen(name) + 1) {
		size = getxattr(from, name, value, sizeof(value));
		if (size >= 0 && fsetxattr(to, name, value, (size_t)size, 0) < 0)
			continue;
	}
}

/* Gives the new file what the old one has besides its content. */
static int dress(const struct file_edit *edit, int fd)
{
	struct stat st;

	if (!edit->exists)
		return fchmod(fd, 0600) < 0 ? -errno : 0;
	if (fstat(fd, &st) < 0)
		return -errno;
	if ((st.st_uid != edit->st.st_uid || st.st_gid != edit->st.st_gid) &&
	    fchown(fd, edit->st.st_uid, edit->st.st_gid) < 0)
		return -errno;
	copy_attributes(edit->file, fd);
	return fchmod(fd, edit->st.st_mode & 07777) < 0 ? -errno : 0;
}

/* A name beside `path`, to be filled by mkstemp; malloc'ed. */
static char *temporary_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	int n = slash ? (int)(slash - path) + 1 : 0;
	char *name;

	return asprintf(&name, "%.*s.%s.loopsy-XXXXXX", n, path, path + n) < 0 ? NULL : name;
}

/* Writes it beside `path`; *ret_temporary is the name, malloc'ed, and set on success only. */
static int write_beside(const struct file_edit *edit, const char *path, struct bytes text,
			char **ret_temporary)
{
	char *temporary = temporary_name(path);
	int fd = temporary ? mkostemp(temporary, O_CLOEXEC) : -1, r;

	if (fd < 0) {
		r = temporary ? -errno : -ENOMEM;
		free(temporary);
		return r;
	}
	r = dress(edit, fd);
	r = r < 0 ? r : write_all(fd, text);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (close(fd) < 0 && r == 0)
		r = -errno;
	if (r < 0) {
		unlink(temporary);
		free(temporary);
		return r;
	}
	*ret_temporary = temporary;
	return 0;
}

static void sync_directory(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *directory = strndup(path, slash && slash > path ? (size_t)(slash - path) : 1);
	int fd = directory ? open(slash ? directory : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (fd >= 0) {
		fsync(fd);
		close(fd);
	}
	free(directory);
}

/* Those above `path` that are missing. */
static int make_directories(const char *path, unsigned *ret_n_made)
{
	char at[PATH_MAX];
	unsigned n_made = 0;

	if (snprintf(at, sizeof(at), "%s", path) >= (int)sizeof(at))
		return -ENAMETOOLONG;
	for (char *c = at + 1; *c; c++) {
		if (*c != '/')
			continue;
		*c = '\0';
		if (mkdir(at, 0700) == 0)
			n_made++;
		else if (errno != EEXIST)
			return -errno;
		*c = '/';
	}
	*ret_n_made = n_made;
	return 0;
}

/*
 * The new file and the old one change places, and only then it is known what is replaced: when it
 * is not what was read, they change back. (A file system that cannot do it has the check before
 * alone.)
 */
static int take_name(const struct file_edit *edit, const char *temporary)
{
	int r = compare(edit, edit->file);

	if (r < 0)
		return r;
	if (!edit->exists) {
		if (link(temporary, edit->file) < 0)
			return errno == EEXIST ? -EBUSY : -errno;
		unlink(temporary);
		return 0;
	}
	if (renameat2(AT_FDCWD, temporary, AT_FDCWD, edit->file, RENAME_EXCHANGE) < 0) {
		if (errno != EINVAL && errno != ENOSYS)
			return errno == ENOENT ? -EBUSY : -errno;
		return rename(temporary, edit->file) < 0 ? -errno : 0;
	}
	r = compare(edit, temporary);
	/* What somebody else wrote is never dropped: where there is no new file to change with, it
	 * takes its place again. */
	if (r < 0 && renameat2(AT_FDCWD, temporary, AT_FDCWD, edit->file, RENAME_EXCHANGE) < 0 &&
	    rename(temporary, edit->file) < 0)
		return -errno;
	unlink(temporary);
	return r;
}

int file_edit_write(const struct file_edit *edit, struct bytes text, unsigned *ret_n_made)
{
	char *temporary;
	unsigned n_made = 0;
	int r = edit->exists ? 0 : make_directories(edit->file, &n_made);

	r = r < 0 ? r : write_beside(edit, edit->file, text, &temporary);
	if (r < 0)
		return r;
	r = take_name(edit, temporary);
	if (r < 0)
		unlink(temporary);
	free(temporary);
	sync_directory(edit->file);
	if (r == 0 && ret_n_made)
		*ret_n_made = n_made;
	return r;
}

int file_edit_remove(const struct file_edit *edit, unsigned n_directories)
{
	char *at = strdup(edit->file), *slash;
	int r = at ? compare(edit, edit->file) : -ENOMEM;

	if (r == 0 && unlink(edit->file) < 0)
		r = -errno;
	for (; r == 0 && n_directories > 0 && (slash = strrchr(at, '/')) && slash > at;
	     n_directories--) {
		*slash = '\0';
		if (rmdir(at) < 0)
			break;
	}
	free(at);
	return r;
}

int file_edit_back_up(const struct file_edit *edit, char **ret_path)
{
	struct bytes text = {edit->text.data, edit->text.size};
	char *path, *temporary;
	int r;

	if (asprintf(&path, "%s.loopsy-backup", edit->path) < 0)
		return -ENOMEM;
	r = write_beside(edit, path, text, &temporary);
	if (r == 0) {
		r = link(temporary, path) == 0 ? 1 : errno == EEXIST ? 0 : -errno;
		unlink(temporary);
		free(temporary);
	}
	if (r < 0)
		free(path);
	else
		*ret_path = path;
	return r;
}
