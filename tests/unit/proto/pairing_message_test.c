#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/pairing_message.h"

static struct pairing_message make(enum pairing_message_kind kind)
{
	struct pairing_message message = {.kind = kind};

	if (kind <= PAIRING_MESSAGE_COMMIT) {
		strcpy(message.name, "desk");
		message.capabilities = 0x1122334455667788;
	}
	if (kind == PAIRING_MESSAGE_COMMIT)
		memset(message.commitment, 0xaa, sizeof(message.commitment));
	if (kind == PAIRING_MESSAGE_KEY || kind == PAIRING_MESSAGE_OPEN) {
		memset(message.share.point, 0xbb, sizeof(message.share.point));
		memset(message.share.nonce, 0xcc, sizeof(message.share.nonce));
	}
	if (kind == PAIRING_MESSAGE_CONFIRM)
		memset(message.confirmation, 0xdd, sizeof(message.confirmation));
	if (kind == PAIRING_MESSAGE_REFUSE)
		message.reason = 13;
	return message;
}

/* From a block of just that size, so that a sanitizer sees what reads beyond it. */
static int decode(const uint8_t *data, size_t size, struct pairing_message *ret_message)
{
	uint8_t *copy = calloc(1, size ? size : 1);

	memcpy(copy, data, size);
	int r = pairing_message_decode(copy, size, ret_message);
	free(copy);
	return r;
}

Test(pairing_message, each_kind_survives_the_wire)
{
	for (int kind = 0; kind <= PAIRING_MESSAGE_REFUSE; kind++) {
		struct pairing_message message = make(kind), got;
		uint8_t data[PAIRING_MESSAGE_MAX];
		size_t size = pairing_message_encode(&message, data);
		cr_assert_eq(decode(data, size, &got), 0);
		cr_assert_eq(got.kind, message.kind);
		cr_assert_str_eq(got.name, message.name);
		cr_assert_eq(got.capabilities, message.capabilities);
		cr_assert_arr_eq(got.commitment, message.commitment, 32);
		cr_assert_arr_eq(got.share.point, message.share.point, EPHEMERAL_POINT_SIZE);
		cr_assert_arr_eq(got.share.nonce, message.share.nonce, 32);
		cr_assert_arr_eq(got.confirmation, message.confirmation, 32);
		cr_assert_eq(got.reason, message.reason);
	}
}

Test(pairing_message, has_a_fixed_form)
{
	static const uint8_t hello[] = {0x94, 0,    1,    0xd9, 4,    'd',  'e',  's',  'k',
					0xcf, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88};
	struct pairing_message message = make(PAIRING_MESSAGE_HELLO);
	uint8_t data[PAIRING_MESSAGE_MAX];

	cr_assert_eq(pairing_message_encode(&message, data), sizeof(hello));
	cr_assert_arr_eq(data, hello, sizeof(hello));
	message = make(PAIRING_MESSAGE_REFUSE);
	cr_assert_eq(pairing_message_encode(&message, data), 3);
	cr_assert_arr_eq(data, "\x92\x06\x0d", 3);
}

Test(pairing_message, the_longest_fits)
{
	struct pairing_message message = make(PAIRING_MESSAGE_COMMIT), got;
	uint8_t data[PAIRING_MESSAGE_MAX];

	memset(message.name, 'x', TRANSCRIPT_NAME_MAX);
	message.capabilities = UINT64_MAX;
	size_t size = pairing_message_encode(&message, data);
	cr_assert_eq(decode(data, size, &got), 0);
	cr_assert_eq(strlen(got.name), TRANSCRIPT_NAME_MAX);
}

Test(pairing_message, truncated_at_each_byte_is_refused)
{
	for (int kind = 0; kind <= PAIRING_MESSAGE_REFUSE; kind++) {
		struct pairing_message message = make(kind), got = {.reason = 77};
		uint8_t data[PAIRING_MESSAGE_MAX];
		size_t size = pairing_message_encode(&message, data);
		for (size_t i = 0; i < size; i++)
			cr_assert_eq(decode(data, i, &got), -EBADMSG, "kind %d at %zu", kind, i);
		cr_assert_eq(got.reason, 77);
	}
}

Test(pairing_message, more_than_its_fields_is_refused)
{
	for (int kind = 0; kind <= PAIRING_MESSAGE_REFUSE; kind++) {
		struct pairing_message message = make(kind), got;
		uint8_t data[PAIRING_MESSAGE_MAX + 1];
		size_t size = pairing_message_encode(&message, data);
		data[size] = 0;
		cr_assert_eq(decode(data, size + 1, &got), -EBADMSG); /* behind the array */
		data[0]++;
		cr_assert_eq(decode(data, size + 1, &got), -EBADMSG); /* in the array */
		data[0] -= 2;
		cr_assert_eq(decode(data, size, &got), -EBADMSG); /* one less than there are */
	}
}

#define REFUSED(bytes, error)                                                                      \
	do {                                                                                       \
		struct pairing_message got;                                                        \
		cr_assert_eq(decode((const uint8_t *)(bytes), sizeof(bytes) - 1, &got), error);    \
	} while (0)

Test(pairing_message, hostile_bytes_are_refused)
{
	REFUSED("", -EBADMSG);
	REFUSED("\xc0", -EBADMSG);
	REFUSED("\x90", -EBADMSG);     /* empty */
	REFUSED("\x91\x07", -EBADMSG); /* no such kind */
	REFUSED("\x91\xcf\xff\xff\xff\xff\xff\xff\xff\xff", -EBADMSG);
	REFUSED("\xdd\xff\xff\xff\xff\x00", -EBADMSG);     /* 4 Gi elements */
	REFUSED("\x92\x04\xc6\xff\xff\xff\xff", -EBADMSG); /* 4 GiB of confirmation */
	REFUSED("\x92\x04\xc4\x01x", -EBADMSG);            /* one byte of it */
	REFUSED("\x92\x06\xcf\x00\x00\x00\x01\x00\x00\x00\x00", -EBADMSG); /* reason 2^32 */
	REFUSED("\x94\x00\x01\xa0\x00", -EBADMSG);                         /* no name */
	REFUSED("\x94\x00\x01\xa2\xc0\xaf\x00", -EBADMSG); /* a name that is not UTF-8 */
	REFUSED("\x94\x00\x01\xa2x\x00\x00", -EBADMSG);    /* a name with NUL */
	REFUSED("\x94\x00\x01\xd9\x40"
		"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\x00",
		-EBADMSG); /* a name of 64 bytes */
	REFUSED("\x92\x00\x01", -EBADMSG);
}

Test(pairing_message, another_version_is_told_apart)
{
	REFUSED("\x94\x00\x02\xa1x\x00", -EPROTONOSUPPORT);
	REFUSED("\x94\x00\x00\xa1x\x00", -EPROTONOSUPPORT);
	REFUSED("\x93\x00\x02\xc0", -EPROTONOSUPPORT); /* whatever its fields are */
	REFUSED("\x96\x01\x02\xc0\xc0\xc0\xc0", -EPROTONOSUPPORT);
}
