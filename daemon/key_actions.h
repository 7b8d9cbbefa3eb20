/*
 * Keys at the control socket: presenting, making, listing and revoking them, and what the one that
 * a connection has presented allows there. What is denied is in the audit log.
 */
#ifndef DAEMON_KEY_ACTIONS_H
#define DAEMON_KEY_ACTIONS_H

#include "daemon/daemon.h"
#include "daemon/relay.h"

struct paired;

/* Opens daemon->keys. At the start. 0 or -errno. */
int key_actions_open(struct daemon *daemon, struct failure *failure);

/* Requests of the control socket. */
void key_actions_present(void *arg, struct control_call *call, const struct args_ctl_key *args);
void key_actions_may(void *arg, struct control_call *call, const struct args_ctl_may *args);
void key_actions_generate(void *arg, struct control_call *call,
			  const struct args_ctl_key_generate *args);
void key_actions_list(void *arg, struct control_call *call, const struct args_ctl_keys *args);
void key_actions_revoke(void *arg, struct control_call *call,
			const struct args_ctl_key_revoke *args);
/* control_actions.refused. */
void key_actions_refused(void *arg, struct control_call *call, const struct op *op);

/* Whether the caller's key is for that peer. The second one has answered if not. */
bool key_actions_has(struct daemon *daemon, const struct control_call *call,
		     const struct paired *paired);
bool key_actions_shows(struct daemon *daemon, struct control_call *call,
		       const struct paired *paired);
/* For relay_call: NULL for a caller without limits. */
const struct relay_guard *key_actions_guard(struct daemon *daemon, const struct control_call *call);

#endif
