/*
 * What `loopsyctl pair` asks for, read and checked: whom to pair with, what to call it, what it may
 * do.
 */
#ifndef DAEMON_PAIR_PAIRING_REQUEST_H
#define DAEMON_PAIR_PAIRING_REQUEST_H

#include "daemon/failure.h"
#include "daemon/pair/pairing_room.h"

struct pairing_request {
	char address[STORE_ADDRESS_TEXT_MAX + 1]; /* to dial, or "": wait for somebody who does */
	char name[PEER_NAME_MAX + 1];             /* --name, or "" */
	uint16_t allow;
	uint64_t ttl_s; /* for how long the window is open */
};

/* `config` says what holds where the user said nothing, and resolves the address. Returns 0, or
 * -EINVAL with failure. */
int pairing_request_read(const struct args_ctl_pair *args, const struct pairing_room_config *config,
			 struct pairing_request *ret_request, struct failure *failure);

#endif
