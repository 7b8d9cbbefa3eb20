#include "fs/node.h"

#include <assert.h>
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#include "fs/attr_map.h"
#include "fs/control_files.h"
#include "fs/dir.h"
#include "fs/file.h"
#include "fs/name_hash.h"
#include "fs/peer.h"

#define NODE_TRIM_AFTER 20000 /* so many freed nodes are worth a malloc_trim */
#define NODE_TABLE_MIN  16

struct fs_node *node_of_id(struct fs *fs, uint64_t id)
{
	return id == FUSE_ROOT_ID ? fs->root : (struct fs_node *)(uintptr_t)id;
}

uint64_t node_id(const struct fs *fs, const struct fs_node *node)
{
	return node == fs->root ? FUSE_ROOT_ID : (uint64_t)(uintptr_t)node;
}

struct fs_peer *node_peer(const struct fs *fs, const struct fs_node *node)
{
	return node->peer < fs->n_peers ? fs->peers[node->peer] : NULL;
}

struct bytes node_name(const struct fs_node *node)
{
	const char *name = node->name;

	if (node->name_apart)
		memcpy(&name, node->name, sizeof(name));
	return (struct bytes){.data = (const uint8_t *)name, .size = node->name_size};
}

static bool has_place(const struct fs_node *node, const struct fs_node *parent, struct bytes name)
{
	return node->parent == parent && node->name_size == name.size &&
	       memcmp(node_name(node).data, name.data, name.size) == 0;
}

/* --- tables ----------------------------------------------------------------------------------- */

/* Which of the two links of a node a table uses, and what it hashes. */
struct table_kind {
	size_t next; /* offset of the link */
	uint64_t (*hash)(const struct fs *fs, const struct fs_node *node);
};

static uint64_t hash_of_number(const struct fs *fs, const struct fs_node *node)
{
	return name_hash_mix(node->number, fs->seed);
}

static uint64_t hash_of_place(const struct fs *fs, const struct fs_node *parent, struct bytes name)
{
	return name_hash(fs->seed ^ (uint64_t)(uintptr_t)parent, name);
}

static uint64_t hash_of_name(const struct fs *fs, const struct fs_node *node)
{
	return hash_of_place(fs, node->parent, node_name(node));
}

static uint64_t hash_of_address(const struct fs *fs, const struct fs_node *node)
{
	return name_hash_mix((uint64_t)(uintptr_t)node, fs->seed);
}

static const struct table_kind by_number = {offsetof(struct fs_node, next_number), hash_of_number};
static const struct table_kind by_name = {offsetof(struct fs_node, next_name), hash_of_name};
/* A nameless node uses the link of the table of names. */
static const struct table_kind by_address = {offsetof(struct fs_node, next_name), hash_of_address};

static struct fs_node **link_of(const struct table_kind *kind, struct fs_node *node)
{
	return (struct fs_node **)((char *)node + kind->next);
}

static int table_resize(struct fs *fs, struct node_table *table, const struct table_kind *kind,
			size_t n_buckets)
{
	struct fs_node **buckets = calloc(n_buckets, sizeof(struct fs_node *));

	if (!buckets)
		return -ENOMEM;
	for (size_t i = 0; i < table->n_buckets; i++) {
		struct fs_node *node = table->buckets[i];

		while (node) {
			struct fs_node *next = *link_of(kind, node);
			size_t at = kind->hash(fs, node) & (n_buckets - 1);

			*link_of(kind, node) = buckets[at];
			buckets[at] = node;
			node = next;
		}
	}
	free(table->buckets);
	table->buckets = buckets;
	table->n_buckets = n_buckets;
	return 0;
}

/* Cannot fail: without memory, chains get longer. */
static void table_add(struct fs *fs, struct node_table *table, const struct table_kind *kind,
		      struct fs_node *node)
{
	size_t at;

	if (table->n >= table->n_buckets)
		table_resize(fs, table, kind, 2 * table->n_buckets);
	at = kind->hash(fs, node) & (table->n_buckets - 1);
	*link_of(kind, node) = table->buckets[at];
	table->buckets[at] = node;
	table->n++;
}

static void table_remove(struct fs *fs, struct node_table *table, const struct table_kind *kind,
			 struct fs_node *node)
{
	struct fs_node **at = &table->buckets[kind->hash(fs, node) & (table->n_buckets - 1)];

