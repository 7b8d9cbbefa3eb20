/*
 * One walk, a component at a time, so that each directory on the way is looked at before it is
 * entered: nothing hidden is passed through, and no mount that is not to be entered is asked.
 *
 *     done    where we are, below the root, without links and dots
 *     todo    what is left: a link's target is put before it
 */
#include "daemon/serve/place.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/serve/deny.h"
#include "daemon/serve/exports.h"
#include "daemon/serve/node_walk.h"

#define LINKS_MAX 40 /* as the kernel's */

struct walk {
	struct mounts *mounts;
	const struct place *root;
	struct look at;
	char done[PATH_MAX], todo[PATH_MAX];
	unsigned n_links;
};

static int start(struct walk *walk)
{
	confine_look_close(&walk->at);
	walk->at = walk->root->look;
	walk->at.fd = fcntl(walk->root->look.fd, F_DUPFD_CLOEXEC, 0);
	walk->done[0] = '\0';
	return walk->at.fd < 0 ? -errno : 0;
}

/* What of `path` lies below `root`, or NULL. */
static const char *rest_below(const char *path, const char *root)
{
	size_t length = strcmp(root, "/") == 0 ? 0 : strlen(root);

	if (strncmp(path, root, length) != 0 || (path[length] != '/' && path[length] != '\0'))
		return NULL;
	return path + length + strspn(path + length, "/");
}

/* By its configured path, or by the real one. */
static const char *rest_in(const struct export *export, const char *path)
{
	const char *rest = rest_below(path, export->path);
	char *real = rest ? NULL : realpath(export->path, NULL);

	if (real)
		rest = rest_below(path, real);
	free(real);
	return rest;
}

static int follow(struct walk *walk, const struct look *link, const char *rest)
{
	char target[PATH_MAX], todo[PATH_MAX];
	const char *from = target;
	ssize_t n = readlinkat(link->fd, "", target, sizeof(target) - 1);

	if (n < 0)
		return -errno;
	target[n] = '\0';
	if (++walk->n_links > LINKS_MAX)
		return -ELOOP;
	if (target[0] == '/') {
		from = rest_in(walk->root->export, target);
		if (!from)
			return -ENOENT;
		n = start(walk);
		if (n < 0)
			return (int)n;
	}
	if (snprintf(todo, sizeof(todo), "%s/%s", from, rest) >= (int)sizeof(todo))
		return -ENAMETOOLONG;
	strcpy(walk->todo, todo);
	return 0;
}

/* Moves to the entry `name`, if peers see it; `rest` is what comes after it. */
static int step(struct walk *walk, const char *name, const char *rest)
{
	LOOK next = LOOK_NULL;
	size_t length = strlen(walk->done);
	int error = confine_look(walk->mounts, walk->at.fd, name, &next);

	if (error == 0 && (next.hollow || deny_hides(walk->root->export->deny, &walk->at.identity,
						     name, &next.identity)))
		error = -ENOENT;
	if (error < 0)
		return error;
	if (S_ISLNK(next.stx.stx_mode))
		return follow(walk, &next, rest);
	if (snprintf(walk->done + length, sizeof(walk->done) - length, "%s/", name) >=
	    (int)(sizeof(walk->done) - length))
		return -ENAMETOOLONG;
	memmove(walk->todo, rest, strlen(rest) + 1);
	confine_look_close(&walk->at);
	walk->at = next;
	next.fd = -1;
	return 0;
}

/* From the root again: a directory's ".." may be outside by now. */
static int step_up(struct walk *walk, const char *rest)
{
	char todo[PATH_MAX];
	size_t length = strlen(walk->done);
	int n;

	if (length == 0)
		return -ENOENT;
	for (length--; length > 0 && walk->done[length - 1] != '/';)
		length--;
	n = snprintf(todo, sizeof(todo), "%.*s%s", (int)length, walk->done, rest);
	if (n >= (int)sizeof(todo))
		return -ENAMETOOLONG;
	strcpy(walk->todo, todo);
	return start(walk);
}

static int go_on(struct walk *walk)
{
	char name[NAME_MAX + 1];
	const char *from = walk->todo + strspn(walk->todo, "/");
	size_t length = strcspn(from, "/");
	const char *rest = from + length + strspn(from + length, "/");

	if (length > NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(name, from, length);
	name[length] = '\0';
	if (strcmp(name, "..") == 0)
		return step_up(walk, rest);
	if (length > 0 && strcmp(name, ".") != 0)
		return step(walk, name, rest);
	memmove(walk->todo, rest, strlen(rest) + 1);
	return 0;
}

int place_find_below(const struct place *place, struct mounts *mounts, const char *path,
		     struct place *ret_place)
{
	struct walk walk = {.mounts = mounts, .root = place, .at = LOOK_NULL};
	int error;

	if (place->look.hollow)
		return -ENOENT;
	if (strlen(path) >= sizeof(walk.todo))
		return -ENAMETOOLONG;
	strcpy(walk.todo, path);
	error = start(&walk);
	while (error == 0 && walk.todo[0] != '\0')
		error = go_on(&walk);
	if (error < 0) {
		confine_look_close(&walk.at);
		return error;
	}
	*ret_place = (struct place){.export = place->export, .look = walk.at};
	return 0;
}

/* The innermost export that an absolute path leads into. */
static const struct export *export_of(const struct exports *exports, const char *path,
				      const char **ret_rest)
{
	const struct export *best = NULL;

	for (size_t i = 0; i < exports->n; i++) {
		const char *rest = rest_in(&exports->items[i], path);

		if (rest && (!best || strlen(rest) < strlen(*ret_rest))) {
			best = &exports->items[i];
			*ret_rest = rest;
		}
	}
	return best;
}

int place_find(const struct exports *exports, struct mounts *mounts, struct bytes path,
	       struct place *ret_place)
{
	struct place root = {.look = LOOK_NULL};
	char text[PATH_MAX];
	const char *rest = text;
	int error;

	if (path.size >= sizeof(text))
		return -ENAMETOOLONG;
	if (path.size > 0)
		memcpy(text, path.data, path.size);
	text[path.size] = '\0';
	if (strlen(text) != path.size)
		return -EINVAL;
	if (text[0] == '/') {
		root.export = export_of(exports, text, &rest);
	} else if (exports->n == 1) {
		root.export = &exports->items[0];
	} else {
		size_t length = strcspn(text, "/");

		if (length == 0)
			return -EACCES;
		root.export = exports_find(exports, (struct bytes){path.data, length});
		rest = text + length;
	}
	if (!root.export)
		return -ENOENT;
	error = node_walk_export(mounts, root.export, &root.look);
	if (error == 0)
		error = place_find_below(&root, mounts, rest, ret_place);
	confine_look_close(&root.look);
	return error;
}
