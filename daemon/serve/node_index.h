/*
 * The index of a session's nodes: by number and by identity. A million of them are expected, so a
 * node is small, both indexes grow and shrink in steps of one bucket or page (no pause to rehash),
 * and memory of forgotten nodes is given back. Not locked: nodes.c does that.
 */
#ifndef DAEMON_SERVE_NODE_INDEX_H
#define DAEMON_SERVE_NODE_INDEX_H

#include <stddef.h>

#include "daemon/serve/confine.h"

#define NODE_INDEX_PAGE 512

struct node_fd;

enum node_kind {
	NODE_PLAIN,
	NODE_EXPORT, /* an export's root */
	NODE_TOP,    /* the directory of several exports */
	NODE_HOLLOW, /* a mount that is not entered */
};

struct node {
	struct node *next;    /* in its bucket of the identity index */
	struct node *parent;  /* counted in its refs; NULL only for number 1 */
	struct node_fd *kept; /* its descriptor in the cache, or NULL */
	uint64_t number;
	uint64_t count; /* references of the peer: entries sent and not forgotten */
	struct identity identity;
	uint32_t refs; /* children, and users on other threads */
	uint32_t
	    plain_at;   /* a hash of the ctime at which it had no extended attributes; 0: unknown */
	uint8_t export; /* number of the export it was reached through; also part of identity */
	uint8_t kind;   /* enum node_kind */
	uint8_t is_dir;
	uint8_t name_apart; /* `name` holds a char * to a longer one */
	uint8_t name_size;
	char name[]; /* in parent; not terminated; at least sizeof(char *) */
};

struct node_index_page;

struct node_index {
	size_t n;
	struct node **buckets; /* linear hashing: n_buckets in use */
	size_t n_buckets, buckets_capacity;
	struct node_index_page **pages;
	size_t n_pages;
	struct node_index_page *open; /* those with a free slot */
	uint32_t serial;
};

int node_index_init(struct node_index *index);
/* Frees every node still in it (their kept descriptors must be gone). */
void node_index_deinit(struct node_index *index);

struct node *node_index_find(const struct node_index *index, uint64_t number);
struct node *node_index_find_identity(const struct node_index *index, uint8_t export,
				      const struct identity *identity);
/* Makes a node with count 0 and no parent. NULL when out of memory. The first gets number 1;
 * numbers are never used twice within four billion nodes. */
struct node *node_index_add(struct node_index *index, uint8_t export, enum node_kind kind,
			    const struct identity *identity, const char *name, size_t name_size);
void node_index_remove(struct node_index *index, struct node *node);
/* The same node is another object now (an export's root that was replaced). */
void node_index_set_identity(struct node_index *index, struct node *node,
			     const struct identity *identity);

const char *node_index_name(const struct node *node);
int node_index_set_name(struct node *node, const char *name, size_t name_size);

/* Calls back for every node. */
void node_index_each(struct node_index *index, void (*visit)(void *arg, struct node *node),
		     void *arg);

#endif
