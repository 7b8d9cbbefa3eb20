#include "daemon/serve/deny.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BELIEVED_MS 1000
#define LINKS_MAX   40

struct spot {
	struct identity dir;
	char *name;
};

struct spots {
	struct spot *items;
	size_t n;
};

struct objects {
	struct identity *items;
	size_t n;
};

/* What one walk along all paths has found. */
struct found {
	struct spots places, gaps; /* gaps are missing ancestors */
	struct objects denied, guards;
	struct spots names; /* every component met; `dir` unused */
};

struct deny {
	struct mounts *mounts;
	char *root;
	char **paths;
	size_t n_paths;
	pthread_mutex_t walking; /* one walk at a time */
	pthread_rwlock_t lock;   /* the following */
	struct found found;
	int64_t found_ms;
	bool valid;
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int spots_add(struct spots *spots, const struct identity *dir, const char *name)
{
	struct spot *items = realloc(spots->items, (spots->n + 1) * sizeof(*items));

	if (!items)
		return -ENOMEM;
	spots->items = items;
	items[spots->n].dir = dir ? *dir : (struct identity){0};
	items[spots->n].name = strdup(name);
	if (!items[spots->n].name)
		return -ENOMEM;
	spots->n++;
	return 0;
}

static bool spots_have(const struct spots *spots, const struct identity *dir, const char *name)
{
	for (size_t i = 0; i < spots->n; i++) {
		if (strcmp(spots->items[i].name, name) == 0 &&
		    (!dir || confine_same(&spots->items[i].dir, dir)))
			return true;
	}
	return false;
}

static int objects_add(struct objects *objects, const struct identity *identity)
{
	struct identity *items = realloc(objects->items, (objects->n + 1) * sizeof(*items));

	if (!items)
		return -ENOMEM;
	objects->items = items;
	items[objects->n++] = *identity;
	return 0;
}

static bool objects_have(const struct objects *objects, const struct identity *identity)
{
	for (size_t i = 0; i < objects->n; i++) {
		if (confine_same(&objects->items[i], identity))
			return true;
	}
	return false;
}

static void spots_free(struct spots *spots)
{
	for (size_t i = 0; i < spots->n; i++)
		free(spots->items[i].name);
	free(spots->items);
}

static void found_deinit(struct found *found)
{
	spots_free(&found->places);
	spots_free(&found->gaps);
	spots_free(&found->names);
	free(found->denied.items);
	free(found->guards.items);
	*found = (struct found){0};
}

/* --- the walk --------------------------------------------------------------------------------- */

/* What is still to be walked: components, separated by '/'. */
struct trail {
	struct look at; /* the directory reached */
	char rest[2 * PATH_MAX];
	unsigned links;
};

static int trail_restart(struct deny *deny, struct trail *trail, const char *path)
{
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	confine_look_close(&trail->at);
	if (fd < 0)
		return -errno;
	return confine_look_fd(deny->mounts, fd, &trail->at);
}

static int trail_follow(struct deny *deny, struct trail *trail, const struct look *link)
{
	char target[PATH_MAX], rest[2 * PATH_MAX];
	ssize_t n = readlinkat(link->fd, "", target, sizeof(target) - 1);

	if (n <= 0 || ++trail->links > LINKS_MAX)
		return -ELOOP;
	target[n] = '\0';
	if ((size_t)snprintf(rest, sizeof(rest), "%s/%s", target, trail->rest) >= sizeof(rest))
		return -ENAMETOOLONG;
	memcpy(trail->rest, rest, strlen(rest) + 1);
	return target[0] == '/' ? trail_restart(deny, trail, "/") : 0;
}

/* Takes the next component out of rest; false at the end. */
static bool trail_next(struct trail *trail, char ret_name[256])
{
	char *from = trail->rest + strspn(trail->rest, "/");
	size_t n = strcspn(from, "/");

	if (n == 0 || n > 255)
		return false;
	memcpy(ret_name, from, n);
	ret_name[n] = '\0';
	from += n;
	from += strspn(from, "/");
	memmove(trail->rest, from, strlen(from) + 1);
	return true;
}

static int trail_up(struct deny *deny, struct trail *trail)
{
	/* Not confined: the configuration, or a link of the owner's, says so. */
	int fd = openat(trail->at.fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	confine_look_close(&trail->at);
	return confine_look_fd(deny->mounts, fd, &trail->at);
}

/* All components, also those behind one that is missing now: it may be made any moment. */
static int note_names(struct found *found, const char *path)
{
	char name[256];
	int error = 0;

	while (error == 0 && *(path += strspn(path, "/"))) {
		size_t n = strcspn(path, "/");

		if (n < sizeof(name)) {
			memcpy(name, path, n);
			name[n] = '\0';
			error = spots_add(&found->names, NULL, name);
		}
		path += n;
	}
	return error;
}

/* One step; returns 1 to go on, 0 at the end, -ENOMEM. */
static int trail_step(struct deny *deny, struct trail *trail, struct found *found, const char *name)
{
	bool last = trail->rest[0] == '\0';
	LOOK look = LOOK_NULL;
	int error = last ? spots_add(&found->places, &trail->at.identity, name) : 0;

	if (error < 0)
		return error;
	error = confine_look(deny->mounts, trail->at.fd, name, &look);
	if (error == -ENOENT && !last)
		return spots_add(&found->gaps, &trail->at.identity, name);
	if (error < 0)
		return 0;
	error = objects_add(last ? &found->denied : &found->guards, &look.identity);
	if (error < 0 || look.hollow)
		return error;
	if (S_ISLNK(look.stx.stx_mode)) {
		if (trail_follow(deny, trail, &look) < 0)
			return 0;
		error = note_names(found, trail->rest);
		return error < 0 ? error : 1;
	}
	if (last || !S_ISDIR(look.stx.stx_mode))
		return 0;
	confine_look_close(&trail->at);
	trail->at = look;
	look.fd = -1;
	return 1;
}

static int walk(struct deny *deny, const char *path, struct found *found)
{
	struct trail *trail = calloc(1, sizeof(*trail));
	size_t root = strlen(deny->root);
	bool below = strncmp(path, deny->root, root) == 0 && path[root] == '/';
	char name[256];
	int error;

	if (!trail)
		return -ENOMEM;
	trail->at = LOOK_NULL;
	if (path[0] == '/')
		snprintf(trail->rest, sizeof(trail->rest), "%s", below ? path + root : path);
	else
		snprintf(trail->rest, sizeof(trail->rest), "%s", path);
	error = note_names(found, trail->rest);
	if (error == 0)
		error = trail_restart(deny, trail,
				      root && (below || path[0] != '/') ? deny->root : "/") < 0
			    ? 0
			    : 1;
	while (error > 0 && !trail->at.hollow && trail_next(trail, name)) {
		if (strcmp(name, ".") == 0)
			continue;
		if (strcmp(name, "..") == 0)
			error = trail_up(deny, trail) < 0 ? 0 : 1;
		else
			error = trail_step(deny, trail, found, name);
	}
	confine_look_close(&trail->at);
	free(trail);
	return error < 0 ? error : 0;
}

static void walk_all(struct deny *deny)
{
	struct found found = {0}, old;
	int error = 0;

	for (size_t i = 0; i < deny->n_paths && error == 0; i++)
		error = walk(deny, deny->paths[i], &found);
	pthread_rwlock_wrlock(&deny->lock);
	old = deny->found;
	if (error == 0) {
		deny->found = found;
		deny->found_ms = now_ms();
	}
	deny->valid = error == 0;
	pthread_rwlock_unlock(&deny->lock);
	found_deinit(error == 0 ? &old : &found);
}

/* With the lock. */
static bool is_fresh(const struct deny *deny)
{
	return deny->valid && now_ms() - deny->found_ms <= BELIEVED_MS;
}

/* Locks for reading what is known, walking first if that is old or `name` occurs in it. Returns
 * false, unlocked, if it could not be found out. */
static bool look_up(struct deny *deny, const char *name)
{
	bool fresh;

	pthread_rwlock_rdlock(&deny->lock);
	fresh = is_fresh(deny) && !(name && spots_have(&deny->found.names, NULL, name));
	if (fresh)
		return true;
	pthread_rwlock_unlock(&deny->lock);
	pthread_mutex_lock(&deny->walking);
	walk_all(deny);
	pthread_rwlock_rdlock(&deny->lock);
	pthread_mutex_unlock(&deny->walking);
	if (deny->valid)
		return true;
	pthread_rwlock_unlock(&deny->lock);
	return false;
}

/* --- what is asked ---------------------------------------------------------------------------- */

int deny_new(struct mounts *mounts, const char *root, const char *const *paths, size_t n_paths,
	     struct deny **ret_deny)
{
	struct deny *deny = calloc(1, sizeof(*deny));

	if (!deny)
		return -ENOMEM;
	pthread_mutex_init(&deny->walking, NULL);
	pthread_rwlock_init(&deny->lock, NULL);
	deny->mounts = mounts;
	deny->root = strdup(root);
	deny->paths = calloc(n_paths + 1, sizeof(*deny->paths));
	if (!deny->root || !deny->paths)
		goto fail;
	for (size_t n = strlen(root); n > 0 && deny->root[n - 1] == '/'; n--)
		deny->root[n - 1] = '\0'; /* "/" becomes "" and is a prefix of all */
	for (; deny->n_paths < n_paths; deny->n_paths++) {
		if (strlen(paths[deny->n_paths]) >= PATH_MAX) {
			deny_free(deny);
			return -EINVAL;
		}
		deny->paths[deny->n_paths] = strdup(paths[deny->n_paths]);
		if (!deny->paths[deny->n_paths])
			goto fail;
	}
	*ret_deny = deny;
	return 0;
fail:
	deny_free(deny);
	return -ENOMEM;
}

void deny_free(struct deny *deny)
{
	if (!deny)
		return;
	for (size_t i = 0; i < deny->n_paths; i++)
		free(deny->paths[i]);
	free(deny->paths);
	free(deny->root);
	found_deinit(&deny->found);
	pthread_mutex_destroy(&deny->walking);
	pthread_rwlock_destroy(&deny->lock);
	free(deny);
}

bool deny_hides(struct deny *deny, const struct identity *dir, const char *name,
		const struct identity *object)
{
	bool hides;

	if (deny->n_paths == 0)
		return false;
	if (!look_up(deny, name))
		return true;
	hides = spots_have(&deny->found.places, dir, name) ||
		(object && objects_have(&deny->found.denied, object));
	pthread_rwlock_unlock(&deny->lock);
	return hides;
}

bool deny_may_hide(struct deny *deny, const struct identity *dir, const char *name, uint64_t ino)
{
	bool hides;

	if (deny->n_paths == 0)
		return false;
	if (!look_up(deny, name))
		return true;
	hides = spots_have(&deny->found.places, dir, name);
	for (size_t i = 0; i < deny->found.denied.n && !hides; i++)
		hides = deny->found.denied.items[i].ino == ino;
	pthread_rwlock_unlock(&deny->lock);
	return hides;
}

bool deny_hides_object(struct deny *deny, const struct identity *object)
{
	bool hides;

	if (deny->n_paths == 0)
		return false;
	if (!look_up(deny, NULL))
		return true;
	hides = objects_have(&deny->found.denied, object);
	pthread_rwlock_unlock(&deny->lock);
	return hides;
}

int deny_check_quick(struct deny *deny, const struct identity *object)
{
	bool known;

	if (deny->n_paths == 0)
		return 0;
	if (pthread_rwlock_tryrdlock(&deny->lock) != 0)
		return -EAGAIN;
	known = is_fresh(deny) && !objects_have(&deny->found.denied, object);
	pthread_rwlock_unlock(&deny->lock);
	return known ? 0 : -EAGAIN;
}

int deny_hides_quick(struct deny *deny, const struct identity *dir, const char *name,
		     const struct identity *object)
{
	bool known;

	if (deny->n_paths == 0)
		return 0;
	if (pthread_rwlock_tryrdlock(&deny->lock) != 0)
		return -EAGAIN;
	known = is_fresh(deny) && !spots_have(&deny->found.names, NULL, name) &&
		!spots_have(&deny->found.places, dir, name) &&
		!objects_have(&deny->found.denied, object);
	pthread_rwlock_unlock(&deny->lock);
	return known ? 0 : -EAGAIN;
}

int deny_check_make(struct deny *deny, const struct identity *dir, const char *name, bool by_mkdir)
{
	bool forbidden;

	if (deny->n_paths == 0)
		return 0;
	if (!look_up(deny, name))
		return -EACCES;
	forbidden = spots_have(&deny->found.places, dir, name) ||
		    (!by_mkdir && spots_have(&deny->found.gaps, dir, name));
	pthread_rwlock_unlock(&deny->lock);
	return forbidden ? -EACCES : 0;
}

int deny_check_move(struct deny *deny, const struct identity *object, const char *name)
{
	bool forbidden;

	if (deny->n_paths == 0)
		return 0;
	if (!look_up(deny, name))
		return -EACCES;
	forbidden =
	    objects_have(&deny->found.guards, object) || objects_have(&deny->found.denied, object);
	pthread_rwlock_unlock(&deny->lock);
	return forbidden ? -EACCES : 0;
}
