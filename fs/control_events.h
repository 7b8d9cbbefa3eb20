/*
 * Control events: what happens, as JSON lines: the content of `events`.
 *
 * The newest lines are kept, of each peer and of all together: a reader begins with those, and
 * waits for more. From the first reader on, the peer is asked to tell of its jobs (JOB_EVENTS).
 */
#ifndef FS_CONTROL_EVENTS_H
#define FS_CONTROL_EVENTS_H

#include "fs/peer.h"

#define CONTROL_EVENTS_KEPT (64 * 1024)

struct control_ring;

/* The link: "up" or "down". */
void control_events_link(struct fs_peer *peer, const char *event);
/* The peer or its mount is freed. */
void control_events_free(struct control_ring *ring);

#endif
