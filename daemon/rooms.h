/*
 * Rooms: what each of them is given when it opens, out of the options and of what the daemon
 * answers it. When they open and when they close is daemon.c's: it calls these in the order in
 * which they stand here, and what they have opened hangs from the struct.
 */
#ifndef DAEMON_ROOMS_H
#define DAEMON_ROOMS_H

#include "daemon/daemon.h"
#include "daemon/failure.h"

/* Each returns 0, or -errno with failure. */

/* Files, and who watches them. */
int rooms_open_serve(struct daemon *daemon, struct failure *failure);
int rooms_open_jobs(struct daemon *daemon, const struct daemon_options *given,
		    struct failure *failure);
int rooms_open_kv(struct daemon *daemon, struct failure *failure);
int rooms_open_msg(struct daemon *daemon, struct failure *failure);
/* Peers reach what was opened before it; it listens from now on. */
int rooms_open_net(struct daemon *daemon, struct failure *failure);
int rooms_open_pairing(struct daemon *daemon, struct failure *failure);
/* Takes away what a killed daemon left there. */
int rooms_open_mount(struct daemon *daemon, struct failure *failure);
/* Nothing, without mdns. */
int rooms_open_discovery(struct daemon *daemon, struct failure *failure);

#endif
