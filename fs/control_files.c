#include "fs/control_files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/control_job.h"
#include "fs/control_kv.h"
#include "fs/control_messages.h"
#include "fs/control_names.h"
#include "fs/control_private.h"
#include "fs/dir.h"
#include "fs/name_hash.h"
#include "fs/root.h"

#define CONTROL_DIR_NAME ".loopsy"

#define OUTPUT (1u << JOB_STDOUT)
#define ERRORS (1u << JOB_STDERR)

/* The directories themselves come first. */
enum { ROW_TOP, ROW_JOB, ROW_VALUE, ROW_RECEIVED, ROW_SENT, ROWS_NAMELESS };

/* clang-format off */
static const struct control rows[] = {
	[ROW_TOP] = {.name = CONTROL_DIR_NAME, .mode = S_IFDIR | 0500, .for_all = true},
	[ROW_JOB] = {.name = "", .mode = S_IFDIR | 0500, .holds = CONTROL_IN_JOB},
	[ROW_VALUE] = {.name = "", .mode = S_IFREG | 0600, .heard = sizeof(struct control_value)},
	/* One that came may be removed: so rm does not ask. */
	[ROW_RECEIVED] = {.name = "", .mode = S_IFREG | 0600, .box = MSG_INBOX,
	 .heard = sizeof(struct control_message)},
	[ROW_SENT] = {.name = "", .mode = S_IFREG | 0400, .box = MSG_OUTBOX,
	 .heard = sizeof(struct control_message)},
	{.name = "jobs", .mode = S_IFDIR | 0700, .places = CONTROL_IN_PEER | CONTROL_IN_ROOT,
	 .dir = &control_jobs_dir},
	{.name = "kv", .mode = S_IFDIR | 0700, .places = CONTROL_IN_PEER | CONTROL_IN_ROOT,
	 .dir = &control_kv_dir, .leaf = &rows[ROW_VALUE]},
	{.name = "messages", .mode = S_IFDIR | 0500, .places = CONTROL_IN_PEER | CONTROL_IN_ROOT,
	 .holds = CONTROL_IN_MESSAGES},
	{.name = "status", .mode = S_IFREG | 0400, .places = CONTROL_IN_PEER | CONTROL_IN_ROOT,
	 .for_all = true, .text = control_text_status},
	{.name = "last-error", .mode = S_IFREG | 0400, .places = CONTROL_IN_PEER | CONTROL_IN_ROOT,
	 .for_all = true, .text = control_text_last_error},
	{.name = "events", .mode = S_IFREG | 0400, .places = CONTROL_IN_PEER | CONTROL_IN_ROOT,
	 .is_stream = true, .source = &control_events_source},
	{.name = "exec", .mode = S_IFREG | 0600, .places = CONTROL_IN_PEER | CONTROL_IN_ROOT,
	 .is_stream = true, .is_apart = true, .channels = OUTPUT | ERRORS, .source = &control_exec_source,
	 .line = control_write_exec},
	{.name = "cwd", .mode = S_IFREG | 0600, .places = CONTROL_IN_JOB,
	 .text = control_text_cwd, .line = control_write_cwd, .truncate = control_truncate_cwd},
	{.name = "env", .mode = S_IFREG | 0600, .places = CONTROL_IN_JOB,
	 .text = control_text_env, .line = control_write_env, .truncate = control_truncate_env},
	{.name = "tty", .mode = S_IFREG | 0600, .places = CONTROL_IN_JOB, .is_apart = true,
	 .text = control_text_tty, .line = control_write_tty, .truncate = control_truncate_tty},
	{.name = "cmd", .mode = S_IFREG | 0600, .places = CONTROL_IN_JOB, .is_apart = true,
	 .text = control_text_cmd, .line = control_write_cmd},
	{.name = "stdin", .mode = S_IFREG | 0200, .places = CONTROL_IN_JOB, .is_stream = true,
	 .is_apart = true, .needs_start = true, .is_input = true},
	{.name = "stdout", .mode = S_IFREG | 0400, .places = CONTROL_IN_JOB, .is_stream = true,
	 .needs_start = true, .channels = OUTPUT, .source = &control_feed_source},
	{.name = "stderr", .mode = S_IFREG | 0400, .places = CONTROL_IN_JOB, .is_stream = true,
	 .needs_start = true, .channels = ERRORS, .source = &control_feed_source},
	{.name = "log", .mode = S_IFREG | 0400, .places = CONTROL_IN_JOB, .needs_start = true,
	 .op = OP_JOB_STATUS, .is_log = true},
	{.name = "screen", .mode = S_IFREG | 0400, .places = CONTROL_IN_JOB, .needs_start = true,
	 .op = OP_JOB_SCREEN, .text_of = control_text_of_screen},
	{.name = "ctl", .mode = S_IFREG | 0200, .places = CONTROL_IN_JOB, .is_stream = true,
	 .is_apart = true, .needs_start = true, .line = control_write_ctl},
	{.name = "status", .mode = S_IFREG | 0400, .places = CONTROL_IN_JOB, .op = OP_JOB_STATUS,
	 .text_of = control_text_of_status},
	{.name = "wait", .mode = S_IFREG | 0400, .places = CONTROL_IN_JOB, .is_stream = true,
	 .needs_start = true, .source = &control_wait_source},
	{.name = "send", .mode = S_IFREG | 0200, .places = CONTROL_IN_MESSAGES, .is_stream = true,
	 .is_apart = true, .is_send = true},
	{.name = "inbox", .mode = S_IFDIR | 0700, .places = CONTROL_IN_MESSAGES,
	 .dir = &control_inbox_dir, .leaf = &rows[ROW_RECEIVED], .box = MSG_INBOX},
	{.name = "outbox", .mode = S_IFDIR | 0500, .places = CONTROL_IN_MESSAGES,
	 .dir = &control_outbox_dir, .leaf = &rows[ROW_SENT], .box = MSG_OUTBOX},
};
/* clang-format on */

