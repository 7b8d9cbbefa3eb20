#include "ctl/arguments.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

static const struct option_row rows[] = {
    {.name = "lan", .letter = 'l', .summary = "s"},
    {.name = "port", .letter = 'p', .value = "P", .number = true, .max = 65535, .summary = "s"},
    {.name = "name", .value = "N", .summary = "s"},
    {.name = NULL},
};
static const struct option_row *const tables[] = {rows, NULL};

static char error[ARGUMENTS_ERROR_MAX];

static int parse(struct arguments *arguments, bool stop, const char *const *argv)
{
	int argc = 0;

	while (argv[argc])
		argc++;
	*arguments = (struct arguments){0};
	return arguments_parse(arguments, argc, (char *const *)argv, tables, stop, error);
}

#define PARSE(arguments, ...) parse(arguments, false, (const char *const[]){__VA_ARGS__, NULL})

Test(arguments, reads_every_form)
{
	struct arguments a;

	cr_assert_eq(PARSE(&a, "x", "--lan", "--port", "1", "--name=n=m", "y", "-p", "2", "-p3"),
		     9);
	cr_assert_eq(a.n_words, 2);
	cr_assert_str_eq(a.words[0], "x");
	cr_assert_str_eq(a.words[1], "y");
	cr_assert(arguments_has(&a, "lan"));
	cr_assert_eq(arguments_number(&a, "port", 9), 3, "the last one counts");
	cr_assert_str_eq(arguments_text(&a, "name", NULL), "n=m");
	cr_assert_eq(PARSE(&a, "-l"), 1);
	cr_assert_eq(arguments_number(&a, "port", 9), 9);
	cr_assert_null(arguments_text(&a, "name", NULL));
}

Test(arguments, takes_everything_after_two_hyphens_as_words)
{
	struct arguments a;

	cr_assert_eq(PARSE(&a, "--", "--lan", "-", "--"), 4);
	cr_assert_eq(a.n_words, 3);
	cr_assert_not(arguments_has(&a, "lan"));
	cr_assert_eq(PARSE(&a, "-"), 1);
	cr_assert_eq(a.n_words, 1, "a single hyphen is a word");
}

Test(arguments, stops_at_the_first_word_when_asked)
{
	struct arguments a;

	cr_assert_eq(parse(&a, true, (const char *const[]){"--lan", "x", "--frob", NULL}), 1);
	cr_assert_eq(a.n_words, 0);
	cr_assert(arguments_has(&a, "lan"));
}

Test(arguments, refuses_what_is_wrong_and_says_what)
{
	struct arguments a;

	cr_assert_eq(PARSE(&a, "--frob"), -EINVAL);
	cr_assert_not_null(strstr(error, "--frob"));
	cr_assert_eq(PARSE(&a, "--port"), -EINVAL);
	cr_assert_not_null(strstr(error, "port"));
	cr_assert_eq(PARSE(&a, "--lan=1"), -EINVAL);
	cr_assert_eq(PARSE(&a, "-lp"), -EINVAL);
	cr_assert_eq(PARSE(&a, "-x"), -EINVAL);
	cr_assert_eq(PARSE(&a, "--po", "1"), -EINVAL, "no abbreviations");
}

Test(arguments, reads_numbers_strictly)
{
	static const char *const wrong[] = {"",
					    "-1",
					    "+1",
					    " 1",
					    "1 ",
					    "0x1",
					    "1.5",
					    "x",
					    "65536",
					    "18446744073709551616",
					    "99999999999999999999999"};
	struct arguments a;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		cr_assert_eq(PARSE(&a, "--port", wrong[i]), -EINVAL, "'%s'", wrong[i]);
	cr_assert_eq(PARSE(&a, "--port", "65535"), 2);
	cr_assert_eq(PARSE(&a, "--port", "0"), 2);
	cr_assert_eq(arguments_number(&a, "port", 9), 0);
}

Test(arguments, bounds_how_much_there_may_be)
{
	const char *many[ARGUMENTS_OPTIONS_MAX + 2] = {NULL};
	struct arguments a;

	for (unsigned i = 0; i <= ARGUMENTS_OPTIONS_MAX; i++)
		many[i] = "word";
	cr_assert_eq(parse(&a, false, many), -EINVAL);
	for (unsigned i = 0; i <= ARGUMENTS_OPTIONS_MAX; i++)
		many[i] = "--lan";
	cr_assert_eq(parse(&a, false, many), -EINVAL);
}
