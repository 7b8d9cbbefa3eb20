#include "daemon/serve/exports.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/serve/deny.h"

static bool good_name(const char *name)
{
	size_t size = strlen(name);

	return size > 0 && size <= 255 && !strchr(name, '/') && strcmp(name, ".") != 0 &&
	       strcmp(name, "..") != 0;
}

static int add(struct exports *exports, const struct exports_option *option, struct mounts *mounts)
{
	struct bytes name = {(const uint8_t *)option->name, strlen(option->name)};
	struct export *export = &exports->items[exports->n];
	int error;

	if (!good_name(option->name) || option->path[0] != '/' || exports_find(exports, name))
		return -EINVAL;
	*export = (struct export){
	    .name = strdup(option->name),
	    .path = strdup(option->path),
	    .read_only = option->read_only,
	    .number = (uint8_t)exports->n,
	};
	exports->n++;
	if (!export->name || !export->path)
		return -ENOMEM;
	error = deny_new(mounts, export->path, option->deny, option->n_deny, &export->deny);
	return error;
}

int exports_init(struct exports *exports, const struct exports_option *options, size_t n,
		 struct mounts *mounts)
{
	int error = 0;

	*exports = (struct exports){0};
	if (n == 0 || n > EXPORTS_MAX)
		return -EINVAL;
	exports->items = calloc(n, sizeof(*exports->items));
	if (!exports->items)
		return -ENOMEM;
	for (size_t i = 0; i < n && error == 0; i++)
		error = add(exports, &options[i], mounts);
	if (error < 0)
		exports_deinit(exports);
	return error;
}

void exports_deinit(struct exports *exports)
{
	for (size_t i = 0; i < exports->n; i++) {
		free(exports->items[i].name);
		free(exports->items[i].path);
		deny_free(exports->items[i].deny);
	}
	free(exports->items);
	*exports = (struct exports){0};
}

const struct export *exports_find(const struct exports *exports, struct bytes name)
{
	for (size_t i = 0; i < exports->n; i++) {
		const char *own = exports->items[i].name;

		if (own && strlen(own) == name.size && memcmp(own, name.data, name.size) == 0)
			return &exports->items[i];
	}
	return NULL;
}