	while (*at != node)
		at = link_of(kind, *at);
	*at = *link_of(kind, node);
	*link_of(kind, node) = NULL;
	table->n--;
	if (!fs->stopping && table->n_buckets > NODE_TABLE_MIN && table->n < table->n_buckets / 8)
		table_resize(fs, table, kind, table->n_buckets / 4);
}

struct fs_node *node_find_child(struct fs *fs, const struct fs_node *parent, struct bytes name)
{
	struct fs_node *node;

	node = fs->names.buckets[hash_of_place(fs, parent, name) & (fs->names.n_buckets - 1)];
	while (node && !has_place(node, parent, name))
		node = node->next_name;
	return node;
}

/* --- names ------------------------------------------------------------------------------------ */

static void free_name(struct fs_node *node)
{
	if (node->name_apart)
		free((void *)node_name(node).data);
	node->name_apart = false;
	node->name_size = 0;
}

void node_forget_name(struct fs *fs, struct fs_node *node)
{
	struct fs_node *parent = node->parent;

	if (!parent)
		return;
	table_remove(fs, &fs->names, &by_name, node);
	free_name(node);
	node->parent = NULL;
	table_add(fs, &fs->nameless, &by_address, node);
	node_drop(fs, parent);
}

int node_rename(struct fs *fs, struct fs_node *node, struct fs_node *parent, struct bytes name)
{
	size_t room = node->name_apart ? sizeof(char *) : node->name_size;
	char *apart = NULL;
	struct fs_node *other;

	if (has_place(node, parent, name))
		return 0;
	other = node_find_child(fs, parent, name);
	node_hold(parent);
	if (other)
		node_forget_name(fs, other);
	if (room < sizeof(char *))
		room = sizeof(char *);
	if (name.size > room) {
		apart = malloc(name.size);
		if (!apart) {
			node_forget_name(fs, node);
			node_drop(fs, parent);
			return -ENOMEM;
		}
		memcpy(apart, name.data, name.size);
	}
	node_forget_name(fs, node);
	table_remove(fs, &fs->nameless, &by_address, node);
	if (apart)
		memcpy(node->name, &apart, sizeof(apart));
	else
		memcpy(node->name, name.data, name.size);
	node->name_apart = apart != NULL;
	node->name_size = (uint8_t)name.size;
	node->parent = parent;
	table_add(fs, &fs->names, &by_name, node);
	return 0;
}

unsigned node_depth(const struct fs_node *node)
{
	unsigned depth = 0;

	for (node = node->parent; node && node->kind == NODE_IS_REMOTE; node = node->parent)
		depth++;
	/* Out of the tree (its directory was removed): nothing is above it. */
	return node && node->kind == NODE_IS_TOP ? depth : 0;
}

/* --- making ----------------------------------------------------------------------------------- */

static struct fs_node *new_node(struct fs *fs, enum node_kind_of_fs kind, uint16_t peer,
				uint16_t type, uint64_t ino, struct fs_node *parent,
				struct bytes name)
{
	size_t room = name.size < sizeof(char *) ? sizeof(char *) : name.size;
	struct fs_node *node = calloc(1, offsetof(struct fs_node, name) + room);

	if (!node)
		return NULL;
	node->kind = (uint8_t)kind;
	node->peer = peer;
	node->type = type;
	node->ino = ino;
	node->generation = ++fs->generation;
	node->changed = fs->change_lost;
	node->n_held = 1;                     /* while it is made */
	node->name_size = (uint8_t)name.size; /* the room that node_rename may use */
	table_add(fs, &fs->nameless, &by_address, node);
	if (parent)
		node_rename(fs, node, parent, name); /* has room: cannot fail */
	if (node_peer(fs, node))
		node_peer(fs, node)->n_nodes++;
	fs->n_nodes++;
	return node;
}

struct fs_node *node_new_local(struct fs *fs, enum node_kind_of_fs kind, uint16_t peer,
			       uint16_t type, uint64_t ino, struct fs_node *parent,
			       struct bytes name)
{
	struct fs_node *node = new_node(fs, kind, peer, type, ino, parent, name);

	if (node)
		node->n_held = 0;
	return node;
}

static bool is_bound(const struct fs_peer *peer, const struct fs_node *node)
{
	return node->kind == NODE_IS_REMOTE && node->n_number && node->session == peer->session;
}

