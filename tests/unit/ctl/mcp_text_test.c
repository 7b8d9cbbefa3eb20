#include "ctl/mcp/mcp_text.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/mcp/terminal_keys.h"

#define R "\xef\xbf\xbd" /* U+FFFD */

static void expect(const char *data, size_t size, const char *clean)
{
	json_t *string = mcp_text(data, size);
	char *text = mcp_text_clean(data, size);

	cr_assert_str_eq(text, clean);
	cr_assert_str_eq(json_string_value(string), clean);
	cr_assert_eq(json_string_length(string), strlen(clean));
	free(text);
	json_decref(string);
}

Test(mcp_text, replaces_what_is_not_utf_8)
{
	expect("", 0, "");
	expect("h\xc3\xa9llo \xf0\x9f\x98\x80", 11, "h\xc3\xa9llo \xf0\x9f\x98\x80");
	expect("a\xffz", 3, "a" R "z");
	expect("\xc0\xaf", 2, R R);             /* an overlong slash */
	expect("\xed\xa0\x80", 3, R R R);       /* a surrogate */
	expect("\xf4\x90\x80\x80", 4, R R R R); /* beyond U+10FFFF */
	expect("\xe2\x82", 2, R R);             /* cut off */
	expect("a\0b", 3, "a" R "b");
}

Test(mcp_text, fits_whole_characters_only)
{
	static const char text[] = "ab\xe2\x82\xac\"\n\x01z";

	cr_assert_eq(mcp_text_fit(text, 9, 100, false), 9);
	cr_assert_eq(mcp_text_fit(text, 9, 0, false), 0);
	cr_assert_eq(mcp_text_fit(text, 9, 4, false), 2);
	cr_assert_eq(mcp_text_fit(text, 9, 5, false), 5);
	cr_assert_eq(mcp_text_fit(text, 9, 6, false), 5);
	cr_assert_eq(mcp_text_fit(text, 9, 7, false), 6);
	cr_assert_eq(mcp_text_fit(text, 9, 9, false), 7);
	cr_assert_eq(mcp_text_fit(text, 9, 14, false), 7);
	cr_assert_eq(mcp_text_fit(text, 9, 15, false), 8);
}

Test(mcp_text, leaves_a_character_that_is_cut_off_for_the_next_time)
{
	cr_assert_eq(mcp_text_fit("ab\xe2\x82", 4, 100, true), 2);
	cr_assert_eq(mcp_text_fit("ab\xe2\x82", 4, 100, false), 4);
	cr_assert_eq(mcp_text_fit("ab\xf0\x9f\x98", 5, 100, true), 2);
	cr_assert_eq(mcp_text_fit("ab\xe0", 3, 100, true), 2);
	/* What is broken in any case is not waited for, nor is a beginning alone. */
	cr_assert_eq(mcp_text_fit("ab\xff", 3, 100, true), 3);
	cr_assert_eq(mcp_text_fit("ab\xe2\x41", 4, 100, true), 4);
	cr_assert_eq(mcp_text_fit("\xe2\x82", 2, 100, true), 2);
}

static void expect_key(const char *name, bool application, const char *bytes)
{
	struct buffer out = {0};

	cr_assert_eq(terminal_keys_add(name, application, &out), 0, "%s", name);
	cr_assert_eq(out.size, strlen(bytes), "%s", name);
	cr_assert(memcmp(out.data, bytes, out.size) == 0, "%s", name);
	buffer_deinit(&out);
}

Test(terminal_keys, have_the_bytes_that_xterm_sends)
{
	expect_key("enter", false, "\r");
	expect_key("Up", false, "\033[A");
	expect_key("up", true, "\033OA");
	expect_key("End", true, "\033OF");
	expect_key("pagedown", true, "\033[6~");
	expect_key("f1", false, "\033OP");
	expect_key("F12", false, "\033[24~");
	expect_key("ctrl-c", false, "\003");
	expect_key("C-D", false, "\004");
	expect_key("ctrl-[", false, "\033");
	expect_key("alt-x", false, "\033x");
	expect_key("q", false, "q");
}

Test(terminal_keys, that_are_none_are_refused)
{
	static const char *const names[] = {"",    "nokey", "ctrl-",  "ctrl-cc", "ctrl-1",
					    "f13", "alt-",  "alt-xy", "\x01"};
	struct buffer out = {0};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		cr_assert_lt(terminal_keys_add(names[i], false, &out), 0, "%s", names[i]);
	cr_assert_eq(out.size, 0);
	buffer_deinit(&out);
}

Test(terminal_keys, type_the_end_of_a_line_as_enter)
{
	struct buffer out = {0};

	cr_assert_eq(terminal_keys_add_text("a\nb\r\nc\rd", &out), 0);
	cr_assert_eq(out.size, 7);
	cr_assert(memcmp(out.data, "a\rb\rc\rd", 7) == 0);
	buffer_deinit(&out);
}
