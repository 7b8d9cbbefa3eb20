/* The scan: any bytes, walked value by value. */
#include <stdlib.h>

#include "proto/cursor.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes input = {data, size};
	struct bytes value;

	while (input.size > 0) {
		struct bytes before = input;
		int64_t number;

		if (cursor_skip(&input, &value) < 0)
			break;
		if (value.size == 0 || value.data != before.data)
			abort();
		if (cursor_int(&before, &number) == 0 && before.size != input.size)
			abort();
	}
	cursor_is_utf8((struct bytes){data, size});
	return 0;
}
