#include "daemon/json_text.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static void assert_becomes(const char *in, const char *out)
{
	json_t *text = json_text(in);

	cr_assert_not_null(text);
	cr_assert_str_eq(json_string_value(text), out);
	json_decref(text);
}

#define BAD "\xef\xbf\xbd"

Test(json_text, replaces_what_is_no_utf8)
{
	assert_becomes("", "");
	assert_becomes("caf\xc3\xa9", "caf\xc3\xa9");
	assert_becomes("a\xff", "a" BAD);
	assert_becomes("\xc3", BAD);
	assert_becomes("\xe2\x82", BAD BAD);
	assert_becomes("\xc0\xaf", BAD BAD);
	assert_becomes("\xed\xa0\x80", BAD BAD BAD);
	assert_becomes("\xf0\x9f\x98\x80\xff", "\xf0\x9f\x98\x80" BAD);
	assert_becomes("\xf4\x90\x80\x80", BAD BAD BAD BAD);
	assert_becomes("\xff\xc3\xa9", BAD "\xc3\xa9");
}

Test(json_text, gives_a_string_whatever_the_bytes_are)
{
	srand(1);
	for (int round = 0; round < 20000; round++) {
		unsigned char in[24];
		json_t *text;

		for (size_t i = 0; i < sizeof(in); i++)
			in[i] = (unsigned char)(rand() % 3 ? 0x80 + rand() % 0x80 : rand() % 256);
		text = json_text_bytes(in, (size_t)rand() % sizeof(in));
		cr_assert_not_null(text);
		json_decref(text);
	}
}
