#include "ctl/mcp/mcp_text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

/* How long the character at `at` is, or 0 when it is none (RFC 3629). */
static size_t character_length(const uint8_t *at, size_t size)
{
	uint8_t first = at[0], low = 0x80, high = 0xbf;
	size_t n;

	if (first < 0x80)
		return 1;
	if (first < 0xc2 || first > 0xf4)
		return 0;
	n = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
	if (first == 0xe0)
		low = 0xa0;
	else if (first == 0xed)
		high = 0x9f;
	else if (first == 0xf0)
		low = 0x90;
	else if (first == 0xf4)
		high = 0x8f;
	if (size < n || at[1] < low || at[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

/* Returns how long it is. */
static size_t clean_into(char *text, const uint8_t *at, size_t size)
{
	size_t n = 0;

	while (size > 0) {
		size_t length = *at == '\0' ? 0 : character_length(at, size);

		if (length == 0) {
			memcpy(text + n, replacement, 3);
			n += 3;
			length = 1;
		} else {
			memcpy(text + n, at, length);
			n += length;
		}
		at += length;
		size -= length;
	}
	text[n] = '\0';
	return n;
}

char *mcp_text_clean(const void *data, size_t size)
{
	char *text = size < SIZE_MAX / 4 ? malloc(3 * size + 1) : NULL;

	if (text)
		clean_into(text, data, size);
	return text;
}

json_t *mcp_text(const void *data, size_t size)
{
	char *text;
	json_t *string;

	/* jansson looks whether it is UTF-8, but lets NUL through. */
	if (size == 0)
		return json_string("");
	string = memchr(data, '\0', size) ? NULL : json_stringn(data, size);
	if (string)
		return string;
	text = mcp_text_clean(data, size);
	string = text ? json_string(text) : NULL;
	free(text);
	return string;
}

size_t mcp_text_count_odd(const void *data, size_t size)
{
	const uint8_t *at = data, *end = at + size;
	size_t n_odd = 0;

	while (size > 0 && at < end) {
		size_t n = character_length(at, (size_t)(end - at));

		if (n == 0 || *at == '\0' || *at == 0x7f ||
		    (*at < 0x20 && !strchr("\a\b\t\n\v\f\r\033", *at)))
			n_odd++;
		at += n ? n : 1;
	}
	return n_odd;
}

size_t mcp_text_json_width(unsigned char c)
{
	if (c >= 0x20)
		return c == '"' || c == '\\' ? 2 : 1;
	return strchr("\b\f\n\r\t", c) && c ? 2 : 6;
}

/* Whether it is the beginning of a character, as far as it goes. */
static bool is_cut_off(const uint8_t *at, size_t size)
{
	uint8_t whole[4] = {0x80, 0x80, 0x80, 0x80};

	if (size >= 4 || at[0] < 0xc2)
		return false;
	memcpy(whole, at, size);
	if (size == 1 && (at[0] == 0xe0 || at[0] == 0xf0))
		whole[1] = 0x90 + (at[0] == 0xe0 ? 0x10 : 0);
	return character_length(whole, 4) > size;
}

size_t mcp_text_fit(const void *data, size_t size, size_t max, bool more)
{
	const uint8_t *at = data;
	size_t n = 0, width = 0;

	while (n < size) {
		size_t length = at[n] == '\0' ? 0 : character_length(at + n, size - n);

		if (length == 0 && more && n > 0 && is_cut_off(at + n, size - n))
			break;
		width += length == 0 ? 3 : length == 1 ? mcp_text_json_width(at[n]) : length;
		if (width > max)
			break;
		n += length ? length : 1;
	}
	return n;
}
