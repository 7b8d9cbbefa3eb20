#include "daemon/json_text.h"

#include <stdlib.h>
#include <string.h>

/* Length of the UTF-8 character at p, 0 if there is none (RFC 3629). */
static size_t utf8_length(const unsigned char *p, size_t n)
{
	size_t length = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

	if (length == 0 || p[0] > 0xf4 || length > n)
		return 0;
	for (size_t i = 1; i < length; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	/* Overlong forms, surrogates and what is above U+10FFFF. */
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return length;
}

json_t *json_text_bytes(const void *bytes, size_t n)
{
	const unsigned char *in = bytes;
	json_t *text = json_stringn(bytes, n);
	size_t length = 0;
	char *clean;

	if (text)
		return text;
	clean = malloc(3 * n + 1);
	if (!clean)
		return NULL;
	for (size_t i = 0; i < n;) {
		size_t character = utf8_length(in + i, n - i);

		if (character > 0)
			memcpy(clean + length, in + i, character);
		else
			memcpy(clean + length, "\xef\xbf\xbd", 3);
		length += character ? character : 3;
		i += character ? character : 1;
	}
	text = json_stringn(clean, length);
	free(clean);
	return text;
}

json_t *json_text(const char *text)
{
	return json_text_bytes(text, strlen(text));
}
