/*
 * The tree of the peer in memory (fs_fake.h), for the fs_fake*.c files: objects, their names, and
 * the numbers under which they are given out.
 */
#ifndef TESTS_FS_FAKE_TREE_H
#define TESTS_FS_FAKE_TREE_H

#include "fs_fake.h"

/* One without a name. */
struct fs_fake_object *fs_fake_object_new(struct fs_fake *fake, mode_t mode);

/* NULL: there is none. Good until the next change of that directory. */
struct fs_fake_name *fs_fake_name_find(struct fs_fake_object *parent, struct bytes name);
void fs_fake_name_remove(struct fs_fake_object *parent, struct fs_fake_name *name);

/* The object that was given out under that number; NULL: none, or it was forgotten. */
struct fs_fake_object *fs_fake_object_of(struct fs_fake *fake, uint64_t number);
struct attr fs_fake_attr(const struct fs_fake_object *object);
/* One reference more to it, with its number and attributes. */
struct entry fs_fake_give_out(struct fs_fake *fake, struct fs_fake_object *object);
/* No number that was given out means anything any more. */
void fs_fake_numbers_void(struct fs_fake *fake);

void fs_fake_tree_free(struct fs_fake *fake);

#endif
