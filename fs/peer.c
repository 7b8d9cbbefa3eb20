/*
 * Calls to a peer: from peer_call_send to `done`.
 *
 *     send ─ bound? ─ yes ─> transport ─ reply ─> done ─> freed (or sent again)
 *                └─ no ─> waits in a peer_bind ──^
 *
 * The arguments of a repeatable call are kept until its reply, and it is sent again if the session
 * goes away under it (unless it names a handle, which went with the session: -ESTALE then). Others
 * end with -EIO: whether they were done is not known.
 */
#include "fs/peer.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/control_ask.h"
#include "fs/control_errors.h"
#include "fs/control_events.h"
#include "fs/control_job.h"
#include "fs/dir.h"
#include "fs/name_hash.h"
#include "fs/peer_bind.h"
#include "fs/peer_call_args.h"
#include "fs/root.h"

#define CALL_REPEATS 4

static void send_args(struct peer_call *call, const void *args);
static void ask_places(struct fs_peer *peer);

/* --- memory ----------------------------------------------------------------------------------- */

static void gave_up(struct parked *parked)
{
	struct peer_call *call =
	    (struct peer_call *)((char *)parked - offsetof(struct peer_call, parked));

	if (call->transport_call)
		call->peer->transport->ops->cancel(call->transport_call);
}

/* For allow_other: on whose behalf a call is made. A daemon that is not root can act as nobody
 * else, and what the kernel does by itself has no caller. NULL without memory, too: as the daemon
 * then. */
static struct caller *caller_of(const struct fs_peer *peer, fuse_req_t req)
{
	const struct fuse_ctx *context = fuse_req_ctx(req);
	struct caller *caller;
	gid_t groups[FRAME_GROUPS_MAX];
	int n;

	if ((peer->session && peer->uid != 0) || context->uid == UINT32_MAX ||
	    context->gid == UINT32_MAX)
		return NULL;
	caller = calloc(1, sizeof(*caller));
	if (!caller)
		return NULL;
	caller->uid = context->uid;
	caller->gid = context->gid;
	n = fuse_req_getgroups(req, FRAME_GROUPS_MAX, groups);
	if (n > FRAME_GROUPS_MAX)
		n = FRAME_GROUPS_MAX;
	for (int i = 0; i < n; i++)
		caller->groups[i] = groups[i];
	caller->n_groups = n > 0 ? (uint32_t)n : 0;
	return caller;
}

void *peer_call_new(struct fs *fs, size_t size, struct fs_node *node, fuse_req_t req)
{
	struct peer_call *call = calloc(1, size);

	assert(size >= sizeof(*call));
	if (!call)
		return NULL;
	call->peer = node_peer(fs, node);
	call->node = node;
	node_hold(node);
	call->next = call->peer->calls;
	if (call->next)
		call->next->prev = call;
	call->peer->calls = call;
	if (req && fs->config.allow_other)
		call->caller = caller_of(call->peer, req);
	parked_start(&call->parked, fs, req, PARKED_FILE, gave_up);
	call->had_req = req != NULL;
	return call;
}

void peer_call_node2(struct peer_call *call, struct fs_node *node)
{
	assert(!call->node2);
	call->node2 = node;
	node_hold(node);
}

static void free_call(struct peer_call *call)
{
	struct fs_peer *peer = call->peer;
	struct fs *fs = peer->fs;
	struct fs_node *node = call->node, *node2 = call->node2;

	if (call->release)
		call->release(call);
	/* Every request gets an answer: a `done` that forgot it is our bug. */
	assert(!call->parked.req);
	if (call->parked.req)
		fuse_reply_err(parked_take(&call->parked), EIO);
	*(call->prev ? &call->prev->next : &peer->calls) = call->next;
	if (call->next)
		call->next->prev = call->prev;
	free(call->args);
	free(call->caller);
	free(call);
	if (node2)
		node_drop(fs, node2);
	node_drop(fs, node);
}

/* --- completion ------------------------------------------------------------------------------- */

