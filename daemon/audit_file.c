#include "daemon/audit_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int rotate(const char *path, int64_t keep)
{
	char *from = malloc(strlen(path) + 24), *to = malloc(strlen(path) + 24);
	int r = from && to ? 0 : -ENOMEM;

	for (int64_t i = keep; r == 0 && i > 0; i--) {
		sprintf(to, "%s.%d", path, (int)i);
		if (i > 1)
			sprintf(from, "%s.%d", path, (int)i - 1);
		else
			strcpy(from, path);
		if (rename(from, to) < 0 && errno != ENOENT)
			r = -errno;
	}
	free(from);
	free(to);
	return r;
}

/* The length of the longest run of whole lines that is not above room; the first line at least. */
static size_t whole_lines(const char *lines, size_t n, int64_t room)
{
	const char *newline;

	if ((int64_t)n <= room)
		return n;
	newline = room > 0 ? memrchr(lines, '\n', (size_t)room) : NULL;
	if (!newline)
		newline = memchr(lines, '\n', n);
	return newline ? (size_t)(newline + 1 - lines) : n;
}

static int append_chunk(int fd, int64_t size, const char *bytes, size_t n)
{
	for (size_t written = 0; written < n;) {
		ssize_t done = write(fd, bytes + written, n - written);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0) {
			int r = -errno;

			/* No half line is left for the next to be glued to. */
			if (ftruncate(fd, size) < 0)
				return -errno;
			return r;
		}
		written += (size_t)done;
	}
	return 0;
}

int audit_file_append(const char *path, const char *lines, size_t n, int64_t max_size, int64_t keep)
{
	int r = 0;

	while (r == 0 && n > 0) {
		int fd =
		    open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
			 0600);
		struct stat st;
		size_t chunk;

		if (fd < 0)
			return -errno;
		if (fstat(fd, &st) < 0)
			r = -errno;
		else if (!S_ISREG(st.st_mode))
			r = -EINVAL;
		if (r < 0) {
			close(fd);
			break;
		}
		chunk = whole_lines(lines, n, max_size - st.st_size);
		if (st.st_size > 0 && (int64_t)chunk > max_size - st.st_size) {
			r = rotate(path, keep);
		} else {
			r = append_chunk(fd, st.st_size, lines, chunk);
			lines += chunk;
			n -= chunk;
		}
		close(fd);
	}
	return r;
}
