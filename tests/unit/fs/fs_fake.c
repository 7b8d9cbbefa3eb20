#include "fs_fake.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/peer_call_args.h"
#include "fs_fake_files.h"
#include "fs_fake_jobs.h"
#include "fs_fake_kv.h"
#include "fs_fake_messages.h"
#include "fs_fake_names.h"
#include "fs_fake_tree.h"

struct transport_call {
	struct fs_fake *fake;
	uint16_t op;
	void *args;
	const struct transport_handler *handler;
	void *arg;
	struct transport_call *next;
	bool is_gone, is_cancelled;
	/* READDIR's stream */
	bool is_streaming;
	struct fs_fake_object *dir;
	size_t at;
	uint64_t n_entries; /* sent with their attributes */
	uint64_t under_way;
	struct fs_fake_job_call job;
	size_t kv_at; /* of KV_WATCH */
};

/* --- listings --------------------------------------------------------------------------------- */

static int append_name(const struct fs_fake_name *name, uint64_t at, struct buffer *buffer)
{
	struct dir_name bare = {
	    .name = {(const uint8_t *)name->name, strlen(name->name)},
	    .ino = name->object->ino,
	    .mode = name->object->mode & S_IFMT,
	    .at = at,
	};

	return codec_encode(&dir_name_record, &bare, buffer, NULL);
}

static int append_entry(struct fs_fake *fake, const struct fs_fake_name *name,
			struct buffer *buffer)
{
	struct dir_entry entry = {
	    .name = {(const uint8_t *)name->name, strlen(name->name)},
	    .entry = fs_fake_give_out(fake, name->object),
	};

	return codec_encode(&dir_entry_record, &entry, buffer, NULL);
}

/* One batch of a directory's entries, from call->at; a name stands where its number says. */
static struct buffer batch_of(struct transport_call *call, unsigned *ret_channel)
{
	const struct args_readdir *args = call->args;
	bool is_bare = args->n_entries && call->n_entries >= args->n_entries;
	struct buffer buffer = {0};

	*ret_channel = is_bare ? READDIR_NAMES : READDIR_ENTRIES;
	while (call->at < call->dir->n_names && buffer.size < call->fake->batch) {
		const struct fs_fake_name *name = &call->dir->names[call->at++];
		int error = is_bare ? append_name(name, call->at, &buffer)
				    : append_entry(call->fake, name, &buffer);

		assert(!error);
		call->n_entries += !is_bare;
	}
	return buffer;
}

static void begin_listing(struct transport_call *call, struct fs_fake_object *node,
			  struct result_readdir *result, struct buffer *ret_entries)
{
	const struct args_readdir *args = call->args;
	unsigned channel;

	call->dir = node;
	if (args->from)
		call->at = args->from - 1;
	*ret_entries = batch_of(call, &channel);
	result->attr = fs_fake_attr(node);
	result->entries = (struct bytes){ret_entries->data, ret_entries->size};
	result->more = call->at < node->n_names;
}

/* --- the transport ---------------------------------------------------------------------------- */

static int fake_call(struct transport *transport, uint16_t op, const void *args,
		     const struct caller *caller, const struct transport_handler *handler,
		     void *arg, void (*payload_done)(void *arg), struct transport_call **ret_call)
{
	struct fs_fake *fake = (struct fs_fake *)transport;
	struct transport_call *call;

	if (fake->is_down)
		return -EHOSTDOWN;
	call = calloc(1, sizeof(*call));
	call->fake = fake;
	call->op = op;
	call->args = peer_call_args_copy(op, args, false);
	call->handler = handler;
	call->arg = arg;
	*fake->calls_end = call;
	fake->calls_end = &call->next;
	fake->n_asked[op]++;
	if (caller) {
		fake->caller = *caller;
		fake->n_callers++;
	}
	*ret_call = call;
	if (payload_done)
		payload_done(arg);
	return 0;
}

static void fake_cancel(struct transport_call *call)
{
	call->is_cancelled = true;
	call->fake->n_cancelled++;
}

static void fake_abandon(struct transport_call *call)
{
	call->is_gone = true;
}

