#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "fs/control_lines.h"

static bool is(struct bytes line, const char *expected)
{
	return line.size == strlen(expected) && memcmp(line.data, expected, line.size) == 0;
}

Test(control_lines, are_the_same_in_one_write_and_in_many)
{
	const char *written = "one\ntwo \xe2\x82\xac\n\nlast";
	struct bytes line;

	for (size_t step = 1; step <= strlen(written); step++) {
		const char *expected[] = {"one", "two \xe2\x82\xac", ""};
		struct control_lines lines = {0};
		unsigned n = 0;

		for (size_t at = 0; at < strlen(written); at += step) {
			size_t size = strlen(written) - at < step ? strlen(written) - at : step;

			cr_assert_eq(
			    control_lines_add(
				&lines, (struct bytes){bytes_of_text(written).data + at, size}),
			    0);
			while (control_lines_next(&lines, &line) > 0)
				cr_assert(n < 3 && is(line, expected[n++]));
		}
		cr_assert_eq(n, 3);
		cr_assert_eq(control_lines_last(&lines, &line), 1);
		cr_assert(is(line, "last"));
		cr_assert_eq(control_lines_last(&lines, &line), 0);
		control_lines_deinit(&lines);
	}
}

static int error_of(const char *written, size_t size)
{
	struct control_lines lines = {0};
	struct bytes line;
	int error = control_lines_add(&lines, (struct bytes){(const uint8_t *)written, size});

	while (!error && control_lines_last(&lines, &line) > 0)
		continue;
	if (!error)
		error = control_lines_last(&lines, &line);
	if (error)
		cr_assert_eq(control_lines_add(&lines, bytes_of_text("fine\n")), error);
	control_lines_deinit(&lines);
	return error;
}

Test(control_lines, that_are_no_text_are_refused_and_all_behind_them)
{
	char *large = malloc(CONTROL_LINES_MAX + 1);

	memset(large, 'a', CONTROL_LINES_MAX + 1);
	cr_assert_eq(error_of(large, CONTROL_LINES_MAX), 0);
	cr_assert_eq(error_of(large, CONTROL_LINES_MAX + 1), -E2BIG);
	free(large);
	cr_assert_eq(error_of("tab\tis fine\n", 12), 0);
	cr_assert_eq(error_of("a\0b\n", 4), -EINVAL);
	cr_assert_eq(error_of("\x1b[0m\n", 5), -EINVAL);
	cr_assert_eq(error_of("\xe2\x82", 2), -EILSEQ);
	cr_assert_eq(error_of("\xe2\x82\n\xac", 4), -EILSEQ);
	cr_assert_eq(error_of("\xff\n", 2), -EILSEQ);
}

Test(control_lines, variables_are_read_with_and_without_quotes)
{
	static const char *const cases[][2] = {
	    {"A=1", "A=1"},
	    {"A_b9=", "A_b9="},
	    {"A=x \"y\" 'z'", "A=x \"y\" 'z'"},
	    {"A='x $y \\n'", "A=x $y \\n"},
	    {"A=\"x\\ty\\n\\\"\\\\\\$\\`\"", "A=x\ty\n\"\\$`"},
	    {"A=\"\\q\"", "A=\\q"},
	    {"A==", "A=="},
	};
	static const char *const bad[] = {"",           "A",         "=x",        "9A=x",
					  "A B=x",      "A=\"",      "A=\"x",     "A='x\"",
					  "A=\"x\"y\"", "A=\"x\\\"", "\xc3\xa4=x"};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buffer variable = {0};

		cr_assert_eq(control_lines_read_variable(bytes_of_text(cases[i][0]), &variable), 0);
		cr_assert(is((struct bytes){variable.data, variable.size}, cases[i][1]), "%s",
			  cases[i][0]);
		buffer_deinit(&variable);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct buffer variable = {0};

		cr_assert_eq(control_lines_read_variable(bytes_of_text(bad[i]), &variable), -EINVAL,
			     "%s", bad[i]);
		cr_assert_eq(variable.size, 0);
		buffer_deinit(&variable);
	}
}

Test(control_lines, orders_and_sizes_are_words)
{
	struct control_order order;
	unsigned rows, cols;

	cr_assert_eq(control_lines_read_order(bytes_of_text("signal INT"), &order), 0);
	cr_assert(order.kind == CONTROL_SIGNAL && order.signal == SIGINT);
	cr_assert_eq(control_lines_read_order(bytes_of_text(" signal\tSIGHUP "), &order), 0);
	cr_assert_eq(order.signal, SIGHUP);
	cr_assert_eq(control_lines_read_order(bytes_of_text("signal 9"), &order), 0);
	cr_assert_eq(order.signal, 9);
	cr_assert_eq(control_lines_read_order(bytes_of_text("eof"), &order), 0);
	cr_assert_eq(order.kind, CONTROL_EOF);
	cr_assert_eq(control_lines_read_order(bytes_of_text("close"), &order), 0);
	cr_assert_eq(order.kind, CONTROL_CLOSE);
	for (const char *const *bad =
		 (const char *const[]){"", "signal", "signal 0", "signal 65", "signal NO",
				       "signal INT 2", "EOF", "close now", "signal -1", NULL};
	     *bad; bad++)
		cr_assert_eq(control_lines_read_order(bytes_of_text(*bad), &order), -EINVAL, "%s",
			     *bad);
	cr_assert_eq(control_lines_read_size(bytes_of_text("24 80"), &rows, &cols), 0);
	cr_assert(rows == 24 && cols == 80);
	for (const char *const *bad = (const char *const[]){"", "24", "0 80", "24 10001", "24 80 1",
							    "24x80", "-1 2", NULL};
	     *bad; bad++)
		cr_assert_eq(control_lines_read_size(bytes_of_text(*bad), &rows, &cols), -EINVAL,
			     "%s", *bad);
}
