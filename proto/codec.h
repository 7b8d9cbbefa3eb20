/*
 * Codec: records to msgpack and back, by their descriptions (record.h).
 *
 * Decoding never allocates: bytes and lists point into the input, which must be kept as long as
 * they are used. Input is walked with every length checked against the bytes that are there.
 */
#ifndef PROTO_CODEC_H
#define PROTO_CODEC_H

#include "proto/record.h"

/* An output buffer that grows up to a limit. Zero-initialised but for `limit`; freed with
 * buffer_deinit. */
struct buffer {
	uint8_t *data;
	size_t size;
	size_t capacity;
	size_t limit; /* -EMSGSIZE beyond; 0 means none */
};

void buffer_deinit(struct buffer *buffer);
/* Room for `size` more bytes at data + size. Returns 0, -ENOMEM or -EMSGSIZE. */
int buffer_reserve(struct buffer *buffer, size_t size);
int buffer_append(struct buffer *buffer, const void *data, size_t size);

/*
 * Appends `value`, a struct that `record` describes, as one array. If its last field is a PAYLOAD,
 * only the header of those bytes is appended and the bytes are returned in `ret_payload`, to be
 * sent right after the buffer; a NULL `ret_payload` appends them too. Returns 0, -ENOMEM,
 * -EMSGSIZE, or -EINVAL if a field is out of its bounds (our own bug: nothing is appended then).
 */
int codec_encode(const struct record *record, const void *value, struct buffer *buffer,
		 struct bytes *ret_payload);

/*
 * Decodes one record from the start of `input` into `ret_value` (record->size bytes) and moves
 * `input` behind it. Returns 0 or -EBADMSG; `ret_error` (may be NULL) is then a static text such
 * as "too long" that says which rule the sender broke, and ret_value is zeroed.
 */
int codec_decode(const struct record *record, struct bytes *input, void *ret_value,
		 const char **ret_error);

/* Takes the next element of a list, as codec_decode. */
int codec_list_next(struct list *list, const struct record *record, void *ret_value,
		    const char **ret_error);

/* Builds a list: appends an element and counts it. `list->raw` is set by codec_list_finish. */
int codec_list_append(struct list *list, struct buffer *elements, const struct record *record,
		      const void *value);
void codec_list_finish(struct list *list, const struct buffer *elements);

#endif
