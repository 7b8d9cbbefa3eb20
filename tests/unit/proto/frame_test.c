#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "proto/errors.h"
#include "proto/frame.h"
#include "proto/ops_peer.h"

static struct frame back_and_forth(const struct frame *frame, const struct record *record,
				   const void *value, struct buffer *buffer)
{
	const char *error = NULL;
	struct frame decoded;
	size_t size;

	buffer->size = 0;
	cr_assert_eq(frame_encode(frame, record, value, buffer, NULL), 0);
	cr_assert_eq(frame_measure((struct bytes){buffer->data, buffer->size}, FRAME_MAX, &size),
		     1);
	cr_assert_eq(size, buffer->size);
	cr_assert_eq(frame_decode((struct bytes){buffer->data + 4, size - 4}, &decoded, &error), 0,
		     "%s", error);
	return decoded;
}

Test(frame, each_kind_survives_the_wire)
{
	struct args_access args = {.node = 7, .mask = 5};
	struct buffer buffer = {0};
	struct args_access got;

	for (int kind = FRAME_REQUEST; kind <= FRAME_END; kind++) {
		struct frame frame = {.kind = kind,
				      .id = 1000,
				      .op = OP_ACCESS,
				      .lowest = 990,
				      .status = 77,
				      .body = {(const uint8_t *)"xyz", 3}};
		bool typed = kind <= FRAME_EVENT;
		struct frame d =
		    back_and_forth(&frame, typed ? &args_access_record : NULL, &args, &buffer);

		cr_assert_eq(d.kind, frame.kind);
		if (kind != FRAME_EVENT)
			cr_assert_eq(d.id, 1000);
		if (kind == FRAME_REQUEST || kind == FRAME_EVENT)
			cr_assert_eq(d.op, OP_ACCESS);
		if (kind == FRAME_REQUEST)
			cr_assert_eq(d.lowest, 990);
		if (kind == FRAME_REPLY || kind == FRAME_CREDIT || kind == FRAME_END)
			cr_assert_eq(d.status, 77);
		if (kind == FRAME_DATA)
			cr_assert(d.body.size == 3 && !memcmp(d.body.data, "xyz", 3));
		if (typed) {
			cr_assert_eq(codec_decode(&args_access_record, &d.body, &got, NULL), 0);
			cr_assert_eq(got.node, 7);
		}
	}
	buffer_deinit(&buffer);
}

Test(frame, the_caller_goes_along)
{
	struct frame frame = {.kind = FRAME_REQUEST,
			      .id = 1,
			      .op = OP_STATFS,
			      .has_caller = true,
			      .caller = {1000, 100, 2, {100, 27}}};
	struct args_statfs args = {.node = 1};
	struct buffer buffer = {0};
	struct frame d = back_and_forth(&frame, &args_statfs_record, &args, &buffer);

	cr_assert(d.has_caller);
	cr_assert_eq(d.caller.uid, 1000);
	cr_assert_eq(d.caller.gid, 100);
	cr_assert_eq(d.caller.n_groups, 2);
	cr_assert_eq(d.caller.groups[1], 27);
	buffer_deinit(&buffer);
}

Test(frame, a_caller_that_means_no_change_to_the_kernel_is_refused)
{
	struct frame frame = {
	    .kind = FRAME_REQUEST, .has_caller = true, .caller = {UINT32_MAX, 1, 0, {0}}};
	struct buffer buffer = {0};
	struct frame d;

	cr_assert_eq(frame_encode(&frame, NULL, NULL, &buffer, NULL), 0);
	cr_assert_eq(frame_decode((struct bytes){buffer.data + 4, buffer.size - 4}, &d, NULL),
		     -EBADMSG);
	buffer_deinit(&buffer);
}

