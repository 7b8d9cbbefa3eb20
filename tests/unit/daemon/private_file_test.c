#include "daemon/private_file.h"

#include <dirent.h>
#include <errno.h>

#include "daemon/api_key.h"
#include "tests/unit/daemon/scratch.h"

TestSuite(private_file, .init = scratch_init, .fini = scratch_fini);
TestSuite(api_key, .init = scratch_init, .fini = scratch_fini);

static struct failure failure;

static int n_files(void)
{
	DIR *dir = opendir(scratch_dir);
	int n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 2;
}

Test(private_file, comes_back_as_it_was_written)
{
	const char *path = scratch_path("identity.pem");
	char *bytes;
	size_t n;

	umask(0);
	cr_assert_eq(private_file_write(path, "a\0b\n", 4, false, &failure), 0);
	cr_assert_eq(scratch_mode(path), 0600);
	cr_assert_eq(private_file_read(path, &bytes, &n, &failure), 0);
	cr_assert_eq(n, 4);
	cr_assert_arr_eq(bytes, "a\0b\n", 5);
	private_file_free(bytes, n);
	cr_assert_eq(n_files(), 1, "no temporary file stays");
}

Test(private_file, is_replaced_only_if_asked)
{
	const char *path = scratch_path("identity.pem");
	char *text;

	cr_assert_eq(private_file_write(path, "old", 3, false, &failure), 0);
	cr_assert_eq(private_file_write(path, "new", 3, false, &failure), -EEXIST);
	text = scratch_read(path);
	cr_assert_str_eq(text, "old");
	free(text);
	cr_assert_eq(private_file_write(path, "newer", 5, true, &failure), 0);
	text = scratch_read(path);
	cr_assert_str_eq(text, "newer");
	free(text);
	cr_assert_eq(n_files(), 1);
}

Test(private_file, is_refused_if_others_can_open_it)
{
	const char *path = scratch_path("identity.pem");
	static const mode_t modes[] = {0640, 0604, 0620, 0602, 0610, 0777};
	char *bytes = NULL;
	size_t n;

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		scratch_write(path, "x", 1, modes[i]);
		cr_assert_eq(private_file_read(path, &bytes, &n, &failure), -EPERM);
		cr_assert(strstr(failure.text, "chmod 600"), "%s", failure.text);
	}
	cr_assert_null(bytes);
	scratch_write(path, "x", 1, 0400);
	cr_assert_eq(private_file_read(path, &bytes, &n, &failure), 0);
	private_file_free(bytes, n);
	if (geteuid() != 0)
		return;
	cr_assert_eq(chown(path, 12345, 12345), 0);
	cr_assert_eq(private_file_read(path, &bytes, &n, &failure), -EPERM);
	cr_assert(strstr(failure.text, "uid 12345"), "%s", failure.text);
}

Test(private_file, is_refused_if_it_is_no_small_regular_file)
{
	char *bytes, *large = calloc(1, PRIVATE_FILE_MAX + 1);
	size_t n;

	cr_assert_eq(private_file_read(scratch_path("none"), &bytes, &n, &failure), -ENOENT);
	cr_assert_eq(private_file_read(scratch_dir, &bytes, &n, &failure), -EPERM);
	cr_assert_eq(mkfifo(scratch_path("fifo"), 0600), 0);
	cr_assert_eq(private_file_read(scratch_path("fifo"), &bytes, &n, &failure), -EPERM);
	scratch_write(scratch_path("large"), large, PRIVATE_FILE_MAX + 1, 0600);
	cr_assert_eq(private_file_read(scratch_path("large"), &bytes, &n, &failure), -EFBIG);
	cr_assert_eq(
	    private_file_write(scratch_path("l"), large, PRIVATE_FILE_MAX + 1, true, &failure),
	    -EFBIG);
	scratch_write(scratch_path("large"), large, PRIVATE_FILE_MAX, 0600);
	cr_assert_eq(private_file_read(scratch_path("large"), &bytes, &n, &failure), 0);
	cr_assert_eq(n, PRIVATE_FILE_MAX);
	private_file_free(bytes, n);
	free(large);
}

