/*
 * Net: the peers of this daemon, and the links to them.
 *
 * One `struct net` holds the listener, a registry of paired peers and what both sides of each have
 * to do with each other: a link (TLS connection) while there is one, our calls to the peer (a
 * struct transport), and the peer's session with us, whose requests go to the rooms (request.h).
 * It dials, redials, pings, resumes and limits by itself. Everything runs on the loop's thread.
 */
#ifndef DAEMON_NET_NET_H
#define DAEMON_NET_NET_H

#include <uv.h>

#include "daemon/net/limits.h"
#include "daemon/net/pair_stream.h"
#include "daemon/net/request.h"
#include "fs/transport.h"
#include "proto/identity.h"

struct net;
struct net_peer;

#define NET_ADDRESS_MAX   128 /* "host:port" or "[v6%zone]:port", with NUL */
#define NET_ADDRESSES_MAX 8   /* of one peer */
#define NET_NAME_MAX      256 /* what a peer calls itself, with NUL */
#define NET_PORT          19532

/* Milliseconds; 0 takes the default. */
struct net_times {
	uint64_t ping;        /* 5,000: between pings */
	uint64_t pong;        /* 5,000: without anything after a ping the link is lost */
	uint64_t down;        /* 15,000: without a link the peer counts as down */
	uint64_t session;     /* 60,000: a session outlives its link by so much, on both sides */
	uint64_t io_timeout;  /* 30,000: a call waits so long for a link to come back */
	uint64_t handshake;   /* 5,000: until a stranger has proved who it is; again until hello */
	uint64_t backoff_min; /* 100: between dials, doubled each time, jittered */
	uint64_t backoff_max; /* 30,000 */
	uint64_t stagger;     /* 250: before the next address is tried beside the last one */
	uint64_t strangers;   /* 1,000: between two that the observer is told of */
};

/* What the daemon is told. Any may be NULL. A peer may be removed from within, net not closed. */
struct net_observer {
	/* Up, lost, down (transport.h): also after each reconnection. */
	void (*state)(void *arg, struct net_peer *peer, enum transport_state state);
	/* This address answered our dial: worth keeping, first. */
	void (*address)(void *arg, struct net_peer *peer, const char *address);
	/* Both hellos of a link are done: turns pending into paired. Called for each link. */
	void (*proved)(void *arg, struct net_peer *peer);
	/* The peer grants us something else than before. */
	void (*granted)(void *arg, struct net_peer *peer);
	/* The peer says that it has unpaired us. It is not dialled any more. */
	void (*unpaired)(void *arg, struct net_peer *peer);
	/* Somebody without a known key was turned away (for the audit log), not more often than
	 * times.strangers for all together. `address` is where from; `fingerprint` what was shown,
	 * unproven. */
	void (*stranger)(void *arg, const char *address,
			 const uint8_t fingerprint[IDENTITY_FINGERPRINT_SIZE]);
	/* A request of the peer was answered (for the audit log), with 0 or a negative errno;
	 * `denied`: it has not the permission. Often: no peer may be removed from within. */
	void (*answered)(void *arg, struct net_peer *peer, const struct op *op, int error,
			 bool denied);
	/* Somebody wants to pair; only while net_set_pairing is on. The stream is the room's now:
	 * it must call pair_stream_listen before this returns, or pair_stream_close. */
	void (*pairing)(void *arg, struct pair_stream *stream);
};

struct net_options {
	uv_loop_t *loop;
	const struct identity *identity; /* borrowed until closed */
	const struct op_table *ops;      /* what peers may ask; NULL: ops_peer */
	const struct service *services;  /* borrowed until closed: each op belongs to one */
	size_t n_services;
	const char *name; /* what this machine calls itself; copied */
	struct net_times times;
	struct limits limits; /* of each peer's session with us; 0 takes the default */
	const struct net_observer *observer; /* borrowed until closed; may be NULL */
	void *arg;
};

struct net_peer_options {
	const uint8_t *fingerprint;   /* IDENTITY_FINGERPRINT_SIZE bytes; the peer's identity */
	const char *name;             /* ours for it, in logs; copied */
	uint16_t permissions;         /* enum permission; granted to the peer */
	const char *const *addresses; /* where to dial, best first; may be none. Copied. */
	size_t n_addresses;
	void *data; /* the daemon's, see net_peer_data */
};

