/*
 * From the top of the chain of stale ancestors down, one component each:
 *
 *     look at (parent's descriptor, name) ── same identity ─→ that is the node: believed again
 *              │ absent, another object, denied
 *              ├─ first pass: again, while no rename of ours is under way
 *              ├─ its kept descriptor: where is it now, says the kernel (/proc/self/fd/N)?
 *              │     within the export, nothing hidden above ─→ believed again (moved by others)
 *              │     deleted there ─→ usable, as an unlinked object is on a local disk
 *              │     elsewhere ─→ dropped
 *              └─ an open file's descriptor, for the last of the chain; else ESTALE
 */
#include "daemon/serve/node_walk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/serve/deny.h"

#define DELETED " (deleted)"

struct chain {
	struct node **nodes; /* each pinned; the last is the nearest to the root */
	size_t n, capacity;
};

static int chain_push(struct chain *chain, struct node *node)
{
	if (chain->n == chain->capacity) {
		size_t capacity = chain->capacity ? chain->capacity * 2 : 16;
		struct node **grown = realloc(chain->nodes, capacity * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		chain->nodes = grown;
		chain->capacity = capacity;
	}
	node->refs++;
	chain->nodes[chain->n++] = node;
	return 0;
}

static void chain_free(struct nodes *nodes, struct chain *chain)
{
	pthread_mutex_lock(&nodes->lock);
	for (size_t i = 0; i < chain->n; i++)
		node_walk_put(nodes, chain->nodes[i]);
	pthread_mutex_unlock(&nodes->lock);
	free(chain->nodes);
}

static void give(struct nodes *nodes, struct node_fd *kept)
{
	pthread_mutex_lock(&nodes->lock);
	node_walk_unref(nodes, kept);
	pthread_mutex_unlock(&nodes->lock);
}

/* Puts a look's descriptor into the cache and returns it referenced, or NULL. */
static struct node_fd *keep(struct nodes *nodes, struct node *node, struct look *look,
			    const struct node_fd *parent)
{
	struct node_fd *kept;

	pthread_mutex_lock(&nodes->lock);
	kept = node_walk_keep(nodes, node, look->fd, parent);
	if (kept)
		kept->refs++;
	pthread_mutex_unlock(&nodes->lock);
	look->fd = -1;
	return kept;
}

static struct node_fd *kept_of(struct nodes *nodes, struct node *node)
{
	struct node_fd *kept;

	pthread_mutex_lock(&nodes->lock);
	kept = node->kept;
	if (kept)
		kept->refs++;
	pthread_mutex_unlock(&nodes->lock);
	return kept;
}

int node_walk_export(struct mounts *mounts, const struct export *export, struct look *ret_look)
{
	int fd = open(export->path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return confine_look_fd(mounts, fd, ret_look);
}

/* The root follows its path: a disk may have been mounted there since. */
static int step_export(struct nodes *nodes, struct node *node, struct node_fd **ret_kept)
{
	LOOK look = LOOK_NULL;
	int error = node_walk_export(nodes->mounts, &nodes->exports->items[node->export], &look);

	if (error < 0)
		return error;
	if (look.hollow)
		return -EACCES;
	pthread_mutex_lock(&nodes->lock);
	if (!confine_same(&look.identity, &node->identity)) {
		struct node *other =
		    node_index_find_identity(&nodes->index, node->export, &look.identity);

		/* A directory of the old tree has become the root: that node is not to be found
		 * by identity any more. */
		if (other && other != node) {
			struct identity nowhere = {.ino = other->number,
						   .dev = UINT32_MAX,
						   .generation = CONFINE_HOLLOW_GENERATION};

			node_walk_drop(nodes, other);
			node_index_set_identity(&nodes->index, other, &nowhere);
		}
		node_index_set_identity(&nodes->index, node, &look.identity);
	}
	pthread_mutex_unlock(&nodes->lock);
	*ret_kept = keep(nodes, node, &look, NULL);
	return *ret_kept ? 0 : -ENOMEM;
}

/* Where the kernel says that a descriptor's object is. 0 or -errno. */
static int path_of(int fd, char *ret_path, size_t size)
{
	char proc[CONFINE_PROC_SIZE];
	ssize_t n;

	confine_proc_path(fd, proc);
	n = readlink(proc, ret_path, size - 1);
	if (n < 0)
		return -errno;
	if ((size_t)n == size - 1)
		return -ENAMETOOLONG;
	ret_path[n] = '\0';
	return 0;
}

/* Splits "/a/b/c" into "/a/b" and "c". */
static const char *split(char *path)
{
	char *slash = strrchr(path, '/');

	*slash = '\0';
	return slash + 1;
}

/* Walks to `path` (components below the root) for the directory there. Returns 0, -ESTALE if
 * something on the way is hidden, or what the kernel says. */
static int walk_path(struct nodes *nodes, const struct export *export, const struct look *root,
		     char *path, struct identity *ret_identity)
{
	struct look at = *root;
	char *save = NULL;
	int error = 0;

	at.fd = fcntl(root->fd, F_DUPFD_CLOEXEC, 0);
	if (at.fd < 0)
		return -errno;
	for (char *name = strtok_r(path, "/", &save); name && error == 0;
	     name = strtok_r(NULL, "/", &save)) {
		LOOK next = LOOK_NULL;

		error = at.hollow ? -ESTALE : confine_look(nodes->mounts, at.fd, name, &next);
		if (error == 0 && deny_hides(export->deny, &at.identity, name, &next.identity))
			error = -ESTALE;
		confine_look_close(&at);
		if (error == 0) {
			at = next;
			next.fd = -1;
		}
	}
	confine_look_close(&at);
	if (error == 0)
		*ret_identity = at.identity;
	return error;
}

/* The path of a descriptor's object below the root's, or -errno (-ESTALE if it is elsewhere). */
static int path_below(const struct look *root, int fd, char *ret_path, size_t size)
{
	char root_path[PATH_MAX + 16];
	size_t length;
	int error = path_of(root->fd, root_path, sizeof(root_path));

	if (error == 0)
		error = path_of(fd, ret_path, size);
	if (error < 0)
		return error;
	length = strcmp(root_path, "/") == 0 ? 0 : strlen(root_path);
	if (strncmp(ret_path, root_path, length) != 0 || ret_path[length] != '/')
		return -ESTALE;
	memmove(ret_path, ret_path + length, strlen(ret_path + length) + 1);
	return 0;
}

/*
 * Is the object that `fd` holds still within the export, and not hidden? The kernel's word for
 * where it is counts; the walk is for what is hidden on the way. Returns 1, 0, or -EAGAIN if the
 * directory was moved meanwhile.
 */
static int still_inside(struct nodes *nodes, const struct export *export, const struct look *root,
			int fd, const struct identity *identity)
{
	char path[PATH_MAX + 16], again[PATH_MAX + 16];
	struct identity dir;
	const char *name;
	size_t length;
	bool deleted;
	int error;

	if (path_below(root, fd, path, sizeof(path)) < 0)
		return 0;
	length = strlen(path);
	deleted = length > strlen(DELETED) && strcmp(path + length - strlen(DELETED), DELETED) == 0;
	name = split(path);
	memcpy(again, path, strlen(path) + 1);
	error = walk_path(nodes, export, root, again, &dir);
	if (error == -ENOENT && deleted)
		return 1;
	if (error == -EACCES) /* we may not search there, nor look for what is to be hidden */
		return 1;
	if (error == -ESTALE)
		return 0;
	if (error < 0)
		return -EAGAIN;
	if (deny_hides(export->deny, &dir, name, identity))
		return 0;
	if (path_below(root, fd, again, sizeof(again)) < 0)
		return 0;
	split(again);
	return strcmp(path, again) == 0 ? 1 : -EAGAIN;
}

static bool kept_inside(struct nodes *nodes, struct node *node, struct node_fd *kept)
{
	const struct export *export = &nodes->exports->items[node->export];
	LOOK root = LOOK_NULL;
	struct identity identity;
	int inside = -EAGAIN;

	if (node_walk_export(nodes->mounts, export, &root) < 0 || root.hollow)
		return false;
	pthread_mutex_lock(&nodes->lock);
	identity = node->identity;
	pthread_mutex_unlock(&nodes->lock);
	for (unsigned tries = 0; tries < 100 && inside == -EAGAIN; tries++)
		inside = still_inside(nodes, export, &root, kept->fd, &identity);
	return inside > 0;
}

static bool astray(int error)
{
	return error == -ESTALE || error == -EACCES;
}

/* The name did not lead to the node, for `error`. */
static int step_aside(struct nodes *nodes, struct node *node, int error, struct node_fd **ret_kept)
{
	struct node_fd *kept = kept_of(nodes, node);
	bool inside;

	if (!kept)
		return error;
	inside = kept_inside(nodes, node, kept);
	pthread_mutex_lock(&nodes->lock);
	if (inside)
		node_walk_verified(kept);
	else if (node->kept == kept)
		node_walk_drop(nodes, node);
	pthread_mutex_unlock(&nodes->lock);
	if (!inside) {
		give(nodes, kept);
		return error;
	}
	*ret_kept = kept;
	return 0;
}

static int step(struct nodes *nodes, const struct node *parent, const struct node_fd *dir,
		struct node *node, struct node_fd **ret_kept)
{
	struct deny *deny = nodes->exports->items[node->export].deny;
	struct identity parent_identity, identity;
	LOOK look = LOOK_NULL;
	char name[256];
	int error;

	pthread_mutex_lock(&nodes->lock);
	memcpy(name, node_index_name(node), node->name_size);
	name[node->name_size] = '\0';
	parent_identity = parent->identity;
	identity = node->identity;
	pthread_mutex_unlock(&nodes->lock);
	error = confine_look(nodes->mounts, dir->fd, name, &look);
	if (error == -ENOENT || error == -ENOTDIR || error == -ELOOP)
		return -ESTALE;
	if (error < 0)
		return error;
	if (look.hollow || !confine_same(&look.identity, &identity) ||
	    deny_hides(deny, &parent_identity, name, &look.identity))
		return -ESTALE;
	*ret_kept = keep(nodes, node, &look, dir);
	return *ret_kept ? 0 : -ENOMEM;
}

/* The stale part of the node's ancestry, and the descriptor to begin with (NULL: at an export). */
static int collect(struct nodes *nodes, struct node *node, struct chain *chain,
		   struct node **ret_base, struct node_fd **ret_kept)
{
	int error = 0;

	*ret_kept = NULL;
	pthread_mutex_lock(&nodes->lock);
	for (;; node = node->parent) {
		*ret_kept = node_walk_fresh(nodes, node);
		*ret_base = node;
		if (*ret_kept) {
			(*ret_kept)->refs++;
			/* pinned by its child in the chain, or by the caller; but that child may
			 * be moved */
			node->refs++;
			break;
		}
		error = chain_push(chain, node);
		if (error < 0 || node->kind == NODE_EXPORT)
			break;
		if (!node->parent || node->kind != NODE_PLAIN) {
			error = -ESTALE;
			break;
		}
	}
	pthread_mutex_unlock(&nodes->lock);
	return error;
}

static int walk(struct nodes *nodes, struct node *node, bool last_pass, struct node_fd **ret_kept)
{
	struct chain chain = {0};
	struct node_fd *kept, *next;
	struct node *base;
	bool base_pinned;
	int error = collect(nodes, node, &chain, &base, &kept);

	base_pinned = kept;
	for (size_t i = chain.n; i-- > 0 && error == 0;) {
		if (chain.nodes[i]->kind == NODE_EXPORT) {
			error = step_export(nodes, chain.nodes[i], &next);
		} else {
			error = kept ? step(nodes, i + 1 < chain.n ? chain.nodes[i + 1] : base,
					    kept, chain.nodes[i], &next)
				     : -ESTALE;
			if (astray(error) && last_pass)
				error = step_aside(nodes, chain.nodes[i], error, &next);
		}
		if (kept)
			give(nodes, kept);
		kept = error == 0 ? next : NULL;
	}
	/* The parent may be gone for good, with the node alive in its descriptor. */
	if (astray(error) && last_pass)
		error = step_aside(nodes, node, error, &kept);
	if (base_pinned) {
		pthread_mutex_lock(&nodes->lock);
		node_walk_put(nodes, base);
		pthread_mutex_unlock(&nodes->lock);
	}
	chain_free(nodes, &chain);
	if (error == 0)
		*ret_kept = kept;
	else if (kept)
		give(nodes, kept);
	return error;
}

static uint64_t places(struct nodes *nodes)
{
	uint64_t n;

	pthread_mutex_lock(&nodes->lock);
	n = nodes->n_places;
	pthread_mutex_unlock(&nodes->lock);
	return n;
}

int node_walk(struct nodes *nodes, struct held *held)
{
	struct node_fd *kept = NULL;
	uint64_t before;
	int error = walk(nodes, held->node, false, &kept);

	/* Again without a rename of ours under way, and again if nodes were seen elsewhere while we
	 * walked: by the peer's other calls, after renames by others. */
	for (unsigned tries = 0; astray(error) && tries < 10; tries++) {
		before = places(nodes);
		pthread_rwlock_rdlock(&nodes->tree);
		error = walk(nodes, held->node, true, &kept);
		pthread_rwlock_unlock(&nodes->tree);
		if (places(nodes) == before)
			break;
	}
	if (error == 0) {
		held->kept = kept;
		held->fd = kept->fd;
		return 0;
	}
	if (astray(error) && nodes->spare) {
		held->fd = nodes->spare(nodes->spare_arg, held->number);
		if (held->fd >= 0)
			return 0;
	}
	return error;
}
