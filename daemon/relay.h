/*
 * Relay: what loopsyctl asks of a peer (CTL_CALL), passed on to it as the mount's own calls are.
 */
#ifndef DAEMON_RELAY_H
#define DAEMON_RELAY_H

#include "daemon/control/control.h"
#include "fs/transport.h"

/* What may be asked, and what may be answered, by a caller who is limited. */
struct relay_guard {
	/* Whether that peer may be asked; if not, it has answered `call`. */
	bool (*request)(void *arg, struct control_call *call, const char *peer, const struct op *op,
			const void *args);
	/* 0, or the errno that is answered instead. */
	int (*reply)(void *arg, uint64_t key, const struct op *op, const void *result);
	void *arg;
};

/*
 * Asks the peer of that transport. Op and args are checked by the table first; what comes back, the
 * reply and the stream, goes to `call`. If the caller goes, the call to the peer is cancelled.
 * `peer` is its name ("": this machine itself, net_self_transport) and `why` the reason that there
 * is no link to it ("" if there is one), for what is said to people; both are copied. `guard` is
 * borrowed until the call is over; NULL: nothing is limited.
 */
void relay_call(struct transport *transport, const char *peer, const char *why,
		struct control_call *call, const struct args_ctl_call *args,
		const struct relay_guard *guard);

#endif
