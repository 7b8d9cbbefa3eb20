/* The inside of net.h: shared by net.c, net_peer.c, net_link.c, net_dial.c,
 * net_hello.c, listener.c and pair_stream.c. */
#ifndef DAEMON_NET_NET_PRIVATE_H
#define DAEMON_NET_NET_PRIVATE_H

#include <sys/queue.h>

#include "daemon/net/address.h"
#include "daemon/net/client.h"
#include "daemon/net/dial.h"
#include "daemon/net/link.h"
#include "daemon/net/net.h"
#include "daemon/net/self.h"
#include "daemon/net/session.h"

#define NET_VERSION    1 /* of the protocol */
#define NET_LINKS_MAX  4 /* of one peer, while it is settled which one stays */
#define NET_UNPROVED   16
#define NET_ERROR_MAX  200
#define NET_BAD_FRAMES 5 /* in a minute: a longer pause */

TAILQ_HEAD(net_peers, net_peer);
struct listener;

struct net {
	struct conn_room room;
	const struct identity *identity;
	const struct op_table *ops;
	const struct service *services;
	size_t n_services;
	char name[NET_NAME_MAX];
	struct net_times times;
	struct limits limits;
	const struct net_observer *observer;
	void *arg;
	uint64_t instance; /* of this start of the daemon */
	struct net_peers peers;
	struct listener *listener; /* NULL: not listening */
	struct self *self;         /* NULL: before net_open_self */
	bool is_pairing;
	uint64_t stranger_at; /* ms: the observer was told of one */
	uv_poll_t clock; /* a timerfd that tells when the clock was set, or the machine slept */
	int clock_fd;
	void (*closed)(void *arg);
	void *closed_arg;
};

/* One of the links to a peer. */
struct peer_link {
	struct net_peer *peer;
	struct link *link;
	bool is_dialled;  /* by us */
	bool is_asked;    /* our hello was sent */
	bool is_answered; /* and its reply came */
	bool has_greeted; /* the peer's hello came */
	bool is_proved;   /* the observer was told */
	uint64_t number;  /* the larger the newer */
	uv_timer_t timer; /* for hello; for one that nobody uses */
	char address[ADDRESS_MAX];
};

struct net_peer {
	TAILQ_ENTRY(net_peer) entry;
	struct net *net;
	uint8_t fingerprint[IDENTITY_FINGERPRINT_SIZE];
	char name[64];
	uint16_t permissions;
	void *data;

	/* Where to dial: what the daemon gave, the last good one first, then what was announced. */
	char addresses[NET_ADDRESSES_MAX][ADDRESS_MAX];
	size_t n_addresses;
	struct dial *dial;
	struct conn *dial_conn; /* in its handshake */
	char dial_address[ADDRESS_MAX];
	uint64_t backoff_ms;
	uint64_t dialled_at; /* ms */
	uint64_t not_before; /* ms: bad frames; neither dialled nor accepted earlier */
	uint64_t bad_frames[NET_BAD_FRAMES]; /* ms: when the last ones came */
	unsigned n_bad_frames;
	bool is_unpaired; /* the peer said so: not dialled */

	struct peer_link *links[NET_LINKS_MAX];
	size_t n_links;
	uint64_t n_links_ever;

	struct client *client;   /* our calls */
	struct session *session; /* the peer's; NULL: none */

	/* What the last hello said. */
	bool has_session;
	uint8_t session_id[SESSION_ID_SIZE];
	uint8_t session_secret[SESSION_SECRET_SIZE];
	uint64_t instance;
	uint16_t granted;
	int64_t clock_skew_ms;
	char own_name[NET_NAME_MAX];
	char software[80];

	enum transport_state state; /* as last told to the observer */
	char address[ADDRESS_MAX];  /* of the last link */
	char error[NET_ERROR_MAX];
	uv_timer_t retry;   /* until the next dial */
	uv_timer_t down;    /* until the peer counts as down */
	unsigned n_handles; /* open, those of its links included */
	bool is_removed;
};

static inline uint64_t net_now(const struct net *net)
{
	return uv_now(net->room.loop);
}

/* Remembers why there is no link, and logs it if it is something new. */
void net_peer_note(struct net_peer *peer, const char *why);
/* A conn with this peer is open: makes it a link. */
void net_link_take_conn(struct net_peer *peer, struct conn *conn, bool is_dialled,
			const char *address);
/* After anything that may have changed what links are used for, or the state. The peer may be
 * removed by an observer within. */
void net_link_settle(struct net_peer *peer);
/* Ends a link for a fault of the peer (or of ours, with the same words). */
void net_link_fail(struct peer_link *link, int error, const char *why);
/* Dials at once, or as soon as is decent. */
void net_dial_peer(struct net_peer *peer);
/* It was dialled there and is the peer indeed. */
void net_dial_keep_address(struct net_peer *peer, const char *address);
/* The first proof of life on a link. */
void net_peer_prove(struct peer_link *link);

/* A handle of the peer's is closed; with the last one it is freed. */
void net_peer_drop_handle(struct net_peer *peer);
/* Tells the observer, if up, lost or down has changed. */
void net_peer_tell_state(struct net_peer *peer);

/* Ends it without a word. */
void net_link_close(struct peer_link *link);

/* Lets go of what is being dialled. */
void net_dial_forget(struct net_peer *peer);
/* There is a link, whoever dialled it. */
void net_dial_over(struct net_peer *peer);
void net_dial_retry_later(struct net_peer *peer);
/* This address is the first to be dialled. */
void net_dial_put_first(struct net_peer *peer, const char *address);

/* Sends our hello. */
void net_hello_ask(struct peer_link *link);
/* The peer's hello, and the reply to ours. May end the link. */
void net_hello_take_request(struct peer_link *link, const struct frame *frame);
void net_hello_take_reply(struct peer_link *link, const struct frame *frame);

/* A stranger with a handshake done, to pair. */
void net_stranger_pairs(struct net *net, struct conn *conn);
void net_stranger_refused(struct net *net, const char *address, const uint8_t *fingerprint);

int listener_new(struct listener **ret_listener, struct net *net, bool lan, uint16_t port);
void listener_free(struct listener *listener);
const char *listener_address(const struct listener *listener, size_t i);
uint16_t listener_port(const struct listener *listener);

#endif
