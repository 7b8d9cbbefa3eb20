#include "proto/codec.h"

#include <errno.h>
#include <msgpack/pack.h>
#include <stdlib.h>
#include <string.h>

#include "proto/cursor.h"

void buffer_deinit(struct buffer *buffer)
{
	free(buffer->data);
	buffer->data = NULL;
	buffer->size = buffer->capacity = 0;
}

int buffer_reserve(struct buffer *buffer, size_t size)
{
	size_t capacity = buffer->capacity ? buffer->capacity : 256;
	uint8_t *data;

	if (buffer->limit && (size > buffer->limit || buffer->size > buffer->limit - size))
		return -EMSGSIZE;
	if (size <= buffer->capacity - buffer->size)
		return 0;
	while (capacity - buffer->size < size)
		if (__builtin_mul_overflow(capacity, 2, &capacity))
			return -ENOMEM;
	data = realloc(buffer->data, capacity);
	if (!data)
		return -ENOMEM;
	buffer->data = data;
	buffer->capacity = capacity;
	return 0;
}

int buffer_append(struct buffer *buffer, const void *data, size_t size)
{
	int r = buffer_reserve(buffer, size);

	if (r < 0)
		return r;
	if (size > 0)
		memcpy(buffer->data + buffer->size, data, size);
	buffer->size += size;
	return 0;
}

static int buffer_write(void *buffer, const char *data, size_t size)
{
	return buffer_append(buffer, data, size);
}

/* --- encoding --------------------------------------------------------------------------------- */

static bool name_is_valid(struct bytes name)
{
	if (name.size == 0 || memchr(name.data, '/', name.size) || memchr(name.data, 0, name.size))
		return false;
	return name.data[0] != '.' || !(name.size == 1 || (name.size == 2 && name.data[1] == '.'));
}

/* Which rule of the field the value breaks, or NULL. */
static const char *field_check_bytes(const struct field *field, struct bytes value)
{
	if (value.size > field->bound)
		return "too long";
	if (field->kind == FIELD_NAME && !name_is_valid(value))
		return "not a file name";
	if (field->kind == FIELD_TEXT && !cursor_is_utf8(value))
		return "not UTF-8";
	return NULL;
}

static int encode_fields(const struct record *record, const void *value, msgpack_packer *packer,
			 struct bytes *ret_payload);

static int encode_field(const struct field *field, const void *at, msgpack_packer *packer,
			struct bytes *ret_payload)
{
	const struct bytes *bytes = at;
	const struct timespec *time = at;
	const struct list *list = at;
	int r;

	switch (field->kind) {
	case FIELD_UINT:
		if (*(const uint64_t *)at > field->bound)
			return -EINVAL;
		return msgpack_pack_uint64(packer, *(const uint64_t *)at);
	case FIELD_INT:
		return msgpack_pack_int64(packer, *(const int64_t *)at);
	case FIELD_BOOL:
		return *(const bool *)at ? msgpack_pack_true(packer) : msgpack_pack_false(packer);
	case FIELD_TEXT:
		if (field_check_bytes(field, *bytes))
			return -EINVAL;
		r = msgpack_pack_str(packer, bytes->size);
		return r < 0 ? r : msgpack_pack_str_body(packer, bytes->data, bytes->size);
	case FIELD_PAYLOAD:
	case FIELD_BIN:
	case FIELD_NAME:
		if (field_check_bytes(field, *bytes))
			return -EINVAL;
		r = msgpack_pack_bin(packer, bytes->size);
		if (r < 0)
			return r;
		if (field->kind == FIELD_PAYLOAD && ret_payload) {
			*ret_payload = *bytes;
			return 0;
		}
		return msgpack_pack_bin_body(packer, bytes->data, bytes->size);
	case FIELD_TIME:
		if (time->tv_nsec < 0 || time->tv_nsec >= 1000000000)
			return -EINVAL;
		r = msgpack_pack_array(packer, 2);
		if (r == 0)
			r = msgpack_pack_int64(packer, time->tv_sec);
		return r < 0 ? r : msgpack_pack_uint32(packer, (uint32_t)time->tv_nsec);
	case FIELD_RECORD:
		return encode_fields(field->record, at, packer, NULL);
	case FIELD_LIST:
		if (list->n > field->bound)
			return -EINVAL;
		r = msgpack_pack_array(packer, list->n);
		return r < 0 ? r : buffer_append(packer->data, list->raw.data, list->raw.size);
	}
	return -EINVAL;
}

static int encode_fields(const struct record *record, const void *value, msgpack_packer *packer,
			 struct bytes *ret_payload)
{
	int r = msgpack_pack_array(packer, record->n_fields);

	for (unsigned i = 0; i < record->n_fields && r >= 0; i++) {
		const struct field *field = &record->fields[i];

		r = encode_field(field, (const char *)value + field->offset, packer, ret_payload);
	}
	return r;
}

