#include "ctl/mcp/excerpt.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add(struct excerpt *excerpt, const void *data, size_t size)
{
	cr_assert_eq(excerpt_add(excerpt, (struct bytes){data, size}), 0);
}

/* Numbered lines, in pieces of odd sizes. */
static void add_lines(struct excerpt *excerpt, unsigned n)
{
	char line[32];

	for (unsigned i = 1; i <= n; i++) {
		int size = snprintf(line, sizeof(line), "line %u\n", i);

		add(excerpt, line, 3);
		add(excerpt, line + 3, (size_t)size - 3);
	}
}

static size_t json_length(const char *text)
{
	json_t *string = json_string(text);
	char *dumped = string ? json_dumps(string, JSON_ENCODE_ANY) : NULL;
	size_t n;

	cr_assert_not_null(dumped, "not UTF-8");
	n = strlen(dumped) - 2;
	free(dumped);
	json_decref(string);
	return n;
}

Test(excerpt, of_little_is_all_of_it)
{
	struct excerpt excerpt;
	bool truncated;
	char *text;

	cr_assert_eq(excerpt_init(&excerpt, 1000), 0);
	add(&excerpt, NULL, 0);
	add_lines(&excerpt, 3);
	text = excerpt_text(&excerpt, 1000, "/log", &truncated);
	cr_assert_str_eq(text, "line 1\nline 2\nline 3\n");
	cr_assert_not(truncated);
	cr_assert_eq(excerpt.size, 21);
	free(text);
	excerpt_deinit(&excerpt);
}

Test(excerpt, of_much_is_head_and_tail_within_the_limit)
{
	static const unsigned counts[] = {150, 300, 600, 100000};

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		struct excerpt excerpt;
		char last[32], *text;
		bool truncated;

		cr_assert_eq(excerpt_init(&excerpt, 1000), 0);
		add_lines(&excerpt, counts[i]);
		text = excerpt_text(&excerpt, 1000, "/mnt/desk/log", &truncated);
		snprintf(last, sizeof(last), "\nline %u\n", counts[i]);
		cr_assert(truncated);
		cr_assert_leq(json_length(text), 1000);
		cr_assert(strncmp(text, "line 1\nline 2\n", 14) == 0, "%s", text);
		cr_assert(strstr(text, last) && strlen(strstr(text, last)) == strlen(last));
		cr_assert(strstr(text, "bytes left out; all of it is in /mnt/desk/log …]\n"));
		free(text);
		excerpt_deinit(&excerpt);
	}
}

Test(excerpt, counts_what_it_leaves_out)
{
	unsigned long long left = 0;
	struct excerpt excerpt;
	bool truncated;
	char *text, *mark;

	cr_assert_eq(excerpt_init(&excerpt, 1000), 0);
	add_lines(&excerpt, 5000);
	text = excerpt_text(&excerpt, 1000, NULL, &truncated);
	mark = strstr(text, "[… ");
	cr_assert_eq(sscanf(mark, "[… %llu", &left), 1);
	/* Lines are left out whole, so what is shown is all but the mark. */
	cr_assert_eq(left + strlen(text) - (size_t)(strchr(mark, '\n') + 1 - mark), excerpt.size);
	free(text);
	excerpt_deinit(&excerpt);
}

Test(excerpt, that_begins_later_has_a_tail_only)
{
	struct excerpt excerpt;
	bool truncated;
	char *text;

	cr_assert_eq(excerpt_init(&excerpt, 1000), 0);
	excerpt.skipped = 12345;
	add_lines(&excerpt, 2);
	text = excerpt_text(&excerpt, 1000, NULL, &truncated);
	cr_assert_str_eq(text, "[… 12345 bytes left out …]\nline 1\nline 2\n");
	cr_assert(truncated);
	free(text);
	excerpt_deinit(&excerpt);
}

Test(excerpt, of_wide_and_broken_characters_is_text_within_the_limit)
{
	static const char piece[] = "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\xff\"\\\033";
	struct excerpt excerpt;
	bool truncated;
	char *text;

	for (size_t max = 600; max < 640; max++) {
		cr_assert_eq(excerpt_init(&excerpt, max), 0);
		for (unsigned i = 0; i < 1000; i++)
			add(&excerpt, piece, sizeof(piece) - 1);
		text = excerpt_text(&excerpt, max, "/log", &truncated);
		cr_assert(truncated);
		cr_assert_leq(json_length(text), max);
		free(text);
		excerpt_deinit(&excerpt);
	}
}

Test(excerpt, knows_what_is_no_text)
{
	static const struct {
		const char *data;
		size_t size;
		bool binary;
	} cases[] = {
	    {"", 0, false},
	    {"plain\n\033[1mbold\033[0m\tx\r\n", 22, false},
	    {"caf\xe9 is latin, and a long line of text beside it\n", 48, false},
	    {"a\0b", 3, true},
	    {"\x7f\x45\x4c\x46\x02\x01\x01", 7, true},
	    {"\xde\xad\xbe\xef\xff\xfe\xfd\xfc", 8, true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct excerpt excerpt;

		cr_assert_eq(excerpt_init(&excerpt, 1000), 0);
		add(&excerpt, cases[i].data, cases[i].size);
		cr_assert_eq(excerpt_is_binary(&excerpt), cases[i].binary, "case %zu", i);
		excerpt_deinit(&excerpt);
	}
}

Test(excerpt, has_the_hash_of_all)
{
	char hash[EXCERPT_SHA256_MAX], zeros[1000] = {0};
	struct excerpt excerpt;

	cr_assert_eq(excerpt_init(&excerpt, 256), 0);
	for (unsigned i = 0; i < 1000; i++)
		add(&excerpt, zeros, sizeof(zeros));
	cr_assert_eq(excerpt_sha256(&excerpt, hash), 0);
	/* head -c 1000000 /dev/zero | sha256sum */
	cr_assert_str_eq(hash, "d29751f2649b32ff572b5e0a9f541ea660a50f94ff0beedfb0b692b924cc8025");
	excerpt_deinit(&excerpt);
}
