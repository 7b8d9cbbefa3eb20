#include "daemon/serve/nodes.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "daemon/serve/deny.h"
#include "daemon/serve/node_quick.h"
#include "daemon/serve/node_walk.h"

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* --- descriptors ------------------------------------------------------------------------------ */

static void lru_remove(struct nodes *nodes, struct node_fd *kept)
{
	if (kept->newer)
		kept->newer->older = kept->older;
	else
		nodes->newest = kept->older;
	if (kept->older)
		kept->older->newer = kept->newer;
	else
		nodes->oldest = kept->newer;
	kept->newer = kept->older = NULL;
}

static void lru_add(struct nodes *nodes, struct node_fd *kept)
{
	kept->newer = NULL;
	kept->older = nodes->newest;
	if (nodes->newest)
		nodes->newest->newer = kept;
	else
		nodes->oldest = kept;
	nodes->newest = kept;
}

void node_walk_unref(struct nodes *nodes, struct node_fd *kept)
{
	if (kept && --kept->refs == 0) {
		kept->older = nodes->doomed;
		nodes->doomed = kept;
	}
}

void node_walk_take_doomed(struct nodes *nodes, struct node_fd **doomed)
{
	while (nodes->doomed) {
		struct node_fd *kept = nodes->doomed;

		nodes->doomed = kept->older;
		kept->older = *doomed;
		*doomed = kept;
	}
}

void node_walk_close_doomed(struct node_fd *doomed)
{
	while (doomed) {
		struct node_fd *next = doomed->older;

		close(doomed->fd);
		free(doomed);
		doomed = next;
	}
}

void node_walk_drop(struct nodes *nodes, struct node *node)
{
	struct node_fd *kept = node->kept;

	if (!kept)
		return;
	node->kept = NULL;
	kept->node = NULL;
	lru_remove(nodes, kept);
	nodes->n_kept--;
	node_walk_unref(nodes, kept);
}

struct node_fd *node_walk_keep(struct nodes *nodes, struct node *node, int fd,
			       const struct node_fd *parent)
{
	int64_t verified_ms = parent ? parent->verified_ms : now_ms();
	struct node_fd *kept = malloc(sizeof(*kept));

	if (!kept) {
		close(fd);
		return NULL;
	}
	node_walk_drop(nodes, node);
	*kept = (struct node_fd){.fd = fd, .refs = 1, .verified_ms = verified_ms, .node = node};
	node->kept = kept;
	lru_add(nodes, kept);
	nodes->n_kept++;
	while (nodes->n_kept > nodes->max_kept && nodes->oldest != kept)
		node_walk_drop(nodes, nodes->oldest->node);
	return kept;
}

struct node_fd *node_walk_fresh(struct nodes *nodes, struct node *node)
{
	struct node_fd *kept = node->kept;

	if (!kept || now_ms() - kept->verified_ms > nodes->verify_ms)
		return NULL;
	if (nodes->newest != kept) {
		lru_remove(nodes, kept);
		lru_add(nodes, kept);
	}
	return kept;
}

void node_walk_verified(struct node_fd *kept)
{
	kept->verified_ms = now_ms();
}

/* --- life of a node --------------------------------------------------------------------------- */

void node_walk_put(struct nodes *nodes, struct node *node)
{
	node->refs--;
	/* Upwards: a parent may have been kept by its last child only. */
	while (node && node->refs == 0 && node->count == 0 && node->parent) {
		struct node *parent = node->parent;

		node_walk_drop(nodes, node);
		node_index_remove(&nodes->index, node);
		nodes->n_forgotten++;
		parent->refs--;
		node = parent;
	}
}

static const struct identity no_identity;

int nodes_init(struct nodes *nodes, const struct exports *exports, struct mounts *mounts,
	       size_t max_nodes, size_t max_kept)
{
	enum node_kind kind = exports->n == 1 ? NODE_EXPORT : NODE_TOP;
	struct node *root;

	*nodes = (struct nodes){
	    .exports = exports,
	    .mounts = mounts,
	    .max_nodes = max_nodes,
	    .max_kept = max_kept,
	    .verify_ms = 2000,
	};
	if (node_index_init(&nodes->index) < 0)
		return -ENOMEM;
	root = node_index_add(&nodes->index, kind == NODE_TOP ? EXPORTS_MAX : 0, kind, &no_identity,
			      "", 0);
	if (!root) {
		node_index_deinit(&nodes->index);
		return -ENOMEM;
	}
	assert(root->number == OPS_ROOT_NODE);
	root->is_dir = 1;
	root->count = 1;
	pthread_mutex_init(&nodes->lock, NULL);
	pthread_rwlock_init(&nodes->tree, NULL);
	return 0;
}

