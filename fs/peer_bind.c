/*
 * A bind is made for a node whose number is void, when a call wants it; further calls join it, in
 * order. It looks the node's name up in its parent, for which the parent must be bound first: that
 * is a bind of its own, in which the LOOKUP waits like any other call. The result must be the very
 * node (same object: node_enter recognises it); else it is stale, and so are all who wait.
 */
#include "fs/peer_bind.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct lookup_call {
	struct peer_call call;
	struct peer_bind *bind;
};

bool peer_bind_is_bound(const struct fs_peer *peer, const struct fs_node *node)
{
	return node->kind == NODE_IS_TOP || (node->session == peer->session && node->n_number);
}

/* The bind is over; its calls go on, or fail. */
static void finish(struct peer_bind *bind, int error)
{
	struct fs_peer *peer = bind->peer;
	struct peer_call *call = bind->waiting;
	struct fs_node *node = bind->node;

	*(bind->prev ? &bind->prev->next : &peer->binds) = bind->next;
	if (bind->next)
		bind->next->prev = bind->prev;
	free(bind);
	while (call) {
		struct peer_call *next = call->next_waiting;

		call->next_waiting = NULL;
		peer_call_bound(call, error);
		call = next;
	}
	node_drop(peer->fs, node);
}

static bool has_place(const struct fs_node *node, const struct fs_node *parent, struct bytes name)
{
	return node->parent == parent && node_name(node).size == name.size &&
	       memcmp(node_name(node).data, name.data, name.size) == 0;
}

static void on_lookup(struct peer_call *call, const struct transport_reply *reply)
{
	struct peer_bind *bind = ((struct lookup_call *)call)->bind;
	const struct args_lookup *args = call->args; /* NULL: it could not be sent */
	struct fs_node *node = bind->node, *found;
	const struct result_lookup *result = reply->result;
	int error = reply->error;
	/* If it was renamed meanwhile (from here), this says nothing: the calls try again. */
	bool is_moved = args && !has_place(node, call->node, args->name);

	if (!error) {
		found = node_enter(call->peer, call->node, args->name, &result->entry);
		if (found && found != node)
			node_unused(call->peer->fs, found);
		if (found != node)
			error = -ENOENT;
	}
	if (is_moved) {
		error = 0;
	} else if (error == -ENOENT) {
		node->is_stale = true;
		error = -ESTALE;
	}
	finish(bind, error);
}

int peer_bind_wait(struct fs_peer *peer, struct fs_node *node, struct peer_call *call)
{
	struct peer_bind *bind = peer->binds;
	struct args_lookup args;
	struct lookup_call *lookup;

	if (!node->parent)
		return -ESTALE;
	while (bind && bind->node != node)
		bind = bind->next;
	if (bind) {
		*bind->waiting_end = call;
		bind->waiting_end = &call->next_waiting;
		return 0;
	}
	bind = calloc(1, sizeof(*bind));
	lookup = peer_call_new(peer->fs, sizeof(*lookup), node->parent, NULL);
	if (!bind || !lookup) {
		free(bind);
		if (lookup)
			peer_call_abandon(&lookup->call);
		return -ENOMEM;
	}
	bind->peer = peer;
	bind->node = node;
	node_hold(node);
	bind->waiting = call;
	bind->waiting_end = &call->next_waiting;
	bind->next = peer->binds;
	if (bind->next)
		bind->next->prev = bind;
	peer->binds = bind;
	lookup->bind = bind;
	lookup->call.done = on_lookup;
	args = (struct args_lookup){.name = node_name(node)};
	peer_call_send(&lookup->call, OP_LOOKUP, &args);
	return 0;
}
