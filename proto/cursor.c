#include "proto/cursor.h"

#include <errno.h>
#include <string.h>

/* The first bytes of msgpack's formats (github.com/msgpack/msgpack/blob/master/spec.md). */
enum {
	NIL = 0xc0,
	FALSE_ = 0xc2,
	TRUE_ = 0xc3,
	BIN8 = 0xc4,
	EXT8 = 0xc7,
	FLOAT32 = 0xca,
	FLOAT64 = 0xcb,
	UINT8 = 0xcc,
	UINT64 = 0xcf,
	INT8 = 0xd0,
	INT64 = 0xd3,
	FIXEXT1 = 0xd4,
	FIXEXT16 = 0xd8,
	STR8 = 0xd9,
	ARRAY16 = 0xdc,
	ARRAY32 = 0xdd,
	MAP16 = 0xde,
	MAP32 = 0xdf,
	NEGATIVE_FIXINT = 0xe0,
};

static int take(struct bytes *at, size_t size, const uint8_t **ret_data)
{
	if (size > at->size)
		return -EBADMSG;
	*ret_data = at->data;
	at->data += size;
	at->size -= size;
	return 0;
}

static int take_byte(struct bytes *at, uint8_t *ret_byte)
{
	const uint8_t *data;

	if (take(at, 1, &data) < 0)
		return -EBADMSG;
	*ret_byte = data[0];
	return 0;
}

/* A big-endian number of 1, 2, 4 or 8 bytes. */
static int take_number(struct bytes *at, size_t width, uint64_t *ret_number)
{
	const uint8_t *data;
	uint64_t number = 0;

	if (take(at, width, &data) < 0)
		return -EBADMSG;
	for (size_t i = 0; i < width; i++)
		number = number << 8 | data[i];
	*ret_number = number;
	return 0;
}

int cursor_uint(struct bytes *input, uint64_t *ret_value)
{
	struct bytes at = *input;
	uint64_t number;
	uint8_t first;

	if (take_byte(&at, &first) < 0)
		return -EBADMSG;
	if (first < 0x80) {
		number = first;
	} else if (first >= UINT8 && first <= UINT64) {
		if (take_number(&at, (size_t)1 << (first - UINT8), &number) < 0)
			return -EBADMSG;
	} else if (first >= INT8 && first <= INT64) {
		size_t width = (size_t)1 << (first - INT8);

		if (take_number(&at, width, &number) < 0 || number >> (width * 8 - 1))
			return -EBADMSG;
	} else {
		return -EBADMSG;
	}
	*input = at;
	*ret_value = number;
	return 0;
}

int cursor_int(struct bytes *input, int64_t *ret_value)
{
	struct bytes at = *input;
	uint64_t number;
	uint8_t first;

	if (cursor_uint(&at, &number) == 0) {
		if (number > INT64_MAX)
			return -EBADMSG;
		*ret_value = (int64_t)number;
	} else if (take_byte(&at, &first) == 0 && first >= NEGATIVE_FIXINT) {
		*ret_value = (int8_t)first;
	} else if (at.size < input->size && first >= INT8 && first <= INT64) {
		unsigned unused_bits = 64 - 8 * (1u << (first - INT8));

		if (take_number(&at, (size_t)1 << (first - INT8), &number) < 0)
			return -EBADMSG;
		*ret_value = (int64_t)(number << unused_bits) >> unused_bits;
	} else {
		return -EBADMSG;
	}
	*input = at;
	return 0;
}

int cursor_bool(struct bytes *input, bool *ret_value)
{
	if (input->size == 0 || (input->data[0] != TRUE_ && input->data[0] != FALSE_))
		return -EBADMSG;
	*ret_value = input->data[0] == TRUE_;
	input->data++;
	input->size--;
	return 0;
}

int cursor_nil(struct bytes *input)
{
	if (input->size == 0 || input->data[0] != NIL)
		return -EBADMSG;
	input->data++;
	input->size--;
	return 0;
}

/* What a first byte of bin or str says, in three widths from `base` on. */
static int take_blob(struct bytes *input, uint8_t base, bool fix, struct bytes *ret_value)
{
	struct bytes at = *input;
	struct bytes value;
	uint64_t size;
	uint8_t first;

	if (take_byte(&at, &first) < 0)
		return -EBADMSG;
	if (fix && (first & 0xe0) == 0xa0)
		size = first & 0x1f;
	else if (first < base || first > base + 2 ||
		 take_number(&at, (size_t)1 << (first - base), &size) < 0)
		return -EBADMSG;
	if (take(&at, size, &value.data) < 0)
		return -EBADMSG;
	value.size = size;
	*input = at;
	*ret_value = value;
	return 0;
}