void nodes_deinit(struct nodes *nodes)
{
	while (nodes->oldest)
		node_walk_drop(nodes, nodes->oldest->node);
	node_walk_close_doomed(nodes->doomed);
	node_index_deinit(&nodes->index);
	pthread_mutex_destroy(&nodes->lock);
	pthread_rwlock_destroy(&nodes->tree);
}

void nodes_forget(struct nodes *nodes, uint64_t number, uint64_t count)
{
	struct node *node;

	pthread_mutex_lock(&nodes->lock);
	node = node_index_find(&nodes->index, number);
	if (node && node->parent) {
		node->count -= count < node->count ? count : node->count;
		node->refs++;
		node_walk_put(nodes, node);
	}
	pthread_mutex_unlock(&nodes->lock);
}

bool nodes_want_trim(struct nodes *nodes)
{
	bool want;

	pthread_mutex_lock(&nodes->lock);
	want = nodes->n_forgotten >= NODES_TRIM;
	if (want)
		nodes->n_forgotten = 0;
	pthread_mutex_unlock(&nodes->lock);
	return want;
}

bool nodes_want_sweep(struct nodes *nodes, bool only_doomed)
{
	bool want;

	pthread_mutex_lock(&nodes->lock);
	want = nodes->doomed || (!only_doomed && nodes->n_kept);
	pthread_mutex_unlock(&nodes->lock);
	return want;
}

size_t nodes_count(struct nodes *nodes)
{
	size_t n;

	pthread_mutex_lock(&nodes->lock);
	n = nodes->index.n;
	pthread_mutex_unlock(&nodes->lock);
	return n;
}

/* --- holding ---------------------------------------------------------------------------------- */

static void fill(struct nodes *nodes, struct node *node, struct held *ret_held)
{
	node->refs++;
	*ret_held = (struct held){
	    .nodes = nodes,
	    .node = node,
	    .fd = -1,
	    .number = node->number,
	    .kind = node->kind,
	    .is_dir = node->is_dir,
	    .identity = node->identity,
	    .export = node->kind == NODE_TOP ? NULL : &nodes->exports->items[node->export],
	};
}

void nodes_release(struct held *held)
{
	struct nodes *nodes = held->nodes;
	struct node_fd *doomed = NULL;

	if (!held->node)
		return;
	if (held->fd >= 0 && !held->kept)
		close(held->fd);
	pthread_mutex_lock(&nodes->lock);
	node_walk_unref(nodes, held->kept);
	node_walk_put(nodes, held->node);
	if (!held->on_loop)
		node_walk_take_doomed(nodes, &doomed);
	pthread_mutex_unlock(&nodes->lock);
	node_walk_close_doomed(doomed);
	*held = HELD_NULL;
}

int nodes_hold_node(struct nodes *nodes, struct node *node, bool quick, struct held *ret_held)
{
	struct held held;
	int error;

	fill(nodes, node, &held);
	held.on_loop = quick;
	if (node->kind == NODE_PLAIN || node->kind == NODE_EXPORT) {
		held.kept = node_walk_fresh(nodes, node);
		if (held.kept) {
			held.kept->refs++;
			held.fd = held.kept->fd;
		} else {
			pthread_mutex_unlock(&nodes->lock);
			error = quick ? -EAGAIN : node_walk(nodes, &held);
			pthread_mutex_lock(&nodes->lock);
			if (error == 0) {
				held.identity = held.node->identity;
				held.is_dir = held.node->is_dir;
			}
			if (error < 0) {
				node_walk_put(nodes, held.node);
				return error;
			}
		}
	}
	*ret_held = held;
	return 0;
}

static int check_hidden(const struct export *export, const struct identity *identity, bool quick)
{
	if (quick)
		return deny_check_quick(export->deny, identity);
	return deny_hides_object(export->deny, identity) ? -ESTALE : 0;
}

static int hold_number(struct nodes *nodes, uint64_t number, bool quick, bool any,
		       struct held *ret_held)
{
	struct held held;
	struct node *node;
	int error;

