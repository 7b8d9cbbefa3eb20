/*
 * A directory is watched before it is read: what comes in between is told by both, which is told
 * once more than needed, and never less. One that is moved loses its watches and those below, and
 * gets new ones where it appears, because all of them would have to be renamed.
 *
 * What the queue lost (overflow) is looked for by walking again; the client is told to do so too.
 */
#include "daemon/watch/watch_tree.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "daemon/serve/deny.h"
#include "daemon/serve/exports.h"
#include "daemon/serve/place.h"
#include "daemon/watch/watched.h"
#include "proto/ops_peer.h"

#define EVENT_ROOM    (OPS_TARGET_MAX + 64) /* that one encoded event takes at most */
#define WALK_TELL_MAX (1024 * 1024)         /* bytes of events that new directories are worth */
#define MASK                                                                                       \
	(IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |        \
	 IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR | IN_EXCL_UNLINK)

/* No descriptor of it is kept: with one, inotify would not tell that it was removed. */
struct root {
	const struct export *export;
	char *path; /* of the directory, as it was asked for */
	char *only; /* the watched name in it; NULL: the directory itself */
	bool is_gone;
};

struct watch_tree {
	const struct exports *exports;
	struct mounts *mounts;
	bool recursive;
	size_t max_watches;
	int fd;
	struct watched_table table;
	struct root *roots;
	size_t n_roots;

	/* Events that were read and not told yet. */
	char raw[16 * 1024] __attribute__((aligned(__alignof__(struct inotify_event))));
	size_t raw_at, raw_size;
	/* What was told last: the same again tells nothing. */
	struct watch_event last;
	char last_name[OPS_TARGET_MAX + 1];
	/* Directories that are to be walked, as "path" below root `index`; a stack. */
	struct todo *todo;
	bool missed; /* more was found in them than is worth telling one by one */
};

struct todo {
	struct todo *next;
	unsigned index;
	bool tell; /* what is found in it is new */
	char path[];
};

/* --- telling ---------------------------------------------------------------------------------- */

static int tell(struct watch_tree *tree, unsigned index, enum watch_kind kind, bool is_dir,
		const char *name, struct buffer *out)
{
	struct watch_event event = {.path = index,
				    .kind = kind,
				    .dir = is_dir,
				    .name = {(const uint8_t *)name, strlen(name)}};
	struct watch_event *last = &tree->last;

	if (event.name.size > OPS_TARGET_MAX)
		return 0; /* too deep to be named by anybody */
	if (kind == WATCH_CHANGED && last->kind == kind && last->path == index &&
	    strcmp(tree->last_name, name) == 0)
		return 0;
	*last = event;
	strcpy(tree->last_name, name);
	return codec_encode(&watch_event_record, &event, out, NULL);
}

static int join(char *ret_path, size_t size, const char *path, const char *name)
{
	int n = snprintf(ret_path, size, "%s%s%s", path, *path && *name ? "/" : "", name);

	return n < (int)size ? 0 : -ENAMETOOLONG;
}

/* The directory at `path` below a root. */
static int find_below(struct watch_tree *tree, unsigned index, const char *path,
		      struct place *ret_place)
{
	const struct root *root = &tree->roots[index];
	struct bytes from = {(const uint8_t *)root->path, strlen(root->path)};
	struct place top = {.look = LOOK_NULL};
	int error = place_find(tree->exports, tree->mounts, from, &top);

	if (error == 0)
		error = place_find_below(&top, tree->mounts, path, ret_place);
	confine_look_close(&top.look);
	return error;
}

/* --- watching --------------------------------------------------------------------------------- */

static void unwatch(void *arg, int wd)
{
	const struct watch_tree *tree = arg;

	inotify_rm_watch(tree->fd, wd);
}

static int watch_directory(struct watch_tree *tree, unsigned index, const struct look *look,
			   const char *path, const char *only)
{
	char proc[CONFINE_PROC_SIZE];
	int wd, error;

	if (tree->table.n >= tree->max_watches)
		return -ENOSPC;
	confine_proc_path(look->fd, proc);
	wd = inotify_add_watch(tree->fd, proc, MASK);
	if (wd < 0)
		return -errno;
	error = watched_add(&tree->table, wd, index, &look->identity, path, only);
	if (error == -ENOMEM && !watched_find(&tree->table, wd))
		unwatch(tree, wd);
	return error == -EEXIST ? 0 : error;
}