/* For status. Texts are valid until the loop goes on. */
struct net_peer_status {
	enum transport_state state;
	bool connecting;       /* dialling or shaking hands now */
	uint64_t rtt_us;       /* smoothed; 0: unknown */
	const char *address;   /* of the link, or of the last one; "" if there never was one */
	const char *name;      /* what the peer calls itself; "" before the first hello */
	const char *software;  /* "loopsy 0.1.0" */
	uint16_t granted;      /* enum permission: what the peer grants us */
	int64_t clock_skew_ms; /* the peer's clock minus ours, at the last hello */
	const char *error;     /* why there is no link, "" if there is one */
};

/* Makes it, without listening or peers. Returns 0, -ENOMEM or -errno. */
int net_new(struct net **ret_net, const struct net_options *options);

/*
 * Closes links, sessions and the listener; fails all calls with -ECONNABORTED, within this call.
 * `closed` is called when every handle is closed and net is freed: net must not be used after this
 * call, the peers neither. Requests still with a room are orphans then, to be answered as ever.
 */
void net_close(struct net *net, void (*closed)(void *arg), void *arg);

/*
 * Listens on 127.0.0.1, or with `lan` on all IPv4 and IPv6 addresses; port 0 takes a free one.
 * Returns 0 or -errno (-EADDRINUSE …), having changed nothing.
 */
int net_listen(struct net *net, bool lan, uint16_t port);
/* The i-th address listened on ("127.0.0.1:19532"), or NULL. */
const char *net_listen_address(const struct net *net, size_t i);
/* The port listened on, or 0. */
uint16_t net_listen_port(const struct net *net);

/* Lets this machine ask its own rooms: opens them a session of its own user's (self.h). Returns 0,
 * -ENOMEM or what a room said. */
int net_open_self(struct net *net);
/* How it asks them, as a peer is asked; NULL before net_open_self. Always up, until net_close. */
struct transport *net_self_transport(struct net *net);

/* Is that what session_peer says of its session? It is no net_peer. */
bool net_is_self(const struct net *net, const void *peer);

/* Whether a pairing window is open: only then strangers get further than the handshake. */
void net_set_pairing(struct net *net, bool open);

/* The machine was asleep or its addresses changed: all links are pinged, all peers without one
 * are dialled now. (Sleep itself is noticed without this call.) */
void net_wake(struct net *net);

/* Adds a peer and dials it. Returns 0, -EEXIST (same fingerprint), -EINVAL or -ENOMEM. */
int net_peer_add(struct net *net, const struct net_peer_options *options,
		 struct net_peer **ret_peer);
/* Ends link, session and calls (-ECONNABORTED) now; with `unpaired`, the peer is told so, if it can
 * be. `peer` and its transport are gone, session_lost having been called. */
void net_peer_remove(struct net_peer *peer, bool unpaired);

struct net_peer *net_peer_find(struct net *net,
			       const uint8_t fingerprint[IDENTITY_FINGERPRINT_SIZE]);
/* The registry in the order of adding: NULL gives the first one, the last one gives NULL. */
struct net_peer *net_peer_next(struct net *net, struct net_peer *peer);

void net_peer_set_name(struct net_peer *peer, const char *name);
/* Takes effect for the next request; the peer is told. */
void net_peer_set_permissions(struct net_peer *peer, uint16_t permissions);
/* Replaces the addresses; if there is no link, dials at once. */
void net_peer_set_addresses(struct net_peer *peer, const char *const *addresses, size_t n);
/* The peer announced itself there (unproven): put first, after the last good one, and dialled at
 * once if there is no link. */
void net_peer_announced(struct net_peer *peer, const char *address);

void net_peer_get_status(struct net_peer *peer, struct net_peer_status *ret_status);
const char *net_peer_name(const struct net_peer *peer);
const uint8_t *net_peer_fingerprint(const struct net_peer *peer);
uint16_t net_peer_permissions(const struct net_peer *peer);
void *net_peer_data(const struct net_peer *peer);

/* How the mount asks this peer; lives as long as the peer. */
struct transport *net_peer_transport(struct net_peer *peer);

#endif
