#include "daemon/mountinfo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MAX                                                                                   \
	(64 * 1024 * 1024) /* far above what the kernel's limit of 100,000 mounts needs            \
			    */

struct field {
	const char *text;
	size_t n;
};

/* The next field of a line that ends at end; false if there is none. */
static bool next_field(const char **at, const char *end, struct field *ret_field)
{
	const char *start = *at;

	while (start < end && *start == ' ')
		start++;
	*at = start;
	while (*at < end && **at != ' ')
		++*at;
	*ret_field = (struct field){start, (size_t)(*at - start)};
	return ret_field->n > 0;
}

static bool parse_number(struct field field, uint64_t *ret)
{
	uint64_t value = 0;

	for (size_t i = 0; i < field.n; i++) {
		if (field.text[i] < '0' || field.text[i] > '9' ||
		    __builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (unsigned)(field.text[i] - '0'), &value))
			return false;
	}
	*ret = value;
	return field.n > 0;
}

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

/* Space, tab, newline and backslash are written as \040 and so on. */
static char *unescape(struct field field)
{
	char *text = malloc(field.n + 1), *out = text;

	if (!text)
		return NULL;
	for (size_t i = 0; i < field.n; i++) {
		const char *c = field.text + i;

		if (*c == '\\' && field.n - i >= 4 && is_octal(c[1]) && c[1] < '4' &&
		    is_octal(c[2]) && is_octal(c[3])) {
			*out++ = (char)((c[1] - '0') * 64 + (c[2] - '0') * 8 + (c[3] - '0'));
			i += 3;
		} else {
			*out++ = *c;
		}
	}
	*out = '\0';
	return text;
}

/* "36 35 98:0 /root /mount/point options optional… - type source options" */
int mountinfo_parse_line(const char *line, size_t n, struct mountinfo_entry *ret_entry)
{
	struct field id, parent, skipped, mount_point, fs_type, source;
	const char *at = line, *end = line + n;
	struct mountinfo_entry entry;

	if (!next_field(&at, end, &id) || !parse_number(id, &entry.id) ||
	    !next_field(&at, end, &parent) || !parse_number(parent, &entry.parent) ||
	    !next_field(&at, end, &skipped) || !next_field(&at, end, &skipped) ||
	    !next_field(&at, end, &mount_point) || mount_point.text[0] != '/' ||
	    !next_field(&at, end, &skipped))
		return -EINVAL;
	do {
		if (!next_field(&at, end, &skipped))
			return -EINVAL;
	} while (skipped.n != 1 || skipped.text[0] != '-');
	if (!next_field(&at, end, &fs_type))
		return -EINVAL;
	/* An empty source is an empty field: what comes then are the options. */
	if (at + 1 < end && at[1] == ' ')
		source = (struct field){"", 0};
	else if (!next_field(&at, end, &source))
		return -EINVAL;

	entry.mount_point = unescape(mount_point);
	entry.fs_type = unescape(fs_type);
	entry.source = unescape(source);
	if (!entry.mount_point || !entry.fs_type || !entry.source) {
		mountinfo_deinit_entry(&entry);
		return -ENOMEM;
	}
	*ret_entry = entry;
	return 0;
}

void mountinfo_deinit_entry(struct mountinfo_entry *entry)
{
	free(entry->mount_point);
	free(entry->fs_type);
	free(entry->source);
}

int mountinfo_find(const char *text, size_t n, const char *mount_point,
		   struct mountinfo_entry *ret_entry)
{
	struct mountinfo_entry found, entry;
	int r, result = -ENOENT;

	while (n > 0) {
		const char *newline = memchr(text, '\n', n);
		size_t length = newline ? (size_t)(newline - text) : n;

		r = mountinfo_parse_line(text, length, &entry);
		text += length + (newline != NULL);
		n -= length + (newline != NULL);
		if (r == -EINVAL)
			continue;
		if (r < 0) {
			if (result == 0)
				mountinfo_deinit_entry(&found);
			return r;
		}
		/* Of several, one covers the other: it is its child, and it was made later. */
		if (strcmp(entry.mount_point, mount_point) != 0 ||
		    (result == 0 && found.parent == entry.id)) {
			mountinfo_deinit_entry(&entry);
			continue;
		}
		if (result == 0)
			mountinfo_deinit_entry(&found);
		found = entry;
		result = 0;
	}
	if (result == 0)
		*ret_entry = found;
	return result;
}

static int read_all(const char *path, char **ret_text, size_t *ret_n)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), r = 0;
	size_t n = 0, size = 16384;
	char *text = NULL;

	if (fd < 0)
		return -errno;
	for (;;) {
		char *grown = realloc(text, size);
		ssize_t got;

		if (!grown || size > TEXT_MAX) {
			r = -ENOMEM;
			text = grown ? grown : text;
			break;
		}
		text = grown;
		got = read(fd, text + n, size - n);
		if (got < 0 && errno != EINTR)
			r = -errno;
		if (got == 0 || r < 0)
			break;
		n += got > 0 ? (size_t)got : 0;
		if (n == size)
			size *= 2;
	}
	close(fd);
	if (r < 0) {
		free(text);
		return r;
	}
	*ret_text = text;
	*ret_n = n;
	return 0;
}

int mountinfo_find_now(const char *mount_point, struct mountinfo_entry *ret_entry)
{
	char *text = NULL;
	size_t n = 0;
	int r = read_all("/proc/self/mountinfo", &text, &n);

	if (r < 0)
		return r;
	r = mountinfo_find(text, n, mount_point, ret_entry);
	free(text);
	return r;
}