static void complete(struct peer_call *call, const struct transport_reply *reply)
{
	struct transport_reply failed;

	if (call->in_done) {
		/* Sent again from within done, and it failed at once. */
		call->failed = reply->error;
		return;
	}
	for (;;) {
		call->again = false;
		call->failed = 0;
		call->streaming = reply->more && !reply->error;
		call->in_done = true;
		call->done(call, reply);
		call->in_done = false;
		if (call->abandoned) {
			free_call(call);
			return;
		}
		if (!call->again) {
			if (!call->streaming)
				free_call(call);
			return;
		}
		if (!call->failed)
			return;
		failed = (struct transport_reply){.error = call->failed};
		reply = &failed;
	}
}

static void fail(struct peer_call *call, int error)
{
	complete(call, &(struct transport_reply){.error = error});
}

static bool is_repeatable(const struct peer_call *call)
{
	return call->args && call->n_repeats < CALL_REPEATS && !call->payload_done;
}

/* The reply of a session that is gone says nothing. */
static bool is_lost(const struct peer_call *call, const struct transport_reply *reply)
{
	return call->session != call->peer->session || reply->error == -ENOTCONN;
}

static void on_reply(void *arg, const struct transport_reply *reply)
{
	struct peer_call *call = arg;

	if (!reply->more || reply->error)
		call->transport_call = NULL;
	if (!is_lost(call, reply)) {
		complete(call, reply);
		return;
	}
	if (reply->more && !reply->error) {
		call->peer->transport->ops->abandon(call->transport_call);
		call->transport_call = NULL;
	}
	if (is_repeatable(call) && (call->parked.req || !call->had_req)) {
		call->n_repeats++;
		send_args(call, call->args);
		return;
	}
	if (reply->error == -EHOSTDOWN || reply->error == -EINTR)
		complete(call, reply);
	else
		fail(call, peer_call_args_have_handle(call->op) ? -ESTALE : -EIO);
}

static void on_data(void *arg, unsigned channel, struct bytes data)
{
	struct peer_call *call = arg;

	call->in_done = true;
	call->data(call, channel, data);
	call->in_done = false;
	if (call->abandoned)
		free_call(call);
}

static void on_end(void *arg, unsigned channel, int error)
{
	struct peer_call *call = arg;

	call->transport_call = NULL;
	call->in_done = true;
	call->end(call, error);
	free_call(call);
}

static const struct transport_handler handler = {.reply = on_reply, .data = on_data, .end = on_end};

static void on_payload_done(void *arg)
{
	struct peer_call *call = arg;

	call->payload_done(call);
}

/* --- sending ---------------------------------------------------------------------------------- */

/* Fills in the nodes' numbers, and sends. */
static void dispatch(struct peer_call *call, const void *args)
{
	struct fs_peer *peer = call->peer;
	struct peer_call_args copy;
	int error;

	peer_call_args_fill(&copy, call, args);
	call->sent = peer->fs->change;
	call->session = peer->session;
	error = peer->transport->ops->call(peer->transport, call->op, &copy, call->caller, &handler,
					   call, call->payload_done ? on_payload_done : NULL,
					   &call->transport_call);
	if (error) {
		call->transport_call = NULL;
		if (call->payload_done)
			call->payload_done(call);
		fail(call, error);
	}
}

static int check_node(const struct fs_node *node)
{
	return node && node->is_stale ? -ESTALE : 0;
}

/* Which of the call's nodes must be found first, or NULL. */
static struct fs_node *unbound_node(const struct peer_call *call)
{
	if (!peer_bind_is_bound(call->peer, call->node))
		return call->node;
	if (call->node2 && !peer_bind_is_bound(call->peer, call->node2))
		return call->node2;
	return NULL;
}

/* `args` are the caller's, or (kept) call->args. */
static void send_args(struct peer_call *call, const void *args)
{
	struct fs_node *unbound;
	int error = 0;

	if (call->had_req && !call->parked.req)
		error = -EINTR;
	if (!call->peer->transport)
		error = -ESTALE;
	if (!error)
		error = check_node(call->node);
	if (!error)
		error = check_node(call->node2);
	unbound = error ? NULL : unbound_node(call);
	if (!error && !call->args && (unbound || peer_call_args_are_kept(call->op))) {
		call->args = peer_call_args_copy(call->op, args, call->payload_done != NULL);
		if (!call->args)
			error = -ENOMEM;
	}
	if (unbound && !error) {
		call->waits = true;
		error = peer_bind_wait(call->peer, unbound, call);
		if (!error)
			return;
		call->waits = false;
	}
	if (error) {
		if (call->payload_done)
			call->payload_done(call);
		fail(call, error);
		return;
	}
	dispatch(call, call->args ? call->args : args);
}

