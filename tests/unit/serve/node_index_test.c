#include "daemon/serve/node_index.h"

#include <criterion/criterion.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MANY 300000

static struct node *add(struct node_index *index, uint64_t ino, const char *name)
{
	struct identity identity = {.ino = ino, .dev = 5, .generation = (uint32_t)ino * 7};

	return node_index_add(index, 0, NODE_PLAIN, &identity, name, strlen(name));
}

Test(node_index, finds_by_number_and_identity)
{
	struct node_index index;
	struct node *a, *b;
	uint64_t number;

	cr_assert_eq(node_index_init(&index), 0);
	a = add(&index, 10, "a");
	b = add(&index, 11, "b");
	cr_assert_eq(a->number, 1);
	cr_assert_eq(node_index_find(&index, a->number), a);
	cr_assert_eq(node_index_find_identity(&index, 0, &b->identity), b);
	cr_assert_null(node_index_find_identity(&index, 1, &b->identity));
	cr_assert_null(node_index_find(&index, 0));
	cr_assert_null(node_index_find(&index, UINT64_MAX));
	cr_assert_null(node_index_find(&index, b->number + 1));
	number = b->number;
	node_index_remove(&index, b);
	cr_assert_null(node_index_find(&index, number));
	b = add(&index, 11, "b");
	cr_assert_neq(b->number, number, "numbers are not used again soon");
	node_index_deinit(&index);
}

Test(node_index, names_change_to_any_length)
{
	struct node_index index;
	struct node *node;
	char name[256];

	cr_assert_eq(node_index_init(&index), 0);
	node = add(&index, 10, "short");
	for (unsigned size = 1; size < 256; size += 50) {
		memset(name, 'a' + (int)size % 26, sizeof(name));
		cr_assert_eq(node_index_set_name(node, name, size), 0);
		cr_assert_eq(node->name_size, size);
		cr_assert_eq(memcmp(node_index_name(node), name, size), 0);
		cr_assert_eq(node_index_set_name(node, "x", 1), 0);
		cr_assert_eq(node_index_name(node)[0], 'x');
	}
	node_index_deinit(&index);
}

Test(node_index, many_nodes_are_small_and_given_back)
{
	struct node_index index;
	uint64_t *numbers = calloc(MANY, sizeof(*numbers));
	size_t before, used;
	char name[32];

	cr_assert_eq(node_index_init(&index), 0);
	before = mallinfo2().uordblks + mallinfo2().hblkhd;
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "file-%06u.txt", i); /* 15 bytes */
		numbers[i] = add(&index, i, name)->number;
	}
	used = mallinfo2().uordblks + mallinfo2().hblkhd - before;
	cr_assert_leq(used / MANY, 130, "%zu bytes per node", used / MANY);
	for (unsigned i = 0; i < MANY; i++) {
		struct identity identity = {.ino = i, .dev = 5, .generation = i * 7};
		struct node *node = node_index_find(&index, numbers[i]);

		cr_assert_not_null(node);
		cr_assert_eq(node_index_find_identity(&index, 0, &identity), node);
	}
	for (unsigned i = 0; i < MANY; i += 2)
		node_index_remove(&index, node_index_find(&index, numbers[i]));
	for (unsigned i = 0; i < MANY; i++) {
		struct identity identity = {.ino = i, .dev = 5, .generation = i * 7};

		cr_assert_eq(!node_index_find(&index, numbers[i]), i % 2 == 0);
		cr_assert_eq(!node_index_find_identity(&index, 0, &identity), i % 2 == 0);
	}
	for (unsigned i = 1; i < MANY; i += 2)
		node_index_remove(&index, node_index_find(&index, numbers[i]));
	cr_assert_eq(index.n, 0);
	used = mallinfo2().uordblks + mallinfo2().hblkhd;
	cr_assert_leq(used, before + 64 * 1024, "%zu bytes kept", used - before);
	node_index_deinit(&index);
	free(numbers);
}
