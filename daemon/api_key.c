#include "daemon/api_key.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "daemon/private_file.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

int api_key_generate(char ret_key[API_KEY_LENGTH + 1])
{
	uint8_t random[33] = {0}; /* 32 and a zero, so that groups of three come out even */

	if (getrandom(random, 32, 0) != 32)
		return errno ? -errno : -EIO;
	for (size_t i = 0; i < API_KEY_LENGTH; i++) {
		size_t bit = 6 * i;
		unsigned int pair = (unsigned)random[bit / 8] << 8;

		if (bit / 8 + 1 < sizeof(random))
			pair |= random[bit / 8 + 1];
		ret_key[i] = alphabet[(pair >> (10 - bit % 8)) & 63];
	}
	ret_key[API_KEY_LENGTH] = '\0';
	explicit_bzero(random, sizeof(random));
	return 0;
}

int api_key_load(const char *path, char ret_key[API_KEY_LENGTH + 1], struct failure *failure)
{
	char *text;
	size_t n, length;
	int r = private_file_read(path, &text, &n, failure);

	if (r < 0)
		return r;
	length = strspn(text, alphabet);
	if (length == API_KEY_LENGTH &&
	    (n == length || (n == length + 1 && text[length] == '\n'))) {
		memcpy(ret_key, text, length);
		ret_key[length] = '\0';
	} else {
		r = failure_set(failure, -EBADMSG,
				"%.256s holds no key: make a new one with loopsyctl key generate",
				path);
	}
	private_file_free(text, n);
	return r;
}

int api_key_save(const char *path, const char *key, bool replace, struct failure *failure)
{
	char line[API_KEY_LENGTH + 2];
	int n = snprintf(line, sizeof(line), "%s\n", key), r;

	if (n != API_KEY_LENGTH + 1)
		return -EINVAL;
	r = private_file_write(path, line, (size_t)n, replace, failure);
	explicit_bzero(line, sizeof(line));
	return r;
}

bool api_key_equals(const char *key, const char *text)
{
	unsigned int differs = 0;

	if (strlen(key) != API_KEY_LENGTH || strnlen(text, API_KEY_LENGTH + 1) != API_KEY_LENGTH)
		return false;
	for (size_t i = 0; i < API_KEY_LENGTH; i++)
		differs |= (unsigned char)key[i] ^ (unsigned char)text[i];
	return differs == 0;
}
