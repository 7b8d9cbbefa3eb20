#include "ctl/terminal.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static void expect(const char *text, size_t size, const char *wanted)
{
	char *copy = malloc(size), *escaped;

	/* A block of just that size, so that a sanitizer sees what reads beyond it. */
	memcpy(copy, text, size);
	escaped = terminal_escape(copy, size);
	cr_assert_str_eq(escaped, wanted);
	free(escaped);
	free(copy);
}

#define EXPECT(text, wanted) expect(text, sizeof(text) - 1, wanted)

Test(terminal, keeps_what_can_be_read)
{
	EXPECT("desk", "desk");
	EXPECT("Büro 机 😀", "Büro 机 😀");
}

Test(terminal, escapes_what_controls_a_terminal)
{
	EXPECT("a\x1b[2Jb\n\r\t\x07\x7f", "a\\x1b[2Jb\\x0a\\x0d\\x09\\x07\\x7f");
	EXPECT("\xc2\x9b"
	       "2J",
	       "\\xc2\\x9b2J");
	EXPECT("a\0b", "a\\x00b");
}

Test(terminal, escapes_what_hides_or_turns_text)
{
	EXPECT("\xe2\x80\xae", "\\xe2\\x80\\xae");          /* right-to-left override */
	EXPECT("\xe2\x80\x8b", "\\xe2\\x80\\x8b");          /* zero width space */
	EXPECT("\xef\xbb\xbf", "\\xef\\xbb\\xbf");          /* byte order mark */
	EXPECT("\xc2\xa0", "\\xc2\\xa0");                   /* no-break space */
	EXPECT("\xf3\xa0\x80\x81", "\\xf3\\xa0\\x80\\x81"); /* a tag */
}

Test(terminal, escapes_bytes_that_are_no_text)
{
	EXPECT("\xff\xfe", "\\xff\\xfe");
	EXPECT("\xc3", "\\xc3");
	EXPECT("\xe6\x9c", "\\xe6\\x9c");
	EXPECT("\xc0\xaf", "\\xc0\\xaf");                   /* over-long */
	EXPECT("\xed\xa0\x80", "\\xed\\xa0\\x80");          /* a surrogate */
	EXPECT("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"); /* beyond Unicode */
	EXPECT("\xf0\x80\x80\xaf", "\\xf0\\x80\\x80\\xaf");
}

static void print(bool color, const char *wanted)
{
	struct terminal_table table = {.n_columns = 2};
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	terminal_table_add(&table, "NAME", TERMINAL_BOLD);
	terminal_table_add(&table, "STATE", TERMINAL_PLAIN);
	terminal_table_add(&table, "Büro\n", TERMINAL_GREEN);
	terminal_table_add(&table, "", TERMINAL_PLAIN);
	terminal_table_print(&table, out, color);
	fclose(out);
	cr_assert_str_eq(text, wanted);
	free(text);
}

Test(terminal, aligns_columns)
{
	print(false, "NAME      STATE\n"
		     "Büro\\x0a  -\n");
	print(true, "\033[1mNAME\033[0m      STATE\n"
		    "\033[32mBüro\\x0a\033[0m  -\n");
}