Test(frame, the_length_counts_a_payload_that_is_sent_apart)
{
	struct args_write args = {.node = 3, .data = {(const uint8_t *)"hello", 5}};
	struct frame frame = {.kind = FRAME_REQUEST, .id = 9, .op = OP_WRITE};
	struct buffer buffer = {0};
	struct bytes payload;
	struct frame d;

	cr_assert_eq(frame_encode(&frame, &args_write_record, &args, &buffer, &payload), 0);
	cr_assert_eq(payload.size, 5);
	cr_assert_eq(buffer_append(&buffer, payload.data, payload.size), 0);
	cr_assert_eq(buffer.data[3], buffer.size - 4);
	cr_assert_eq(frame_decode((struct bytes){buffer.data + 4, buffer.size - 4}, &d, NULL), 0);
	cr_assert_eq(codec_decode(&args_write_record, &d.body, &args, NULL), 0);
	cr_assert(args.data.size == 5 && !memcmp(args.data.data, "hello", 5));
	buffer_deinit(&buffer);
}

Test(frame, rejects_length_over_limit)
{
	size_t size;

	cr_assert_eq(
	    frame_measure((struct bytes){(const uint8_t *)"\xff\xff\xff\xff", 4}, FRAME_MAX, &size),
	    -EMSGSIZE);
	cr_assert_eq(
	    frame_measure((struct bytes){(const uint8_t *)"\0\0\0\0", 4}, FRAME_MAX, &size),
	    -EBADMSG);
	cr_assert_eq(frame_measure((struct bytes){(const uint8_t *)"\0\0\x20\x01", 4},
				   FRAME_MAX_UNPROVED, &size),
		     -EMSGSIZE);
	cr_assert_eq(frame_measure((struct bytes){(const uint8_t *)"\0\0", 2}, FRAME_MAX, &size),
		     0);
	cr_assert_eq(size, 4);
	cr_assert_eq(
	    frame_measure((struct bytes){(const uint8_t *)"\0\0\0\x05zz", 6}, FRAME_MAX, &size), 0);
	cr_assert_eq(size, 9);
}

Test(frame, cut_anywhere_is_refused)
{
	struct args_lookup args = {.parent = 1, .name = {(const uint8_t *)"etc", 3}};
	struct frame frame = {.kind = FRAME_REQUEST, .id = 70000, .op = OP_LOOKUP, .lowest = 3};
	struct buffer buffer = {0};
	struct frame d;

	cr_assert_eq(frame_encode(&frame, &args_lookup_record, &args, &buffer, NULL), 0);
	for (size_t size = 0; size < buffer.size - 4; size++)
		cr_assert_eq(frame_decode((struct bytes){buffer.data + 4, size}, &d, NULL),
			     -EBADMSG);
	buffer_deinit(&buffer);
}

Test(frame, unknown_trailing_elements_are_ignored_and_bytes_after_the_array_are_not)
{
	struct frame d;

	cr_assert_eq(
	    frame_decode((struct bytes){(const uint8_t *)"\x94\x05\x07\xc0\xc3", 5}, &d, NULL), 0);
	cr_assert_eq(d.kind, FRAME_CANCEL);
	cr_assert_eq(d.id, 7);
	cr_assert_eq(frame_decode((struct bytes){(const uint8_t *)"\x92\x05\x07\xc0", 4}, &d, NULL),
		     -EBADMSG);
	cr_assert_eq(frame_decode((struct bytes){(const uint8_t *)"\x92\x09\x07", 3}, &d, NULL),
		     -EBADMSG);
}

Test(errors, every_number_maps_back_to_its_errno)
{
#define BACK(number, error, text)                                                                  \
	cr_assert_eq(error_to_errno(number), -error);                                              \
	cr_assert_eq(error_from_errno(error), number);                                             \
	cr_assert_eq(error_from_errno(-error), number);
	ERRORS(BACK)
	cr_assert_eq(error_to_errno(0), 0);
	cr_assert_eq(error_to_errno(65000), -EIO);
	cr_assert_eq(error_from_errno(9999), error_from_errno(EIO));
}
