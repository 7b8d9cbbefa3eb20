#include "ctl/path_filter.h"

#include <criterion/criterion.h>
#include <string.h>

static void expect(struct path_filter *filter, const char *given, size_t size, const char *wanted,
		   size_t wanted_size)
{
	/* In one piece, and byte by byte. */
	for (size_t step = size; step >= 1; step = step > 1 ? 1 : 0) {
		struct buffer out = {0};

		filter->within = false;
		for (size_t at = 0; at < size; at += step)
			cr_assert_eq(
			    path_filter_take(
				filter, (struct bytes){(const uint8_t *)given + at, step}, &out),
			    0);
		cr_assert_eq(path_filter_finish(filter, &out), 0);
		cr_assert_eq(out.size, wanted_size, "%.*s", (int)out.size, (char *)out.data);
		cr_assert_eq(memcmp(out.data, wanted, out.size), 0, "%.*s", (int)out.size,
			     (char *)out.data);
		buffer_deinit(&out);
	}
}

#define EXPECT(given, wanted) expect(&filter, given, sizeof(given) - 1, wanted, sizeof(wanted) - 1)

Test(path_filter, replaces_paths_at_the_start_of_records)
{
	struct path_filter filter = {0};

	path_filter_add(&filter, "src", "/home/me/loopsy/desk/src");
	path_filter_add(&filter, "src/lib", "lib");
	EXPECT("src/a:src/b is here\nsrc\nsrcs/a\nsrc/lib/x\nsrc",
	       "/home/me/loopsy/desk/src/a:src/b is here\n/home/me/loopsy/desk/src\nsrcs/a\n"
	       "lib/x\n/home/me/loopsy/desk/src");
	EXPECT("src/a\0src/lib\0\n\nother", "/home/me/loopsy/desk/src/a\0lib\0\n\nother");
	EXPECT("sr", "sr");
	EXPECT("\033", "\033");
	path_filter_deinit(&filter);
}

Test(path_filter, sees_paths_behind_what_programs_put_there)
{
	struct path_filter filter = {0};

	path_filter_add(&filter, ".", "desk");
	EXPECT("\033[35m\033[K./a\033[m\033[K:x\n", "\033[35m\033[Kdesk/a\033[m\033[K:x\n");
	EXPECT("Binary file ./b matches\n", "Binary file desk/b matches\n");
	EXPECT("grep: ./c: No such file\n", "grep: desk/c: No such file\n");
	EXPECT("find: \xe2\x80\x98./d\xe2\x80\x99: Permission denied\n",
	       "find: \xe2\x80\x98"
	       "desk/d\xe2\x80\x99: Permission denied\n");
	EXPECT(".hidden\n../x\n", ".hidden\n../x\n");
	path_filter_deinit(&filter);
}