static int push(struct watch_tree *tree, unsigned index, const char *path, bool tell_it)
{
	struct todo *todo = malloc(sizeof(*todo) + strlen(path) + 1);

	if (!todo)
		return -ENOMEM;
	*todo = (struct todo){.next = tree->todo, .index = index, .tell = tell_it};
	strcpy(todo->path, path);
	tree->todo = todo;
	return 0;
}

/* One entry of a directory that is walked. */
static int take_entry(struct watch_tree *tree, const struct todo *todo, const struct place *dir,
		      const char *name, struct buffer *out)
{
	LOOK look = LOOK_NULL;
	char path[PATH_MAX];
	bool is_dir;
	int error = confine_look(tree->mounts, dir->look.fd, name, &look);

	if (error < 0 || look.hollow ||
	    deny_hides(dir->export->deny, &dir->look.identity, name, &look.identity) ||
	    join(path, sizeof(path), todo->path, name) < 0)
		return error == -ENOMEM ? error : 0;
	is_dir = S_ISDIR(look.stx.stx_mode);
	if (todo->tell && out->size > WALK_TELL_MAX)
		tree->missed = true;
	else if (todo->tell)
		error = tell(tree, todo->index, WATCH_CREATED, is_dir, path, out);
	if (error == 0 && is_dir)
		error = push(tree, todo->index, path, todo->tell);
	return error;
}