static int fake_event(struct transport *transport, uint16_t op, const void *args)
{
	struct fs_fake *fake = (struct fs_fake *)transport;
	struct list list = ((const struct args_forget *)args)->nodes;
	struct forgotten forgotten;

	assert(op == OP_FORGET);
	fake->n_forget_events++;
	while (list.n) {
		struct fs_fake_object *object;
		int error = codec_list_next(&list, &forgotten_record, &forgotten, NULL);

		assert(!error);
		object = fs_fake_object_of(fake, forgotten.node);
		if (fake->has_lied && (!object || object->count < forgotten.count))
			continue;
		assert(object && object->count >= forgotten.count);
		object->count -= forgotten.count;
	}
	return 0;
}

static void fake_consumed(struct transport_call *call, unsigned channel, size_t bytes)
{
	assert(call->under_way >= bytes);
	call->under_way -= bytes;
}

static enum transport_state fake_state(struct transport *transport)
{
	return ((struct fs_fake *)transport)->is_down ? TRANSPORT_DOWN : TRANSPORT_UP;
}

static void fake_measure(struct transport *transport, uint64_t *ret_rtt_us, uint64_t *ret_rate)
{
	*ret_rtt_us = ((struct fs_fake *)transport)->rtt_us;
	*ret_rate = 0;
}

static void fake_listen(struct transport *transport, const struct transport_listener *listener,
			void *arg)
{
	struct fs_fake *fake = (struct fs_fake *)transport;

	fake->listener = listener;
	fake->listener_arg = arg;
}

/* Here nothing waits. */
static void fake_hurry(struct transport *transport)
{
}

static const struct transport_ops ops = {
    .call = fake_call,
    .cancel = fake_cancel,
    .abandon = fake_abandon,
    .event = fake_event,
    .hurry = fake_hurry,
    .consumed = fake_consumed,
    .frame_ref = fs_fake_frame_ref,
    .frame_unref = fs_fake_frame_unref,
    .state = fake_state,
    .measure = fake_measure,
    .listen = fake_listen,
};

static void free_call(struct transport_call *call)
{
	free(call->args);
	free(call);
}

static bool is_of_jobs(const struct transport_call *call)
{
	return call->op >= OP_JOB_START && call->op <= OP_JOB_EVENTS;
}

static bool is_of_messages(const struct transport_call *call)
{
	return fs_fake_message_is_op(call->op) ||
	       (call->op == OP_KV_WATCH && call->fake->counts_values);
}

static bool is_of_kv(const struct transport_call *call)
{
	return call->op >= OP_KV_GET && call->op <= OP_KV_WATCH && !is_of_messages(call);
}

/* Of what is no file: a job, a value, a message. */
static bool is_of_rooms(const struct transport_call *call)
{
	return is_of_jobs(call) || is_of_kv(call) || is_of_messages(call);
}

static int answer_room(struct transport_call *call, union fs_fake_result *result,
		       struct buffer *scratch)
{
	if (is_of_kv(call))
		return fs_fake_kv_answer(call->fake, call->op, call->args, result, &call->kv_at,
					 scratch);
	if (is_of_messages(call))
		return fs_fake_message_answer(call->fake, call->op, call->args, result, &call->job,
					      scratch);
	return fs_fake_job_answer(call->fake, call->op, call->args, result, &call->job, scratch);
}

/* The same for a call about one of these. */
static bool answer_room_call(struct transport_call *call, unsigned *n)
{
	struct fs_fake *fake = call->fake;
	union fs_fake_result result = {0};
	struct transport_reply reply = {0};
	struct buffer scratch = {0};

	reply.error = call->is_cancelled && !fake->ignores_cancel ? -EINTR : fake->error[call->op];
	if (!reply.error)
		reply.error = answer_room(call, &result, &scratch);
	if (fake->lie)
		fake->lie(fake, call->op, &reply, &result);
	if (reply.error == -EINPROGRESS)
		return true;
	reply.result = reply.error ? NULL : &result;
	call->is_streaming = reply.more =
	    !reply.error && (call->job.is_stream || call->op == OP_KV_WATCH);
	fake->n_streams += reply.more;
	call->handler->reply(call->arg, &reply);
	buffer_deinit(&scratch);
	++*n;
	return call->is_streaming;
}

