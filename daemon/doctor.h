/*
 * Doctor: what the running daemon finds wrong with itself and its peers.
 */
#ifndef DAEMON_DOCTOR_H
#define DAEMON_DOCTOR_H

#include "daemon/control/control.h"

struct daemon;

/* Offers a ctl_check per finding: the mount, the port, discovery, each peer. */
void doctor_check(struct daemon *daemon, struct control_page *page);

#endif
