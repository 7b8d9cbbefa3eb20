#include <criterion/criterion.h>
#include <string.h>

#include "ctl/escapes.h"
#include "ctl/raw_terminal.h"

static void expect_taken_back(const char *output, const char *expected)
{
	struct raw_terminal_changes changes = {0};
	struct buffer out = {0};

	/* Byte by byte: sequences come in pieces. */
	for (size_t i = 0; i < strlen(output); i++)
		raw_terminal_watch(&changes, (struct bytes){(const uint8_t *)output + i, 1});
	cr_assert_eq(raw_terminal_take_back(&changes, &out), 0);
	cr_assert_eq(buffer_append(&out, "", 1), 0);
	cr_assert_str_eq((char *)out.data, expected);
	buffer_deinit(&out);
}

Test(raw_terminal, takes_back_only_what_was_changed)
{
	expect_taken_back("text \033[31mred\033[2J\033[?9999h\033]0;title\a",
			  "\030\033(B\017\033[0m");
	expect_taken_back(
	    "\033[?25l\033[?1002;1006h\033[?2004h\033=\033[?1049h\033[2;5r\033[5 q"
	    "\033[4h\033[>4;2m",
	    "\030\033[?1049l\033[?25h\033[?1002l\033[?1006l\033[?2004l\0337\033[r\0338"
	    "\033>\033[4l\033[0 q\033[>4;0m\033(B\017\033[0m");
	expect_taken_back("\033[?1049h\033[?25l\033[?25h\033[?1049l\033=\033>",
			  "\030\033(B\017\033[0m");
	expect_taken_back("\033[?1049h\033[?25l\033c", "\030\033(B\017\033[0m");
}

Test(raw_terminal, stands_sequences_without_end)
{
	struct raw_terminal_changes changes = {0};
	char output[1000] = "\033[?";

	memset(output + 3, '1', sizeof(output) - 3);
	raw_terminal_watch(&changes, (struct bytes){(const uint8_t *)output, sizeof(output)});
	raw_terminal_watch(&changes, (struct bytes){(const uint8_t *)"\033[?25l", 6});
	cr_assert_neq(changes.modes, 0);
}

/* What goes to the program, and as the last character '.', 'd', '?' or nothing. */
static void expect_escapes(const char *typed, const char *sent, enum escapes_command command)
{
	struct escapes escapes = {0};
	enum escapes_command last = ESCAPES_NONE;
	char got[100] = "";

	for (; *typed && last == ESCAPES_NONE; typed++) {
		uint8_t bytes[2];
		size_t n;

		last = escapes_take(&escapes, (uint8_t)*typed, bytes, &n);
		strncat(got, (const char *)bytes, n);
	}
	cr_assert_str_eq(got, sent);
	cr_assert_eq(last, command);
}

Test(escapes, are_for_us_only_at_the_beginning_of_a_line)
{
	expect_escapes("ls ~.\r", "ls ~.\r", ESCAPES_NONE);
	expect_escapes("~.", "", ESCAPES_END);
	expect_escapes("ls\r~d", "ls\r", ESCAPES_DETACH);
	expect_escapes("ls\n~?", "ls\n", ESCAPES_HELP);
}

Test(escapes, give_a_tilde_for_two_and_both_for_others)
{
	expect_escapes("~~.", "~.", ESCAPES_NONE);
	expect_escapes("~x", "~x", ESCAPES_NONE);
	expect_escapes("~\r~.", "~\r", ESCAPES_END);
}