static void unbind(struct fs_peer *peer, struct fs_node *node)
{
	if (!is_bound(peer, node))
		return;
	table_remove(peer->fs, &peer->numbers, &by_number, node);
	peer_forget(peer, node->number, node->n_number);
	node->n_number = 0;
}

static void bind_number(struct fs_peer *peer, struct fs_node *node, uint64_t number)
{
	node->number = number;
	table_add(peer->fs, &peer->numbers, &by_number, node);
	node->session = peer->session;
	node->n_number = 1;
}

static bool is_known_type(unsigned type)
{
	return type == S_IFREG || type == S_IFDIR || type == S_IFLNK || type == S_IFIFO ||
	       type == S_IFSOCK || type == S_IFCHR || type == S_IFBLK;
}

/* The node that the number stands for at that place; what contradicts the entry is left behind. */
struct fs_node *node_find_number(struct fs_peer *peer, struct fs_node *parent, struct bytes name,
				 uint64_t number, unsigned type, uint64_t ino)
{
	struct fs *fs = peer->fs;
	bool by_place = type == S_IFDIR || type == S_IFLNK;
	size_t bucket = name_hash_mix(number, fs->seed) & (peer->numbers.n_buckets - 1);
	struct fs_node *node, *next;

	for (node = peer->numbers.buckets[bucket]; node; node = next) {
		next = node->next_number;
		if (node->number != number)
			continue;
		if (node->type != type || node->ino != ino) {
			node_hold(node);
			node->is_stale = true;
			unbind(peer, node);
			node_drop(fs, node);
			/* The table may have been resized, and nodes be gone. */
			return node_find_number(peer, parent, name, number, type, ino);
		}
		if (!by_place || has_place(node, parent, name))
			return node;
	}
	return NULL;
}

struct fs_node *node_enter(struct fs_peer *peer, struct fs_node *parent, struct bytes name,
			   const struct entry *entry)
{
	struct fs *fs = peer->fs;
	unsigned type = entry->attr.mode & S_IFMT;
	uint64_t ino = attr_map_ino(peer, entry->attr.fs, entry->attr.ino);
	struct fs_node *node, *known;

	if (!is_known_type(type) || !entry->node)
		goto give_back;
	node = node_find_number(peer, parent, name, entry->node, type, ino);
	if (node) {
		node_hold(node);
		node->n_number++;
		node_rename(fs, node, parent, name); /* without memory it is just nameless */
		goto out;
	}
	known = node_find_child(fs, parent, name);
	if (known && known->kind == NODE_IS_REMOTE && known->type == type && known->ino == ino &&
	    !known->is_stale && !is_bound(peer, known)) {
		/* From an earlier session: found again. */
		node = known;
		node_hold(node);
	} else {
		node = new_node(fs, NODE_IS_REMOTE, peer->index, (uint16_t)type, ino, parent, name);
		if (!node)
			goto give_back;
	}
	bind_number(peer, node, entry->node);
out:
	if (type == S_IFLNK && !node->target)
		node->target = bytes_to_text(entry->target);
	node->n_held--; /* the caller counts it, or calls node_unused */
	return node;
give_back:
	if (entry->node)
		peer_forget(peer, entry->node, 1);
	return NULL;
}

int node_rebind(struct fs_peer *peer, struct fs_node *node, const struct entry *entry)
{
	uint64_t ino = attr_map_ino(peer, entry->attr.fs, entry->attr.ino);
	struct fs_node *other;

	if ((entry->attr.mode & S_IFMT) != S_IFREG || node->type != S_IFREG || !node->parent)
		goto give_back;
	other = node_find_number(peer, node->parent, node_name(node), entry->node, S_IFREG, ino);
	if (other && other != node)
		goto give_back;
	if (other == node) {
		node->n_number++;
		return 0;
	}
	unbind(peer, node);
	bind_number(peer, node, entry->node);
	node->ino = ino;
	node->is_stale = false;
	node_changed(peer->fs, node);
	return 0;
give_back:
	peer_forget(peer, entry->node, 1);
	return -ESTALE;
}

/* --- lifetime --------------------------------------------------------------------------------- */

void node_hold(struct fs_node *node)
{
	node->n_held++;
}

void node_drop(struct fs *fs, struct fs_node *node)
{
	assert(node->n_held > 0);
	node->n_held--;
	node_unused(fs, node);
}

void node_forget_child(struct fs *fs, struct fs_node *parent, struct bytes name)
{
	struct fs_node *node = node_find_child(fs, parent, name);

	if (!node)
		return;
	node_hold(node);
	node_forget_name(fs, node);
	node_drop(fs, node);
}

