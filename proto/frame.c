#include "proto/frame.h"

#include <errno.h>
#include <msgpack/pack.h>
#include <string.h>

#include "proto/cursor.h"

int frame_measure(struct bytes input, size_t max, size_t *ret_size)
{
	size_t length;

	if (input.size < FRAME_LENGTH_SIZE) {
		*ret_size = FRAME_LENGTH_SIZE;
		return 0;
	}
	length = (size_t)input.data[0] << 24 | (size_t)input.data[1] << 16 |
		 (size_t)input.data[2] << 8 | input.data[3];
	if (length == 0)
		return -EBADMSG;
	if (length > max)
		return -EMSGSIZE;
	*ret_size = FRAME_LENGTH_SIZE + length;
	return input.size >= *ret_size;
}

static int decode_caller(struct bytes *input, struct frame *frame)
{
	struct caller *caller = &frame->caller;
	uint64_t uid, gid;
	uint32_t n;

	if (cursor_nil(input) == 0)
		return 0;
	if (cursor_array(input, &n) < 0 || n != 3 || cursor_uint(input, &uid) < 0 ||
	    cursor_uint(input, &gid) < 0 || cursor_array(input, &n) < 0 || n > FRAME_GROUPS_MAX ||
	    uid >= UINT32_MAX || gid >= UINT32_MAX)
		return -EBADMSG; /* (uint32_t)-1 means "leave as it is" to the kernel */
	caller->uid = (uint32_t)uid;
	caller->gid = (uint32_t)gid;
	caller->n_groups = n;
	for (uint32_t i = 0; i < n; i++) {
		if (cursor_uint(input, &gid) < 0 || gid >= UINT32_MAX)
			return -EBADMSG;
		caller->groups[i] = (uint32_t)gid;
	}
	frame->has_caller = true;
	return 0;
}

/* Elements that each kind has at least, the kind itself included. */
static const uint8_t n_elements[] = {
    [FRAME_REQUEST] = 6, [FRAME_REPLY] = 4, [FRAME_EVENT] = 3, [FRAME_DATA] = 3, [FRAME_CREDIT] = 3,
    [FRAME_CANCEL] = 2,  [FRAME_PING] = 2,  [FRAME_PONG] = 2,  [FRAME_END] = 3,
};

static int decode_elements(struct bytes *at, struct frame *frame)
{
	switch (frame->kind) {
	case FRAME_REQUEST:
		if (cursor_uint(at, &frame->id) < 0 || cursor_uint(at, &frame->op) < 0 ||
		    cursor_uint(at, &frame->lowest) < 0 || decode_caller(at, frame) < 0)
			return -EBADMSG;
		return cursor_skip(at, &frame->body);
	case FRAME_REPLY:
		if (cursor_uint(at, &frame->id) < 0 || cursor_uint(at, &frame->status) < 0)
			return -EBADMSG;
		return cursor_skip(at, &frame->body);
	case FRAME_EVENT:
		if (cursor_uint(at, &frame->op) < 0)
			return -EBADMSG;
		return cursor_skip(at, &frame->body);
	case FRAME_DATA:
		if (cursor_uint(at, &frame->id) < 0 || cursor_bin(at, &frame->body) < 0)
			return -EBADMSG;
		return frame->body.size > FRAME_STREAM_DATA_MAX ? -EBADMSG : 0;
	case FRAME_CREDIT:
	case FRAME_END:
		if (cursor_uint(at, &frame->id) < 0)
			return -EBADMSG;
		return cursor_uint(at, &frame->status);
	case FRAME_CANCEL:
	case FRAME_PING:
	case FRAME_PONG:
		return cursor_uint(at, &frame->id);
	}
	return -EBADMSG;
}

int frame_decode(struct bytes input, struct frame *ret_frame, const char **ret_error)
{
	struct frame frame = {0};
	const char *error = NULL;
	struct bytes at = input;
	uint64_t kind;
	uint32_t n;

	if (cursor_array(&at, &n) < 0 || n < 1 || cursor_uint(&at, &kind) < 0) {
		error = "not an array that begins with a kind";
	} else if (kind >= sizeof(n_elements) || n < n_elements[kind]) {
		error = "unknown kind or too few elements";
	} else {
		frame.kind = (enum frame_kind)kind;
		if (decode_elements(&at, &frame) < 0)
			error = "malformed element";
		for (uint32_t i = n_elements[kind]; i < n && !error; i++)
			if (cursor_skip(&at, NULL) < 0)
				error = "malformed trailing element";
		if (!error && at.size > 0)
			error = "bytes after the array";
	}
	if (error) {
		if (ret_error)
			*ret_error = error;
		return -EBADMSG;
	}
	*ret_frame = frame;
	return 0;
}

