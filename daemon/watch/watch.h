/*
 * The room for operation 80: peers are told of changes to files that they may see.
 */
#ifndef DAEMON_WATCH_WATCH_H
#define DAEMON_WATCH_WATCH_H

#include "daemon/net/request.h"

struct serve;
struct watch_room;

#define WATCH_STREAMS_MAX 16 /* of one session: each is an inotify instance (of 128 by default) */

/* `serve` is borrowed until the room is stopped. 0 or -ENOMEM. */
int watch_room_new(uv_loop_t *loop, const struct serve *serve, struct watch_room **ret_room);
/* For daemon/net; valid until watch_room_free. */
const struct service *watch_room_service(const struct watch_room *room);

/* All sessions are closed. Calls `done` when the last work of the pool has ended, perhaps at once;
 * watch_room_free comes after it. */
void watch_room_stop(struct watch_room *room, void (*done)(void *arg), void *arg);
void watch_room_free(struct watch_room *room);

#endif