static void end_room_stream(struct transport_call *call, int error)
{
	call->fake->n_streams--;
	if (!call->is_gone)
		call->handler->end(call->arg, 0, error);
}

static bool stream_room_on(struct transport_call *call, unsigned *n)
{
	struct fs_fake *fake = call->fake;
	unsigned channel = 0;
	int more = 1;

	while (!call->is_gone && more > 0) {
		struct buffer data = {0};
		size_t room = fake->credit - call->under_way;

		if (is_of_kv(call))
			more = fs_fake_kv_next(fake, &call->kv_at, &data);
		else if (is_of_messages(call))
			more = fs_fake_message_next(fake, call->op, &call->job, &data);
		else
			more = fs_fake_job_next(fake, &call->job,
						room < fake->batch ? room : fake->batch, &channel,
						&data);
		if (more > 0) {
			call->under_way += data.size;
			if (call->under_way > fake->most_streamed)
				fake->most_streamed = call->under_way;
			call->handler->data(call->arg, channel,
					    (struct bytes){data.data, data.size});
			++*n;
		}
		buffer_deinit(&data);
	}
	if (!call->is_gone && more < 0) {
		int error = fake->stream_error;

		fake->stream_error = 0;
		end_room_stream(call, error);
		++*n;
		return false;
	}
	return true;
}

/* Answers one call. True if it lives on, as a stream. */
static bool answer_call(struct transport_call *call)
{
	struct fs_fake *fake = call->fake;
	struct fs_fake_object *node = fs_fake_object_of(fake, *(uint64_t *)call->args);
	struct transport_reply reply = {0};
	struct buffer entries = {0};
	union fs_fake_result result = {0};

	reply.error = call->is_cancelled && !fake->ignores_cancel ? -EINTR : fake->error[call->op];
	if (!reply.error && !node)
		reply.error = -ESTALE;
	if (!reply.error && call->op == OP_READDIR) {
		begin_listing(call, node, &result.readdir, &entries);
		reply.more = result.readdir.more;
	} else if (!reply.error && fs_fake_names_is_op(call->op)) {
		reply.error = fs_fake_names_answer(fake, node, call->op, call->args, &result);
	} else if (!reply.error) {
		reply.error =
		    fs_fake_file_answer(fake, node, call->op, call->args, &result, &reply.frame);
	}
	if (fake->lie) {
		fake->has_lied = true;
		fake->lie(fake, call->op, &reply, &result);
	}
	reply.result = reply.error ? NULL : &result;
	call->is_streaming = reply.more;
	call->handler->reply(call->arg, &reply);
	if (reply.frame)
		fs_fake_frame_unref(reply.frame);
	buffer_deinit(&entries);
	return call->is_streaming;
}

/* Sends as much of a stream as there is credit for. True if there is more to come. */
static bool stream_on(struct transport_call *call, unsigned *n)
{
	while (!call->is_gone && call->at < call->dir->n_names &&
	       call->under_way < call->fake->credit) {
		unsigned channel;
		struct buffer entries = batch_of(call, &channel);

		call->under_way += entries.size;
		if (call->under_way > call->fake->most_streamed)
			call->fake->most_streamed = call->under_way;
		call->handler->data(call->arg, channel, (struct bytes){entries.data, entries.size});
		buffer_deinit(&entries);
		++*n;
	}
	if (call->is_gone)
		return false;
	if (call->at < call->dir->n_names)
		return true;
	call->handler->end(call->arg, 0, 0);
	++*n;
	return false;
}

/* These two take a call as far as it goes, and count what was told. True if it lives on. */

static bool move_room_call(struct transport_call *call, unsigned *n)
{
	if (call->is_gone && call->is_streaming) {
		if (is_of_jobs(call))
			fs_fake_job_gone(&call->job);
		call->fake->n_streams--;
		return false;
	}
	if (call->is_gone)
		return false;
	return call->is_streaming ? stream_room_on(call, n) : answer_room_call(call, n);
}