	if (!quick)
		mounts_refresh(nodes->mounts);
	pthread_mutex_lock(&nodes->lock);
	node = node_index_find(&nodes->index, number);
	if (!node)
		error = -ESTALE;
	else if (!any && (node->kind == NODE_TOP || node->kind == NODE_HOLLOW))
		error = -EACCES;
	else
		error = nodes_hold_node(nodes, node, quick, &held);
	pthread_mutex_unlock(&nodes->lock);
	if (error < 0)
		return error;
	error = held.export ? check_hidden(held.export, &held.identity, quick) : 0;
	if (error < 0) {
		nodes_release(&held);
		return error;
	}
	*ret_held = held;
	return 0;
}

int nodes_hold(struct nodes *nodes, uint64_t number, struct held *ret_held)
{
	return hold_number(nodes, number, false, false, ret_held);
}

int nodes_hold_any(struct nodes *nodes, uint64_t number, struct held *ret_held)
{
	return hold_number(nodes, number, false, true, ret_held);
}

int nodes_hold_quick(struct nodes *nodes, uint64_t number, struct held *ret_held)
{
	return hold_number(nodes, number, true, false, ret_held);
}

/* --- entering --------------------------------------------------------------------------------- */

/* Would `node` become its own ancestor? Possible when directories were moved while we looked. */
static bool would_loop(const struct node *node, const struct node *parent)
{
	while (parent && parent != node)
		parent = parent->parent;
	return parent == node;
}

static void place(struct nodes *nodes, struct node *node, struct node *parent, const char *name)
{
	size_t size = strlen(name);

	if (node->kind == NODE_EXPORT)
		return;
	if (node->parent == parent && node->name_size == size &&
	    memcmp(node_index_name(node), name, size) == 0)
		return;
	if (node->parent != parent && would_loop(node, parent))
		return;
	if (node_index_set_name(node, name, size) < 0)
		return;
	nodes->n_places++;
	if (node->parent != parent) {
		struct node *old = node->parent;

		parent->refs++;
		node->parent = parent;
		node_walk_put(nodes, old);
	}
}

int nodes_enter_node(struct nodes *nodes, struct node *parent, uint8_t export, enum node_kind kind,
		     const char *name, struct look *look, const struct node_fd *through, bool keep,
		     uint64_t *ret_number)
{
	struct node *node = node_index_find_identity(&nodes->index, export, &look->identity);

	if (node) {
		if (name)
			place(nodes, node, parent, name);
	} else {
		if (!name)
			return -ESTALE;
		if (nodes->index.n >= nodes->max_nodes)
			return -ENFILE;
		node = node_index_add(&nodes->index, export, kind, &look->identity, name,
				      strlen(name));
		if (!node)
			return -ENOMEM;
		node->is_dir = S_ISDIR(look->stx.stx_mode);
		node->parent = parent;
		parent->refs++;
	}
	node_quick_saw(node, look);
	node->count++;
	if (keep && look->fd >= 0) {
		node_walk_keep(nodes, node, look->fd, through);
		look->fd = -1;
	}
	*ret_number = node->number;
	return 0;
}

int nodes_enter(struct nodes *nodes, const struct held *parent, const char *name, struct look *look,
		bool keep, uint64_t *ret_number)
{
	enum node_kind kind = look->hollow ? NODE_HOLLOW : NODE_PLAIN;
	int error;

	pthread_mutex_lock(&nodes->lock);
	error = nodes_enter_node(nodes, parent->node, parent->node->export, kind, name, look,
				 parent->kept, keep, ret_number);
	pthread_mutex_unlock(&nodes->lock);
	return error;
}

int nodes_enter_export(struct nodes *nodes, const struct export *export, struct look *look,
		       uint64_t *ret_number)
{
	int error;

	pthread_mutex_lock(&nodes->lock);
	error = nodes_enter_node(nodes, node_index_find(&nodes->index, OPS_ROOT_NODE),
				 export->number, look->hollow ? NODE_HOLLOW : NODE_EXPORT,
				 export->name, look, NULL, true, ret_number);
	pthread_mutex_unlock(&nodes->lock);
	return error;
}

void nodes_moved(struct nodes *nodes, const struct held *parent, const char *name,
		 const struct identity *identity)
{
	struct node *node;

	pthread_mutex_lock(&nodes->lock);
	node = node_index_find_identity(&nodes->index, parent->node->export, identity);
	if (node)
		place(nodes, node, parent->node, name);
	pthread_mutex_unlock(&nodes->lock);
}