static int buffer_write(void *buffer, const char *data, size_t size)
{
	return buffer_append(buffer, data, size);
}

static int encode_caller(const struct frame *frame, msgpack_packer *packer)
{
	int r;

	if (!frame->has_caller)
		return msgpack_pack_nil(packer);
	r = msgpack_pack_array(packer, 3);
	r = r < 0 ? r : msgpack_pack_uint32(packer, frame->caller.uid);
	r = r < 0 ? r : msgpack_pack_uint32(packer, frame->caller.gid);
	r = r < 0 ? r : msgpack_pack_array(packer, frame->caller.n_groups);
	for (uint32_t i = 0; i < frame->caller.n_groups && r >= 0; i++)
		r = msgpack_pack_uint32(packer, frame->caller.groups[i]);
	return r;
}

/* All but the record or the payload at the end. */
static int encode_head(const struct frame *frame, msgpack_packer *packer)
{
	int r = msgpack_pack_array(packer, n_elements[frame->kind]);

	r = r < 0 ? r : msgpack_pack_uint8(packer, frame->kind);
	if (frame->kind != FRAME_EVENT)
		r = r < 0 ? r : msgpack_pack_uint64(packer, frame->id);
	if (frame->kind == FRAME_REQUEST || frame->kind == FRAME_EVENT)
		r = r < 0 ? r : msgpack_pack_uint64(packer, frame->op);
	if (frame->kind == FRAME_REQUEST) {
		r = r < 0 ? r : msgpack_pack_uint64(packer, frame->lowest);
		r = r < 0 ? r : encode_caller(frame, packer);
	}
	if (frame->kind == FRAME_REPLY || frame->kind == FRAME_CREDIT || frame->kind == FRAME_END)
		r = r < 0 ? r : msgpack_pack_uint64(packer, frame->status);
	return r;
}

static int encode_body(const struct frame *frame, const struct record *record, const void *value,
		       struct buffer *buffer, msgpack_packer *packer, struct bytes *ret_payload)
{
	switch (frame->kind) {
	case FRAME_REQUEST:
	case FRAME_EVENT:
	case FRAME_REPLY:
		if (!record)
			return msgpack_pack_nil(packer);
		return codec_encode(record, value, buffer, ret_payload);
	case FRAME_DATA:
		if (frame->body.size > FRAME_STREAM_DATA_MAX)
			return -EINVAL;
		if (msgpack_pack_bin(packer, frame->body.size) < 0)
			return -ENOMEM;
		if (!ret_payload)
			return buffer_append(buffer, frame->body.data, frame->body.size);
		*ret_payload = frame->body;
		return 0;
	default:
		return 0;
	}
}

int frame_encode(const struct frame *frame, const struct record *record, const void *value,
		 struct buffer *buffer, struct bytes *ret_payload)
{
	static const uint8_t length_placeholder[FRAME_LENGTH_SIZE];
	size_t start = buffer->size;
	struct bytes payload = {0};
	msgpack_packer packer;
	size_t length;
	int r;

	r = buffer_append(buffer, length_placeholder, sizeof(length_placeholder));
	if (r < 0)
		return r;
	msgpack_packer_init(&packer, buffer, buffer_write);
	r = encode_head(frame, &packer);
	if (r >= 0)
		r = encode_body(frame, record, value, buffer, &packer,
				ret_payload ? &payload : NULL);
	length = buffer->size - start - FRAME_LENGTH_SIZE + payload.size;
	if (r >= 0 && length > FRAME_MAX)
		r = -EMSGSIZE;
	if (r < 0) {
		buffer->size = start;
		return r;
	}
	for (unsigned i = 0; i < FRAME_LENGTH_SIZE; i++)
		buffer->data[start + i] = (uint8_t)(length >> (8 * (3 - i)));
	if (ret_payload)
		*ret_payload = payload;
	return 0;
}
