#include "daemon/peer_name.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

Test(peer_name, rule_is_63_of_letters_digits_dot_underscore_hyphen)
{
	char longest[PEER_NAME_MAX + 2];

	memset(longest, 'a', sizeof(longest));
	longest[PEER_NAME_MAX] = '\0';
	cr_assert(peer_name_is_valid("desk"));
	cr_assert(peer_name_is_valid("A.b_c-9"));
	cr_assert(peer_name_is_valid(longest));
	longest[PEER_NAME_MAX] = 'a';
	longest[PEER_NAME_MAX + 1] = '\0';
	cr_assert_not(peer_name_is_valid(longest));
	cr_assert_not(peer_name_is_valid(""));
	cr_assert_not(peer_name_is_valid(".loopsy"));
	cr_assert_not(peer_name_is_valid(".."));
	cr_assert_not(peer_name_is_valid("a/b"));
	cr_assert_not(peer_name_is_valid("a b"));
	cr_assert_not(peer_name_is_valid("a\n"));
	cr_assert_not(peer_name_is_valid("caf\xc3\xa9"));
}

Test(peer_name, maps_others)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
	    {"desk", "desk"},       {"Anna's desk", "Anna-s-desk"},
	    {"caf\xc3\xa9", "caf"}, {"\xe6\x9c\xba x", "x"},
	    {"../../etc", "etc"},   {".loopsy", "loopsy"},
	    {"--help", "help"},     {"a\n\nb", "a-b"},
	    {"", "peer"},           {NULL, "peer"},
	    {"...", "peer"},        {"\xff\xfe", "peer"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char name[PEER_NAME_MAX + 1];

		peer_name_map(cases[i].in, name);
		cr_assert_str_eq(name, cases[i].out);
	}
}

Test(peer_name, mapped_is_valid_whatever_came)
{
	srand(1);
	for (int round = 0; round < 20000; round++) {
		char in[160], name[PEER_NAME_MAX + 1];
		int n = rand() % (int)sizeof(in);

		for (int i = 0; i < n; i++)
			in[i] = (char)(rand() % 3 ? 'a' + rand() % 26 : 1 + rand() % 255);
		in[n == 0 ? 0 : n - 1] = '\0';
		peer_name_map(in, name);
		cr_assert(peer_name_is_valid(name), "%s", name);
	}
}

struct taken {
	char names[20][PEER_NAME_MAX + 1];
	size_t n;
};

static bool is_taken(const char *name, void *data)
{
	struct taken *taken = data;

	for (size_t i = 0; i < taken->n; i++)
		if (strcmp(taken->names[i], name) == 0)
			return true;
	return false;
}

Test(peer_name, duplicates_are_numbered)
{
	char longest[PEER_NAME_MAX + 1], name[PEER_NAME_MAX + 1];
	struct taken taken = {{"desk"}, 1};

	peer_name_choose("desk", is_taken, &taken, taken.names[1]);
	cr_assert_str_eq(taken.names[1], "desk-2");
	taken.n = 2;
	peer_name_choose("desk", is_taken, &taken, name);
	cr_assert_str_eq(name, "desk-3");

	memset(longest, 'a', PEER_NAME_MAX);
	longest[PEER_NAME_MAX] = '\0';
	for (taken.n = 0; taken.n < 20; taken.n++) {
		peer_name_choose(longest, is_taken, &taken, name);
		cr_assert(peer_name_is_valid(name));
		strcpy(taken.names[taken.n], name);
	}
	cr_assert_str_eq(name + PEER_NAME_MAX - 4, "a-20");
}