#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

bool control_is_hidden(struct bytes name)
{
	return name.size == strlen(CONTROL_DIR_NAME) &&
	       memcmp(name.data, CONTROL_DIR_NAME, name.size) == 0;
}

static bool is_name(struct bytes name, const char *text)
{
	return name.size == strlen(text) && memcmp(name.data, text, name.size) == 0;
}

/* --- nodes ------------------------------------------------------------------------------------ */

struct fs_peer *control_peer(const struct fs *fs, const struct fs_node *node)
{
	struct fs_peer *peer = node_peer(fs, node);

	return peer ? peer : fs->self;
}

/* What the rows of a control directory are in; 0: it has none. */
static unsigned place_of(const struct fs *fs, const struct fs_node *node)
{
	if (node->control->row->holds)
		return node->control->row->holds;
	if (node->control->row == &rows[ROW_TOP])
		return node_peer(fs, node) ? CONTROL_IN_PEER : CONTROL_IN_ROOT;
	return 0;
}

static uint64_t ino_of(const struct fs_peer *peer, const struct control_job *job,
		       const struct control *row)
{
	uint64_t place = name_hash_mix(peer ? peer->id : 0, job ? job->number : 0);

	return name_hash_mix(place, (uint64_t)(row - rows) + 1) | 2;
}

static struct fs_node *enter(struct fs *fs, struct fs_node *parent, struct bytes name,
			     const struct control *row, struct control_job *job)
{
	struct fs_node *node = row->is_apart ? NULL : node_find_child(fs, parent, name);
	struct control_node *control;

	/* Else it is of the peer's own .loopsy, or of a job that is no more: it loses its name. */
	if (node && node->kind == NODE_IS_CONTROL && node->control->row == row &&
	    node->control->job == job)
		return node;
	control = calloc(1, sizeof(*control));
	if (!control)
		return NULL;
	control->row = row;
	node = node_new_local(fs, NODE_IS_CONTROL, parent->peer, row->mode & S_IFMT,
			      ino_of(node_peer(fs, parent), job, row), parent, name);
	if (!node) {
		free(control);
		return NULL;
	}
	control->job = job ? control_job_ref(job) : NULL;
	node->control = control;
	return node;
}

struct fs_node *control_node_of_job(struct fs *fs, struct fs_node *parent, struct bytes name,
				    struct control_job *job)
{
	return enter(fs, parent, name, &rows[ROW_JOB], job);
}

void control_node_free(struct fs_node *node)
{
	if (!node->control)
		return;
	control_job_unref(node->control->job);
	free(node->control->heard);
	free(node->control);
	node->control = NULL;
}

bool control_is_value(const struct fs_node *node)
{
	return node->kind == NODE_IS_CONTROL && node->control->row == &rows[ROW_VALUE];
}

struct fs_node *control_node_of_leaf(struct fs *fs, struct fs_node *parent, struct bytes name)
{
	const struct control *row = parent->control->row->leaf;
	struct fs_node *node = node_find_child(fs, parent, name);
	struct control_node *control;

	if (node && node->kind == NODE_IS_CONTROL && node->control->row == row)
		return node;
	control = calloc(1, sizeof(*control));
	if (!control)
		return NULL;
	control->row = row;
	control->heard = calloc(1, row->heard);
	node = NULL;
	if (control->heard)
		node = node_new_local(fs, NODE_IS_CONTROL, parent->peer, row->mode & S_IFMT,
				      control_names_ino(parent, name), parent, name);
	if (!node) {
		free(control->heard);
		free(control);
		return NULL;
	}
	node->control = control;
	return node;
}

/* NULL: it is none whose names are asked for. */
static const struct control_dir *dir_of(const struct fs_node *node)
{
	return node->kind == NODE_IS_CONTROL ? node->control->row->dir : NULL;
}

