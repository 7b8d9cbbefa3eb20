/*
 * Known: what a listing of kv/ said of each key, for those who then ask for one after the other
 * (`ls -l`). It is believed as long as a watch tells of changes: what is told to have changed, or
 * is being changed from here, is asked for again. Nothing is known of keys that are not in it. The
 * last listing of each machine is kept while it is used.
 */
#ifndef FS_CONTROL_KV_KNOWN_H
#define FS_CONTROL_KV_KNOWN_H

#include "fs/control_kv.h"

struct kv_known;

/* Asks to be told of changes; before the first page is asked for. NULL, which is fine for all of
 * these: no memory, all is asked for. */
struct kv_known *control_kv_known_new(struct fs_peer *peer);
/* The next key. */
void control_kv_known_add(struct kv_known *known, const struct kv_entry *entry);
/* All of it is there, and it is its own from now on. `version`: the first page's. */
void control_kv_known_filled(struct kv_known *known, uint64_t version);
/* One that is not filled. */
void control_kv_known_free(struct kv_known *known);
/* The mount ends. */
void control_kv_known_free_all(struct fs *fs);

/* What is known of a key of that machine: its bytes are good for now, and `from` is left out. */
bool control_kv_known_find(struct fs_peer *peer, struct bytes key, struct kv_entry *ret_entry);
/* It is being changed from here. */
void control_kv_known_change(struct fs_peer *peer, struct bytes key);

#endif
