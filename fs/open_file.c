#include "fs/open_file.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "fs/attr_map.h"

struct file *file_of_node(struct fs *fs, struct fs_node *node)
{
	struct fs_peer *peer = node_peer(fs, node);
	struct file *file = node->file;

	if (file)
		return file;
	file = calloc(1, sizeof(*file));
	if (!file)
		return NULL;
	if (!peer->writes.limit) {
		size_t limit = fs->config.write_behind_max;

		if (!limit || limit > WRITE_BEHIND_PEER_MAX)
			limit = WRITE_BEHIND_PEER_MAX;
		write_budget_init(&peer->writes, limit);
	}
	file->fs = fs;
	file->node = node;
	file->xattrs_changed = fs->change;
	write_behind_init(&file->writes, &peer->writes);
	node->file = file;
	return file;
}

void open_file_saw_attr(struct fs *fs, struct file *file, const struct attr *attr, uint32_t sent)
{
	if ((int32_t)(sent - file->xattrs_changed) >= 0)
		file->plain_until = attr->plain ? fs_now(fs) + fs->config.trust : 0;
}

/* --- handles ---------------------------------------------------------------------------------- */

struct open_file *open_file_new(struct file *file, uint64_t number, uint32_t session, int flags)
{
	struct open_file *handle = calloc(1, sizeof(*handle));

	if (!handle)
		return NULL;
	handle->node = file->node;
	node_hold(handle->node);
	handle->ops = node_peer(file->fs, file->node)->transport->ops;
	handle->refs = 1;
	handle->number = number;
	handle->session = session;
	handle->flags = flags;
	handle->direct = (flags & (O_DIRECT | O_APPEND)) != 0;
	file_read_init(handle);
	handle->next = file->handles;
	if (handle->next)
		handle->next->prev = handle;
	file->handles = handle;
	return handle;
}

void open_file_ref(struct open_file *handle)
{
	handle->refs++;
}

void open_file_unref(struct open_file *handle)
{
	struct fs *fs = handle->node->file->fs;
	struct fs_node *node = handle->node;

	assert(handle->refs > 0);
	if (--handle->refs > 0)
		return;
	assert(handle->released);
	read_ahead_deinit(&handle->ahead);
	free(handle);
	node_drop(fs, node);
}

static void on_release(struct peer_call *call, const struct transport_reply *reply)
{
	/* Nobody waits; a handle of a session that is gone is closed already. */
}

void open_file_give_back(struct fs_peer *peer, struct fs_node *node, uint64_t number,
			 uint32_t session)
{
	struct args_release args = {.handle = number};
	struct peer_call *call;

	if (session != peer->session || !peer->transport)
		return;
	call = peer_call_new(peer->fs, sizeof(*call), node, NULL);
	if (!call)
		return; /* it stays open until the session ends: a leak, no error */
	call->done = on_release;
	peer_call_send(call, OP_RELEASE, &args);
}

/* Somebody may wait for what it had locked. */
static void release_locks_now(const struct open_file *handle)
{
	struct fs_peer *peer = node_peer(handle->node->file->fs, handle->node);

	if (handle->locked && peer->transport)
		handle->ops->hurry(peer->transport);
}

void open_file_release(struct open_file *handle)
{
	struct file *file = handle->node->file;

	*(handle->prev ? &handle->prev->next : &file->handles) = handle->next;
	if (handle->next)
		handle->next->prev = handle->prev;
	handle->prev = handle->next = NULL;
	handle->released = true;
	read_ahead_drop(&handle->ahead);
	open_file_give_back(node_peer(file->fs, handle->node), handle->node, handle->number,
			    handle->session);
	release_locks_now(handle);
	open_file_unref(handle);
}

int open_file_take_error(struct open_file *handle)
{
	int error = handle->write_error;

	handle->write_error = 0;
	return error;
}

void file_data_changed(struct file *file)
{
	file->has_stamp = false;
	for (struct open_file *handle = file->handles; handle; handle = handle->next)
		read_ahead_drop(&handle->ahead);
}

bool open_file_is_current(const struct open_file *handle)
{
	return handle->session == node_peer(handle->node->file->fs, handle->node)->session;
}
