#include "fs_fake.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "fs/peer_call_args.h"
#include "fs_fake_files.h"
#include "fs_fake_jobs.h"
#include "fs_fake_kv.h"
#include "fs_fake_messages.h"

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

/* --- the tree --------------------------------------------------------------------------------- */

static struct fs_fake_object *new_object(struct fs_fake *fake, mode_t mode)
{
	struct fs_fake_object *object = calloc(1, sizeof(*object));

	object->ino = ++fake->last_ino;
	object->mode = mode;
	object->uid = object->gid = 4000;
	object->mtime.tv_sec = object->ctime.tv_sec = 1000000000;
	object->next = fake->objects;
	fake->objects = object;
	return object;
}

static void add_name(struct fs_fake_object *parent, const char *name, struct fs_fake_object *object)
{
	if ((parent->n_names & (parent->n_names - 1)) == 0)
		parent->names = realloc(parent->names, (parent->n_names ? 2 * parent->n_names : 1) *
							   sizeof(*parent->names));
	parent->names[parent->n_names++] =
	    (struct fs_fake_name){.name = strdup(name), .object = object};
	object->nlink++;
}

struct fs_fake_object *fs_fake_add(struct fs_fake *fake, struct fs_fake_object *parent,
				   const char *name, mode_t mode)
{
	struct fs_fake_object *object = new_object(fake, mode);

	add_name(parent, name, object);
	return object;
}

void fs_fake_link(struct fs_fake_object *parent, const char *name, struct fs_fake_object *object)
{
	add_name(parent, name, object);
}

static struct fs_fake_name *find_name(struct fs_fake_object *parent, struct bytes name)
{
	for (size_t i = 0; i < parent->n_names; i++)
		if (strlen(parent->names[i].name) == name.size &&
		    memcmp(parent->names[i].name, name.data, name.size) == 0)
			return &parent->names[i];
	return NULL;
}

struct fs_fake_object *fs_fake_find(struct fs_fake_object *parent, const char *name)
{
	struct fs_fake_name *found =
	    find_name(parent, (struct bytes){(const uint8_t *)name, strlen(name)});

	return found ? found->object : NULL;
}

static void remove_name(struct fs_fake_object *parent, struct fs_fake_name *name)
{
	name->object->nlink--;
	free(name->name);
	*name = parent->names[--parent->n_names];
	/* The array grows when the count is a power of two: keep its size in step. */
	if (parent->n_names && (parent->n_names & (parent->n_names - 1)) == 0)
		parent->names = realloc(parent->names, parent->n_names * sizeof(*parent->names));
}

void fs_fake_remove(struct fs_fake_object *parent, const char *name)
{
	remove_name(parent, find_name(parent, (struct bytes){(const uint8_t *)name, strlen(name)}));
}

struct fs_fake_object *fs_fake_object_of(struct fs_fake *fake, uint64_t number)
{
	if (number == OPS_ROOT_NODE)
		return fake->root;
	if (number >= fake->n_numbers)
		return NULL;
	return fake->by_number[number] && fake->by_number[number]->count ? fake->by_number[number]
									 : NULL;
}

static void give_number(struct fs_fake *fake, struct fs_fake_object *object)
{
	object->number = ++fake->last_number;
	if (object->number >= fake->n_numbers) {
		size_t n = 2 * object->number;

		fake->by_number = realloc(fake->by_number, n * sizeof(object));
		memset(fake->by_number + fake->n_numbers, 0,
		       (n - fake->n_numbers) * sizeof(object));
		fake->n_numbers = n;
	}
	fake->by_number[object->number] = object;
}

/* --- answers ---------------------------------------------------------------------------------- */

struct attr fs_fake_attr(const struct fs_fake_object *object)
{
	return (struct attr){
	    .fs = 7,
	    .ino = object->ino,
	    .mode = object->mode,
	    .nlink = object->nlink,
	    .uid = object->uid,
	    .gid = object->gid,
	    .rdev = object->rdev,
	    .size = object->target ? strlen(object->target) : object->size,
	    .blksize = 4096,
	    .mtime = object->mtime,
	    .atime = object->mtime,
	    .ctime = object->ctime,
	    .plain = !object->has_xattr,
	    .settled = !object->is_fresh,
	};
}

static struct entry give_out(struct fs_fake *fake, struct fs_fake_object *object)
{
	struct entry entry = {.attr = fs_fake_attr(object)};

	if (!object->count)
		give_number(fake, object);
	object->count++;
	entry.node = object->number;
	if (object->target)
		entry.target =
		    (struct bytes){(const uint8_t *)object->target, strlen(object->target)};
	return entry;
}

static bool is_empty(const struct fs_fake_object *object)
{
	return !object->n_names;
}

static int make(struct fs_fake *fake, struct fs_fake_object *parent, struct bytes name, mode_t mode,
		struct fs_fake_object **ret_object)
{
	char text[OPS_NAME_MAX + 1];

