#include "proto/pairing_message.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "proto/cursor.h"

static const uint8_t n_elements[] = {
    [PAIRING_MESSAGE_HELLO] = 4,  [PAIRING_MESSAGE_COMMIT] = 5,  [PAIRING_MESSAGE_KEY] = 3,
    [PAIRING_MESSAGE_OPEN] = 3,   [PAIRING_MESSAGE_CONFIRM] = 2, [PAIRING_MESSAGE_STORED] = 1,
    [PAIRING_MESSAGE_REFUSE] = 2,
};

static int take_fixed(struct bytes *input, uint8_t *ret_data, size_t size)
{
	struct bytes value;

	if (cursor_bin(input, &value) < 0 || value.size != size)
		return -EBADMSG;
	memcpy(ret_data, value.data, size);
	return 0;
}

static int take_name(struct bytes *input, char ret_name[TRANSCRIPT_NAME_MAX + 1])
{
	struct bytes name;

	if (cursor_text(input, &name) < 0 || name.size < 1 || name.size > TRANSCRIPT_NAME_MAX ||
	    !cursor_is_utf8(name))
		return -EBADMSG;
	memcpy(ret_name, name.data, name.size);
	ret_name[name.size] = '\0';
	return 0;
}

/* The version comes first, because another one may have other fields. */
static int take_introduction(struct bytes *input, uint32_t n, struct pairing_message *message)
{
	uint64_t version;

	if (n < 2 || cursor_uint(input, &version) < 0)
		return -EBADMSG;
	if (version != PAIRING_MESSAGE_VERSION)
		return -EPROTONOSUPPORT;
	if (n != n_elements[message->kind] || take_name(input, message->name) < 0 ||
	    cursor_uint(input, &message->capabilities) < 0)
		return -EBADMSG;
	if (message->kind == PAIRING_MESSAGE_COMMIT)
		return take_fixed(input, message->commitment, sizeof(message->commitment));
	return 0;
}

static int take_share(struct bytes *input, struct transcript_share *share)
{
	if (take_fixed(input, share->point, sizeof(share->point)) < 0)
		return -EBADMSG;
	return take_fixed(input, share->nonce, sizeof(share->nonce));
}

static int take_reason(struct bytes *input, uint32_t *ret_reason)
{
	uint64_t reason;

	if (cursor_uint(input, &reason) < 0 || reason > UINT32_MAX)
		return -EBADMSG;
	*ret_reason = (uint32_t)reason;
	return 0;
}

static int take_fields(struct bytes *input, uint32_t n, struct pairing_message *message)
{
	if (message->kind <= PAIRING_MESSAGE_COMMIT)
		return take_introduction(input, n, message);
	if (n != n_elements[message->kind])
		return -EBADMSG;
	switch (message->kind) {
	case PAIRING_MESSAGE_KEY:
	case PAIRING_MESSAGE_OPEN:
		return take_share(input, &message->share);
	case PAIRING_MESSAGE_CONFIRM:
		return take_fixed(input, message->confirmation, sizeof(message->confirmation));
	case PAIRING_MESSAGE_REFUSE:
		return take_reason(input, &message->reason);
	default:
		return 0;
	}
}

int pairing_message_decode(const void *data, size_t size, struct pairing_message *ret_message)
{
	struct pairing_message message = {0};
	struct bytes input = {data, size};
	uint64_t kind;
	uint32_t n;

	if (cursor_array(&input, &n) < 0 || cursor_uint(&input, &kind) < 0 ||
	    kind > PAIRING_MESSAGE_REFUSE)
		return -EBADMSG;
	message.kind = (enum pairing_message_kind)kind;
	int r = take_fields(&input, n, &message);
	if (r < 0)
		return r;
	if (input.size > 0)
		return -EBADMSG;
	*ret_message = message;
	return 0;
}

static uint8_t *put_uint(uint8_t *at, uint64_t number)
{
	if (number < 0x80) {
		*at++ = (uint8_t)number;
		return at;
	}
	*at++ = 0xcf; /* uint 64 */
	for (int shift = 56; shift >= 0; shift -= 8)
		*at++ = (uint8_t)(number >> shift);
	return at;
}

static uint8_t *put_blob(uint8_t *at, uint8_t format, const void *data, size_t size)
{
	assert(size <= UINT8_MAX);
	*at++ = format;
	*at++ = (uint8_t)size;
	memcpy(at, data, size);
	return at + size;
}

static uint8_t *put_bin(uint8_t *at, const void *data, size_t size)
{
	return put_blob(at, 0xc4, data, size); /* bin 8 */
}

size_t pairing_message_encode(const struct pairing_message *message,
			      uint8_t ret_data[PAIRING_MESSAGE_MAX])
{
	uint8_t *at = ret_data;

	*at++ = 0x90 | n_elements[message->kind]; /* fixarray */
	*at++ = (uint8_t)message->kind;
	switch (message->kind) {
	case PAIRING_MESSAGE_HELLO:
	case PAIRING_MESSAGE_COMMIT:
		at = put_uint(at, PAIRING_MESSAGE_VERSION);
		at = put_blob(at, 0xd9, message->name, strlen(message->name)); /* str 8 */
		at = put_uint(at, message->capabilities);
		if (message->kind == PAIRING_MESSAGE_COMMIT)
			at = put_bin(at, message->commitment, sizeof(message->commitment));
		break;
	case PAIRING_MESSAGE_KEY:
	case PAIRING_MESSAGE_OPEN:
		at = put_bin(at, message->share.point, sizeof(message->share.point));
		at = put_bin(at, message->share.nonce, sizeof(message->share.nonce));
		break;
	case PAIRING_MESSAGE_CONFIRM:
		at = put_bin(at, message->confirmation, sizeof(message->confirmation));
		break;
	case PAIRING_MESSAGE_REFUSE:
		at = put_uint(at, message->reason);
		break;
	case PAIRING_MESSAGE_STORED:
		break;
	}
	assert(at - ret_data <= PAIRING_MESSAGE_MAX);
	return (size_t)(at - ret_data);
}
