/*
 * Files of the peer in memory whose bytes say where they stand, so that a byte which is found in
 * another place is seen.
 */
#ifndef TESTS_FS_PATTERN_H
#define TESTS_FS_PATTERN_H

#include "fs_kernel.h"

uint8_t fs_pattern(uint64_t at);
/* Makes a file in the peer's root. */
struct fs_fake_object *fs_pattern_add(struct fs_kernel *kernel, const char *name, size_t size);
/* Fails the test if these are not the bytes from there on. */
void fs_pattern_check(const uint8_t *data, size_t size, uint64_t offset);

#endif
