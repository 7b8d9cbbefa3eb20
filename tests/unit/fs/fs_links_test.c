#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "fs/attr_map.h"
#include "fs_kernel.h"

#define SECOND 1000000000ull

struct named_path {
	const char *name, *path;
};

static void set_places(struct places *places, const struct named_path *exports, size_t n)
{
	struct buffer elements = {0};
	struct list list = {0};

	for (size_t i = 0; i < n; i++) {
		struct export_place place = {
		    .name = {(const uint8_t *)exports[i].name, strlen(exports[i].name)},
		    .path = {(const uint8_t *)exports[i].path, strlen(exports[i].path)},
		};

		cr_assert_eq(codec_list_append(&list, &elements, &export_place_record, &place), 0);
	}
	codec_list_finish(&list, &elements);
	cr_assert_eq(places_set(places, list), 0);
	buffer_deinit(&elements);
}

static int target_of(const char *target, unsigned depth, const char *root, char *ret_target)
{
	struct places places = {0};
	int n;

	set_places(&places, &(struct named_path){"", root}, root ? 1 : 0);
	n = attr_map_target(target, strlen(target), depth, &places, ret_target);
	places_clear(&places);
	if (n >= 0)
		ret_target[n] = '\0';
	return n;
}

static void expect(const char *target, unsigned depth, const char *root, const char *expected)
{
	char result[PATH_MAX];
	int n = target_of(target, depth, root, result);

	if (!expected) {
		cr_assert_eq(n, -EACCES, "%s at %u", target, depth);
		return;
	}
	cr_assert_geq(n, 0, "%s at %u", target, depth);
	cr_assert_str_eq(result, expected);
}

Test(fs_links, relative_targets_stay_inside)
{
	expect("file", 0, NULL, "file");
	expect("dir//file/", 0, NULL, "dir//file/");
	expect("./file", 0, NULL, "./file");
	expect("..", 0, NULL, NULL);
	expect("..", 1, NULL, "..");
	expect("../x", 1, NULL, "../x");
	expect("../../x", 1, NULL, NULL);
	expect("../../x", 2, NULL, "../../x");
	expect(".././../x", 1, NULL, NULL);
	expect("..//..//x", 1, NULL, NULL);
	expect("a/../x", 3, NULL, NULL); /* `a` may itself be a link upwards */
	expect("a/..", 3, NULL, NULL);
	expect("...", 0, NULL, "...");
	expect("..x", 0, NULL, "..x");
	expect("", 0, NULL, NULL);
}

Test(fs_links, absolute_targets_become_relative_or_are_refused)
{
	expect("/etc/passwd", 3, NULL, NULL);
	expect("/etc/passwd", 3, "/home/ann", NULL);
	expect("/home/ann/x", 0, "/home/ann", "x");
	expect("/home/ann/x/y", 2, "/home/ann", "../../x/y");
	expect("/home/ann", 0, "/home/ann", ".");
	expect("/home/ann", 1, "/home/ann", "..");
	expect("/home/ann/", 2, "/home/ann", "../..");
	expect("/home/ann//x", 1, "/home/ann/", "../x");
	expect("/home/anna", 1, "/home/ann", NULL);
	expect("/home/ann/../bob", 1, "/home/ann", NULL);
	expect("/home/ann/a/../b", 1, "/home/ann", NULL);
	expect("/etc/passwd", 1, "/", "../etc/passwd");
}

Test(fs_links, long_targets_are_refused)
{
	char target[PATH_MAX + 10], result[PATH_MAX];
	struct places places = {0};

	set_places(&places, &(struct named_path){"", "/r"}, 1);
	memset(target, 'x', sizeof(target));
	memcpy(target, "/r/", 3);
	cr_assert_eq(attr_map_target(target, PATH_MAX - 10, 1, &places, result), PATH_MAX - 10);
	cr_assert_eq(attr_map_target(target, PATH_MAX - 10, 200, &places, result), -EACCES);
	cr_assert_eq(attr_map_target(target, PATH_MAX + 5, 1, &places, result), -EACCES);
	places_clear(&places);
}

Test(fs_links, an_absolute_target_may_lead_into_another_export)
{
	static const struct named_path exports[] = {
	    {"home", "/home/ann/"}, {"src", "/home/ann/src"}, {"src", "/data/ann-src"}};
	static const struct {
		const char *target;
		unsigned depth;
		const char *expected;
	} cases[] = {
	    {"/home/ann/x", 1, "../home/x"},
	    {"/home/ann", 2, "../../home"},
	    {"/home/ann/src/a", 1, "../src/a"},
	    {"/home/ann/src", 1, "../src"},
	    {"/data/ann-src//a/b", 3, "../../../src/a/b"},
	    {"/home/ann/srcs", 1, "../home/srcs"},
	    {"/data", 1, NULL},
	    {"/", 1, NULL},
	    {"/home/ann/src/../x", 1, NULL},
	};
	struct places places = {0};

	set_places(&places, exports, 3);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *target = cases[i].target;
		char result[PATH_MAX];
		int n = attr_map_target(target, strlen(target), cases[i].depth, &places, result);

		cr_assert_eq(n, cases[i].expected ? (int)strlen(cases[i].expected) : -EACCES, "%s",
			     target);
		if (n > 0)
			cr_assert_arr_eq(result, cases[i].expected, (size_t)n, "%s", target);
	}
	places_clear(&places);
}

