/*
 * Nodes: the inodes that the kernel knows of this mount.
 *
 * A FUSE node id is the address of its struct fs_node (the root's is 1); the kernel counts its
 * references in `nlookup`. Of a peer's object it remembers the server's number for it, which means
 * something in one session only, and (parent, name, inode number), from which it is found again in
 * a later session (peer.c). A million of them are expected: it is kept small.
 *
 * Regular files and special ones are one node per object, whatever names they have (pages and
 * locks belong to it). Directories and symbolic links are one node per (parent, name, object), so
 * that no answer of a peer can show one directory, or one link, at two depths: what `..` in a
 * link's target means is decided by its place (attr_map.h).
 */
#ifndef FS_NODE_H
#define FS_NODE_H

#include <sys/stat.h>

#include "fs/fs_private.h"

enum node_kind_of_fs {
	NODE_IS_ROOT,    /* the mount point */
	NODE_IS_TOP,     /* a peer's directory: local attributes, remote contents; server node 1 */
	NODE_IS_REMOTE,  /* anything below it */
	NODE_IS_CONTROL, /* a control file or directory */
};

/* Attributes remembered for as long as they are trusted: a second, until there are leases. */
struct node_attr {
	struct fs_node *node;
	struct node_attr *older, *newer; /* fs->attrs */
	uint64_t until;
	uint32_t sent; /* fs->change when they were asked for */
	struct attr attr;
};

struct fs_node {
	struct fs_node *parent;      /* held; NULL for the root, or where the name is gone */
	struct fs_node *next_number; /* in its peer's table by server number */
	struct fs_node *next_name;   /* in fs's table by (parent, name) */
	uint64_t number;             /* the server's, if `session` is the peer's */
	uint64_t ino;                /* as shown: stable, of (peer, file system, inode) */
	uint64_t nlookup;            /* the kernel's references */
	struct node_attr *attr;      /* NULL: not known */
	union {
		struct dir *dir;              /* directories; NULL: nothing remembered (dir.h) */
		struct file *file;            /* regular files; NULL: not open (file.h) */
		char *target;                 /* symbolic links: as the peer holds it */
		struct control_node *control; /* NODE_IS_CONTROL: its own (control_files.h) */
	};
	uint32_t n_held;     /* children, calls, open files: uses on our side */
	uint32_t n_number;   /* references that the server counts for us */
	uint32_t session;    /* in which `number` holds */
	uint32_t generation; /* tells the kernel two nodes at one address apart */
	uint32_t changed;    /* fs->change when it was last changed from here */
	uint16_t peer;       /* index in fs->peers */
	uint16_t type;       /* S_IFMT bits */
	uint8_t kind;        /* enum node_kind_of_fs */
	bool is_stale;       /* what was found in its place is something else: ESTALE for ever */
	bool name_apart;     /* `name` holds a char * to a longer one */
	uint8_t name_size;   /* 0: it has no name any more */
	char name[];         /* not terminated; room for at least a char * */
};

/* --- find and make ---------------------------------------------------------------------------- */

/* The node of a FUSE id, which the kernel holds. */
struct fs_node *node_of_id(struct fs *fs, uint64_t id);
uint64_t node_id(const struct fs *fs, const struct fs_node *node);

struct fs_peer *node_peer(const struct fs *fs, const struct fs_node *node);

/*
 * The node for an entry that the peer's server has just sent for (parent, name): found or made.
 * Takes over the server's one reference in it (in any case; without memory it is given back by
 * FORGET). What else is known under the number but has another type or identity is left behind as
 * stale. NULL: out of memory.
 * The caller counts nlookup (node_looked_up) or holds the node; else node_unused frees it.
 */
struct fs_node *node_enter(struct fs_peer *peer, struct fs_node *parent, struct bytes name,
			   const struct entry *entry);

/* The same without a reference to take over: NULL if it is not known in this session. */
struct fs_node *node_find_number(struct fs_peer *peer, struct fs_node *parent, struct bytes name,
				 uint64_t number, unsigned type, uint64_t ino);

/*
 * The name of a regular file leads to another regular file now (replaced by rename, while a program
 * was about to open it): the node becomes that one, if nothing is open of it (file.h looks after
 * that). Takes over the server's reference. 0, or -ESTALE if that cannot be.
 */
int node_rebind(struct fs_peer *peer, struct fs_node *node, const struct entry *entry);

/* The node known under (parent, name), or NULL. */
struct fs_node *node_find_child(struct fs *fs, const struct fs_node *parent, struct bytes name);

/* A node of ours: a peer's top or a control file, with a name in `parent`. NULL: no memory. */
struct fs_node *node_new_local(struct fs *fs, enum node_kind_of_fs kind, uint16_t peer,
			       uint16_t type, uint64_t ino, struct fs_node *parent,
			       struct bytes name);

struct bytes node_name(const struct fs_node *node);

/* The name now leads to nothing (unlink), or to elsewhere (rename); -ENOMEM leaves it nameless. */
void node_forget_name(struct fs *fs, struct fs_node *node);
/* The same of the child with that name, if it is known. */
void node_forget_child(struct fs *fs, struct fs_node *parent, struct bytes name);
int node_rename(struct fs *fs, struct fs_node *node, struct fs_node *parent, struct bytes name);

/* How many directories are between it and the peer's top: 0 for what lies in the top itself. */
unsigned node_depth(const struct fs_node *node);

/* --- lifetime --------------------------------------------------------------------------------- */

void node_hold(struct fs_node *node);
void node_drop(struct fs *fs, struct fs_node *node);
/* An entry reply for it goes to the kernel. */
void node_looked_up(struct fs_node *node);
/* The kernel forgets that many of its references. */
void node_forgotten(struct fs *fs, struct fs_node *node, uint64_t count);
/* Frees it if nobody uses it. */
void node_unused(struct fs *fs, struct fs_node *node);

/* --- attributes (node_attr.c) ----------------------------------------------------------------- */

/*
 * Attributes have come with a reply to a call sent at `sent` (peer_call's `sent`). They are
 * remembered, unless a later change from here overtook them. Returns whether they may be cached.
 */
bool node_attr_set(struct fs *fs, struct fs_node *node, const struct attr *attr, uint32_t sent);
/* Attributes that still may be believed, or NULL; ret_left: for how many more nanoseconds. */
const struct attr *node_attr_get(struct fs *fs, const struct fs_node *node, uint64_t *ret_left);
/* Whether attributes that were asked for at `sent` are not older than a change from here. */
bool node_attr_is_new(struct fs *fs, const struct fs_node *node, const struct attr *attr,
		      uint32_t sent);
/* What is remembered of it, if anything, is dropped. */
void node_attr_forget(struct fs *fs, struct fs_node *node);

/* --- changed from here ------------------------------------------------------------------------ */

/* Something about it was changed from here (call it when the answer comes): what is remembered of
 * it is dropped, and replies to calls sent before are not remembered. */
void node_changed(struct fs *fs, struct fs_node *node);

/*
 * A name that was none of a node we know of leads elsewhere now. A regular file with several names
 * is known by the last one that was looked up: what is remembered of such files is not believed any
 * more.
 */
void node_unknown_name_lost(struct fs_peer *peer);

/* --- all of them ------------------------------------------------------------------------------ */

/* Tables of nodes: never without buckets. -ENOMEM. */
int node_table_init(struct node_table *table);

/* The mount ends: whatever the kernel held is freed, the root at last. */
void node_free_all(struct fs *fs);

/* The peer's session is gone: no number means anything now. */
void node_numbers_void(struct fs_peer *peer);

#endif
