#include "fs/control_files.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fs/name_hash.h"
#include "fs/root.h"

#define CONTROL_DIR_NAME ".loopsy"
#define CONTROL_TEXT_MAX (1024 * 1024)

static int status_text(struct fs *fs, struct fs_peer *peer, struct buffer *text)
{
	if (!fs->config.status_text)
		return 0;
	return fs->config.status_text(fs->config.arg, peer ? peer->arg : NULL, text);
}

static int last_error_text(struct fs *fs, struct fs_peer *peer, struct buffer *text)
{
	const char *error = peer ? peer->last_error : fs->last_error;
	int result = 0;

	if (*error)
		result = buffer_append(text, error, strlen(error));
	return *error && !result ? buffer_append(text, "\n", 1) : result;
}

/* The first row is the directory itself. */
static const struct control rows[] = {
    {CONTROL_DIR_NAME, S_IFDIR | 0500, true, true, NULL},
    {"status", S_IFREG | 0400, true, true, status_text},
    {"last-error", S_IFREG | 0400, true, true, last_error_text},
};

#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

/* An open one: its content as of open. */
struct control_handle {
	struct buffer text;
};

bool control_is_hidden(struct bytes name)
{
	return name.size == strlen(CONTROL_DIR_NAME) &&
	       memcmp(name.data, CONTROL_DIR_NAME, name.size) == 0;
}

static bool is_in(const struct control *row, const struct fs_peer *peer)
{
	return peer ? row->of_peer : row->of_root;
}

static uint64_t ino_of(const struct fs_peer *peer, const struct control *row)
{
	return name_hash_mix(peer ? peer->id : 0, (uint64_t)(row - rows) + 1) | 2;
}

void control_lookup(fuse_req_t req, struct fs_node *parent, struct bytes name)
{
	struct fs *fs = fs_of(req);
	struct fs_peer *peer = node_peer(fs, parent);
	const struct control *row = NULL;
	struct fs_node *node;

	if (parent->kind != NODE_IS_CONTROL)
		row = &rows[0];
	for (size_t i = 1; i < N_ROWS && !row; i++)
		if (strlen(rows[i].name) == name.size &&
		    memcmp(rows[i].name, name.data, name.size) == 0 && is_in(&rows[i], peer))
			row = &rows[i];
	if (!row || (peer && !peer->transport)) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	node = node_find_child(fs, parent, name);
	if (node && node->kind != NODE_IS_CONTROL)
		node = NULL; /* a node of the peer's own .loopsy: it loses its name */
	if (!node) {
		node = node_new_local(fs, NODE_IS_CONTROL, parent->peer, row->mode & S_IFMT,
				      ino_of(peer, row), parent, name);
		if (node)
			node->control = row;
	}
	root_reply_entry(req, node);
}

static int make_text(struct fs *fs, const struct fs_node *node, struct buffer *text)
{
	struct fs_peer *peer = node_peer(fs, node);

	*text = (struct buffer){.limit = CONTROL_TEXT_MAX};
	if (peer && !peer->transport)
		return -ESTALE; /* removed */
	return node->control->text(fs, peer, text);
}

void control_stat(struct fs *fs, const struct fs_node *node, struct stat *stat)
{
	const struct control *row = node->control;
	struct buffer text;
	struct timespec now;

	stat->st_mode = row->mode;
	if (fs->config.allow_other)
		stat->st_mode |= (row->mode & 0500) >> 3 | (row->mode & 0500) >> 6;
	if (!row->text)
		return;
	stat->st_nlink = 1;
	if (!make_text(fs, node, &text))
		stat->st_size = (off_t)text.size;
	buffer_deinit(&text);
	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	stat->st_mtim = now;
}

int control_child(struct fs *fs, const struct fs_node *node, uint64_t index, const char **ret_name,
		  struct stat *ret_stat)
{
	const struct fs_peer *peer = node_peer(fs, node);

	if (index + 1 >= N_ROWS)
		return -1;
	if (!is_in(&rows[index + 1], peer))
		return 0;
	*ret_name = rows[index + 1].name;
	ret_stat->st_ino = ino_of(peer, &rows[index + 1]);
	ret_stat->st_mode = rows[index + 1].mode;
	return 1;
}

/* Its text changes from one open to the next: the kernel keeps no pages of it, and reads up to the
 * size that it was told by the last getattr; direct I/O reads to the end of what it is. */
void control_open(fuse_req_t req, struct fs_node *node, struct fuse_file_info *info)
{
	struct fs *fs = fs_of(req);
	struct control_handle *handle;
	int error;

	if ((info->flags & O_ACCMODE) != O_RDONLY) {
		fuse_reply_err(req, EACCES);
		return;
	}
	handle = calloc(1, sizeof(*handle));
	if (!handle) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	error = node->is_stale ? -ESTALE : make_text(fs, node, &handle->text);
	if (error) {
		buffer_deinit(&handle->text);
		free(handle);
		fuse_reply_err(req, -error);
		return;
	}
	info->fh = (uint64_t)(uintptr_t)handle;
	info->direct_io = 1;
	if (fuse_reply_open(req, info))
		control_release(NULL, info);
}

void control_read(fuse_req_t req, size_t size, off_t offset, struct fuse_file_info *info)
{
	const struct control_handle *handle = (void *)(uintptr_t)info->fh;
	size_t left = 0;

	if ((uint64_t)offset < handle->text.size)
		left = handle->text.size - (size_t)offset;
	if (left > size)
		left = size;
	fuse_reply_buf(req, left ? (const char *)handle->text.data + offset : NULL, left);
}

void control_release(fuse_req_t req, struct fuse_file_info *info)
{
	struct control_handle *handle = (void *)(uintptr_t)info->fh;

	buffer_deinit(&handle->text);
	free(handle);
	if (req)
		fuse_reply_err(req, 0);
}
