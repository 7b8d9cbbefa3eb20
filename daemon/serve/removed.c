#include "daemon/serve/removed.h"

#include <fcntl.h>
#include <stdlib.h>

#include "daemon/serve/node_walk.h"

void removed_init(struct removed *removed, struct closings *closings)
{
	*removed = (struct removed){.closings = closings};
	pthread_mutex_init(&removed->lock, NULL);
}

void removed_deinit(struct removed *removed)
{
	pthread_mutex_destroy(&removed->lock);
}

void removed_add_nodes(struct removed *removed, struct nodes *nodes)
{
	pthread_mutex_lock(&removed->lock);
	nodes->next = removed->first;
	removed->first = nodes;
	pthread_mutex_unlock(&removed->lock);
}

void removed_remove_nodes(struct removed *removed, struct nodes *nodes)
{
	struct nodes **at;

	pthread_mutex_lock(&removed->lock);
	for (at = &removed->first; *at != nodes; at = &(*at)->next)
		;
	*at = nodes->next;
	pthread_mutex_unlock(&removed->lock);
}

static bool holds_space(int fd)
{
	struct statx stx;

	/* What is known here is enough, and does not wait for a server. */
	if (statx(fd, "",
		  AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC,
		  STATX_TYPE | STATX_NLINK, &stx) < 0)
		return false;
	return stx.stx_nlink == 0 && (S_ISREG(stx.stx_mode) || S_ISLNK(stx.stx_mode));
}

/* With the lock of `nodes` held. The same object may be reached through several exports. */
static void drop(struct nodes *nodes, const struct identity *identity)
{
	for (size_t i = 0; i < nodes->exports->n; i++) {
		struct node *node = node_index_find_identity(&nodes->index, (uint8_t)i, identity);

		if (node)
			node_walk_drop(nodes, node);
	}
}

void removed_note(struct removed *removed, const struct look *look)
{
	struct node_fd *doomed = NULL;

	if (look->fd < 0 || !holds_space(look->fd))
		return;
	pthread_mutex_lock(&removed->lock);
	for (struct nodes *nodes = removed->first; nodes; nodes = nodes->next) {
		pthread_mutex_lock(&nodes->lock);
		drop(nodes, &look->identity);
		node_walk_take_doomed(nodes, &doomed);
		pthread_mutex_unlock(&nodes->lock);
	}
	pthread_mutex_unlock(&removed->lock);
	node_walk_close_doomed(doomed);
	closings_close(removed->closings);
}

/* All that is kept, each referenced, or NULL. */
static struct node_fd **reference_all(struct nodes *nodes, size_t *ret_n)
{
	struct node_fd **all;
	size_t n = 0;

	pthread_mutex_lock(&nodes->lock);
	all = malloc((nodes->n_kept + 1) * sizeof(struct node_fd *));
	for (struct node_fd *kept = all ? nodes->newest : NULL; kept; kept = kept->older) {
		kept->refs++;
		all[n++] = kept;
	}
	pthread_mutex_unlock(&nodes->lock);
	*ret_n = n;
	return all;
}

void removed_sweep(struct nodes *nodes)
{
	struct node_fd *doomed = NULL;
	struct node_fd **all;
	size_t n;

	all = reference_all(nodes, &n);
	for (size_t i = 0; i < n; i++) {
		bool is_removed = holds_space(all[i]->fd);

		pthread_mutex_lock(&nodes->lock);
		if (is_removed && all[i]->node)
			node_walk_drop(nodes, all[i]->node);
		node_walk_unref(nodes, all[i]);
		pthread_mutex_unlock(&nodes->lock);
	}
	free(all);
	pthread_mutex_lock(&nodes->lock);
	node_walk_take_doomed(nodes, &doomed);
	pthread_mutex_unlock(&nodes->lock);
	node_walk_close_doomed(doomed);
}
