#include "daemon/option_value.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct failure failure;

Test(option_value, booleans)
{
	bool value = true;

	cr_assert_eq(option_value_parse_bool("no", &value, &failure), 0);
	cr_assert_not(value);
	cr_assert_eq(option_value_parse_bool("on", &value, &failure), 0);
	cr_assert(value);
	cr_assert_eq(option_value_parse_bool("", &value, &failure), -EINVAL);
	cr_assert_eq(option_value_parse_bool("YES!", &value, &failure), -EINVAL);
	cr_assert_str_eq(failure.text, "YES! is neither yes nor no");
	cr_assert(value);
}

Test(option_value, numbers_are_bounded)
{
	static const char *const bad[] = {"",
					  "-1",
					  "+1",
					  " 1",
					  "1 ",
					  "0x10",
					  "1.0",
					  "9",
					  "101",
					  "9223372036854775808",
					  "99999999999999999999999"};
	int64_t value = 7;

	cr_assert_eq(option_value_parse_number("10", 10, 100, &value, &failure), 0);
	cr_assert_eq(value, 10);
	cr_assert_eq(option_value_parse_number("100", 10, 100, &value, &failure), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_eq(option_value_parse_number(bad[i], 10, 100, &value, &failure), -EINVAL,
			     "%s", bad[i]);
	cr_assert_eq(value, 100);
	cr_assert_eq(option_value_parse_number("101", 10, 100, &value, &failure), -EINVAL);
	cr_assert_str_eq(failure.text, "101 is not between 10 and 100");
}

Test(option_value, bytes_have_units)
{
	static const struct {
		const char *text;
		int64_t value;
		const char *printed;
	} cases[] = {
	    {"0", 0, "0"},
	    {"1", 1, "1"},
	    {"1023", 1023, "1023"},
	    {"1024", 1024, "1k"},
	    {"64K", 65536, "64k"},
	    {"16M", 16 << 20, "16M"},
	    {"1536k", 1536 << 10, "1536k"},
	    {"3g", (int64_t)3 << 30, "3G"},
	};
	static const char *const bad[] = {"",
					  "M",
					  "1T",
					  "1kB",
					  "1 M",
					  "-1M",
					  "9G",
					  "1.5M",
					  "9223372036854775807G",
					  "18014398509481984k"};
	char text[OPTION_VALUE_TEXT_MAX];
	int64_t value;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cr_assert_eq(
		    option_value_parse_bytes(cases[i].text, 0, (int64_t)8 << 30, &value, &failure),
		    0, "%s", cases[i].text);
		cr_assert_eq(value, cases[i].value);
		cr_assert_str_eq(option_value_print_bytes(value, text), cases[i].printed);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_eq(
		    option_value_parse_bytes(bad[i], 0, (int64_t)8 << 30, &value, &failure),
		    -EINVAL, "%s", bad[i]);
}

Test(option_value, durations_have_units)
{
	static const struct {
		const char *text;
		int64_t value;
		const char *printed;
	} cases[] = {
	    {"0", 0, "0s"},          {"30", 30000, "30s"},        {"60s", 60000, "60s"},
	    {"500ms", 500, "500ms"}, {"0.5", 500, "500ms"},       {"1.25s", 1250, "1250ms"},
	    {"0.5m", 30000, "30s"},  {"10m", 600000, "10m"},      {"24h", 86400000, "24h"},
	    {"90s", 90000, "90s"},   {"3601s", 3601000, "3601s"},
	};
	static const char *const bad[] = {"",      "s",  "1d",      "1 s", "-1s",
					  "1.",    ".5", "1.0005s", "25h", "9223372036854775807h",
					  "1.5.5", "1e3"};
	char text[OPTION_VALUE_TEXT_MAX];
	int64_t value;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cr_assert_eq(
		    option_value_parse_duration(cases[i].text, 0, 86400000, &value, &failure), 0,
		    "%s", cases[i].text);
		cr_assert_eq(value, cases[i].value, "%s", cases[i].text);
		cr_assert_str_eq(option_value_print_duration(value, text), cases[i].printed);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_eq(option_value_parse_duration(bad[i], 0, 86400000, &value, &failure),
			     -EINVAL, "%s", bad[i]);
}

Test(option_value, paths_are_absolute_and_tidy)
{
	static const struct {
		const char *text, *base, *path;
	} cases[] = {
	    {"/", NULL, "/"},
	    {"//a///b/./c/", NULL, "/a/b/c"},
	    {"~", NULL, "/home/u"},
	    {"~/", NULL, "/home/u"},
	    {"~/x y/.ssh", NULL, "/home/u/x y/.ssh"},
	    {"~other", "/b", "/b/~other"},
	    {"a/b", "/base/", "/base/a/b"},
	    {".", "/base", "/base"},
	    {"/a/..b", NULL, "/a/..b"},
	};
	static const char *const bad[] = {"", "a", "./a", "~other", "/a/../b", "~/..", "/.."};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *path = NULL;

		cr_assert_eq(option_value_parse_path(cases[i].text, "/home/u", cases[i].base, &path,
						     &failure),
			     0, "%s", cases[i].text);
		cr_assert_str_eq(path, cases[i].path);
		free(path);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char *path = NULL;

		cr_assert_eq(option_value_parse_path(bad[i], "/home/u", NULL, &path, &failure),
			     -EINVAL, "%s", bad[i]);
		cr_assert_null(path);
	}
}
