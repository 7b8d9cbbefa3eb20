/* Fixed values in tests. */
#ifndef TESTS_UNIT_PROTO_HEX_H
#define TESTS_UNIT_PROTO_HEX_H

#include <criterion/criterion.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static inline void hex_decode(const char *text, uint8_t *ret_data, size_t size)
{
	cr_assert_eq(strlen(text), 2 * size);
	for (size_t i = 0; i < size; i++) {
		unsigned int byte;
		cr_assert_eq(sscanf(text + 2 * i, "%2x", &byte), 1);
		ret_data[i] = (uint8_t)byte;
	}
}

#endif
