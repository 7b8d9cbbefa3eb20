#include "fs/places.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/ops_peer.h"

struct place {
	char *name; /* one component, or "" */
	char *path; /* without slashes at the end: "" is the root directory */
	size_t path_size;
};

void places_clear(struct places *places)
{
	for (size_t i = 0; i < places->n; i++) {
		free(places->items[i].name);
		free(places->items[i].path);
	}
	free(places->items);
	*places = (struct places){0};
}

/* What is shown is built from the name, so a peer that lies must not lead upwards with it. */
static bool is_component(struct bytes name)
{
	if (name.size == 0)
		return true;
	return !memchr(name.data, '/', name.size) && !memchr(name.data, '\0', name.size) &&
	       !(name.data[0] == '.' &&
		 (name.size == 1 || (name.size == 2 && name.data[1] == '.')));
}

static int add(struct places *places, const struct export_place *from)
{
	struct place place = {.path_size = from->path.size};

	if (!is_component(from->name) || from->path.size == 0 || from->path.data[0] != '/')
		return 0;
	while (place.path_size > 0 && from->path.data[place.path_size - 1] == '/')
		place.path_size--;
	place.name = bytes_to_text(from->name);
	place.path = strndup((const char *)from->path.data, place.path_size);
	if (!place.name || !place.path) {
		free(place.name);
		free(place.path);
		return -ENOMEM;
	}
	places->items[places->n++] = place;
	return 0;
}

int places_set(struct places *places, struct list exports)
{
	struct export_place export;
	int error = 0;

	places_clear(places);
	places->items = calloc(exports.n + 1, sizeof(*places->items));
	if (!places->items)
		return -ENOMEM;
	while (error == 0 && exports.n > 0 &&
	       codec_list_next(&exports, &export_place_record, &export, NULL) == 0)
		error = add(places, &export);
	if (error < 0)
		places_clear(places);
	else
		places->is_known = true;
	return error;
}

static bool lies_in(const struct place *place, const char *path, size_t size)
{
	return size >= place->path_size && memcmp(path, place->path, place->path_size) == 0 &&
	       (size == place->path_size || path[place->path_size] == '/');
}

const char *places_find(const struct places *places, const char *path, size_t size,
			const char **ret_name)
{
	const struct place *best = NULL;
	const char *rest;

	for (size_t i = 0; i < places->n; i++) {
		const struct place *place = &places->items[i];

		if (lies_in(place, path, size) && (!best || place->path_size > best->path_size))
			best = place;
	}
	if (!best)
		return NULL;
	rest = path + best->path_size;
	while (rest < path + size && *rest == '/')
		rest++;
	*ret_name = best->name;
	return rest;
}
