#include "fs_pattern.h"

#include <criterion/criterion.h>
#include <stdlib.h>

uint8_t fs_pattern(uint64_t at)
{
	return (uint8_t)(at * 37 + (at >> 8) * 11 + (at >> 16));
}

struct fs_fake_object *fs_pattern_add(struct fs_kernel *kernel, const char *name, size_t size)
{
	struct fs_fake_object *file =
	    fs_fake_add(kernel->fake, kernel->fake->root, name, S_IFREG | 0644);
	uint8_t *data = malloc(size + 1);

	for (size_t i = 0; i < size; i++)
		data[i] = fs_pattern(i);
	fs_fake_set(kernel->fake, file, data, size);
	free(data);
	return file;
}

void fs_pattern_check(const uint8_t *data, size_t size, uint64_t offset)
{
	for (size_t i = 0; i < size; i++)
		cr_assert_eq(data[i], fs_pattern(offset + i), "byte %zu", (size_t)offset + i);
}