	if (find_name(parent, name))
		return -EEXIST;
	memcpy(text, name.data, name.size);
	text[name.size] = '\0';
	*ret_object = fs_fake_add(fake, parent, text, mode);
	return 0;
}

static int do_rename(struct fs_fake *fake, struct fs_fake_object *parent,
		     const struct args_rename *args)
{
	struct fs_fake_object *new_parent = fs_fake_object_of(fake, args->new_parent);
	struct fs_fake_name *from = find_name(parent, args->name), *to;
	struct fs_fake_object *object;
	char text[OPS_NAME_MAX + 1];

	if (!new_parent)
		return -ESTALE;
	if (!from)
		return -ENOENT;
	to = find_name(new_parent, args->new_name);
	if (args->flags & 2) { /* RENAME_EXCHANGE */
		if (!to)
			return -ENOENT;
		object = to->object;
		to->object = from->object;
		from->object = object;
		return 0;
	}
	if (to && (args->flags & 1))
		return -EEXIST;
	object = from->object;
	if (to && to->object == object)
		return 0;
	if (to)
		remove_name(new_parent, to);
	remove_name(parent, find_name(parent, args->name));
	memcpy(text, args->new_name.data, args->new_name.size);
	text[args->new_name.size] = '\0';
	add_name(new_parent, text, object);
	return 0;
}

/* One batch of a directory's entries, from call->at; a name stands where its number says. */
static struct buffer batch_of(struct transport_call *call, unsigned *ret_channel)
{
	const struct args_readdir *args = call->args;
	struct buffer buffer = {0};

	*ret_channel =
	    args->n_entries && call->n_entries >= args->n_entries ? READDIR_NAMES : READDIR_ENTRIES;
	while (*ret_channel == READDIR_NAMES && call->at < call->dir->n_names &&
	       buffer.size < call->fake->batch) {
		struct fs_fake_name *name = &call->dir->names[call->at++];
		struct dir_name bare = {
		    .name = {(const uint8_t *)name->name, strlen(name->name)},
		    .ino = name->object->ino,
		    .mode = name->object->mode & S_IFMT,
		    .at = call->at,
		};
		int error = codec_encode(&dir_name_record, &bare, &buffer, NULL);

		assert(!error);
	}
	if (*ret_channel == READDIR_NAMES)
		return buffer;

	while (call->at < call->dir->n_names && buffer.size < call->fake->batch) {
		struct fs_fake_name *name = &call->dir->names[call->at++];
		struct dir_entry entry = {
		    .name = {(const uint8_t *)name->name, strlen(name->name)},
		    .entry = give_out(call->fake, name->object),
		};
		int error = codec_encode(&dir_entry_record, &entry, &buffer, NULL);

		assert(!error);
		call->n_entries++;
	}
	return buffer;
}

static int answer(struct transport_call *call, struct fs_fake_object *node,
		  union fs_fake_result *result, void **ret_frame)
{
	struct fs_fake *fake = call->fake;
	struct fs_fake_object *made = NULL;
	struct fs_fake_name *name;
	int error = 0;

