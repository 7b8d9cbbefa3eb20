/* kv/ as it is listed: all keys as of opendir, asked for page by page. What is said of each is kept
 * for those who ask next (control_kv_known.h). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/control_kv.h"
#include "fs/control_kv_known.h"
#include "fs/control_kv_list.h"
#include "fs/name_hash.h"

#define LISTED_MAX (1024 * 1024 * 1024) /* bytes of names: more than a store may hold */

/* An open directory. */
struct kv_handle {
	struct fs *fs;
	struct kv_handle *prev, *next; /* fs->kv_handles */
	struct buffer names;           /* each with a NUL behind it */
};

struct list_ask {
	struct control_kv_ask kv;
	struct kv_handle *handle; /* NULL: handed on */
	struct kv_known *known;   /* that is filled; with the handle */
	uint64_t version;         /* of the first page */
	bool is_first;
};

static void free_handle(struct kv_handle *handle)
{
	if (!handle)
		return;
	*(handle->prev ? &handle->prev->next : &handle->fs->kv_handles) = handle->next;
	if (handle->next)
		handle->next->prev = handle->prev;
	buffer_deinit(&handle->names);
	free(handle);
}

void control_kv_list_free_handles(struct fs *fs)
{
	while (fs->kv_handles)
		free_handle(fs->kv_handles);
	control_kv_known_free_all(fs);
}

static void release_list(struct control_ask *ask)
{
	struct list_ask *list = (struct list_ask *)ask;

	if (list->handle)
		control_kv_known_free(list->known);
	free_handle(list->handle);
	node_drop(ask->peer->fs, list->kv.node);
}

/* Keys whose names are too long are left out: they are loopsyctl's only. */
static int add_page(const struct list_ask *list, const struct result_kv_list *result,
		    uint8_t ret_last[OPS_KV_KEY_MAX], size_t *ret_last_size)
{
	struct list entries = result->entries;
	char name[OPS_NAME_MAX + 1];
	struct kv_entry entry;
	int r = 0, n;

	while (entries.n > 0 && r == 0) {
		if (codec_list_next(&entries, &kv_entry_record, &entry, NULL) < 0 ||
		    entry.key.size == 0)
			return -EPROTO;
		n = control_kv_name(entry.key, name);
		if (n > 0)
			r = buffer_append(&list->handle->names, name, (size_t)n + 1);
		control_kv_known_add(list->known, &entry);
		memcpy(ret_last, entry.key.data, entry.key.size);
		*ret_last_size = entry.key.size;
	}
	return r;
}

/* The page behind `after`; `version` is the first one's. */
static void send_page(fuse_req_t req, struct fs_node *node, struct kv_handle *handle,
		      struct kv_known *known, struct bytes after, uint64_t version);

static void on_list(struct control_ask *ask, const struct transport_reply *reply)
{
	struct list_ask *list = (struct list_ask *)ask;
	const struct result_kv_list *result = reply->result;
	struct kv_handle *handle = list->handle;
	fuse_req_t req = control_ask_take(ask);
	struct fuse_file_info info = {.fh = (uint64_t)(uintptr_t)handle};
	uint8_t last[OPS_KV_KEY_MAX];
	size_t last_size = 0;
	int error = reply->error;

	/* What was closed just now is still on its way. */
	if (req && list->is_first && ask->peer->control.n_setting > 0) {
		list->handle = NULL;
		send_page(req, list->kv.node, handle, list->known, (struct bytes){0}, 0);
		return;
	}
	if (!error)
		error = add_page(list, result, last, &last_size);
	if (!req)
		return;
	if (error) {
		control_kv_refuse(req, list->kv.node, OP_KV_LIST, error);
		return;
	}
	list->handle = NULL;
	if (list->is_first)
		list->version = result->version;
	if (result->rest && last_size > 0) {
		send_page(req, list->kv.node, handle, list->known, (struct bytes){last, last_size},
			  list->version);
		return;
	}
	control_kv_known_filled(list->known, list->version);
	if (fuse_reply_open(req, &info))
		free_handle(handle);
}

static void send_page(fuse_req_t req, struct fs_node *node, struct kv_handle *handle,
		      struct kv_known *known, struct bytes after, uint64_t version)
{
	struct args_kv_list args = {.after = after, .limit = OPS_KV_PAGE_MAX};
	struct list_ask *list = control_kv_ask_new(req, fs_of(req), node, sizeof(*list), on_list);

	if (!list) {
		control_kv_known_free(known);
		free_handle(handle);
		return;
	}
	list->handle = handle;
	list->known = known;
	list->version = version;
	list->is_first = after.size == 0;
	list->kv.ask.release = release_list;
	control_ask_send(&list->kv.ask, OP_KV_LIST, &args);
}

void control_kv_list_open(fuse_req_t req, struct fs_node *node)
{
	struct fs *fs = fs_of(req);
	struct fs_peer *peer = control_peer(fs, node);
	struct kv_handle *handle;

	if (!peer || !peer->transport) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	handle = calloc(1, sizeof(*handle));
	if (!handle) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	handle->fs = fs;
	handle->names.limit = LISTED_MAX;
	handle->next = fs->kv_handles;
	if (handle->next)
		handle->next->prev = handle;
	fs->kv_handles = handle;
	send_page(req, node, handle, control_kv_known_new(peer), (struct bytes){0}, 0);
}

/* The names with `.` and `..` before them; a name's offset is that of what comes behind it. */
void control_kv_list_read(fuse_req_t req, struct fs_node *node, size_t size, off_t offset,
			  struct fuse_file_info *info, bool plus)
{
	const struct kv_handle *handle = (void *)(uintptr_t)info->fh;
	size_t used = 0, at = offset > 2 ? (size_t)offset - 2 : 0;
	char *buffer = malloc(size);

	if (!buffer) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	while (offset < 2 || at < handle->names.size) {
		bool is_dots = offset < 2;
		const char *name =
		    is_dots ? &".."[offset == 0] : (const char *)handle->names.data + at;
		size_t next = is_dots ? 0 : at + strlen(name) + 1, need;
		struct fuse_entry_param entry = {
		    .attr = {.st_ino = node->ino, .st_mode = is_dots ? S_IFDIR : S_IFREG}};

		offset = is_dots ? offset + 1 : (off_t)next + 2;
		if (!is_dots)
			entry.attr.st_ino = control_kv_ino(
			    node, (struct bytes){(const uint8_t *)name, strlen(name)});
		need = plus ? fuse_add_direntry_plus(req, buffer + used, size - used, name, &entry,
						     offset)
			    : fuse_add_direntry(req, buffer + used, size - used, name, &entry.attr,
						offset);
		if (need > size - used)
			break;
		used += need;
		at = next;
	}
	fuse_reply_buf(req, buffer, used);
	free(buffer);
}

void control_kv_list_release(fuse_req_t req, struct fuse_file_info *info)
{
	free_handle((void *)(uintptr_t)info->fh);
	if (req)
		fuse_reply_err(req, 0);
}
