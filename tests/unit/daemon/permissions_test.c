#include "daemon/permissions.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

Test(permissions, reads_and_prints_lists)
{
	static const struct {
		const char *in;
		const char *out;
	} cases[] = {
	    {"fs:rw,exec,kv,msg", "fs:rw,exec,kv,msg"},
	    {"msg, kv ,exec,\tfs:rw", "fs:rw,exec,kv,msg"},
	    {"fs:ro", "fs:ro"},
	    {"fs:ro,fs:rw", "fs:rw"},
	    {"fs:ids,fs:rw,fs:rw", "fs:rw,fs:ids"},
	    {" none ", "none"},
	};
	char text[PERMISSIONS_TEXT_MAX];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint16_t set = 0xffff;

		cr_assert_eq(permissions_parse(cases[i].in, &set, NULL), 0, "%s", cases[i].in);
		cr_assert_str_eq(permissions_print(set, text), cases[i].out);
	}
}

Test(permissions, default_is_files_exec_kv_and_messages)
{
	char text[PERMISSIONS_TEXT_MAX];

	cr_assert_str_eq(permissions_print(PERMISSIONS_DEFAULT, text), "fs:rw,exec,kv,msg");
}

Test(permissions, rejects_what_is_no_list)
{
	static const char *const cases[] = {"",     ",",      "fs:rw,",     ",exec",
					    "fs",   "fs:rwx", "fs:rw exec", "exec,none",
					    "EXEC", "fs:r",   "nonesuch"};
	uint16_t set = 77;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct failure failure = {""};

		cr_assert_eq(permissions_parse(cases[i], &set, &failure), -EINVAL, "%s", cases[i]);
		cr_assert_neq(failure.text[0], '\0');
		cr_assert_eq(set, 77);
	}
}

Test(permissions, error_names_the_word_and_what_is_known)
{
	struct failure failure;
	uint16_t set;
	char hostile[4096];

	permissions_parse("fs:rw,exce", &set, &failure);
	cr_assert_str_eq(failure.text, "unknown permission exce (known: fs:rw, fs:ro, fs:ids, "
				       "exec, kv, msg)");
	memset(hostile, '\n', sizeof(hostile) - 1);
	hostile[sizeof(hostile) - 1] = '\0';
	cr_assert_eq(permissions_parse(hostile, &set, &failure), -EINVAL);
	cr_assert_null(strchr(failure.text, '\n'));
}

Test(permissions, all_together_fit_the_buffer)
{
	char text[PERMISSIONS_TEXT_MAX];
	size_t length = 0;

	for (size_t i = 0; i < permissions_table_n; i++)
		length += strlen(permissions_table[i].name) + 1;
	cr_assert_leq(length, sizeof(text));
	permissions_print(0xffff, text);
	cr_assert_lt(strlen(text), sizeof(text));
}
