/*
 * Attr map: what a peer says about an object, as the kernel is to see it.
 *
 * Ids: the peer's user shows as the mounting user, others as they are. Symbolic links: the target
 * is checked and translated, and the size is that of what readlink gives. Sizes and times of files
 * with unacknowledged writes are the mount's own (file_overlay).
 */
#ifndef FS_ATTR_MAP_H
#define FS_ATTR_MAP_H

#include "fs/node.h"
#include "fs/places.h"

/* The stable inode number of a peer's object. */
uint64_t attr_map_ino(const struct fs_peer *peer, uint64_t fs, uint64_t ino);

/* Returns for how many nanoseconds it may be believed at most: `left`, or 0 with own writes and
 * set-id bits. */
uint64_t attr_map_stat(struct fs *fs, struct fs_node *node, const struct attr *attr, uint64_t left,
		       struct stat *ret_stat);

/* Answers with the attributes of a node that came with a reply to `sent`. */
void attr_map_reply(fuse_req_t req, struct fs_node *node, const struct attr *attr, uint32_t sent);

/* The same for a name: nlookup is counted (and taken back if the kernel does not get it). */
void attr_map_entry(struct fs *fs, struct fs_node *node, const struct attr *attr, uint64_t left,
		    struct fuse_entry_param *ret_entry);
void attr_map_reply_entry(fuse_req_t req, struct fs_node *node, const struct attr *attr,
			  uint32_t sent);

/* Ids to the peer: the mounting user is the peer's user there. */
uint32_t attr_map_uid_out(const struct fs_peer *peer, uint32_t uid);
uint32_t attr_map_gid_out(const struct fs_peer *peer, uint32_t gid);

/*
 * What readlink is to give for a link with `target` that lies `depth` directories below the peer's
 * top. Writes at most PATH_MAX - 1 bytes and returns their number; -EACCES for one that would lead
 * out of the peer's directory, into this machine.
 */
int attr_map_target(const char *target, size_t size, unsigned depth, const struct places *places,
		    char *ret_target);

#endif
