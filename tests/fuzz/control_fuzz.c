/* What a program may write to the control socket: a stream of frames, given to a daemon that
 * answers some calls at once, some when they are cancelled and some never. */
#include <stdlib.h>

#include "daemon/control/control_connection.h"
#include "proto/frame.h"
#include "tests/fuzz/fuzz.h"

#define PARKED_MAX 4096

struct fake {
	struct control_connection connection;
	struct control_call *parked[PARKED_MAX]; /* NULL once answered */
	unsigned n_parked;
	struct control_call *streams[PARKED_MAX]; /* NULL once ended */
	unsigned n_streams;
};

/* What we send must be whole frames of the table. */
static void fake_send(void *arg, struct buffer *buffer)
{
	struct bytes input = {buffer->data, buffer->size};
	struct frame frame;
	size_t length;

	if (frame_measure(input, FRAME_MAX, &length) != 1 || length != buffer->size ||
	    frame_decode((struct bytes){input.data + FRAME_LENGTH_SIZE, length - FRAME_LENGTH_SIZE},
			 &frame, NULL) < 0)
		abort();
	buffer_deinit(buffer);
}

static void on_cancelled(void *arg)
{
	struct control_call **call = arg;

	control_fail(*call, -1, "cancelled");
	*call = NULL;
}

static void park(void *arg, struct control_call *call)
{
	struct fake *fake = arg;

	if (fake->n_parked == PARKED_MAX) {
		control_fail(call, -1, "%s", "");
		return;
	}
	fake->parked[fake->n_parked] = call;
	control_on_cancel(call, on_cancelled, &fake->parked[fake->n_parked]);
	fake->n_parked++;
}

static void on_pair(void *arg, struct control_call *call, const struct args_ctl_pair *args)
{
	struct args_ctl_pair_code code = {
	    .code = bytes_of_text("000000"), .name = args->name, .address = args->address};

	control_event(call, OP_CTL_PAIR_CODE, &code);
	park(arg, call);
}

static void on_show(void *arg, struct control_call *call, const struct args_ctl_peer_show *args)
{
	control_reply(call, &(struct result_ctl_peer_show){.peer = {.name = args->name}});
}

static void on_rename(void *arg, struct control_call *call, const struct args_ctl_peer_rename *args)
{
	control_fail(call, -2, "no peer is called '%.*s'", (int)args->name.size,
		     (const char *)args->name.data);
}

static void on_stream_cancelled(void *arg)
{
	struct control_call **call = arg;

	control_stream_end(*call, -4);
	*call = NULL;
}

static void on_credit(void *arg, unsigned channel, size_t bytes)
{
	struct control_call **call = arg;

	if (channel > 3 || bytes > OPS_CTL_WINDOW || control_stream_room(*call) > OPS_CTL_WINDOW)
		abort();
}

/* A stream of what the caller sent. */
static void on_call(void *arg, struct control_call *call, const struct args_ctl_call *args)
{
	struct fake *fake = arg;
	struct control_call **slot = &fake->streams[fake->n_streams];
	struct bytes data = args->args;

	if (fake->n_streams == PARKED_MAX) {
		control_fail(call, -1, "%s", "");
		return;
	}
	fake->n_streams++;
	*slot = call;
	control_on_cancel(call, on_stream_cancelled, slot);
	if (control_stream_begin(call, &(struct result_ctl_call){.result = data}, on_credit, slot) <
	    0)
		abort();
	if (data.size > FRAME_STREAM_DATA_MAX)
		data.size = FRAME_STREAM_DATA_MAX;
	if (control_stream_write(call, args->op % 4, data) < 0)
		abort();
}

static const struct control_actions actions = {
    .ctl_call = on_call,
    .ctl_pair = on_pair,
    .ctl_peer_show = on_show,
    .ctl_peer_rename = on_rename,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes input = {data, size};
	struct fake *fake = calloc(1, sizeof(*fake));
	const char *error;
	size_t length;

	if (!fake)
		abort();
	fake->connection = (struct control_connection){
	    .number = 1, .actions = &actions, .actions_arg = fake, .send = fake_send, .arg = fake};
	while (frame_measure(input, FRAME_MAX, &length) == 1) {
		struct bytes frame = {input.data + FRAME_LENGTH_SIZE, length - FRAME_LENGTH_SIZE};

		if (control_connection_frame(&fake->connection, frame, &error) < 0)
			break;
		input.data += length;
		input.size -= length;
	}
	/* Some are answered before the caller goes, the others by the cancel. */
	for (unsigned i = 0; i < fake->n_parked; i += 2)
		if (fake->parked[i])
			control_reply(fake->parked[i], &(struct result_ctl_pair){0});
	control_connection_end(&fake->connection);
	free(fake);
	return 0;
}