static int walk_entries(struct watch_tree *tree, const struct todo *todo, const struct place *dir,
			struct buffer *out)
{
	int fd = confine_open_dir(dir->look.fd), error = 0;
	DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (!stream) {
		if (fd >= 0)
			close(fd);
		return fd < 0 ? fd : -ENOMEM;
	}
	while (error == 0 && (entry = readdir(stream)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
		    (todo->tell || entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN))
			error = take_entry(tree, todo, dir, entry->d_name, out);
	closedir(stream);
	return error;
}

/* One directory of the stack. Errors of one that has gone meanwhile, or may not be read, are none.
 */
static int walk_one(struct watch_tree *tree, const struct todo *todo, struct buffer *out)
{
	struct place dir = {.look = LOOK_NULL};
	int error = find_below(tree, todo->index, todo->path, &dir);

	if (error == 0)
		error = watch_directory(tree, todo->index, &dir.look, todo->path, NULL);
	if (error == 0 && tree->recursive)
		error = walk_entries(tree, todo, &dir, out);
	confine_look_close(&dir.look);
	return error == -ENOSPC || error == -ENOMEM || error == -EMSGSIZE || !*todo->path ? error
											  : 0;
}

static int walk_all(struct watch_tree *tree, struct buffer *out)
{
	int error = 0;

	while (error == 0 && tree->todo) {
		struct todo *todo = tree->todo;

		tree->todo = todo->next;
		error = walk_one(tree, todo, out);
		free(todo);
	}
	return error;
}

/* --- adding ----------------------------------------------------------------------------------- */

static void free_root(struct root *root)
{
	free(root->path);
	free(root->only);
}

/* Cuts the last name off. */
static int cut(struct root *root)
{
	size_t end = strlen(root->path), start;

	while (end > 0 && root->path[end - 1] == '/')
		end--;
	for (start = end; start > 0 && root->path[start - 1] != '/';)
		start--;
	root->only = strndup(root->path + start, end - start);
	root->path[start] = '\0';
	return root->only ? 0 : -ENOMEM;
}

/* Sets the root's fields but path; a watch too, if it is no directory. */
static int find_root(struct watch_tree *tree, struct root *root)
{
	struct bytes path = {(const uint8_t *)root->path, strlen(root->path)};
	struct place place = {.look = LOOK_NULL};
	int error = place_find(tree->exports, tree->mounts, path, &place);

	if (error < 0)
		return error;
	root->export = place.export;
	if (!S_ISDIR(place.look.stx.stx_mode)) {
		confine_look_close(&place.look);
		error = cut(root);
		path.size = strlen(root->path);
		if (error == 0)
			error = place_find(tree->exports, tree->mounts, path, &place);
		if (error == 0)
			error = watch_directory(tree, (unsigned)tree->n_roots, &place.look, "",
						root->only);
	}
	confine_look_close(&place.look);
	return error;
}

int watch_tree_add(struct watch_tree *tree, unsigned index, struct bytes path)
{
	struct root *roots = reallocarray(tree->roots, index + 1, sizeof(*roots));
	struct root root = {.path = bytes_to_text(path)};
	struct buffer nothing = {0};
	int error;

	assert(index == tree->n_roots);
	if (roots)
		tree->roots = roots;
	error = roots && root.path ? 0 : -ENOMEM;
	if (error == 0 && strlen(root.path) != path.size)
		error = -EINVAL;
	if (error == 0)
		error = find_root(tree, &root);
	if (error < 0) {
		free_root(&root);
		return error;
	}
	tree->roots[tree->n_roots++] = root;
	if (root.only)
		return 0;
	error = push(tree, index, "", false);
	if (error == 0)
		error = walk_all(tree, &nothing);
	buffer_deinit(&nothing);
	return error;
}

/* --- reading ---------------------------------------------------------------------------------- */

static int tell_overflow(struct watch_tree *tree, struct buffer *out)
{
	int error = tell(tree, 0, WATCH_OVERFLOW, false, "", out);

	for (unsigned i = 0; i < tree->n_roots && error == 0; i++)
		if (!tree->roots[i].only && !tree->roots[i].is_gone)
			error = push(tree, i, "", false);
	return error;
}

static int tell_gone(struct watch_tree *tree, const struct watched *watched, struct buffer *out)
{
	struct root *root = &tree->roots[watched->index];

	if (*watched->path || root->is_gone)
		return 0; /* its directory has told */
	root->is_gone = true;
	return tell(tree, watched->index, WATCH_GONE, !root->only, "", out);
}

/* May the peer know of that name? What is there now is looked at too, if it may be. */
static bool is_shown(struct watch_tree *tree, const struct watched *watched, const char *name,
		     bool is_there)
{
	struct deny *deny = tree->roots[watched->index].export->deny;
	struct place dir = {.look = LOOK_NULL};
	LOOK look = LOOK_NULL;
	bool shown;

	if (deny_hides(deny, &watched->identity, name, NULL))
		return false;
	if (!is_there)
		return true;
	if (find_below(tree, watched->index, watched->path, &dir) < 0)
		return false;
	shown = confine_look(tree->mounts, dir.look.fd, name, &look) < 0 ||
		!deny_hides(deny, &dir.look.identity, name, &look.identity);
	confine_look_close(&dir.look);
	return shown;
}

static const struct {
	uint32_t bit;
	enum watch_kind kind;
} kinds[] = {
    {IN_CREATE, WATCH_CREATED},    {IN_CLOSE_WRITE, WATCH_CHANGED},   {IN_MODIFY, WATCH_CHANGED},
    {IN_DELETE, WATCH_REMOVED},    {IN_MOVED_FROM, WATCH_MOVED_FROM}, {IN_MOVED_TO, WATCH_MOVED_TO},
    {IN_ATTRIB, WATCH_ATTRIBUTES},
};

/* An event of an entry in a watched directory. */
static int take_named(struct watch_tree *tree, const struct watched *watched,
		      const struct inotify_event *event, struct buffer *out)
{
	bool is_dir = event->mask & IN_ISDIR, is_there;
	char path[PATH_MAX];
	unsigned index = watched->index;
	size_t i = 0;
	int error;

	while (i < sizeof(kinds) / sizeof(kinds[0]) && !(event->mask & kinds[i].bit))
		i++;
	if (i == sizeof(kinds) / sizeof(kinds[0]) ||
	    (watched->only && strcmp(watched->only, event->name) != 0))
		return 0;
	is_there = !(event->mask & (IN_DELETE | IN_MOVED_FROM));
	if (!is_shown(tree, watched, event->name, is_there) ||
	    join(path, sizeof(path), watched->path, watched->only ? "" : event->name) < 0)
		return 0;
	error = tell(tree, index, kinds[i].kind, is_dir, path, out);
	if (error == 0 && is_dir && !watched->only && tree->recursive &&
	    event->mask & (IN_CREATE | IN_MOVED_TO))
		error = push(tree, index, path, event->mask & IN_CREATE);
	return error;
}

/* A directory has left: so have those below. */
static void drop_below(struct watch_tree *tree, const struct inotify_event *event)
{
	char path[PATH_MAX];

	for (unsigned i = 0; i < tree->n_roots; i++) {
		struct watched *watched = watched_find(&tree->table, event->wd);

		while (watched && watched->index != i)
			watched = watched_next(watched);
		if (watched && !watched->only &&
		    join(path, sizeof(path), watched->path, event->name) == 0)
			watched_remove_below(&tree->table, i, path, unwatch, tree);
	}
}

static int take(struct watch_tree *tree, const struct inotify_event *event, struct buffer *out)
{
	const uint32_t left = IN_DELETE | IN_MOVED_FROM;
	struct watched *watched = watched_find(&tree->table, event->wd);
	int error = 0;

	if (event->mask & IN_Q_OVERFLOW)
		return tell_overflow(tree, out);
	for (; watched && error == 0; watched = watched_next(watched)) {
		if (event->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT))
			error = tell_gone(tree, watched, out);
		else if (event->len > 0)
			error = take_named(tree, watched, event, out);
	}
	if (event->mask & IN_ISDIR && event->mask & left && event->len > 0)
		drop_below(tree, event);
	if (event->mask & IN_IGNORED)
		watched_remove(&tree->table, event->wd);
	return error;
}

