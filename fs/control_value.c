/* Open values: read as they were when they were opened, written whole. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "fs/control_kv.h"
#include "fs/control_kv_known.h"
#include "fs/root.h"

/* --- opening ---------------------------------------------------------------------------------- */

struct open_ask {
	struct control_node_ask kv;
	struct control_handle *handle; /* NULL: it is open, or freed */
	uint64_t size;
};

static void release_open(struct control_ask *ask)
{
	struct open_ask *open = (struct open_ask *)ask;

	if (open->handle)
		control_handle_free(open->handle);
	control_ask_release_node(ask);
}

/* All of it is there, or why not. */
static void opened(struct open_ask *open, int error)
{
	fuse_req_t req = control_ask_take(&open->kv.ask);
	struct control_handle *handle = open->handle;

	if (!req)
		return;
	if (error) {
		control_kv_refuse(req, open->kv.node, OP_KV_GET, error);
		return;
	}
	open->handle = NULL;
	control_open_reply(req, handle);
}

static void send_get(fuse_req_t req, struct control_handle *handle);

/* Once more: what was closed just now is still on its way. */
static void get_again(struct open_ask *open)
{
	struct control_handle *handle = open->handle;
	fuse_req_t req = control_ask_take(&open->kv.ask);

	if (!req) {
		control_ask_abandon(&open->kv.ask);
		return;
	}
	open->handle = NULL;
	control_ask_abandon(&open->kv.ask);
	send_get(req, handle);
}

static void on_get(struct control_ask *ask, const struct transport_reply *reply)
{
	struct open_ask *open = (struct open_ask *)ask;
	const struct result_kv_get *result = reply->result;
	int error = reply->error;

	if (open->kv.node->control->value->n_setting > 0) {
		get_again(open);
		return;
	}
	if (!error) {
		control_kv_heard(open->kv.node, &result->entry);
		open->size = result->entry.size;
		if (result->value.size > 0)
			error = buffer_append(&open->handle->text, result->value.data,
					      result->value.size);
	}
	if (error || !reply->more)
		opened(open, error);
}

static void on_get_data(struct control_ask *ask, unsigned channel, struct bytes data)
{
	struct open_ask *open = (struct open_ask *)ask;

	if (!ask->parked.req || buffer_append(&open->handle->text, data.data, data.size) < 0)
		control_ask_abandon(ask);
	else
		control_ask_consumed(ask, channel, data.size);
}

static void on_get_end(struct control_ask *ask, int error)
{
	struct open_ask *open = (struct open_ask *)ask;

	if (!error && open->handle->text.size != open->size)
		error = -EIO;
	opened(open, error);
}

static void send_get(fuse_req_t req, struct control_handle *handle)
{
	struct fs_node *node = handle->node;
	uint8_t key[OPS_KV_KEY_MAX];
	struct args_kv_get args;
	struct open_ask *open;
	int n = node->parent ? control_kv_key(node_name(node), key) : -ENOENT;

	if (n < 0) {
		control_handle_free(handle);
		fuse_reply_err(req, -n);
		return;
	}
	open = control_kv_ask_new(req, handle->fs, node, sizeof(*open), on_get);
	if (!open) {
		control_handle_free(handle);
		return;
	}
	open->handle = handle;
	open->kv.ask.data = on_get_data;
	open->kv.ask.end = on_get_end;
	open->kv.ask.release = release_open;
	args.key = (struct bytes){key, (size_t)n};
	control_ask_send(&open->kv.ask, OP_KV_GET, &args);
}

/* To be set, and to nothing if nothing comes. */
static void truncate(struct control_handle *handle)
{
	struct control_value *value = handle->node->control->value;

	handle->is_truncated = true;
	value->n_unset++;
	value->size = 0;
	clock_gettime(CLOCK_REALTIME_COARSE, &value->changed);
}

void control_value_open(fuse_req_t req, struct control_handle *handle, struct fuse_file_info *info)
{
	handle->text.limit = OPS_KV_VALUE_MAX;
	if (!(info->flags & O_TRUNC)) {
		send_get(req, handle);
		return;
	}
	truncate(handle);
	control_open_reply(req, handle);
}