static bool changes_names(uint16_t op)
{
	switch (op) {
	case OP_CREATE:
	case OP_MKNOD:
	case OP_MKDIR:
	case OP_SYMLINK:
	case OP_LINK:
	case OP_UNLINK:
	case OP_RMDIR:
	case OP_RENAME:
		return true;
	default:
		return false;
	}
}

void peer_call_send(struct peer_call *call, uint16_t op, void *args)
{
	call->op = op;
	if (changes_names(op))
		call->parked.kind = PARKED_NAMES;
	if (call->in_done)
		call->again = true;
	free(call->args);
	call->args = NULL;
	send_args(call, args);
}

void peer_call_bound(struct peer_call *call, int error)
{
	call->waits = false;
	if (call->abandoned) {
		free_call(call);
	} else if (error) {
		if (call->payload_done)
			call->payload_done(call);
		fail(call, error);
	} else {
		send_args(call, call->args);
	}
}

fuse_req_t peer_call_take(struct peer_call *call)
{
	return parked_take(&call->parked);
}

void peer_reply_error(fuse_req_t req, struct fs_peer *peer, int error)
{
	control_errors_note(req, peer, strerror(-error));
	fuse_reply_err(req, -error);
}

void peer_call_fail(struct peer_call *call, int error)
{
	fuse_req_t req = peer_call_take(call);
	const struct op *op = op_find(&ops_peer, call->op);
	char text[128];

	/* The kernel looks its name up again, and must not be told what we remember. */
	if (error == -ESTALE && call->node->parent && call->node->kind == NODE_IS_REMOTE)
		dir_is_replacing(call->peer->fs, call->node->parent);
	if (!req)
		return;
	if (error != -ENOENT) {
		snprintf(text, sizeof(text), "%s: %s", op ? op->name : "call", strerror(-error));
		control_errors_note(req, call->peer, text);
	}
	fuse_reply_err(req, -error);
}

void peer_call_consumed(struct peer_call *call, size_t bytes)
{
	if (call->transport_call)
		call->peer->transport->ops->consumed(call->transport_call, 0, bytes);
}

void peer_call_abandon(struct peer_call *call)
{
	struct transport_call *transport_call = call->transport_call;

	call->transport_call = NULL;
	if (transport_call)
		call->peer->transport->ops->abandon(transport_call);
	if (call->parked.req)
		fuse_reply_err(parked_take(&call->parked), EINTR);
	if (call->in_done || call->waits) {
		call->abandoned = true; /* freed when that ends */
		return;
	}
	free_call(call);
}

/* --- forgetting ------------------------------------------------------------------------------- */

static void send_forgets(struct fs_peer *peer)
{
	struct args_forget args = {0};
	struct buffer elements = {0};
	int error = 0;

	if (!peer->n_forgets)
		return;
	for (size_t i = 0; i < peer->n_forgets && !error; i++)
		error =
		    codec_list_append(&args.nodes, &elements, &forgotten_record, &peer->forgets[i]);
	codec_list_finish(&args.nodes, &elements);
	/* Without memory the server keeps them until the session ends: a leak, no error. */
	peer->transport->ops->event(peer->transport, OP_FORGET, &args);
	buffer_deinit(&elements);
	peer->n_forgets = 0;
	free(peer->forgets);
	peer->forgets = NULL;
}

static void on_forget_timer(struct fs *fs, struct fs_timer *timer)
{
	send_forgets((struct fs_peer *)((char *)timer - offsetof(struct fs_peer, forget_timer)));
}

void peer_forget(struct fs_peer *peer, uint64_t number, uint64_t count)
{
	if (!peer->transport || !count)
		return;
	if (!peer->forgets) {
		peer->forgets = malloc(PEER_FORGET_BATCH * sizeof(*peer->forgets));
		if (!peer->forgets)
			return;
	}
	peer->forgets[peer->n_forgets++] = (struct forgotten){.node = number, .count = count};
	if (peer->n_forgets == PEER_FORGET_BATCH) {
		send_forgets(peer);
	} else if (!peer->forget_timer.at) {
		peer->forget_timer.fn = on_forget_timer;
		fs_timer_set(peer->fs, &peer->forget_timer, PEER_FORGET_DELAY);
	}
}

