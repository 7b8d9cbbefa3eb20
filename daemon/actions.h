/*
 * Actions: what the daemon does for loopsyctl: a function per request of the control socket.
 */
#ifndef DAEMON_ACTIONS_H
#define DAEMON_ACTIONS_H

#include "daemon/control/control.h"

/* Their argument is the struct daemon. */
extern const struct control_actions actions_table;

#endif
