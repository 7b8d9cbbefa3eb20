/*
 * What the peer in memory (fs_fake.h) does about names and attributes: a function for each
 * operation.
 */
#ifndef TESTS_FS_FAKE_NAMES_H
#define TESTS_FS_FAKE_NAMES_H

#include "fs_fake_files.h"

bool fs_fake_names_is_op(uint16_t op);
/* Does it: 0 or -errno. `node` is what the arguments begin with. */
int fs_fake_names_answer(struct fs_fake *fake, struct fs_fake_object *node, uint16_t op,
			 const void *args, union fs_fake_result *result);

#endif
