#include "daemon/watch/watched.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct watched **bucket_of(const struct watched_table *table, int wd)
{
	return &table->buckets[(unsigned)wd % table->n_buckets];
}

static int grow(struct watched_table *table)
{
	struct watched_table grown = {.n_buckets = table->n_buckets ? table->n_buckets * 2 : 64,
				      .n = table->n};

	grown.buckets = calloc(grown.n_buckets, sizeof(struct watched *));
	if (!grown.buckets)
		return -ENOMEM;
	for (size_t i = 0; i < table->n_buckets; i++) {
		struct watched *next, *watched = table->buckets[i];

		for (; watched; watched = next) {
			struct watched **bucket = bucket_of(&grown, watched->wd);

			next = watched->next;
			watched->next = *bucket;
			*bucket = watched;
		}
	}
	free(table->buckets);
	*table = grown;
	return 0;
}

static void free_one(struct watched *watched)
{
	free(watched->only);
	free(watched);
}

void watched_deinit(struct watched_table *table)
{
	for (size_t i = 0; i < table->n_buckets; i++)
		while (table->buckets[i]) {
			struct watched *watched = table->buckets[i];

			table->buckets[i] = watched->next;
			free_one(watched);
		}
	free(table->buckets);
	*table = (struct watched_table){0};
}

static bool is_same(const struct watched *watched, unsigned index, const char *path,
		    const char *only)
{
	return watched->index == index && strcmp(watched->path, path) == 0 &&
	       (only ? watched->only && strcmp(watched->only, only) == 0 : !watched->only);
}

int watched_add(struct watched_table *table, int wd, unsigned index,
		const struct identity *identity, const char *path, const char *only)
{
	struct watched *watched, **bucket;

	if (table->n >= table->n_buckets && grow(table) < 0)
		return -ENOMEM;
	for (watched = watched_find(table, wd); watched; watched = watched_next(watched))
		if (is_same(watched, index, path, only))
			return -EEXIST;
	watched = calloc(1, sizeof(*watched) + strlen(path) + 1);
	if (!watched)
		return -ENOMEM;
	watched->wd = wd;
	watched->index = index;
	watched->identity = *identity;
	strcpy(watched->path, path);
	if (only) {
		watched->only = strdup(only);
		if (!watched->only) {
			free(watched);
			return -ENOMEM;
		}
	}
	bucket = bucket_of(table, wd);
	watched->next = *bucket;
	*bucket = watched;
	table->n++;
	return 0;
}

struct watched *watched_find(const struct watched_table *table, int wd)
{
	struct watched *watched = table->n_buckets ? *bucket_of(table, wd) : NULL;

	while (watched && watched->wd != wd)
		watched = watched->next;
	return watched;
}

struct watched *watched_next(const struct watched *watched)
{
	struct watched *next = watched->next;

	while (next && next->wd != watched->wd)
		next = next->next;
	return next;
}

static void take_out(struct watched_table *table, struct watched **at)
{
	struct watched *watched = *at;

	*at = watched->next;
	table->n--;
	free_one(watched);
}

void watched_remove(struct watched_table *table, int wd)
{
	struct watched **at = table->n_buckets ? bucket_of(table, wd) : NULL;

	while (at && *at) {
		if ((*at)->wd == wd)
			take_out(table, at);
		else
			at = &(*at)->next;
	}
}

static bool is_below(const char *path, const char *top)
{
	size_t length = strlen(top);

	return strncmp(path, top, length) == 0 &&
	       (length == 0 || path[length] == '/' || path[length] == '\0');
}

void watched_remove_below(struct watched_table *table, unsigned index, const char *path,
			  void (*gone)(void *arg, int wd), void *arg)
{
	for (size_t i = 0; i < table->n_buckets; i++)
		for (struct watched **at = &table->buckets[i]; *at;) {
			int wd = (*at)->wd;

			if ((*at)->index != index || !is_below((*at)->path, path)) {
				at = &(*at)->next;
				continue;
			}
			take_out(table, at);
			if (!watched_find(table, wd))
				gone(arg, wd);
		}
}