int codec_encode(const struct record *record, const void *value, struct buffer *buffer,
		 struct bytes *ret_payload)
{
	size_t before = buffer->size;
	struct bytes payload = {0};
	msgpack_packer packer;
	int r;

	msgpack_packer_init(&packer, buffer, buffer_write);
	r = encode_fields(record, value, &packer, ret_payload ? &payload : NULL);
	if (r < 0) {
		buffer->size = before;
		return r;
	}
	if (ret_payload)
		*ret_payload = payload;
	return 0;
}

int codec_list_append(struct list *list, struct buffer *elements, const struct record *record,
		      const void *value)
{
	int r = codec_encode(record, value, elements, NULL);

	if (r == 0)
		list->n++;
	return r;
}

void codec_list_finish(struct list *list, const struct buffer *elements)
{
	list->raw = (struct bytes){elements->data, elements->size};
}

/* --- decoding --------------------------------------------------------------------------------- */

static const char *decode_record(const struct record *record, struct bytes *input, void *value,
				 unsigned depth);

static const char *decode_time(struct bytes *input, struct timespec *ret_time)
{
	struct bytes at = *input;
	uint64_t nanoseconds;
	int64_t seconds;
	uint32_t n;

	if (cursor_array(&at, &n) < 0 || n != 2 || cursor_int(&at, &seconds) < 0 ||
	    cursor_uint(&at, &nanoseconds) < 0 || nanoseconds >= 1000000000)
		return "not a time";
	*input = at;
	ret_time->tv_sec = seconds;
	ret_time->tv_nsec = (long)nanoseconds;
	return NULL;
}

static const char *decode_list(const struct field *field, struct bytes *input,
			       struct list *ret_list)
{
	struct bytes at = *input;
	const uint8_t *start;
	uint32_t n;

	if (cursor_array(&at, &n) < 0)
		return "not an array";
	if (n > field->bound)
		return "too many elements";
	start = at.data;
	for (uint32_t i = 0; i < n; i++)
		if (cursor_skip(&at, NULL) < 0)
			return "malformed";
	ret_list->n = n;
	ret_list->raw = (struct bytes){start, (size_t)(at.data - start)};
	*input = at;
	return NULL;
}

/* Returns NULL, or the rule that was broken. */
static const char *decode_field(const struct field *field, struct bytes *input, void *at,
				unsigned depth)
{
	switch (field->kind) {
	case FIELD_UINT:
		if (cursor_uint(input, at) < 0)
			return "not an unsigned number";
		return *(uint64_t *)at > field->bound ? "too large" : NULL;
	case FIELD_INT:
		return cursor_int(input, at) < 0 ? "not a number" : NULL;
	case FIELD_BOOL:
		return cursor_bool(input, at) < 0 ? "not a boolean" : NULL;
	case FIELD_TEXT:
		if (cursor_text(input, at) < 0)
			return "not a text";
		return field_check_bytes(field, *(struct bytes *)at);
	case FIELD_BIN:
	case FIELD_NAME:
	case FIELD_PAYLOAD:
		if (cursor_bin(input, at) < 0)
			return "not bytes";
		return field_check_bytes(field, *(struct bytes *)at);
	case FIELD_TIME:
		return decode_time(input, at);
	case FIELD_RECORD:
		return decode_record(field->record, input, at, depth + 1);
	case FIELD_LIST:
		return decode_list(field, input, at);
	}
	return "of no known kind";
}

static const char *decode_record(const struct record *record, struct bytes *input, void *value,
				 unsigned depth)
{
	struct bytes at = *input;
	uint32_t n;

	if (depth > 4)
		return "too deep";
	if (cursor_array(&at, &n) < 0)
		return "not an array";
	if (n < record->n_required)
		return "too few fields";
	memset(value, 0, record->size);
	for (uint32_t i = 0; i < n; i++) {
		const struct field *field = &record->fields[i];
		const char *error;

		if (i >= record->n_fields) {
			if (cursor_skip(&at, NULL) < 0)
				return "malformed";
			continue;
		}
		error = decode_field(field, &at, (char *)value + field->offset, depth);
		if (error)
			return error;
	}
	*input = at;
	return NULL;
}

int codec_decode(const struct record *record, struct bytes *input, void *ret_value,
		 const char **ret_error)
{
	const char *error = decode_record(record, input, ret_value, 0);

	if (!error)
		return 0;
	memset(ret_value, 0, record->size);
	if (ret_error)
		*ret_error = error;
	return -EBADMSG;
}

int codec_list_next(struct list *list, const struct record *record, void *ret_value,
		    const char **ret_error)
{
	int r;

	if (list->n == 0)
		return -EBADMSG;
	r = codec_decode(record, &list->raw, ret_value, ret_error);
	if (r == 0)
		list->n--;
	return r;
}
