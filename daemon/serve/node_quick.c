#include "daemon/serve/node_quick.h"

#include <errno.h>
#include <string.h>

#include "daemon/serve/deny.h"

static uint32_t hash_of(const struct statx_timestamp *ctime)
{
	uint64_t x = (uint64_t)ctime->tv_sec * 1000000000 + ctime->tv_nsec;
	uint32_t h = (uint32_t)(x * 0x9e3779b97f4a7c15u >> 32);

	return h ? h : 1;
}

void node_quick_saw(struct node *node, const struct look *look)
{
	node->plain_at = look->plain && look->settled ? hash_of(&look->stx.stx_ctime) : 0;
}

void nodes_saw(const struct held *held, const struct look *look)
{
	pthread_mutex_lock(&held->nodes->lock);
	node_quick_saw(held->node, look);
	pthread_mutex_unlock(&held->nodes->lock);
}

/* With the lock held. */
static int tell_plain(const struct node *node, struct look *look)
{
	if (!look->settled || node->plain_at != hash_of(&look->stx.stx_ctime))
		return -EAGAIN;
	look->plain = true;
	return 0;
}

/* Where the node was last seen. */
static int hold_parent_quick(struct nodes *nodes, uint64_t number, struct held *ret_parent,
			     char ret_name[256])
{
	struct node *node;
	int error = -EAGAIN;

	pthread_mutex_lock(&nodes->lock);
	node = node_index_find(&nodes->index, number);
	if (node && node->kind == NODE_PLAIN && node->plain_at) {
		memcpy(ret_name, node_index_name(node), node->name_size);
		ret_name[node->name_size] = '\0';
		error = nodes_hold_node(nodes, node->parent, true, ret_parent);
	}
	pthread_mutex_unlock(&nodes->lock);
	return error;
}

/* Looks in a held directory. */
static int look_quick(const struct held *parent, const char *name, struct look *ret_look)
{
	struct look look = LOOK_NULL;
	int error = parent->fd < 0
			? -EAGAIN
			: confine_look_quick(parent->nodes->mounts, parent->fd, name, &look);

	if (error == 0)
		error =
		    deny_hides_quick(parent->export->deny, &parent->identity, name, &look.identity);
	if (error < 0)
		confine_look_close(&look);
	else
		*ret_look = look;
	return error;
}

int nodes_look_quick(struct nodes *nodes, uint64_t number, struct held *ret_held,
		     struct look *ret_look)
{
	HELD held = HELD_NULL;
	LOOK look = LOOK_NULL;
	struct node *node;
	char name[256];
	int error = nodes_hold_quick(nodes, number, &held);

	if (error == 0) {
		error = confine_look_at_quick(nodes->mounts, held.fd, &look);
	} else if (error == -EAGAIN) {
		error = hold_parent_quick(nodes, number, &held, name);
		if (error == 0)
			error = look_quick(&held, name, &look);
	}
	if (error < 0)
		return error;
	pthread_mutex_lock(&nodes->lock);
	node = node_index_find(&nodes->index, number);
	error = node && confine_same(&look.identity, &node->identity) ? tell_plain(node, &look)
								      : -EAGAIN;
	pthread_mutex_unlock(&nodes->lock);
	if (error < 0)
		return error;
	*ret_held = held;
	held = HELD_NULL;
	*ret_look = look;
	look.fd = -1;
	return 0;
}

int nodes_enter_quick(struct nodes *nodes, uint64_t parent, const char *name,
		      struct held *ret_parent, struct look *ret_look, uint64_t *ret_number)
{
	HELD held = HELD_NULL;
	LOOK look = LOOK_NULL;
	struct node *node;
	int error = nodes_hold_quick(nodes, parent, &held);

	if (error == 0)
		error = look_quick(&held, name, &look);
	if (error < 0)
		return error;
	pthread_mutex_lock(&nodes->lock);
	node = node_index_find_identity(&nodes->index, held.node->export, &look.identity);
	error = node && node->kind == NODE_PLAIN ? tell_plain(node, &look) : -EAGAIN;
	if (error == 0)
		error = nodes_enter_node(nodes, held.node, held.node->export, NODE_PLAIN, name,
					 &look, NULL, false, ret_number);
	pthread_mutex_unlock(&nodes->lock);
	if (error < 0)
		return error;
	*ret_parent = held;
	held = HELD_NULL;
	*ret_look = look;
	look.fd = -1;
	return 0;
}
