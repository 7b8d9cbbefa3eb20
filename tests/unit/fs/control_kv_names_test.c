/* Names of files, of keys and back. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "fs/control_kv.h"

Test(control_kv_names, each_key_has_one_name_and_back)
{
	static const char *const pairs[][2] = {
	    {"a", "a"},       {"a/b", "a%2Fb"},         {"%", "%25"},     {".", "%2E"},
	    {"..", "%2E%2E"}, {"...", "..."},           {".a", ".a"},     {"a b", "a b"},
	    {"%2F", "%252F"}, {"\xc3\xa4", "\xc3\xa4"}, {"//", "%2F%2F"},
	};
	char name[OPS_NAME_MAX + 1];
	uint8_t key[OPS_KV_KEY_MAX];

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		cr_assert_eq(control_kv_name(bytes_of_text(pairs[i][0]), name),
			     (int)strlen(pairs[i][1]));
		cr_assert_str_eq(name, pairs[i][1]);
		cr_assert_eq(control_kv_key(bytes_of_text(name), key), (int)strlen(pairs[i][0]));
		cr_assert_eq(memcmp(key, pairs[i][0], strlen(pairs[i][0])), 0);
	}
}

Test(control_kv_names, other_names_are_of_no_key)
{
	static const char *const names[] = {"%",    "%2",   "a%2", "%2f",  "%41", "%20",
					    "a%2E", "%2Ea", ".",   "%2E.", "..",  "%2E%2E%2E"};
	uint8_t key[OPS_KV_KEY_MAX];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		cr_assert_eq(control_kv_key(bytes_of_text(names[i]), key), -ENOENT, "%s", names[i]);
}

Test(control_kv_names, too_long_ones_are_for_others)
{
	char key[OPS_KV_KEY_MAX + 1], name[OPS_NAME_MAX + 1];

	memset(key, 'k', sizeof(key));
	cr_assert_eq(control_kv_name((struct bytes){(uint8_t *)key, 255}, name), 255);
	cr_assert_eq(control_kv_name((struct bytes){(uint8_t *)key, 256}, name), -ENAMETOOLONG);
	memset(key, '/', sizeof(key));
	cr_assert_eq(control_kv_name((struct bytes){(uint8_t *)key, 85}, name), 255);
	cr_assert_eq(control_kv_name((struct bytes){(uint8_t *)key, 86}, name), -ENAMETOOLONG);
}
