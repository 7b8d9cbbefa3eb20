/* Names: what making a file shares with CREATE. */
#ifndef DAEMON_SERVE_NAMES_H
#define DAEMON_SERVE_NAMES_H

#include "daemon/serve/node_walk.h"

/* The mode of something new in `parent`: without `mask`, unless a default ACL decides. */
mode_t names_mode(const struct held *parent, uint64_t mode, uint64_t mask);

/* Holds the directory in which `name` is to be made, which must be allowed: -EROFS, -EACCES,
 * -ENOTDIR. Blocks. */
int names_hold_for_make(struct nodes *nodes, uint64_t parent, const struct bytes *name,
			bool by_mkdir, struct held *ret_parent, char ret_name[256]);

#endif