/* Without O_EXCL it is not set yet: with the first flush behind new bytes, or when it is closed. */
void control_value_create(fuse_req_t req, struct control_handle *handle,
			  struct fuse_file_info *info)
{
	handle->text.limit = OPS_KV_VALUE_MAX;
	if (!(info->flags & O_EXCL))
		truncate(handle);
	info->fh = (uint64_t)(uintptr_t)handle;
	info->direct_io = 1;
	if (root_reply_create(req, handle->node, info))
		control_handle_free(handle);
}

/* --- writing ---------------------------------------------------------------------------------- */

static void dirty(struct control_handle *handle)
{
	struct control_value *value = handle->node->control->value;

	if (!handle->is_dirty && !handle->is_truncated)
		value->n_unset++;
	handle->is_dirty = true;
	value->size = handle->text.size;
	clock_gettime(CLOCK_REALTIME_COARSE, &value->changed);
}

/* It is set, or is going to be. */
static void clean(struct control_handle *handle)
{
	if (handle->is_dirty || handle->is_truncated)
		handle->node->control->value->n_unset--;
	handle->is_dirty = handle->is_truncated = false;
}

static int resize(struct buffer *text, uint64_t size)
{
	int r;

	if (size > OPS_KV_VALUE_MAX)
		return -EFBIG;
	if (size > text->size) {
		r = buffer_reserve(text, (size_t)size - text->size);
		if (r < 0)
			return r == -EMSGSIZE ? -EFBIG : r;
		memset(text->data + text->size, 0, (size_t)size - text->size);
	}
	text->size = (size_t)size;
	return 0;
}

/* From then on nothing of it is set: the old value stays. */
static void fail(fuse_req_t req, struct control_handle *handle, int error)
{
	if (error == -EFBIG) {
		clean(handle);
		handle->is_too_large = true;
	}
	control_kv_refuse(req, handle->node, OP_KV_SET, error);
}

void control_value_write(fuse_req_t req, struct control_handle *handle, struct bytes data,
			 off_t offset)
{
	struct buffer *text = &handle->text;
	uint64_t at = handle->flags & O_APPEND ? text->size : (uint64_t)offset;
	int r = 0;

	if (handle->is_too_large)
		r = -EFBIG;
	else if (at + data.size > text->size)
		r = resize(text, at + data.size);
	if (r < 0) {
		fail(req, handle, r);
		return;
	}
	memcpy(text->data + at, data.data, data.size);
	dirty(handle);
	fuse_reply_write(req, data.size);
}

void control_value_truncate(fuse_req_t req, struct control_handle *handle, uint64_t size)
{
	int r = handle->is_too_large ? -EFBIG : resize(&handle->text, size);

	if (r < 0) {
		fail(req, handle, r);
		return;
	}
	dirty(handle);
	root_getattr(req, handle->node);
}

void control_value_forget(struct control_handle *handle)
{
	if (control_is_value(handle->node))
		clean(handle);
}

/* --- setting ---------------------------------------------------------------------------------- */

/* A value on its way: parts, then the rest. Sent one after the other. */
struct setting {
	struct fs_node *node; /* held by whoever has this */
	struct fs_peer *peer;
	bool is_closed;      /* nobody waits for it */
	struct buffer value; /* a copy */
	size_t at;
	uint64_t upload; /* 0: it fits into one frame */
	size_t key_size;
	uint8_t key[OPS_KV_KEY_MAX];
};

struct set_ask {
	struct control_node_ask kv;
	struct setting *setting; /* NULL: handed on */
	bool is_last;
};

static void setting_free(struct setting *setting)
{
	if (!setting)
		return;
	if (setting->is_closed) {
		setting->node->control->value->n_setting--;
		setting->peer->control.n_setting--;
	}
	buffer_deinit(&setting->value);
	free(setting);
}

static void release_set(struct control_ask *ask)
{
	struct set_ask *set = (struct set_ask *)ask;

	setting_free(set->setting);
	control_ask_release_node(ask);
}

static void send_next(fuse_req_t req, struct fs *fs, struct fs_node *node, struct setting *setting);

