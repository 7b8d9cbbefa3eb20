/*
 * What the pairing room asks of the house (daemon/pair/pairing_room.h): the peers that are known,
 * names for new ones, and the store, through which they come in.
 */
#ifndef DAEMON_PAIRING_HOST_H
#define DAEMON_PAIRING_HOST_H

#include "daemon/daemon.h"

/* Its `arg` is the struct daemon. */
extern const struct pairing_room_host pairing_host;

/* What a user typed as an address: a discovered name, "host", "host:port". 0 or -EINVAL. */
int pairing_host_resolve(void *arg, const char *text, char ret_address[STORE_ADDRESS_TEXT_MAX + 1]);

#endif
