/*
 * Dial: from a list of addresses to a connected socket. They are tried in order, the next one
 * beginning `stagger` after the last if that has not answered yet, or at once if it failed
 * (RFC 8305, without its sorting). Host names are looked up in the thread pool.
 */
#ifndef DAEMON_NET_DIAL_H
#define DAEMON_NET_DIAL_H

#include "daemon/net/conn.h"

struct dial;

/*
 * Called once per round: with a connected non-blocking socket, which is the callee's, and the text
 * of its address; or with fd < 0, the error of the last address, when none is left. After a socket
 * the dial waits for dial_next or dial_free.
 */
typedef void (*dial_fn)(void *arg, int fd, const char *address);

/* Copies the addresses. The first attempt begins from the loop. Returns 0, -EINVAL or -ENOMEM. */
int dial_new(struct dial **ret_dial, struct conn_room *room, const char *const *addresses, size_t n,
	     uint64_t stagger_ms, dial_fn done, void *arg);
/* That socket was of no use: goes on with the addresses that were not tried to the end. */
void dial_next(struct dial *dial);
/* Ends it; nothing is called any more. Freed later. */
void dial_free(struct dial *dial);

#endif
