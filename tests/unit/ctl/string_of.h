/* What was written into a buffer, as a string. */
#ifndef TESTS_UNIT_CTL_STRING_OF_H
#define TESTS_UNIT_CTL_STRING_OF_H

#include "proto/codec.h"

/* To be freed; takes the buffer's place. */
static inline char *string_of(struct buffer *buffer)
{
	char *text = bytes_to_text((struct bytes){buffer->data, buffer->size});

	buffer_deinit(buffer);
	return text;
}

#endif
