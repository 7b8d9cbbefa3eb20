/*
 * Peers, and calls to them on behalf of FUSE requests.
 *
 * A handler allocates its context with peer_call_new (a struct that begins with struct peer_call),
 * sends, and returns. `done` is called exactly once per send, answers the request that it gets from
 * peer_call_take (NULL: somebody interrupted it and it has been answered), and the context is freed
 * behind it, unless it sent the call again.
 *
 * Node numbers are filled in here: `node` is the first field of every operation's args, `node2` the
 * other node of LINK, RENAME and COPY_RANGE. Where a new session has made them void, the call waits
 * until the nodes are found again by walking down from the peer's top, and fails with ESTALE if
 * they are not. A repeatable call that its session went away under is sent again; others end with
 * EIO, those with a handle with ESTALE (`session` != peer->session tells that from a stale node).
 */
#ifndef FS_PEER_H
#define FS_PEER_H

#include "fs/node.h"
#include "fs/notify.h"
#include "fs/parked.h"
#include "fs/places.h"
#include "fs/write_behind.h"

#define PEER_FORGET_BATCH 1000
#define PEER_FORGET_DELAY (20 * FS_MILLISECOND)
#define PEER_NAME_MAX     63

struct peer_call;
struct control_ask;
struct control_job;

/* Kinds of what happens. */
enum control_watch {
	CONTROL_WATCH_JOBS,
	CONTROL_WATCH_KV,
	CONTROL_WATCH_MESSAGES,
	CONTROL_WATCHES,
};

/* What control files keep of a peer. */
struct control_peer {
	struct control_ask *asks; /* under way */
	struct control_job *jobs;
	unsigned n_streams;            /* that feeds have open (control_feed.c) */
	unsigned n_inputs;             /* JOB_WRITEs under way */
	struct control_errors *errors; /* NULL: none yet */
	struct control_ring *events;   /* NULL: none yet */
	/* They tell what happens (control_watch.c). */
	struct control_ask *watches[CONTROL_WATCHES];
	uint64_t kv_version; /* of the last change of a value that was told; OPS_ANY: none */
	bool wants_events;   /* somebody reads them */
	unsigned n_setting;  /* values that are being set, which nobody waits for */
};

struct fs_peer {
	struct fs *fs;
	char name[PEER_NAME_MAX + 1];
	uint64_t id;                 /* hash of its identity */
	uint64_t added;              /* real time, ns */
	uint16_t index;              /* in fs->peers */
	uint32_t n_nodes;            /* that refer to it by index: the slot stays as long */
	struct transport *transport; /* NULL: removed */
	void *arg;
	struct fs_node *top;  /* held while it is not removed */
	uint32_t session;     /* counts sessions: tells numbers and handles of old ones */
	uint32_t names_lost;  /* fs->change when last node_unknown_name_lost */
	uint32_t uid, gid;    /* as whom its daemon works */
	struct places places; /* what its exports are called there */
	/* With allow_other: what its top is like there, and its ACL (root.c). */
	struct attr top_attr; /* mode 0: not known yet */
	struct buffer top_acl;
	uint64_t top_asked;        /* when; UINT64_MAX: it is being asked */
	struct node_table numbers; /* nodes by the server's number */
	struct peer_call *calls;   /* under way */
	struct peer_bind *binds;   /* nodes being found again (peer_bind.c) */
	struct forgotten *forgets; /* to be sent */
	size_t n_forgets;
	struct fs_timer forget_timer;
	struct write_budget writes; /* of all its files (open_file.c) */
	struct notify *notify;      /* its notifier; NULL until something is to be told */
	struct control_peer control;
};

struct peer_call {
	struct fs_peer *peer;
	struct fs_node *node, *node2; /* held; node2 is NULL mostly */
	uint32_t sent;                /* fs->change when it was sent: for node_attr_set */
	uint32_t session;             /* in which it was sent */
	/* The answer, or -errno. Not called for calls that were abandoned. */
	void (*done)(struct peer_call *call, const struct transport_reply *reply);
	/* Stream data after a reply with `more`; the call lives until `end` returned. */
	void (*data)(struct peer_call *call, unsigned channel, struct bytes data);
	void (*end)(struct peer_call *call, int error);
	/* The payload of the args is free again (else it is copied). Called once per send. */
	void (*payload_done)(struct peer_call *call);
	/* Frees what the context holds, before it is freed itself. May be NULL. */
	void (*release)(struct peer_call *call);

	/* peer.c's own */
	struct parked parked;
	struct peer_call *prev, *next; /* peer->calls */
	struct transport_call *transport_call;
	struct caller *caller;
	uint16_t op;
	bool had_req;
	bool again; /* done has sent it again */
	bool in_done;
	bool streaming; /* its reply has come, `end` has not */
	bool abandoned; /* to be freed when what it is in ends */
	bool waits;     /* for a bind */
	uint8_t n_repeats;
	int failed;                     /* it was sent again and failed at once */
	void *args;                     /* a deep copy, to be sent again or later; NULL: none */
	struct peer_call *next_waiting; /* bind->waiting */
};

/*
 * A call about `node` (held from now on) for `req` (NULL: nobody waits for it; the parked request
 * is answered with EINTR on interrupts by the rules of parked.h). `size` is that of the caller's
 * context. NULL: out of memory (req is not answered).
 */
void *peer_call_new(struct fs *fs, size_t size, struct fs_node *node, fuse_req_t req);

/* The other node of LINK, RENAME, COPY_RANGE; before sending. */
void peer_call_node2(struct peer_call *call, struct fs_node *node);

/*
 * Sends: `args` is the operation's struct; its first node numbers are filled in here, its bytes
 * copied (payload: see payload_done). Always ends in `done`: perhaps before this returns, if it
 * cannot be sent. To be called again within `done`, it sends a retry.
 */
void peer_call_send(struct peer_call *call, uint16_t op, void *args);

/* The request, to be answered right now; NULL if it was answered before. */
fuse_req_t peer_call_take(struct peer_call *call);
/* Takes it and answers with an error (negative); remembers it for `last-error`. */
void peer_call_fail(struct peer_call *call, int error);

/* Stream bytes of `call` have been used: the peer may send more. */
void peer_call_consumed(struct peer_call *call, size_t bytes);
/* No interest any more (a stream, a read ahead): neither done nor end is called. Frees it. */
void peer_call_abandon(struct peer_call *call);

/* The call's nodes are found (peer_bind.c), or not. */
void peer_call_bound(struct peer_call *call, int error);

/* What fs.c and root.c need. peer_listen starts it, peer_disconnect ends all its calls; peer_free
 * comes when no node refers to it. */
struct fs_peer *peer_new(struct fs *fs, const char *name, struct bytes id,
			 struct transport *transport, void *arg);
void peer_listen(struct fs_peer *peer);
void peer_disconnect(struct fs_peer *peer);
void peer_free(struct fs_peer *peer);

/* One of the nodes that refer to the peer was freed. */
void peer_node_gone(struct fs_peer *peer);

/* Asks what the peer's top is called there, for absolute targets of symbolic links. */
/* The answer to EXPORTS came. Returns 0, or why it is of no use. */
int peer_places_take(struct fs_peer *peer, const struct transport_reply *reply);

/* References of the server that nobody needs; sent in batches. */
void peer_forget(struct fs_peer *peer, uint64_t number, uint64_t count);

/* Answers a request about a peer's node with an error (negative) and remembers it. */
void peer_reply_error(fuse_req_t req, struct fs_peer *peer, int error);

#endif
