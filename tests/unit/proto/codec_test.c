#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "proto/codec.h"
#include "proto/cursor.h"
#include "proto/ops_peer.h"

static bool same(struct bytes a, struct bytes b)
{
	return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

/* Fills every field of a record's struct with a value within its bound. */
static void fill(const struct record *record, void *value)
{
	static const char bytes[] = "abc";

	for (unsigned i = 0; i < record->n_fields; i++) {
		const struct field *field = &record->fields[i];
		char *at = (char *)value + field->offset;
		size_t size = field->bound < 3 ? field->bound : 3;

		switch (field->kind) {
		case FIELD_UINT:
			*(uint64_t *)at = field->bound;
			break;
		case FIELD_INT:
			*(int64_t *)at = INT64_MIN + i;
			break;
		case FIELD_BOOL:
			*(bool *)at = true;
			break;
		case FIELD_BIN:
		case FIELD_TEXT:
		case FIELD_NAME:
		case FIELD_PAYLOAD:
			*(struct bytes *)at = (struct bytes){(const uint8_t *)bytes, size};
			break;
		case FIELD_TIME:
			*(struct timespec *)at = (struct timespec){-5, 999999999};
			break;
		case FIELD_RECORD:
			fill(field->record, at);
			break;
		case FIELD_LIST:
			*(struct list *)at = (struct list){{(const uint8_t *)"\x01\x02", 2}, 2};
			break;
		}
	}
}

static void check_equal(const struct record *record, const void *a, const void *b)
{
	for (unsigned i = 0; i < record->n_fields; i++) {
		const struct field *field = &record->fields[i];
		const char *x = (const char *)a + field->offset;
		const char *y = (const char *)b + field->offset;

		switch (field->kind) {
		case FIELD_UINT:
		case FIELD_INT:
			cr_assert_eq(*(const uint64_t *)x, *(const uint64_t *)y, "%s", field->name);
			break;
		case FIELD_BOOL:
			cr_assert_eq(*(const bool *)x, *(const bool *)y, "%s", field->name);
			break;
		case FIELD_TIME:
			cr_assert(memcmp(x, y, sizeof(struct timespec)) == 0, "%s", field->name);
			break;
		case FIELD_RECORD:
			check_equal(field->record, x, y);
			break;
		default: /* a list begins with its bytes */
			cr_assert(same(*(const struct bytes *)x, *(const struct bytes *)y), "%s",
				  field->name);
		}
	}
}

static void round_trip(const struct record *record)
{
	struct buffer buffer = {0};
	char value[1024] = {0};
	char back[1024];
	struct bytes input;

	cr_assert_leq(record->size, sizeof(value));
	fill(record, value);
	cr_assert_eq(codec_encode(record, value, &buffer, NULL), 0, "%s", record->name);
	input = (struct bytes){buffer.data, buffer.size};
	cr_assert_eq(codec_decode(record, &input, back, NULL), 0, "%s", record->name);
	cr_assert_eq(input.size, 0);
	check_equal(record, value, back);

	/* cut anywhere, it is refused, and not a byte beyond is read (ASan looks) */
	for (size_t size = 0; size < buffer.size; size++) {
		uint8_t *cut = size ? memcpy(malloc(size), buffer.data, size) : NULL;

		input = (struct bytes){cut, size};
		cr_assert_eq(codec_decode(record, &input, back, NULL), -EBADMSG);
		free(cut);
	}
	buffer_deinit(&buffer);
}

Test(codec, every_operation_survives_the_wire)
{
	for (size_t i = 0; i < ops_peer.n_ops; i++) {
		round_trip(ops_peer.ops[i].args);
		round_trip(ops_peer.ops[i].result);
	}
}

Test(codec, operations_ascend_and_are_found)
{
	for (size_t i = 0; i < ops_peer.n_ops; i++) {
		cr_assert_eq(op_find(&ops_peer, ops_peer.ops[i].number), &ops_peer.ops[i]);
		if (i > 0)
			cr_assert_gt(ops_peer.ops[i].number, ops_peer.ops[i - 1].number);
	}
	cr_assert_null(op_find(&ops_peer, 0));
	cr_assert_null(op_find(&ops_peer, UINT64_MAX));
}

Test(codec, each_record_ends_with_its_payload_and_its_optional_fields)
{
	for (size_t i = 0; i < ops_peer.n_ops; i++) {
		const struct record *records[] = {ops_peer.ops[i].args, ops_peer.ops[i].result};

		for (unsigned j = 0; j < 2; j++)
			for (unsigned f = 0; f < records[j]->n_fields; f++) {
				const struct field *field = &records[j]->fields[f];

				if (field->kind == FIELD_PAYLOAD)
					cr_assert_eq(f + 1, records[j]->n_fields);
				cr_assert_eq(field->optional, f >= records[j]->n_required);
			}
	}
}

static int decode_lookup(const char *raw, size_t size)
{
	struct bytes input = {(const uint8_t *)raw, size};
	struct args_lookup args;

	return codec_decode(&args_lookup_record, &input, &args, NULL);
}

Test(codec, a_file_name_is_one_component)
{
	cr_assert_eq(decode_lookup("\x92\x01\xc4\x01"
				   "a",
				   5),
		     0);
	cr_assert_eq(decode_lookup("\x92\x01\xc4\x00", 4), -EBADMSG);
	cr_assert_eq(decode_lookup("\x92\x01\xc4\x01.", 5), -EBADMSG);
	cr_assert_eq(decode_lookup("\x92\x01\xc4\x02..", 6), -EBADMSG);
	cr_assert_eq(decode_lookup("\x92\x01\xc4\x03...", 7), 0);
	cr_assert_eq(decode_lookup("\x92\x01\xc4\x03"
				   "a/b",
				   7),
		     -EBADMSG);
	cr_assert_eq(decode_lookup("\x92\x01\xc4\x03"
				   "a\0b",
				   7),
		     -EBADMSG);
}

Test(codec, fields_beyond_the_known_ones_are_skipped)
{
	cr_assert_eq(decode_lookup("\x93\x01\xc4\x01"
				   "a\x82\x01\x02\xc0\xc3",
				   10),
		     0);
}

Test(codec, a_number_over_its_bound_is_refused_on_both_sides)
{
	struct args_access args = {.node = 1, .mask = 8};
	struct buffer buffer = {0};
	struct bytes input = {(const uint8_t *)"\x92\x01\x08", 3};

	cr_assert_eq(codec_encode(&args_access_record, &args, &buffer, NULL), -EINVAL);
	cr_assert_eq(buffer.size, 0);
	cr_assert_eq(codec_decode(&args_access_record, &input, &args, NULL), -EBADMSG);
	buffer_deinit(&buffer);
}

Test(codec, a_payload_is_left_out_of_the_buffer_and_returned)
{
	struct result_read result = {.data = bytes_of_text("hello")};
	struct buffer buffer = {0};
	struct bytes payload;

	cr_assert_eq(codec_encode(&result_read_record, &result, &buffer, &payload), 0);
	cr_assert_eq(payload.data, result.data.data);
	cr_assert(same((struct bytes){buffer.data, buffer.size},
		       (struct bytes){(const uint8_t *)"\x91\xc4\x05", 3}));
	buffer_deinit(&buffer);
}

Test(codec, a_list_is_taken_out_one_by_one)
{
	struct buffer elements = {0}, buffer = {0};
	struct args_forget args = {0};
	struct forgotten forgotten;
	struct bytes input;

	for (uint64_t i = 0; i < 100; i++) {
		forgotten = (struct forgotten){.node = i, .count = i * i};
		cr_assert_eq(
		    codec_list_append(&args.nodes, &elements, &forgotten_record, &forgotten), 0);
	}
	codec_list_finish(&args.nodes, &elements);
	cr_assert_eq(codec_encode(&args_forget_record, &args, &buffer, NULL), 0);
	input = (struct bytes){buffer.data, buffer.size};
	cr_assert_eq(codec_decode(&args_forget_record, &input, &args, NULL), 0);
	for (uint64_t i = 0; i < 100; i++) {
		cr_assert_eq(codec_list_next(&args.nodes, &forgotten_record, &forgotten, NULL), 0);
		cr_assert_eq(forgotten.node, i);
		cr_assert_eq(forgotten.count, i * i);
	}
	cr_assert_eq(codec_list_next(&args.nodes, &forgotten_record, &forgotten, NULL), -EBADMSG);
	buffer_deinit(&elements);
	buffer_deinit(&buffer);
}

Test(codec, a_buffer_stops_at_its_limit)
{
	struct buffer buffer = {.limit = 8};

	cr_assert_eq(buffer_append(&buffer, "12345678", 8), 0);
	cr_assert_eq(buffer_append(&buffer, "9", 1), -EMSGSIZE);
	cr_assert_eq(buffer.size, 8);
	buffer_deinit(&buffer);
}

Test(cursor, takes_integers_of_any_width)
{
	struct bytes input = {(const uint8_t *)"\x05\xcc\x05\xcd\0\x05\xce\0\0\0\x05"
					       "\xcf\0\0\0\0\0\0\0\x05\xd0\x05\xd1\0\x05",
			      27 - 3};
	uint64_t value;

	input.size = 1 + 2 + 3 + 5 + 9 + 2 + 3;
	for (unsigned i = 0; i < 7; i++) {
		cr_assert_eq(cursor_uint(&input, &value), 0, "%u", i);
		cr_assert_eq(value, 5);
	}
	cr_assert_eq(input.size, 0);
}

Test(cursor, knows_negative_numbers)
{
	struct bytes input = {(const uint8_t *)"\xff\xd0\x80\xd1\x80\0\xd3\x80\0\0\0\0\0\0\0",
			      1 + 2 + 3 + 9};
	const int64_t expected[] = {-1, -128, -32768, INT64_MIN};
	int64_t value;
	uint64_t unsigned_value;

	for (unsigned i = 0; i < 4; i++) {
		cr_assert_eq(cursor_uint(&input, &unsigned_value), -EBADMSG);
		cr_assert_eq(cursor_int(&input, &value), 0);
		cr_assert_eq(value, expected[i]);
	}
	input = (struct bytes){(const uint8_t *)"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9};
	cr_assert_eq(cursor_int(&input, &value), -EBADMSG);
}

Test(cursor, skips_nested_values_and_stops_at_the_depth_limit)
{
	uint8_t deep[CURSOR_DEPTH_MAX + 3];
	struct bytes input;
	struct bytes value;

	memset(deep, 0x91, sizeof(deep));
	deep[CURSOR_DEPTH_MAX] = 0xc0;
	input = (struct bytes){deep, sizeof(deep)};
	cr_assert_eq(cursor_skip(&input, &value), 0);
	cr_assert_eq(value.size, CURSOR_DEPTH_MAX + 1);
	deep[CURSOR_DEPTH_MAX] = 0x91;
	deep[CURSOR_DEPTH_MAX + 1] = 0xc0;
	input = (struct bytes){deep, sizeof(deep)};
	cr_assert_eq(cursor_skip(&input, &value), -EBADMSG);
	cr_assert_eq(input.size, sizeof(deep));
}

Test(cursor, a_length_that_is_not_there_is_refused)
{
	static const char *const bad[] = {"\xdd\xff\xff\xff\xff", "\xdf\xff\xff\xff\xff",
					  "\xc6\xff\xff\xff\xff", "\xdb\xff\xff\xff\xff",
					  "\xc9\xff\xff\xff\xff", "\xc1"};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct bytes input = bytes_of_text(bad[i]);

		cr_assert_eq(cursor_skip(&input, NULL), -EBADMSG, "%u", i);
	}
}

Test(cursor, utf8_has_no_surrogates_overlong_forms_or_nul)
{
	cr_assert(cursor_is_utf8(bytes_of_text("grün \xf0\x9f\x98\x80")));
	cr_assert_not(cursor_is_utf8(bytes_of_text("\xc0\xaf")));
	cr_assert_not(cursor_is_utf8(bytes_of_text("\xed\xa0\x80")));
	cr_assert_not(cursor_is_utf8(bytes_of_text("\xf4\x90\x80\x80")));
	cr_assert_not(cursor_is_utf8(bytes_of_text("\xe2\x82")));
	cr_assert_not(cursor_is_utf8((struct bytes){(const uint8_t *)"a\0b", 3}));
}