int cursor_bin(struct bytes *input, struct bytes *ret_value)
{
	return take_blob(input, BIN8, false, ret_value);
}

int cursor_text(struct bytes *input, struct bytes *ret_value)
{
	return take_blob(input, STR8, true, ret_value);
}

int cursor_array(struct bytes *input, uint32_t *ret_n)
{
	struct bytes at = *input;
	uint64_t n;
	uint8_t first;

	if (take_byte(&at, &first) < 0)
		return -EBADMSG;
	if ((first & 0xf0) == 0x90)
		n = first & 0x0f;
	else if ((first != ARRAY16 && first != ARRAY32) ||
		 take_number(&at, first == ARRAY16 ? 2 : 4, &n) < 0)
		return -EBADMSG;
	if (n > at.size) /* each element takes a byte at least */
		return -EBADMSG;
	*input = at;
	*ret_n = (uint32_t)n;
	return 0;
}

/* Skips what one first byte stands for, but for the elements of arrays and maps: their number is
 * returned in ret_n. */
static int skip_one(struct bytes *at, uint64_t *ret_n)
{
	const uint8_t *unused;
	uint64_t size = 0;
	uint64_t n = 0;
	uint8_t first;

	if (take_byte(at, &first) < 0)
		return -EBADMSG;
	if (first < 0x80 || first >= NEGATIVE_FIXINT || first == NIL || first == FALSE_ ||
	    first == TRUE_) {
		size = 0;
	} else if ((first & 0xf0) == 0x80) {
		n = 2 * (first & 0x0f);
	} else if ((first & 0xf0) == 0x90) {
		n = first & 0x0f;
	} else if ((first & 0xe0) == 0xa0) {
		size = first & 0x1f;
	} else if (first >= BIN8 && first <= BIN8 + 2) {
		if (take_number(at, (size_t)1 << (first - BIN8), &size) < 0)
			return -EBADMSG;
	} else if (first >= EXT8 && first <= EXT8 + 2) {
		if (take_number(at, (size_t)1 << (first - EXT8), &size) < 0)
			return -EBADMSG;
		size += 1;
	} else if (first == FLOAT32 || first == FLOAT64) {
		size = first == FLOAT32 ? 4 : 8;
	} else if (first >= UINT8 && first <= UINT64) {
		size = (size_t)1 << (first - UINT8);
	} else if (first >= INT8 && first <= INT64) {
		size = (size_t)1 << (first - INT8);
	} else if (first >= FIXEXT1 && first <= FIXEXT16) {
		size = 1 + ((size_t)1 << (first - FIXEXT1));
	} else if (first >= STR8 && first <= STR8 + 2) {
		if (take_number(at, (size_t)1 << (first - STR8), &size) < 0)
			return -EBADMSG;
	} else if (first >= ARRAY16 && first <= MAP32) {
		if (take_number(at, (first - ARRAY16) % 2 ? 4 : 2, &n) < 0)
			return -EBADMSG;
		if (first >= MAP16)
			n *= 2;
	} else {
		return -EBADMSG; /* 0xc1 is never used */
	}
	if (n > at->size)
		return -EBADMSG;
	*ret_n = n;
	return take(at, size, &unused);
}

int cursor_skip(struct bytes *input, struct bytes *ret_value)
{
	uint64_t left[CURSOR_DEPTH_MAX + 1]; /* elements still to come, by depth */
	struct bytes at = *input;
	unsigned depth = 0;

	left[0] = 1;
	for (;;) {
		uint64_t n;

		while (depth > 0 && left[depth] == 0)
			depth--;
		if (left[depth] == 0)
			break;
		left[depth]--;
		if (skip_one(&at, &n) < 0)
			return -EBADMSG;
		if (n > 0) {
			if (depth == CURSOR_DEPTH_MAX)
				return -EBADMSG;
			left[++depth] = n;
		}
	}
	if (ret_value)
		*ret_value = (struct bytes){input->data, input->size - at.size};
	*input = at;
	return 0;
}

/* The length of the UTF-8 sequence that starts here, or 0. */
static size_t utf8_length(const uint8_t *s, size_t size)
{
	if (s[0] < 0x80)
		return s[0] != 0;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;

	size_t length = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

	if (length > size)
		return 0;
	for (size_t i = 1; i < length; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return length;
}

bool cursor_is_utf8(struct bytes text)
{
	while (text.size > 0) {
		size_t length = utf8_length(text.data, text.size);

		if (length == 0)
			return false;
		text.data += length;
		text.size -= length;
	}
	return true;
}
