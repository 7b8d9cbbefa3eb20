#include "daemon/dead_mount.h"

#include <errno.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* Undoes \ooo, as proc(5) writes blanks and backslashes. In place. */
static void unescape(char *text)
{
	char *out = text;

	for (char *in = text; *in; in++) {
		unsigned value;

		if (in[0] == '\\' && sscanf(in, "\\%3o", &value) == 1) {
			*out++ = (char)value;
			in += 3;
		} else {
			*out++ = *in;
		}
	}
	*out = '\0';
}

/* The type of the topmost file system mounted at `path`: 1, or 0 if there is none, or -errno. */
static int find(const char *path, char *ret_type, size_t size)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	size_t capacity = 0;
	int found = 0;

	if (!file)
		return -errno;
	while (getline(&line, &capacity, file) > 0) {
		char *rest = line, *field = NULL;
		char *dash = strstr(line, " - ");

		if (!dash)
			continue;
		for (int i = 0; i < 5; i++)
			field = strsep(&rest, " ");
		unescape(field);
		if (strcmp(field, path) != 0)
			continue;
		dash += 3;
		snprintf(ret_type, size, "%.*s", (int)strcspn(dash, " \n"), dash);
		found = 1;
	}
	free(line);
	fclose(file);
	return found;
}

static int unmount(const char *path)
{
	char *const argv[] = {"fusermount3", "-u", "-z", "--", (char *)path, NULL};
	int error, status;
	pid_t pid;

	if (geteuid() == 0)
		return umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 ? -errno : 0;
	error = posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ);
	if (error)
		return -error;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}

int dead_mount_clear(const char *path, struct failure *failure)
{
	/* The parent may be reached through a link; the mount point itself is never asked. */
	char parent[4096], real[4096 + 256], type[64];
	char *resolved;

	snprintf(parent, sizeof(parent), "%s", path);
	char *slash = strrchr(parent, '/');

	if (!slash)
		return failure_set(failure, -EINVAL, "'%s' is no absolute path", path);
	*slash = '\0';
	resolved = realpath(*parent ? parent : "/", NULL);
	if (!resolved)
		return errno == ENOENT ? 0
				       : failure_set(failure, -errno, "cannot look at %s: %s",
						     parent, strerror(errno));
	snprintf(real, sizeof(real), "%s/%s", strcmp(resolved, "/") ? resolved : "", slash + 1);
	free(resolved);
	for (int tries = 0; tries < 100; tries++) {
		int error = find(real, type, sizeof(type));

		if (error <= 0)
			return error;
		if (strcmp(type, "fuse.loopsy") != 0)
			return failure_set(failure, -EBUSY,
					   "%s is in use: a %s file system is "
					   "mounted there",
					   real, type);
		error = unmount(real);
		if (error < 0)
			return failure_set(failure, error, "cannot clear the dead mount at %s: %s",
					   real, strerror(-error));
	}
	return failure_set(failure, -EBUSY, "cannot clear the dead mounts at %s", real);
}