Test(private_file, failed_write_leaves_nothing)
{
	cr_assert_eq(private_file_write(scratch_path("no/such"), "x", 1, true, &failure), -ENOENT);
	cr_assert_neq(failure.text[0], '\0');
	cr_assert_eq(mkdir(scratch_path("dir"), 0700), 0);
	cr_assert_lt(private_file_write(scratch_path("dir"), "x", 1, true, &failure), 0);
	cr_assert_eq(n_files(), 1);
}

Test(api_key, is_43_of_base64url_and_never_the_same)
{
	char keys[64][API_KEY_LENGTH + 1];

	for (int i = 0; i < 64; i++) {
		cr_assert_eq(api_key_generate(keys[i]), 0);
		cr_assert_eq(strspn(keys[i], "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
					     "0123456789-_"),
			     API_KEY_LENGTH);
		cr_assert_eq(keys[i][API_KEY_LENGTH], '\0');
		/* 32 bytes leave two bits of the last character, which are 0. */
		cr_assert_not_null(strchr("AEIMQUYcgkosw048", keys[i][API_KEY_LENGTH - 1]));
		for (int j = 0; j < i; j++)
			cr_assert_str_neq(keys[i], keys[j]);
	}
}

Test(api_key, comes_back_as_it_was_saved)
{
	char key[API_KEY_LENGTH + 1], loaded[API_KEY_LENGTH + 1];
	const char *path = scratch_path("api.key");

	cr_assert_eq(api_key_load(path, loaded, &failure), -ENOENT);
	cr_assert_eq(api_key_generate(key), 0);
	cr_assert_eq(api_key_save(path, key, false, &failure), 0);
	cr_assert_eq(scratch_mode(path), 0600);
	cr_assert_eq(api_key_load(path, loaded, &failure), 0);
	cr_assert_str_eq(key, loaded);
	cr_assert(api_key_equals(key, loaded));
	cr_assert_eq(api_key_save(path, key, false, &failure), -EEXIST);
	cr_assert_eq(api_key_save(path, "short", true, &failure), -EINVAL);
}

Test(api_key, rejects_a_file_that_holds_none)
{
	static const struct {
		const char *before, *after;
		int length;
	} cases[] = {
	    {"", "\n\n", API_KEY_LENGTH},
	    {" ", "\n", API_KEY_LENGTH},
	    {"", "A", API_KEY_LENGTH},
	    {"", "\n", API_KEY_LENGTH - 1},
	    {"", "", 0},
	    {"", "\xff", 42},
	};
	char key[API_KEY_LENGTH + 1], text[2 * API_KEY_LENGTH];
	const char *path = scratch_path("api.key");

	cr_assert_eq(api_key_generate(key), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int n = snprintf(text, sizeof(text), "%s%.*s%s", cases[i].before, cases[i].length,
				 key, cases[i].after);

		scratch_write(path, text, (size_t)n, 0600);
		cr_assert_eq(api_key_load(path, key, &failure), -EBADMSG, "%zu", i);
	}
}

Test(api_key, is_compared_whole)
{
	char key[API_KEY_LENGTH + 1], other[API_KEY_LENGTH + 2];

	cr_assert_eq(api_key_generate(key), 0);
	for (size_t i = 0; i < API_KEY_LENGTH; i++) {
		strcpy(other, key);
		other[i] = other[i] == 'A' ? 'B' : 'A';
		cr_assert_not(api_key_equals(key, other));
		other[i] = '\0';
		cr_assert_not(api_key_equals(key, other));
	}
	strcpy(other, key);
	strcat(other, "A");
	cr_assert_not(api_key_equals(key, other));
}
