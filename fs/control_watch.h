/*
 * Control watch: the streams that tell what happens: to a peer's jobs and its values, and to this
 * machine's values and messages. It becomes lines of `events`.
 */
#ifndef FS_CONTROL_WATCH_H
#define FS_CONTROL_WATCH_H

#include "fs/peer.h"

/* From now on it is asked for, over links that break: of one peer, and of messages; what is asked
 * for already, is not again. */
void control_watch_peer(struct fs_peer *peer);
/* The same of all peers, and of this machine. */
void control_watch_all(struct fs *fs);

#endif
