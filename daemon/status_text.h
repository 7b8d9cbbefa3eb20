/*
 * Status as text, a line per fact: what `.loopsy/status` says of this machine and of each peer
 * (loopsy-control(7)).
 */
#ifndef DAEMON_STATUS_TEXT_H
#define DAEMON_STATUS_TEXT_H

#include "daemon/daemon.h"

/* For the mount (mounting.status_text): of a peer (struct paired), or of this machine (NULL); `arg`
 * is the struct daemon. Appends; 0 or -ENOMEM. */
int status_text_write(void *arg, void *peer, struct buffer *text);

#endif