	switch (call->op) {
	case OP_LOOKUP:
		name = find_name(node, ((struct args_lookup *)call->args)->name);
		if (!name)
			return -ENOENT;
		result->lookup.entry = give_out(fake, name->object);
		return 0;
	case OP_GETATTR:
		result->getattr.attr = fs_fake_attr(node);
		return 0;
	case OP_SETATTR: {
		const struct args_setattr *args = call->args;

		if (args->valid & SETATTR_MODE)
			node->mode = (node->mode & S_IFMT) | (mode_t)args->mode;
		if (args->valid & SETATTR_SIZE)
			node->size = args->size;
		if (args->valid & SETATTR_UID)
			node->uid = (uint32_t)args->uid;
		if (args->valid & SETATTR_MTIME)
			node->mtime = args->mtime;
		node->ctime.tv_sec++;
		result->getattr.attr = fs_fake_attr(node);
		return 0;
	}
	case OP_EXPORTS:
		if (!fake->root_path)
			return 0;
		fake->exports.size = 0;
		codec_list_append(&result->exports.exports, &fake->exports, &export_place_record,
				  &(struct export_place){.path = {(const uint8_t *)fake->root_path,
								  strlen(fake->root_path)}});
		codec_list_finish(&result->exports.exports, &fake->exports);
		return 0;
	case OP_READLINK:
		result->readlink.target =
		    (struct bytes){(const uint8_t *)node->target, strlen(node->target)};
		return 0;
	case OP_MKDIR: {
		const struct args_mkdir *args = call->args;

		error = make(fake, node, args->name, S_IFDIR | (mode_t)(args->mode & ~args->umask),
			     &made);
		break;
	}
	case OP_MKNOD: {
		const struct args_mknod *args = call->args;

		error = make(fake, node, args->name, (mode_t)(args->mode & ~args->umask), &made);
		break;
	}
	case OP_SYMLINK: {
		const struct args_symlink *args = call->args;

		error = make(fake, node, args->name, S_IFLNK | 0777, &made);
		if (!error)
			made->target = strndup((const char *)args->target.data, args->target.size);
		break;
	}
	case OP_LINK: {
		const struct args_link *args = call->args;
		struct fs_fake_object *parent = fs_fake_object_of(fake, args->parent);
		char text[OPS_NAME_MAX + 1];

		if (!parent)
			return -ESTALE;
		if (find_name(parent, args->name))
			return -EEXIST;
		memcpy(text, args->name.data, args->name.size);
		text[args->name.size] = '\0';
		add_name(parent, text, node);
		made = node;
		break;
	}
	case OP_UNLINK:
	case OP_RMDIR:
		name = find_name(node, ((struct args_unlink *)call->args)->name);
		if (!name)
			return -ENOENT;
		if (!is_empty(name->object))
			return -ENOTEMPTY;
		remove_name(node, name);
		return 0;
	case OP_RENAME:
		return do_rename(fake, node, call->args);
	case OP_STATFS:
		result->statfs = (struct result_statfs){.block_size = 4096,
							.fragment_size = 4096,
							.blocks = 1000,
							.blocks_free = 500,
							.blocks_available = 400,
							.name_max = 255};
		return 0;
	case OP_ACCESS:
	case OP_FSYNCDIR:
		return 0;
	case OP_GETXATTR:
		result->getxattr.value = (struct bytes){(const uint8_t *)"value", 5};
		return node->has_xattr ? 0 : -ENODATA;
	case OP_SETXATTR:
	case OP_REMOVEXATTR:
		node->has_xattr = call->op == OP_SETXATTR;
		return 0;
	case OP_CREATE: {
		const struct args_create *args = call->args;

		name = find_name(node, args->name);
		if (name && (args->flags & O_EXCL))
			return -EEXIST;
		if (name)
			made = name->object;
		else
			error = make(fake, node, args->name,
				     S_IFREG | (mode_t)(args->mode & ~args->umask), &made);
		if (error)
			return error;
		result->create.entry = give_out(fake, made);
		result->create.handle = fs_fake_file_open(fake, made, args->flags);
		return 0;
	}
	default:
		return fs_fake_file_answer(fake, node, call->op, call->args, result, ret_frame);
	}
	if (!error)
		result->lookup.entry = give_out(fake, made);
	return error;
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
	unsigned channel;

	reply.error = call->is_cancelled && !fake->ignores_cancel ? -EINTR : fake->error[call->op];
	if (!reply.error && !node)
		reply.error = -ESTALE;
	if (!reply.error && call->op == OP_READDIR) {
		call->dir = node;
		if (((const struct args_readdir *)call->args)->from)
			call->at = ((const struct args_readdir *)call->args)->from - 1;
		entries = batch_of(call, &channel);
		result.readdir.attr = fs_fake_attr(node);
		result.readdir.entries = (struct bytes){entries.data, entries.size};
		result.readdir.more = reply.more = call->at < node->n_names;
	} else if (!reply.error) {
		reply.error = answer(call, node, &result, &reply.frame);
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
		bool lives = false;

		next = calls->next;
		calls->next = NULL;
		if (is_of_rooms(calls)) {
			if (calls->is_gone && calls->is_streaming) {
				if (is_of_jobs(calls))
					fs_fake_job_gone(&calls->job);
				fake->n_streams--;
			} else if (calls->is_streaming) {
				lives = stream_room_on(calls, &n);
			} else if (!calls->is_gone) {
				lives = answer_room_call(calls, &n);
			}
		} else if (!calls->is_gone && calls->is_streaming) {
			lives = stream_on(calls, &n);
		} else if (!calls->is_gone) {
			/* A lock that somebody else has is waited for. */
			if (!fs_fake_file_waits(fake, calls->op, calls->args) ||
			    (calls->is_cancelled && !fake->ignores_cancel)) {
				lives = answer_call(calls);
				n++;
			} else {
				lives = true;
			}
		}
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
	fake->last_number += 1000;
	if (fake->n_numbers)
		memset(fake->by_number, 0, fake->n_numbers * sizeof(*fake->by_number));
	for (struct fs_fake_object *object = fake->objects; object; object = object->next)
		object->count = object->number = 0;
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

uint64_t fs_fake_outstanding(const struct fs_fake *fake)
{
	uint64_t n = 0;

	for (const struct fs_fake_object *object = fake->objects; object; object = object->next)
		n += object->count;
	return n;
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
	fake->root = new_object(fake, S_IFDIR | 0755);
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
	while (fake->objects) {
		struct fs_fake_object *object = fake->objects;

		fake->objects = object->next;
		for (size_t i = 0; i < object->n_names; i++)
			free(object->names[i].name);
		free(object->names);
		fs_fake_file_free(object);
		free(object->target);
		free(object);
	}
	fs_fake_files_lost(fake);
	assert(!fake->n_frames);
	buffer_deinit(&fake->exports);
	free(fake->by_number);
	free(fake);
}
