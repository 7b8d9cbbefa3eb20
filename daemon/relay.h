/*
 * Relay: what loopsyctl asks of a peer (CTL_CALL), passed on to it as the mount's own calls are.
 */
#ifndef DAEMON_RELAY_H
#define DAEMON_RELAY_H

#include "daemon/control/control.h"
#include "fs/transport.h"

/*
 * Asks the peer of that transport. Op and args are checked by the table first; what comes back, the
 * reply and the stream, goes to `call`. If the caller goes, the call to the peer is cancelled.
 * `peer` is its name ("": this machine itself, net_self_transport) and `why` the reason that there
 * is no link to it ("" if there is one), for what is said to people; both are copied.
 */
void relay_call(struct transport *transport, const char *peer, const char *why,
		struct control_call *call, const struct args_ctl_call *args);

#endif
