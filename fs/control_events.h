/*
 * Control events: what happens, as JSON lines: the content of `events`.
 *
 * The newest lines are kept, of each peer and of all together: a reader begins with those, and
 * waits for more. From the first reader on it is asked what else happens (control_watch.h).
 */
#ifndef FS_CONTROL_EVENTS_H
#define FS_CONTROL_EVENTS_H

#include <jansson.h>

#include "fs/peer.h"

#define CONTROL_EVENTS_KEPT (64 * 1024)
/* For a reader who is behind, so many; then it is told that it missed something. */
#define CONTROL_EVENTS_MOST (8 * 1024 * 1024)

struct control_ring;

/* Something has happened on `machine`: "time", "peer", "event" and `more` (taken over; NULL:
 * nothing more). It is told in the root's events, and in those of `peer` (may be NULL). */
void control_events_note(struct fs *fs, struct fs_peer *peer, const char *machine,
			 const char *event, json_t *more);

/* The link: "up" or "down". */
void control_events_link(struct fs_peer *peer, const char *event);
/* The peer or its mount is freed. */
void control_events_free(struct control_ring *ring);

#endif