Test(fs_links, exports_whose_names_lead_elsewhere_are_left_out)
{
	static const struct named_path exports[] = {
	    {"..", "/a"}, {".", "/b"}, {"../../etc", "/c"}, {"good", "not/absolute"}, {"good", ""}};
	struct places places = {0};
	const char *name;

	set_places(&places, exports, 5);
	cr_assert_eq(places.n, 0);
	cr_assert_null(places_find(&places, "/a/x", 4, &name));
	places_clear(&places);
}

static struct fs_fake_object *add_link(struct fs_kernel *kernel, struct fs_fake_object *parent,
				       const char *name, const char *target)
{
	struct fs_fake_object *link = fs_fake_add(kernel->fake, parent, name, S_IFLNK | 0777);

	link->target = strdup(target);
	return link;
}

Test(fs_links, shown_targets_and_sizes_match_the_place)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_fake_object *a =
	    fs_fake_add(kernel->fake, kernel->fake->root, "a", S_IFDIR | 0755);
	char target[PATH_MAX];
	struct fuse_entry_out entry;
	uint64_t dir;

	kernel->fake->root_path = "/home/ann";
	kernel->fake->n_asked[OP_EXPORTS] = 0;
	fs_fake_session_new(kernel->fake);
	fs_kernel_run(kernel);
	add_link(kernel, a, "inside", "/home/ann/file");
	add_link(kernel, a, "out", "../../etc/passwd");
	add_link(kernel, a, "up", "../file");
	dir = fs_kernel_walk(kernel, "desk/a");
	cr_assert_eq(fs_kernel_lookup(kernel, dir, "inside", &entry), 0);
	cr_assert_eq(entry.attr.size, strlen("../file"));
	cr_assert_eq(fs_kernel_readlink(kernel, entry.nodeid, target), 0);
	cr_assert_str_eq(target, "../file");
	cr_assert_eq(fs_kernel_lookup(kernel, dir, "out", &entry), 0);
	cr_assert_eq(fs_kernel_readlink(kernel, entry.nodeid, target), -EACCES);
	cr_assert_eq(fs_kernel_lookup(kernel, dir, "up", &entry), 0);
	cr_assert_eq(fs_kernel_readlink(kernel, entry.nodeid, target), 0);
	cr_assert_eq(kernel->fake->n_asked[OP_EXPORTS], 1);
	cr_assert_eq(kernel->fake->n_asked[OP_READLINK], 0, "targets come with entries");
	/* Moved up by one, it would lead out. */
	cr_assert_eq(fs_kernel_rename(kernel, dir, "up", fs_kernel_walk(kernel, "desk"), "up", 0),
		     0);
	cr_assert_eq(fs_kernel_readlink(kernel, entry.nodeid, target), -EACCES);
	fs_kernel_free(kernel, false);
}

/* A peer may show one directory at two depths, to make `..` mean something else. */
Test(fs_links, one_directory_at_two_depths_is_two_nodes)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_fake_object *a =
	    fs_fake_add(kernel->fake, kernel->fake->root, "a", S_IFDIR | 0755);
	struct fs_fake_object *b = fs_fake_add(kernel->fake, a, "b", S_IFDIR | 0755);
	char target[PATH_MAX];
	uint64_t deep, shallow, link;

	/* The same object as "desk/b" and "desk/a/b": as the fake is told to lie. */
	add_link(kernel, b, "link", "../../x");
	deep = fs_kernel_walk(kernel, "desk/a/b");
	fs_fake_link(kernel->fake->root, "b", b);
	shallow = fs_kernel_walk(kernel, "desk/b");
	cr_assert_neq(deep, shallow);
	link = fs_kernel_walk(kernel, "desk/a/b/link");
	cr_assert_eq(fs_kernel_readlink(kernel, link, target), 0);
	link = fs_kernel_walk(kernel, "desk/b/link");
	cr_assert_eq(fs_kernel_readlink(kernel, link, target), -EACCES);
	fs_kernel_free(kernel, false);
}

Test(fs_links, raw_shows_targets_as_they_are)
{
	struct fs_config config = {.raw_symlinks = true};
	struct fs_kernel *kernel = fs_kernel_new(&config);
	char target[PATH_MAX];
	uint64_t link;

	add_link(kernel, kernel->fake->root, "out", "/etc/passwd");
	link = fs_kernel_walk(kernel, "desk/out");
	cr_assert_eq(fs_kernel_readlink(kernel, link, target), 0);
	cr_assert_str_eq(target, "/etc/passwd");
	fs_kernel_free(kernel, false);
}