void node_looked_up(struct fs_node *node)
{
	node->nlookup++;
}

void node_forgotten(struct fs *fs, struct fs_node *node, uint64_t count)
{
	node->nlookup -= count < node->nlookup ? count : node->nlookup;
	node_unused(fs, node);
}

static void trim(struct fs *fs, struct fs_timer *timer)
{
	fs->n_freed = 0;
	malloc_trim(0);
}

void node_unused(struct fs *fs, struct fs_node *node)
{
	struct fs_peer *peer = node_peer(fs, node);

	if (node->nlookup || node->n_held || node == fs->root)
		return;
	node->n_held = 1; /* it is not freed again from below */
	if ((int32_t)(node->changed - fs->change_lost) > 0)
		fs->change_lost = node->changed;
	node_attr_forget(fs, node);
	if (peer)
		unbind(peer, node);
	if (node->kind == NODE_IS_CONTROL)
		control_node_free(node);
	else if (node->type == S_IFDIR)
		dir_node_free(fs, node);
	else if (node->kind == NODE_IS_REMOTE && node->type == S_IFREG)
		file_node_free(fs, node);
	else if (node->kind == NODE_IS_REMOTE && node->type == S_IFLNK)
		free(node->target);
	node_forget_name(fs, node);
	table_remove(fs, &fs->nameless, &by_address, node);
	free(node);
	fs->n_nodes--;
	if (peer)
		peer_node_gone(peer);
	if (++fs->n_freed == NODE_TRIM_AFTER) {
		fs->trim_timer.fn = trim;
		fs_timer_set(fs, &fs->trim_timer, FS_SECOND);
	}
}

int node_table_init(struct node_table *table)
{
	*table = (struct node_table){.n_buckets = NODE_TABLE_MIN};
	table->buckets = calloc(table->n_buckets, sizeof(struct fs_node *));
	return table->buckets ? 0 : -ENOMEM;
}

void node_numbers_void(struct fs_peer *peer)
{
	for (size_t i = 0; i < peer->numbers.n_buckets; i++) {
		struct fs_node *node = peer->numbers.buckets[i];

		while (node) {
			struct fs_node *next = node->next_number;

			node->next_number = NULL;
			node->n_number = 0;
			node = next;
		}
		peer->numbers.buckets[i] = NULL;
	}
	peer->numbers.n = 0; /* removals shrink it again */
}

static void release_table(struct fs *fs, struct node_table *table, bool is_last)
{
	for (size_t i = 0; i < table->n_buckets; i++) {
		struct fs_node *node = table->buckets[i];

		while (node) {
			struct fs_node *next = node->next_name;

			node->nlookup = 0;
			if (is_last && !node->n_held && node != fs->root) {
				node_unused(fs, node); /* and perhaps those above it */
				next = table->buckets[i];
			}
			node = next;
		}
	}
}

/* The mount has gone under programs that have files open: nobody will release them. */
static void close_files(struct fs_node *const *buckets, size_t n_buckets)
{
	for (size_t i = 0; i < n_buckets; i++)
		for (struct fs_node *node = buckets[i]; node; node = node->next_name)
			if (node->kind == NODE_IS_REMOTE && node->type == S_IFREG) {
				node->n_held++; /* it is not freed under us */
				file_node_close(node);
				node->n_held--;
			}
}

void node_free_all(struct fs *fs)
{
	assert(fs->stopping); /* tables do not shrink under us */
	close_files(fs->names.buckets, fs->names.n_buckets);
	close_files(fs->nameless.buckets, fs->nameless.n_buckets);
	release_table(fs, &fs->names, false);
	release_table(fs, &fs->nameless, false);
	release_table(fs, &fs->names, true);
	release_table(fs, &fs->nameless, true);
	table_remove(fs, &fs->nameless, &by_address, fs->root);
	dir_node_free(fs, fs->root);
	free(fs->root);
	free(fs->names.buckets);
	free(fs->nameless.buckets);
}

/* --- changed from here ------------------------------------------------------------------------ */

void node_changed(struct fs *fs, struct fs_node *node)
{
	node->changed = ++fs->change;
	node_attr_forget(fs, node);
}

void node_unknown_name_lost(struct fs_peer *peer)
{
	peer->names_lost = ++peer->fs->change;
}
