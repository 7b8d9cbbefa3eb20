/*
 * By identity: linear hashing. There are n_buckets buckets; adding one splits exactly one other,
 * so the table grows with the nodes and no insertion ever moves more than one bucket's chain.
 *
 *     level = the largest power of two ≤ n_buckets;  hash & (2·level - 1), or, if that bucket is
 *     not there yet, hash & (level - 1)
 *
 * By number: pages of slots; the low half of a number is the slot, the high half a serial, so that
 * a number is not reused soon. A page with no node in it is freed.
 */
#include "daemon/serve/node_index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MIN_BUCKETS 64

struct node_index_page {
	struct node_index_page *next, *previous; /* in index->open, while it has a free slot */
	uint32_t number;
	uint16_t used, hint;
	struct node *slots[NODE_INDEX_PAGE];
};

static uint64_t hash(uint8_t export, const struct identity *identity)
{
	uint64_t x = identity->ino * 0x9e3779b97f4a7c15u;

	x ^= (uint64_t)identity->generation << 32 | identity->dev;
	x += export;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

static size_t level(const struct node_index *index)
{
	return (size_t)1 << (63 - __builtin_clzll(index->n_buckets));
}

static size_t bucket_of(const struct node_index *index, uint64_t h)
{
	size_t low = level(index);
	size_t bucket = h & (2 * low - 1);

	return bucket < index->n_buckets ? bucket : h & (low - 1);
}

int node_index_init(struct node_index *index)
{
	*index = (struct node_index){.n_buckets = MIN_BUCKETS, .buckets_capacity = MIN_BUCKETS};
	index->buckets = calloc(MIN_BUCKETS, sizeof(*index->buckets));
	return index->buckets ? 0 : -ENOMEM;
}

static char *apart(const struct node *node)
{
	char *name;

	memcpy(&name, node->name, sizeof(name));
	return name;
}

static void node_free(struct node *node)
{
	if (node->name_apart)
		free(apart(node));
	free(node);
}

void node_index_deinit(struct node_index *index)
{
	for (size_t i = 0; i < index->n_buckets; i++) {
		for (struct node *node = index->buckets[i], *next; node; node = next) {
			next = node->next;
			node_free(node);
		}
	}
	for (size_t i = 0; i < index->n_pages; i++)
		free(index->pages[i]);
	free(index->pages);
	free(index->buckets);
	*index = (struct node_index){0};
}

/* --- numbers ---------------------------------------------------------------------------------- */

static void open_page(struct node_index *index, struct node_index_page *page)
{
	page->previous = NULL;
	page->next = index->open;
	if (index->open)
		index->open->previous = page;
	index->open = page;
}

static void close_page(struct node_index *index, struct node_index_page *page)
{
	if (page->next)
		page->next->previous = page->previous;
	if (page->previous)
		page->previous->next = page->next;
	else
		index->open = page->next;
}

static struct node_index_page *add_page(struct node_index *index)
{
	struct node_index_page *page;
	size_t at = 0;

	while (at < index->n_pages && index->pages[at])
		at++;
	if (at == index->n_pages) {
		size_t n = index->n_pages ? index->n_pages * 2 : 4;
		struct node_index_page **pages = realloc(index->pages, n * sizeof(*pages));

		if (!pages)
			return NULL;
		memset(pages + index->n_pages, 0, (n - index->n_pages) * sizeof(*pages));
		index->pages = pages;
		index->n_pages = n;
	}
	page = calloc(1, sizeof(*page));
	if (!page)
		return NULL;
	page->number = (uint32_t)at;
	index->pages[at] = page;
	open_page(index, page);
	return page;
}

static int number_take(struct node_index *index, struct node *node)
{
	struct node_index_page *page = index->open ? index->open : add_page(index);
	unsigned slot;

	if (!page)
		return -ENOMEM;
	slot = page->hint;
	while (page->slots[slot])
		slot = (slot + 1) % NODE_INDEX_PAGE;
	page->slots[slot] = node;
	page->hint = (uint16_t)((slot + 1) % NODE_INDEX_PAGE);
	if (++page->used == NODE_INDEX_PAGE)
		close_page(index, page);
	node->number =
	    (uint64_t)index->serial++ << 32 | ((uint64_t)page->number * NODE_INDEX_PAGE + slot + 1);
	return 0;
}

static void number_give(struct node_index *index, const struct node *node)
{
	uint32_t slot = (uint32_t)node->number - 1;
	struct node_index_page *page = index->pages[slot / NODE_INDEX_PAGE];

	page->slots[slot % NODE_INDEX_PAGE] = NULL;
	page->hint = (uint16_t)(slot % NODE_INDEX_PAGE);
	if (page->used-- == NODE_INDEX_PAGE)
		open_page(index, page);
	if (page->used == 0) {
		close_page(index, page);
		index->pages[page->number] = NULL;
		free(page);
	}
}

struct node *node_index_find(const struct node_index *index, uint64_t number)
{
	uint32_t slot = (uint32_t)number - 1;
	const struct node_index_page *page;
	struct node *node;

	if (slot / NODE_INDEX_PAGE >= index->n_pages)
		return NULL;
	page = index->pages[slot / NODE_INDEX_PAGE];
	node = page ? page->slots[slot % NODE_INDEX_PAGE] : NULL;
	return node && node->number == number ? node : NULL;
}

/* --- identities ------------------------------------------------------------------------------- */

struct node *node_index_find_identity(const struct node_index *index, uint8_t export,
				      const struct identity *identity)
{
	struct node *node = index->buckets[bucket_of(index, hash(export, identity))];

	while (node && !(node->export == export && confine_same(&node->identity, identity)))
		node = node->next;
	return node;
}

static void insert(struct node_index *index, struct node *node)
{
	size_t bucket = bucket_of(index, hash(node->export, &node->identity));

	node->next = index->buckets[bucket];
	index->buckets[bucket] = node;
}

static void extract(struct node_index *index, const struct node *node)
{
	struct node **at = &index->buckets[bucket_of(index, hash(node->export, &node->identity))];

	while (*at != node)
		at = &(*at)->next;
	*at = node->next;
}

/* Moves a chain's nodes to where they belong now. */
static void spread(struct node_index *index, struct node *chain)
{
	while (chain) {
		struct node *next = chain->next;

		insert(index, chain);
		chain = next;
	}
}

static void grow(struct node_index *index)
{
	size_t from = index->n_buckets - level(index);
	struct node *chain;

	if (index->n_buckets == index->buckets_capacity) {
		size_t capacity = index->buckets_capacity * 2;
		struct node **buckets = realloc(index->buckets, capacity * sizeof(*buckets));

		if (!buckets) /* longer chains, then */
			return;
		index->buckets = buckets;
		index->buckets_capacity = capacity;
	}
	chain = index->buckets[from];
	index->buckets[from] = NULL;
	index->buckets[index->n_buckets++] = NULL;
	spread(index, chain);
}

static void shrink(struct node_index *index)
{
	struct node *chain = index->buckets[--index->n_buckets];

	spread(index, chain);
	if (index->n_buckets * 4 < index->buckets_capacity) {
		size_t capacity = index->buckets_capacity / 2;
		struct node **buckets = realloc(index->buckets, capacity * sizeof(*buckets));

		if (buckets) {
			index->buckets = buckets;
			index->buckets_capacity = capacity;
		}
	}
}

struct node *node_index_add(struct node_index *index, uint8_t export, enum node_kind kind,
			    const struct identity *identity, const char *name, size_t name_size)
{
	size_t room = name_size < sizeof(char *) ? sizeof(char *) : name_size;
	struct node *node = calloc(1, offsetof(struct node, name) + room);

	if (!node)
		return NULL;
	node->identity = *identity;
	node->export = export;
	node->kind = kind;
	node->name_size = (uint8_t)name_size;
	memcpy(node->name, name, name_size);
	if (number_take(index, node) < 0) {
		free(node);
		return NULL;
	}
	if (++index->n > index->n_buckets)
		grow(index);
	insert(index, node);
	return node;
}

void node_index_remove(struct node_index *index, struct node *node)
{
	extract(index, node);
	number_give(index, node);
	node_free(node);
	index->n--;
	while (index->n * 2 < index->n_buckets && index->n_buckets > MIN_BUCKETS) /* twice */
		shrink(index);
}

void node_index_set_identity(struct node_index *index, struct node *node,
			     const struct identity *identity)
{
	extract(index, node);
	node->identity = *identity;
	insert(index, node);
}

const char *node_index_name(const struct node *node)
{
	return node->name_apart ? apart(node) : node->name;
}

int node_index_set_name(struct node *node, const char *name, size_t name_size)
{
	size_t room = node->name_size < sizeof(char *) ? sizeof(char *) : node->name_size;
	char *copy;

	if (!node->name_apart && name_size <= room) {
		memcpy(node->name, name, name_size);
		node->name_size = (uint8_t)name_size;
		return 0;
	}
	copy = malloc(name_size);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, name, name_size);
	if (node->name_apart)
		free(apart(node));
	node->name_apart = 1;
	node->name_size = (uint8_t)name_size;
	memcpy(node->name, &copy, sizeof(copy));
	return 0;
}

void node_index_each(struct node_index *index, void (*visit)(void *arg, struct node *node),
		     void *arg)
{
	for (size_t i = 0; i < index->n_buckets; i++) {
		for (struct node *node = index->buckets[i]; node; node = node->next)
			visit(arg, node);
	}
}