/* --- peers ------------------------------------------------------------------------------------ */

static void session_new(void *arg, uint32_t uid, uint32_t gid)
{
	struct fs_peer *peer = arg;

	peer->session++;
	peer->uid = uid;
	peer->gid = gid;
	node_numbers_void(peer);
	peer->n_forgets = 0;
	peer->places.is_known = false; /* but not forgotten: mostly they are the same */
	ask_places(peer);
	root_top_ask(peer);
	control_events_link(peer, "up");
}

/* Nothing is kept for longer than a second without it; calls say EHOSTDOWN by themselves. */
static void session_lost(void *arg)
{
	control_events_link(arg, "down");
}

static void session_back(void *arg)
{
	control_events_link(arg, "up");
}

static const struct transport_listener listener = {
    .session_new = session_new, .session_lost = session_lost, .session_back = session_back};

struct fs_peer *peer_new(struct fs *fs, const char *name, struct bytes id,
			 struct transport *transport, void *arg)
{
	struct fs_peer *peer = calloc(1, sizeof(*peer));

	if (!peer)
		return NULL;
	if (node_table_init(&peer->numbers)) {
		free(peer);
		return NULL;
	}
	peer->fs = fs;
	peer->transport = transport;
	peer->arg = arg;
	peer->id = name_hash(0, id);
	peer->control.kv_version = OPS_ANY;
	snprintf(peer->name, sizeof(peer->name), "%s", name);
	return peer;
}

void peer_listen(struct fs_peer *peer)
{
	peer->transport->ops->listen(peer->transport, &listener, peer);
}

void peer_disconnect(struct fs_peer *peer)
{
	struct transport *transport = peer->transport;

	if (!transport)
		return;
	send_forgets(peer);
	fs_timer_set(peer->fs, &peer->forget_timer, UINT64_MAX);
	transport->ops->listen(transport, NULL, NULL);
	peer->transport = NULL; /* nothing is sent again */
	control_job_forget_all(peer);
	control_ask_end_all(peer, transport);
	dir_forget_listings(peer);
	for (;;) {
		struct peer_call *call = peer->calls;
		struct transport_call *transport_call;
		bool streaming;

		/* Those that wait for a bind fail with its LOOKUP, those not sent yet when they
		 * are. */
		while (call && (call->waits || !call->op))
			call = call->next;
		if (!call)
			break;
		transport_call = call->transport_call;
		streaming = call->streaming;
		call->transport_call = NULL;
		if (transport_call)
			transport->ops->abandon(transport_call);
		if (streaming) {
			call->in_done = true;
			call->end(call, -ESTALE);
			free_call(call);
		} else {
			fail(call, -ESTALE);
		}
	}
}

void peer_free(struct fs_peer *peer)
{
	if (!peer)
		return;
	assert(!peer->calls && !peer->binds && !peer->transport && !peer->n_nodes);
	free(peer->numbers.buckets);
	places_clear(&peer->places);
	free(peer->top_acl.data);
	free(peer->control.errors);
	control_events_free(peer->control.events);
	free(peer->forgets);
	free(peer);
}

/* --- what its exports are called there -------------------------------------------------------- */

int peer_places_take(struct fs_peer *peer, const struct transport_reply *reply)
{
	const struct result_exports *result = reply->result;

	if (reply->error == -ENOSYS || reply->error == -EOPNOTSUPP) {
		peer->places.is_known = true; /* an older loopsyd: then none */
		return 0;
	}
	return reply->error ? reply->error : places_set(&peer->places, result->exports);
}

static void on_places(struct peer_call *call, const struct transport_reply *reply)
{
	peer_places_take(call->peer, reply);
}

static void ask_places(struct fs_peer *peer)
{
	struct peer_call *call = peer_call_new(peer->fs, sizeof(*call), peer->top, NULL);
	struct args_exports args = {0};

	if (!call)
		return;
	call->done = on_places;
	peer_call_send(call, OP_EXPORTS, &args);
}
