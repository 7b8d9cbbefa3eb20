#ifndef DAEMON_STORE_H
#define DAEMON_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <sqlite3.h>
#include <stdint.h>
#include <uv.h>

#include "daemon/failure.h"
#include "daemon/peer_name.h"
#include "proto/identity.h"

/*
 * What outlives the daemon: peers, and addresses to look for peers at. loopsy.db is SQLite in WAL
 * mode with synchronous=FULL: what is reported as done survives a power cut.
 *
 * The daemon keeps the peers in memory: it loads them once at the start and writes changes through.
 * All functions are for the loop's thread.
 */
struct store;
struct store_thread;

#define STORE_ADDRESSES_MAX    8
#define STORE_ADDRESS_TEXT_MAX 300 /* as OPS_CTL_ADDRESS_MAX */
#define STORE_REMOTE_NAME_MAX  255

enum store_peer_state {
	STORE_PEER_PENDING, /* confirmed here, not yet seen to be confirmed there: grants nothing */
	STORE_PEER_PAIRED,
};

struct store_address {
	char text[STORE_ADDRESS_TEXT_MAX + 1]; /* "host:port" */
	bool manual; /* given by the user: never dropped for a newer one */
};

struct store_peer {
	uint8_t fingerprint[IDENTITY_FINGERPRINT_SIZE]; /* SHA-256 of its SPKI: the pin */
	char id[IDENTITY_ID_SIZE];                      /* from the fingerprint */
	char name[PEER_NAME_MAX + 1];                   /* what it is called here; unique */
	char remote_name[STORE_REMOTE_NAME_MAX + 1];    /* what it calls itself: hostile text */
	uint16_t permissions;                           /* enum permission, granted to it */
	enum store_peer_state state;
	int64_t pending_until_ms; /* wall clock, as all times here; PENDING only */
	int64_t added_ms;
	int64_t last_seen_ms;                                /* 0: never */
	struct store_address addresses[STORE_ADDRESSES_MAX]; /* the last good one first */
	size_t n_addresses;
};

/* 0 when the change is on the disk; -EEXIST if another peer has that name or key; other -errno. */
typedef void (*store_done_fn)(void *data, int status);

/*
 * Opens or makes the database (0600) and starts its thread. Waits for the disk: before the loop
 * runs. Returns 0 or -errno; failure says what to do.
 */
int store_open(uv_loop_t *loop, const char *path, struct store **ret_store,
	       struct failure *failure);

/* Waits for nothing: writes what was asked for, then frees the store and calls closed(data). */
void store_close(struct store *store, void (*closed)(void *data), void *data);

/* The thread, for others who have something to write (audit, kv). */
struct store_thread *store_get_thread(struct store *store);
/* Another one, with a connection that can only read: what waits there does not wait for the disk to
 * take what others change. It sees what is committed. */
struct store_thread *store_get_reader(struct store *store);

/* The connection, for others who have to load something: at the start, before the first change. */
sqlite3 *store_get_db(struct store *store);

/*
 * Reads all peers, in the order in which they were added; a pending one whose time is over at
 * now_ms is removed, a row that makes no sense is logged and left out. Waits for the disk: at the
 * start, before the first change. *ret_peers is the caller's to free. 0 or -errno.
 */
int store_load_peers(struct store *store, int64_t now_ms, struct store_peer **ret_peers,
		     size_t *ret_n);

/*
 * Changes. Each copies what it is given and returns 0, -ENOMEM, -EINVAL for a peer that could not
 * be loaded again, or -ESHUTDOWN; only after 0 is done(data, status) called, once, later. done may
 * be NULL: then a failure is logged.
 */
/* Adds the peer, or replaces the one of the same id. */
int store_put_peer(struct store *store, const struct store_peer *peer, store_done_fn done,
		   void *data);
/* Removes it and its addresses; none of that id is no error. */
int store_remove_peer(struct store *store, const char *id, store_done_fn done, void *data);

/* Addresses at which the user expects a machine that is not paired yet. */
int store_put_address(struct store *store, const char *address, store_done_fn done, void *data);
int store_remove_address(struct store *store, const char *address, store_done_fn done, void *data);

/* Reads them, oldest first. As store_load_peers; manual is set in all. */
int store_load_addresses(struct store *store, struct store_address **ret_addresses, size_t *ret_n);

#endif
