/*
 * The directories of a watch tree, by inotify's numbers. One number can stand for several: paths
 * may overlap.
 */
#ifndef DAEMON_WATCH_WATCHED_H
#define DAEMON_WATCH_WATCHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/serve/confine.h"

struct watched {
	struct watched *next; /* in its bucket */
	int wd;
	unsigned index;           /* of the path that it belongs to */
	struct identity identity; /* of the directory */
	char *only;               /* the one name that is told; NULL: all */
	char path[];              /* below the watched path; empty: itself */
};

struct watched_table {
	struct watched **buckets;
	size_t n_buckets, n;
};

void watched_deinit(struct watched_table *table);

/* Adds one; `only` may be NULL. 0, -EEXIST if the same is there, or -ENOMEM. */
int watched_add(struct watched_table *table, int wd, unsigned index,
		const struct identity *identity, const char *path, const char *only);
/* The first of that number, and the next one; NULL: no more. */
struct watched *watched_find(const struct watched_table *table, int wd);
struct watched *watched_next(const struct watched *watched);

/* Takes out all of that number. */
void watched_remove(struct watched_table *table, int wd);
/* Takes out those of `index` at `path` and below; `gone(arg, wd)` is called for numbers that none
 * is left of. */
void watched_remove_below(struct watched_table *table, unsigned index, const char *path,
			  void (*gone)(void *arg, int wd), void *arg);

#endif