static void on_set(struct control_ask *ask, const struct transport_reply *reply)
{
	struct set_ask *set = (struct set_ask *)ask;
	const struct result_kv_set *result = reply->result;
	struct setting *setting = set->setting;
	fuse_req_t req = control_ask_take(ask);

	if (!reply->error && !set->is_last) {
		set->setting = NULL;
		send_next(req, ask->peer->fs, set->kv.node, setting);
		return;
	}
	set->setting = NULL;
	setting_free(setting);
	if (!reply->error && !control_value_is_ahead(set->kv.node))
		control_kv_heard(set->kv.node, &result->entry);
	if (!req)
		return;
	if (reply->error)
		control_kv_refuse(req, set->kv.node, OP_KV_SET, reply->error);
	else
		fuse_reply_err(req, 0);
}

static void send_next(fuse_req_t req, struct fs *fs, struct fs_node *node, struct setting *setting)
{
	struct set_ask *set = control_kv_ask_new(req, fs, node, sizeof(*set), on_set);
	size_t left = setting->value.size - setting->at;
	struct bytes rest = {left ? setting->value.data + setting->at : NULL, left};
	struct args_kv_stage stage = {.upload = setting->upload, .offset = setting->at};
	struct args_kv_set args = {.upload = setting->upload,
				   .key = {setting->key, setting->key_size},
				   .flags = KV_KEEP_TTL};

	if (!set) {
		setting_free(setting);
		return;
	}
	set->setting = setting;
	set->kv.ask.release = release_set;
	set->is_last = left <= OPS_IO_MAX;
	if (set->is_last) {
		args.value = rest;
		control_kv_known_change(setting->peer, args.key);
		control_ask_send(&set->kv.ask, OP_KV_SET, &args);
	} else {
		rest.size = OPS_IO_MAX;
		setting->at += OPS_IO_MAX;
		stage.part = rest;
		control_ask_send(&set->kv.ask, OP_KV_STAGE, &stage);
	}
}

/* Without `req` the file is closed. */
static void start_setting(fuse_req_t req, struct control_handle *handle)
{
	struct fs_node *node = handle->node;
	struct setting *setting = calloc(1, sizeof(*setting));
	struct fs_peer *peer = control_peer(handle->fs, node);
	int n = node->parent ? 0 : -ENOENT; /* removed: its name is none any more */

	clean(handle);
	if (n == 0 && (!peer || !peer->transport))
		n = -ESTALE;
	if (n == 0 && !setting)
		n = -ENOMEM;
	if (n == 0)
		n = control_kv_key(node_name(node), setting->key);
	if (n > 0) {
		setting->key_size = (size_t)n;
		n = 0;
	}
	if (n == 0 && handle->text.size > 0)
		n = buffer_append(&setting->value, handle->text.data, handle->text.size);
	while (n == 0 && handle->text.size > OPS_IO_MAX && setting->upload == 0)
		if (getrandom(&setting->upload, sizeof(setting->upload), 0) < 0)
			n = -errno;
	if (n < 0) {
		setting_free(setting);
		/* As of a file that was removed while it was open: nobody will see it. */
		if (req)
			fuse_reply_err(req, n == -ENOENT ? 0 : -n);
		return;
	}
	setting->node = node;
	setting->peer = peer;
	setting->is_closed = !req;
	if (!req) {
		node->control->value->n_setting++;
		peer->control.n_setting++;
	}
	send_next(req, handle->fs, node, setting);
}

/* Only behind new bytes: a shell's `>` flushes before it writes. */
void control_value_flush(fuse_req_t req, struct control_handle *handle)
{
	if (handle->is_too_large)
		control_kv_refuse(req, handle->node, OP_KV_SET, -EFBIG);
	else if (handle->is_dirty)
		start_setting(req, handle);
	else
		fuse_reply_err(req, 0);
}

void control_value_closed(struct control_handle *handle)
{
	const struct fs_peer *peer = control_peer(handle->fs, handle->node);

	if ((handle->is_dirty || handle->is_truncated) && peer && peer->transport)
		start_setting(NULL, handle);
	else
		clean(handle);
}