/* More events into raw. 1, 0 when there is none, or -errno. */
static int refill(struct watch_tree *tree)
{
	ssize_t n = read(tree->fd, tree->raw, sizeof(tree->raw));

	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return -errno;
	tree->raw_at = 0;
	tree->raw_size = n > 0 ? (size_t)n : 0;
	return n > 0;
}

/* Without a watch for everything, the client has to look for itself. */
static int walk_new(struct watch_tree *tree, struct buffer *out)
{
	int error = walk_all(tree, out);

	if (error == -ENOSPC)
		tree->missed = true;
	if (error == -ENOMEM || !tree->missed)
		return error == -ENOMEM ? error : 0;
	tree->missed = false;
	return tell(tree, 0, WATCH_OVERFLOW, false, "", out);
}

int watch_tree_read(struct watch_tree *tree, size_t limit, struct buffer *out)
{
	const struct inotify_event *event;
	int error;

	tree->last.kind = WATCH_KIND_MAX + 1; /* told before: it has changed again since */
	while (out->size + EVENT_ROOM <= limit) {
		if (tree->todo) {
			error = walk_new(tree, out);
			if (error < 0)
				return error;
			continue;
		}
		if (tree->raw_at == tree->raw_size) {
			error = refill(tree);
			if (error <= 0)
				return error;
		}
		event = (const void *)(tree->raw + tree->raw_at);
		tree->raw_at += sizeof(*event) + event->len;
		error = take(tree, event, out);
		if (error < 0)
			return error;
	}
	return 1;
}

/* --- birth and death -------------------------------------------------------------------------- */

int watch_tree_fd(const struct watch_tree *tree)
{
	return tree->fd;
}

int watch_tree_new(const struct exports *exports, struct mounts *mounts, bool recursive,
		   size_t max_watches, struct watch_tree **ret_tree)
{
	struct watch_tree *tree = calloc(1, sizeof(*tree));
	int error;

	if (!tree)
		return -ENOMEM;
	tree->exports = exports;
	tree->mounts = mounts;
	tree->recursive = recursive;
	tree->max_watches = max_watches;
	tree->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (tree->fd < 0) {
		error = -errno;
		free(tree);
		return error;
	}
	*ret_tree = tree;
	return 0;
}

struct watch_tree *watch_tree_free(struct watch_tree *tree)
{
	if (!tree)
		return NULL;
	while (tree->todo) {
		struct todo *todo = tree->todo;

		tree->todo = todo->next;
		free(todo);
	}
	for (size_t i = 0; i < tree->n_roots; i++)
		free_root(&tree->roots[i]);
	free(tree->roots);
	watched_deinit(&tree->table);
	close(tree->fd);
	free(tree);
	return NULL;
}
