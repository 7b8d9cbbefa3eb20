/*
 * Paired: the peers of this daemon, each with its record in the store, its links and its directory
 * in the mount. Pending ones are among them: they are let in by net, with no permission, until
 * their first hello.
 */
#ifndef DAEMON_PAIRED_H
#define DAEMON_PAIRED_H

#include "daemon/daemon.h"

struct paired {
	struct daemon *daemon;
	struct store_peer record;
	struct net_peer *net;
	struct fs_peer *fs;          /* NULL while pending, or without a mount */
	uv_timer_t pending;          /* deletes it unless it is proved */
	bool is_linked;              /* now: else record.last_seen_ms is when it was */
	struct audit_counts *counts; /* of what it asks here; may be NULL */
	struct paired *next;
};

/* Loads the peers of the store and lets them in. At the start. 0 or -errno. */
int paired_load(struct daemon *daemon, struct failure *failure);
/* Lets one in, as its record says. 0 or -errno. */
int paired_enter(struct daemon *daemon, const struct store_peer *record);
/* Lets it out and frees it: links, files and calls end now. If it stays in the store, not
 * `unpaired`, its record says since when it is not seen. */
void paired_leave(struct paired *paired, bool unpaired);
/* Lets all of them out; the store keeps them. */
void paired_close(struct daemon *daemon);

struct paired *paired_find_name(struct daemon *daemon, const char *name);
struct paired *paired_find_id(struct daemon *daemon, const char *id);
bool paired_is_up(const struct paired *paired); /* not pending */

/* The changes that a user asks for; `done` when it is durable. */
int paired_rename(struct paired *paired, const char *name, store_done_fn done, void *data);
int paired_allow(struct paired *paired, uint16_t permissions, store_done_fn done, void *data);
/* Links, files and calls of that peer end now. */
int paired_remove(struct paired *paired, store_done_fn done, void *data);

/* What net tells. */
extern const struct net_observer paired_observer;
/* A machine announces itself. */
void paired_announced(struct daemon *daemon, const struct discovery_service *service);

/* "online", "connecting" or "offline". */
const char *paired_state_name(const struct net_peer_status *status);

#endif