static bool move_call(struct transport_call *call, unsigned *n)
{
	if (call->is_gone)
		return false;
	if (call->is_streaming)
		return stream_on(call, n);
	/* A lock that somebody else has is waited for. */
	if (fs_fake_file_waits(call->fake, call->op, call->args) &&
	    !(call->is_cancelled && !call->fake->ignores_cancel))
		return true;
	++*n;
	return answer_call(call);
}

unsigned fs_fake_pump(struct fs_fake *fake)
{
	struct transport_call *calls = fake->calls, *next;
	unsigned n = 0;

	if (fake->is_held)
		return 0;
	if (!fake->session) {
		fake->session = 1;
		if (fake->listener)
			fake->listener->session_new(fake->listener_arg, fake->uid, fake->uid);
		calls = fake->calls;
	}
	fake->calls = NULL;
	fake->calls_end = &fake->calls;
	for (; calls; calls = next) {
		bool lives;

		next = calls->next;
		calls->next = NULL;
		lives = is_of_rooms(calls) ? move_room_call(calls, &n) : move_call(calls, &n);
		if (lives) {
			*fake->calls_end = calls;
			fake->calls_end = &calls->next;
		} else {
			free_call(calls);
		}
	}
	return n;
}

void fs_fake_link_lost(struct fs_fake *fake)
{
	struct transport_call **at = &fake->calls, *call;

	while ((call = *at)) {
		if (!is_of_rooms(call) || !call->is_streaming || call->is_gone) {
			at = &call->next;
			continue;
		}
		*at = call->next;
		if (!call->next)
			fake->calls_end = at;
		end_room_stream(call, -ENOTCONN); /* may make others, at the end */
		free_call(call);
		at = &fake->calls;
	}
}

void fs_fake_session_new(struct fs_fake *fake)
{
	struct transport_call *calls = fake->calls, *next;

	fake->calls = NULL;
	fake->calls_end = &fake->calls;
	fake->session++;
	fs_fake_numbers_void(fake);
	fs_fake_files_lost(fake);
	fake->listener->session_new(fake->listener_arg, fake->uid, fake->uid);
	for (; calls; calls = next) {
		next = calls->next;
		fake->n_streams -= is_of_rooms(calls) && calls->is_streaming;
		if (!calls->is_gone && calls->is_streaming)
			calls->handler->end(calls->arg, 0, -ENOTCONN);
		else if (!calls->is_gone)
			calls->handler->reply(calls->arg,
					      &(struct transport_reply){.error = -ENOTCONN});
		free_call(calls);
	}
}

void fs_fake_reverse(struct fs_fake *fake)
{
	struct transport_call *calls = fake->calls;

	fake->calls = NULL;
	fake->calls_end = &fake->calls;
	while (calls) {
		struct transport_call *next = calls->next;

		calls->next = fake->calls;
		if (!fake->calls)
			fake->calls_end = &calls->next;
		fake->calls = calls;
		calls = next;
	}
}

struct fs_fake *fs_fake_new(void)
{
	struct fs_fake *fake = calloc(1, sizeof(*fake));

	fake->transport.ops = &ops;
	fake->calls_end = &fake->calls;
	fake->last_number = OPS_ROOT_NODE;
	fake->uid = 4000;
	fake->batch = 4096;
	fake->page = 2;
	fake->part = OPS_IO_MAX;
	fake->credit = 256 * 1024;
	fake->root = fs_fake_object_new(fake, S_IFDIR | 0755);
	return fake;
}

void fs_fake_free(struct fs_fake *fake)
{
	fs_fake_jobs_free(fake);
	fs_fake_kv_free(fake);
	fs_fake_messages_free(fake);
	while (fake->calls) {
		struct transport_call *call = fake->calls;

		fake->calls = call->next;
		assert(call->is_gone);
		free_call(call);
	}
	fs_fake_files_lost(fake);
	fs_fake_tree_free(fake);
	assert(!fake->n_frames);
	buffer_deinit(&fake->exports);
	free(fake);
}
