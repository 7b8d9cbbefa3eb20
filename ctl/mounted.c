#include "ctl/mounted.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINKS_MAX 40

/* A path as it grows, component by component; absolute, without links above `mount`. */
struct walk {
	const char *mount; /* without links, "" to begin with */
	char at[PATH_MAX]; /* "" is the root */
	unsigned n_links;
};

static bool is_within(const char *mount, const char *path)
{
	size_t n = strlen(mount);

	return n > 0 && strncmp(path, mount, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

static int walk_path(struct walk *walk, const char *path);

static int walk_link(struct walk *walk)
{
	char target[PATH_MAX];
	ssize_t n = readlink(walk->at, target, sizeof(target) - 1);

	if (n < 0)
		return errno == EINVAL || errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	if (++walk->n_links > LINKS_MAX)
		return -ELOOP;
	target[n] = '\0';
	*strrchr(walk->at, '/') = '\0';
	return walk_path(walk, target);
}

static int walk_component(struct walk *walk, const char *name, size_t size)
{
	size_t n = strlen(walk->at);
	char *slash = strrchr(walk->at, '/');

	if (size == 1 && name[0] == '.')
		return 0;
	if (size == 2 && memcmp(name, "..", 2) == 0) {
		if (slash)
			*slash = '\0';
		return 0;
	}
	if (n + 1 + size >= sizeof(walk->at))
		return -ENAMETOOLONG;
	walk->at[n] = '/';
	memcpy(walk->at + n + 1, name, size);
	walk->at[n + 1 + size] = '\0';
	return is_within(walk->mount, walk->at) ? 0 : walk_link(walk);
}

static int walk_path(struct walk *walk, const char *path)
{
	int r = 0;

	if (path[0] == '/')
		walk->at[0] = '\0';
	while (*path && r == 0) {
		size_t size = strcspn(path, "/");

		if (size > 0)
			r = walk_component(walk, path, size);
		path += size;
		path += *path == '/';
	}
	return r;
}

/* The mount without links above it. */
static int find_mount(const char *mount, char ret_mount[PATH_MAX])
{
	const char *name = strrchr(mount, '/');
	struct walk walk = {.mount = ""};
	char above[PATH_MAX];
	int r, n;

	if (mount[0] != '/' || strlen(mount) >= sizeof(above))
		return -EXDEV;
	memcpy(above, mount, (size_t)(name - mount));
	above[name - mount] = '\0';
	r = walk_path(&walk, above[0] ? above : "/");
	if (r < 0)
		return r;
	n = snprintf(ret_mount, PATH_MAX, "%s%s", walk.at, name);
	return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

int mounted_find(const char *mount, const char *path, struct mounted *ret_mounted)
{
	char real_mount[PATH_MAX];
	struct walk walk = {.mount = real_mount};
	struct mounted found;
	const char *rest;
	size_t n;
	int r = find_mount(mount, real_mount);

	if (r < 0)
		return r;
	if (path[0] != '/' && !getcwd(walk.at, sizeof(walk.at)))
		return -errno;
	if (strcmp(walk.at, "/") == 0)
		walk.at[0] = '\0';
	r = walk_path(&walk, path);
	if (r < 0)
		return r;
	if (!is_within(real_mount, walk.at))
		return -EXDEV;
	rest = walk.at + strlen(real_mount);
	if (*rest == '\0')
		return -EISDIR;
	n = strcspn(++rest, "/");
	found.peer = strndup(rest, n);
	found.path = strdup(rest[n] ? rest + n + 1 : "");
	if (!found.peer || !found.path) {
		mounted_deinit(&found);
		return -ENOMEM;
	}
	*ret_mounted = found;
	return 0;
}

void mounted_deinit(struct mounted *mounted)
{
	free(mounted->peer);
	free(mounted->path);
	*mounted = (struct mounted){0};
}
