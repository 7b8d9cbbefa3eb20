/*
 * Frames: what is sent over a link. A u32 big-endian length, then one msgpack array:
 *
 *     request   [0, id, op, lowest, caller, args]     caller: nil, or [uid, gid, [group, …]]
 *     reply     [1, id, status, result]               result: nil unless status is 0
 *     event     [2, op, args]
 *     data      [3, stream, bin]                      at most 128 KiB
 *     credit    [4, stream, bytes]
 *     cancel    [5, id]
 *     ping      [6, token]
 *     pong      [7, token]
 *     end       [8, stream, status]                   the last of a stream's frames
 *
 * `lowest` is the lowest request id that the sender still awaits: replies kept for lower ones are
 * freed. A stream belongs to a request: stream = id * 8 + channel * 2 + (1 if the sender of this
 * very frame is the one that made the request). Unknown elements at the end are skipped.
 */
#ifndef PROTO_FRAME_H
#define PROTO_FRAME_H

#include "proto/codec.h"

#define FRAME_MAX             (192 * 1024) /* bytes, without the length itself */
#define FRAME_MAX_UNPROVED    (8 * 1024)   /* from a peer that is not authenticated */
#define FRAME_LENGTH_SIZE     4
#define FRAME_GROUPS_MAX      64
#define FRAME_STREAM_DATA_MAX (128 * 1024)
#define FRAME_CHANNELS        4

enum frame_kind {
	FRAME_REQUEST = 0,
	FRAME_REPLY = 1,
	FRAME_EVENT = 2,
	FRAME_DATA = 3,
	FRAME_CREDIT = 4,
	FRAME_CANCEL = 5,
	FRAME_PING = 6,
	FRAME_PONG = 7,
	FRAME_END = 8,
};

/* On whose behalf a request is made (fs:ids). */
struct caller {
	uint32_t uid;
	uint32_t gid;
	uint32_t n_groups;
	uint32_t groups[FRAME_GROUPS_MAX];
};

struct frame {
	enum frame_kind kind;
	uint64_t id;     /* request, reply, cancel; the stream's number; ping's token */
	uint64_t op;     /* request, event */
	uint64_t lowest; /* request */
	uint64_t status; /* reply, end: a number of errors.h; credit: bytes */
	bool has_caller;
	struct caller caller;
	struct bytes body; /* request, event: args; reply: result; data: the bytes. In the input. */
};

/*
 * The length of the frame that `input` begins with. Returns 1 and the whole size (length field
 * included) in `ret_size` when all of it is there, 0 when more bytes are needed (ret_size is set
 * as soon as the length is there), -EMSGSIZE when it is longer than `max`, -EBADMSG when empty.
 */
int frame_measure(struct bytes input, size_t max, size_t *ret_size);

/* Decodes the array of one frame (without its length). As codec_decode. */
int frame_decode(struct bytes input, struct frame *ret_frame, const char **ret_error);

/*
 * Appends a frame, length included, to `buffer`. `record` and `value` are the args of a request or
 * event or the result of a reply (NULL: none); ret_payload as for codec_encode: the frame's length
 * counts the payload. For FRAME_DATA the payload is `frame->body`. Returns as codec_encode.
 */
int frame_encode(const struct frame *frame, const struct record *record, const void *value,
		 struct buffer *buffer, struct bytes *ret_payload);

static inline uint64_t frame_stream(uint64_t request_id, unsigned channel, bool from_caller)
{
	return request_id * 8 + channel * 2 + (from_caller ? 1 : 0);
}

#endif
