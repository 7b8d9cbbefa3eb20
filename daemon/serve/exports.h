/*
 * Exports: the directories that peers see. With one export, node 1 is it; with several, node 1 is
 * a read-only directory of their names.
 */
#ifndef DAEMON_SERVE_EXPORTS_H
#define DAEMON_SERVE_EXPORTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/record.h"

struct deny;
struct mounts;

#define EXPORTS_MAX 255

/* How the configuration gives one; strings are copied. */
struct exports_option {
	const char *name;
	const char *path; /* absolute */
	bool read_only;
	const char *const *deny; /* absolute, or relative to path */
	size_t n_deny;
};

struct export
{
	char *name;
	char *path;
	bool read_only;
	uint8_t number; /* index in exports */
	struct deny *deny;
};

struct exports {
	struct export *items;
	size_t n;
};

/* Returns 0, -EINVAL (none, too many, a path that is not absolute, a name that is no file name or
 * there twice) or -ENOMEM. A path need not exist. */
int exports_init(struct exports *exports, const struct exports_option *options, size_t n,
		 struct mounts *mounts);
void exports_deinit(struct exports *exports);

const struct export *exports_find(const struct exports *exports, struct bytes name);

#endif
