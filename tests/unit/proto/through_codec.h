/* What the other end gets: a record, encoded as for the wire and decoded again, bounds and all. */
#ifndef TESTS_THROUGH_CODEC_H
#define TESTS_THROUGH_CODEC_H

#include <criterion/criterion.h>
#include <stdlib.h>

#include "proto/codec.h"

/* To be freed; it points into `bytes`, whose content it takes the place of. */
static inline void *through_codec(const struct record *record, const void *value,
				  struct buffer *bytes)
{
	void *result = calloc(1, record->size);
	const char *why = "";
	struct bytes input;

	bytes->size = 0;
	cr_assert_eq(codec_encode(record, value, bytes, NULL), 0, "%s does not encode",
		     record->name);
	cr_assert_leq(bytes->size, FRAME_MAX);
	input = (struct bytes){bytes->data, bytes->size};
	cr_assert_eq(codec_decode(record, &input, result, &why), 0, "%s: %s", record->name, why);
	return result;
}

#endif