void control_lookup(fuse_req_t req, struct fs_node *parent, struct bytes name)
{
	struct fs *fs = fs_of(req);
	struct fs_peer *peer = node_peer(fs, parent);
	const struct control *row = NULL;
	unsigned place;

	if (peer && !peer->transport) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	if (dir_of(parent)) {
		dir_of(parent)->lookup(req, parent, name);
		return;
	}
	if (parent->kind != NODE_IS_CONTROL)
		row = &rows[ROW_TOP];
	place = row ? 0 : place_of(fs, parent);
	for (size_t i = ROWS_NAMELESS; i < N_ROWS && !row; i++)
		if (rows[i].places & place && is_name(name, rows[i].name))
			row = &rows[i];
	if (row)
		control_reply_entry(
		    req, enter(fs, parent, name, row,
			       parent->kind == NODE_IS_CONTROL ? parent->control->job : NULL));
	else
		fuse_reply_err(req, ENOENT);
}

bool control_is_fleeting(const struct fs_node *node)
{
	return node->control->row->is_apart || node->control->row == &rows[ROW_JOB] ||
	       node->control->heard;
}

void control_mkdir(fuse_req_t req, struct fs_node *parent, struct bytes name)
{
	const struct control_dir *dir = dir_of(parent);

	if (dir && dir->mkdir)
		dir->mkdir(req, parent, name);
	else
		fuse_reply_err(req, EPERM);
}

void control_rmdir(fuse_req_t req, struct fs_node *parent, struct bytes name)
{
	const struct control_dir *dir = dir_of(parent);

	if (dir && dir->rmdir)
		dir->rmdir(req, parent, name);
	else
		fuse_reply_err(req, EPERM);
}

void control_create(fuse_req_t req, struct fs_node *parent, struct bytes name,
		    struct fuse_file_info *info)
{
	const struct control_dir *dir = dir_of(parent);

	if (dir && dir->create)
		dir->create(req, parent, name, info);
	else
		fuse_reply_err(req, EPERM);
}

void control_unlink(fuse_req_t req, struct fs_node *parent, struct bytes name)
{
	const struct control_dir *dir = dir_of(parent);

	if (dir && dir->unlink)
		dir->unlink(req, parent, name);
	else
		fuse_reply_err(req, EPERM);
}

void control_rename(fuse_req_t req, struct fs_node *parent, struct bytes name,
		    struct fs_node *new_parent, struct bytes new_name, unsigned flags)
{
	const struct control_dir *dir = dir_of(parent);

	if (dir && dir->rename)
		dir->rename(req, parent, name, new_parent, new_name, flags);
	else
		fuse_reply_err(req, EPERM);
}

void control_print_what(const struct fs_node *node, char *ret_what)
{
	static const char *const boxes[] = {[MSG_INBOX] = "inbox/", [MSG_OUTBOX] = "outbox/"};
	const struct control *row = node->control->row;
	const char *name = row->name;
	const struct control_job *job = node->control->job;
	bool is_below = job && *name;

	if (control_is_message(node) || row->places == CONTROL_IN_MESSAGES) {
		snprintf(ret_what, CONTROL_WHAT_MAX, "messages/%s%.*s",
			 *name ? name : boxes[row->box], *name ? 0 : (int)node_name(node).size,
			 (const char *)node_name(node).data);
		return;
	}
	snprintf(ret_what, CONTROL_WHAT_MAX, "%s%s%s%s", job ? "jobs/" : "", job ? job->name : "",
		 is_below ? "/" : "", name);
}

void control_refuse(fuse_req_t req, const struct control_handle *handle, uint16_t op, int error,
		    const char *why)
{
	char what[CONTROL_WHAT_MAX];

	control_print_what(handle->node, what);
	control_errors_reply(req, control_peer_of(handle), what, op, error, why);
}

/* --- directories ------------------------------------------------------------------------------ */

int control_child(struct fs *fs, const struct fs_node *node, uint64_t index, const char **ret_name,
		  struct stat *ret_stat)
{
	const struct control *row;

	if (index + ROWS_NAMELESS >= N_ROWS)
		return -1;
	row = &rows[index + ROWS_NAMELESS];
	if (!(row->places & place_of(fs, node)))
		return 0;
	*ret_name = row->name;
	ret_stat->st_ino = ino_of(node_peer(fs, node), node->control->job, row);
	ret_stat->st_mode = row->mode;
	return 1;
}

void control_opendir(fuse_req_t req, struct fs_node *node, struct fuse_file_info *info)
{
	if (dir_of(node))
		dir_of(node)->open(req, node);
	else
		dir_open(req, node, info);
}

void control_readdir(fuse_req_t req, struct fs_node *node, size_t size, off_t offset,
		     struct fuse_file_info *info, bool plus)
{
	if (dir_of(node))
		control_names_read(req, node, size, offset, info, plus);
	else
		dir_read(req, node, size, offset, info, plus);
}

void control_releasedir(fuse_req_t req, struct fs_node *node, struct fuse_file_info *info)
{
	if (dir_of(node))
		control_names_release(req, info);
	else
		dir_release(req, node, info);
}
