/*
 * Entries: what was looked at, as the wire tells it.
 */
#ifndef DAEMON_SERVE_WIRE_ENTRIES_H
#define DAEMON_SERVE_WIRE_ENTRIES_H

#include "daemon/serve/nodes.h"
#include "proto/ops_peer.h"

struct work;

void wire_entries_attr(const struct look *look, struct attr *ret_attr);

/* Attributes of a held node, asked now; also of those without an object. Blocks. 0 or -errno. */
int wire_entries_attr_of(const struct held *held, struct attr *ret_attr);
/* Attributes of any descriptor of ours (an open file). Blocks. */
int wire_entries_attr_of_fd(struct mounts *mounts, int fd, struct attr *ret_attr);

/*
 * Looks at `name` in `parent`, which is not hidden, and enters it as a node: the whole of LOOKUP,
 * and the end of everything that makes a name. A symbolic link's target is put into *ret_target,
 * malloc'd, for the caller to free (NULL otherwise). `keep` as for nodes_enter. Blocks. 0 or
 * -errno. */
int wire_entries_make(const struct held *parent, const char *name, bool keep, struct entry *ret_entry,
		 void **ret_target);
/* The same for what was looked at already; takes the look's descriptor with `keep`. */
int wire_entries_enter(const struct held *parent, const char *name, struct look *look, bool keep,
		  struct entry *ret_entry, void **ret_target);

#endif
