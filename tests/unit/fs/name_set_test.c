#include <criterion/criterion.h>

#include "fs/name_set.h"

Test(name_set, has_what_was_added_and_nothing_else)
{
	struct name_set set = {0};

	cr_assert(!name_set_has(&set, 0));
	for (uint64_t i = 0; i < 2000; i += 2)
		cr_assert(name_set_add(&set, i << 32));
	for (uint64_t i = 0; i < 2000; i++)
		cr_assert_eq(name_set_has(&set, i << 32), i % 2 == 0);
	cr_assert_eq(set.n, 1000);
	cr_assert(name_set_add(&set, 0));
	cr_assert_eq(set.n, 1000, "once each");
	name_set_clear(&set);
	cr_assert(!name_set_has(&set, 0));
	cr_assert(name_set_add(&set, 5));
	cr_assert(name_set_has(&set, 5));
	name_set_clear(&set);
}

Test(name_set, is_bounded)
{
	struct name_set set = {0};

	for (uint64_t i = 1; i <= NAME_SET_MAX; i++)
		cr_assert(name_set_add(&set, i * 0x9e3779b97f4a7c15u));
	cr_assert(!name_set_add(&set, 7));
	cr_assert(!name_set_has(&set, 7));
	cr_assert(name_set_add(&set, 0x9e3779b97f4a7c15u));
	name_set_clear(&set);
}
