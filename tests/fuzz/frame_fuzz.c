/* A stream of bytes as a link reads it: measured, decoded, and what is in it decoded by its
 * operation. What decodes must encode again. */
#include <stdlib.h>

#include "proto/frame.h"
#include "proto/ops_peer.h"
#include "tests/fuzz/fuzz.h"

static void check_record(const struct record *record, struct bytes body)
{
	char value[1024];
	struct buffer buffer = {0};

	if (record->size > sizeof(value))
		abort();
	if (codec_decode(record, &body, value, NULL) < 0)
		return;
	if (codec_encode(record, value, &buffer, NULL) < 0)
		abort();
	buffer_deinit(&buffer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes input = {data, size};
	struct frame frame;
	size_t length;

	while (frame_measure(input, FRAME_MAX, &length) == 1) {
		struct bytes array = {input.data + FRAME_LENGTH_SIZE, length - FRAME_LENGTH_SIZE};

		if (frame_decode(array, &frame, NULL) < 0)
			break;
		for (size_t i = 0; i < ops_peer.n_ops; i++) {
			const struct op *op = &ops_peer.ops[i];

			if (frame.kind == FRAME_REPLY)
				check_record(op->result, frame.body);
			else if (op->number == frame.op)
				check_record(op->args, frame.body);
		}
		input.data += length;
		input.size -= length;
	}
	return 0;
}
