#include "fs_fake_tree.h"

#include <stdlib.h>
#include <string.h>

#include "fs_fake_files.h"

/* --- objects and their names ------------------------------------------------------------------ */

struct fs_fake_object *fs_fake_object_new(struct fs_fake *fake, mode_t mode)
{
	struct fs_fake_object *object = calloc(1, sizeof(*object));

	object->ino = ++fake->last_ino;
	object->mode = mode;
	object->uid = object->gid = 4000;
	object->mtime.tv_sec = object->ctime.tv_sec = 1000000000;
	object->next = fake->objects;
	fake->objects = object;
	return object;
}

void fs_fake_link(struct fs_fake_object *parent, const char *name, struct fs_fake_object *object)
{
	if ((parent->n_names & (parent->n_names - 1)) == 0)
		parent->names = realloc(parent->names, (parent->n_names ? 2 * parent->n_names : 1) *
							   sizeof(*parent->names));
	parent->names[parent->n_names++] =
	    (struct fs_fake_name){.name = strdup(name), .object = object};
	object->nlink++;
}

struct fs_fake_object *fs_fake_add(struct fs_fake *fake, struct fs_fake_object *parent,
				   const char *name, mode_t mode)
{
	struct fs_fake_object *object = fs_fake_object_new(fake, mode);

	fs_fake_link(parent, name, object);
	return object;
}

struct fs_fake_name *fs_fake_name_find(struct fs_fake_object *parent, struct bytes name)
{
	for (size_t i = 0; i < parent->n_names; i++)
		if (strlen(parent->names[i].name) == name.size &&
		    memcmp(parent->names[i].name, name.data, name.size) == 0)
			return &parent->names[i];
	return NULL;
}

struct fs_fake_object *fs_fake_find(struct fs_fake_object *parent, const char *name)
{
	struct fs_fake_name *found =
	    fs_fake_name_find(parent, (struct bytes){(const uint8_t *)name, strlen(name)});

	return found ? found->object : NULL;
}

void fs_fake_name_remove(struct fs_fake_object *parent, struct fs_fake_name *name)
{
	name->object->nlink--;
	free(name->name);
	*name = parent->names[--parent->n_names];
	/* The array grows when the count is a power of two: keep its size in step. */
	if (parent->n_names && (parent->n_names & (parent->n_names - 1)) == 0)
		parent->names = realloc(parent->names, parent->n_names * sizeof(*parent->names));
}

void fs_fake_remove(struct fs_fake_object *parent, const char *name)
{
	fs_fake_name_remove(
	    parent, fs_fake_name_find(parent, (struct bytes){(const uint8_t *)name, strlen(name)}));
}

/* --- numbers ---------------------------------------------------------------------------------- */

struct fs_fake_object *fs_fake_object_of(struct fs_fake *fake, uint64_t number)
{
	if (number == OPS_ROOT_NODE)
		return fake->root;
	if (number >= fake->n_numbers)
		return NULL;
	return fake->by_number[number] && fake->by_number[number]->count ? fake->by_number[number]
									 : NULL;
}

static void give_number(struct fs_fake *fake, struct fs_fake_object *object)
{
	object->number = ++fake->last_number;
	if (object->number >= fake->n_numbers) {
		size_t n = 2 * object->number;

		fake->by_number = realloc(fake->by_number, n * sizeof(object));
		memset(fake->by_number + fake->n_numbers, 0,
		       (n - fake->n_numbers) * sizeof(object));
		fake->n_numbers = n;
	}
	fake->by_number[object->number] = object;
}

struct attr fs_fake_attr(const struct fs_fake_object *object)
{
	return (struct attr){
	    .fs = 7,
	    .ino = object->ino,
	    .mode = object->mode,
	    .nlink = object->nlink,
	    .uid = object->uid,
	    .gid = object->gid,
	    .rdev = object->rdev,
	    .size = object->target ? strlen(object->target) : object->size,
	    .blksize = 4096,
	    .mtime = object->mtime,
	    .atime = object->mtime,
	    .ctime = object->ctime,
	    .plain = !object->has_xattr,
	    .settled = !object->is_fresh,
	};
}

struct entry fs_fake_give_out(struct fs_fake *fake, struct fs_fake_object *object)
{
	struct entry entry = {.attr = fs_fake_attr(object)};

	if (!object->count)
		give_number(fake, object);
	object->count++;
	entry.node = object->number;
	if (object->target)
		entry.target =
		    (struct bytes){(const uint8_t *)object->target, strlen(object->target)};
	return entry;
}

void fs_fake_numbers_void(struct fs_fake *fake)
{
	fake->last_number += 1000;
	if (fake->n_numbers)
		memset(fake->by_number, 0, fake->n_numbers * sizeof(*fake->by_number));
	for (struct fs_fake_object *object = fake->objects; object; object = object->next)
		object->count = object->number = 0;
}

uint64_t fs_fake_outstanding(const struct fs_fake *fake)
{
	uint64_t n = 0;

	for (const struct fs_fake_object *object = fake->objects; object; object = object->next)
		n += object->count;
	return n;
}

void fs_fake_tree_free(struct fs_fake *fake)
{
	while (fake->objects) {
		struct fs_fake_object *object = fake->objects;

		fake->objects = object->next;
		for (size_t i = 0; i < object->n_names; i++)
			free(object->names[i].name);
		free(object->names);
		fs_fake_file_free(object);
		free(object->target);
		free(object);
	}
	free(fake->by_number);
}
