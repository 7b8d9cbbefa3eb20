/*
 * Writing line by line: settings, commands and orders.
 *
 * Each WRITE is answered when the lines that it completed are done, one after the other. A last
 * line without a newline counts when its writer closes: FLUSH comes at every close, also when a
 * child of the writer ends that never wrote, so it must come from the process that did.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/control_feed.h"
#include "fs/control_job.h"
#include "fs/control_private.h"

#define CLOSE_PATIENCE_MS 5000 /* from SIGHUP to SIGKILL */

static const char started[] = "the job has been started already";

/* --- lines ------------------------------------------------------------------------------------ */

static const char *why_no_line(int error)
{
	switch (error) {
	case -EINVAL:
		return "that is not text: there are control characters in it";
	default:
		return NULL;
	}
}

bool control_write_has_more(const struct control_handle *handle)
{
	const struct buffer *text = &handle->lines.text;
	size_t at = handle->lines.at;

	return at < text->size && memchr(text->data + at, '\n', text->size - at);
}

void control_write_fail(fuse_req_t req, struct control_handle *handle, uint16_t op, int error,
			const char *why)
{
	control_lines_drop(&handle->lines);
	control_refuse(req, handle, op, error, why);
}

void control_write_go_on(fuse_req_t req, struct control_handle *handle, size_t written)
{
	const char *why = NULL;
	struct bytes line;
	int n;

	for (;;) {
		n = written ? control_lines_next(&handle->lines, &line)
			    : control_lines_last(&handle->lines, &line);
		if (n <= 0)
			break;
		n = handle->row->line(req, handle, line, written, &why);
		if (n > 0)
			return; /* and then on */
		if (n < 0) {
			control_write_fail(req, handle, 0, n, why);
			return;
		}
	}
	if (n < 0)
		control_refuse(req, handle, 0, n, why_no_line(n));
	else if (written)
		fuse_reply_write(req, written);
	else
		fuse_reply_err(req, 0);
}

void control_write_lines(fuse_req_t req, struct control_handle *handle, struct bytes data)
{
	int error = control_lines_add(&handle->lines, data);

	handle->writer = control_errors_process(fuse_req_ctx(req)->pid);
	if (error)
		control_refuse(req, handle, 0, error, why_no_line(error));
	else
		control_write_go_on(req, handle, data.size);
}

void control_write_flush(fuse_req_t req, struct control_handle *handle)
{
	bool has_rest = handle->lines.at < handle->lines.text.size;

	if (!has_rest || handle->writer != control_errors_process(fuse_req_ctx(req)->pid))
		fuse_reply_err(req, 0);
	else
		control_write_go_on(req, handle, 0);
}

/* --- a line that the peer is told ------------------------------------------------------------- */

struct line_ask {
	struct control_ask ask;
	struct control_handle *handle; /* there as long as its request is */
	struct control_job *job;       /* held */
	size_t written;
	bool is_start;
};

static void release(struct control_ask *ask)
{
	control_job_unref(((struct line_ask *)ask)->job);
}

static void started_or_not(struct control_job *job, const struct transport_reply *reply)
{
	if (reply->error) {
		job->state = CONTROL_JOB_NEW;
		free(job->cmd);
		job->cmd = NULL;
		return;
	}
	job->state = CONTROL_JOB_STARTED;
	control_job_unref(job); /* what a new one is held by */
}

static void on_told(struct control_ask *ask, const struct transport_reply *reply)
{
	struct line_ask *line = (struct line_ask *)ask;
	fuse_req_t req = control_ask_take(ask);

	if (line->is_start && !line->job->is_removed)
		started_or_not(line->job, reply);
	if (req && reply->error)
		control_write_fail(req, line->handle, ask->op, reply->error, NULL);
	else if (req)
		control_write_go_on(req, line->handle, line->written);
}

static struct line_ask *new_line_ask(fuse_req_t req, struct control_handle *handle, size_t written)
{
	struct line_ask *ask = control_ask_new(control_peer_of(handle), sizeof(*ask), req);

	if (!ask)
		return NULL;
	ask->handle = handle;
	ask->job = control_job_ref(handle->job);
	ask->written = written;
	ask->ask.done = on_told;
	ask->ask.release = release;
	return ask;
}

/* --- settings --------------------------------------------------------------------------------- */

/* A directory given as it is called in the mount: what the peer calls it. `pwd >cwd` works so. */
static struct bytes without_mount(const struct fs_peer *peer, struct bytes path)
{
	char top[4096];
	int n;

	if (!peer->fs->mount_point)
		return path;
	n = snprintf(top, sizeof(top), "%s/%s", peer->fs->mount_point, peer->name);
	if (n < 0 || (size_t)n >= sizeof(top) || path.size < (size_t)n ||
	    memcmp(path.data, top, (size_t)n) != 0 ||
	    (path.size > (size_t)n && path.data[n] != '/'))
		return path;
	while ((size_t)n < path.size && path.data[n] == '/')
		n++;
	if ((size_t)n == path.size)
		return (struct bytes){(const uint8_t *)".", 1};
	return (struct bytes){path.data + n, path.size - (size_t)n};
}

int control_write_cwd(fuse_req_t req, struct control_handle *handle, struct bytes line,
		      size_t written, const char **ret_why)
{
	struct control_job *job = handle->job;
	char *cwd;

	*ret_why = started;
	if (job->state != CONTROL_JOB_NEW)
		return -EBUSY;
	*ret_why = "an empty line is no directory";
	if (!line.size)
		return -EINVAL;
	*ret_why = "the path is too long";
	if (line.size > OPS_TARGET_MAX)
		return -ENAMETOOLONG;
	*ret_why = NULL;
	cwd = bytes_to_text(without_mount(job->peer, line));
	if (!cwd)
		return -ENOMEM;
	free(job->cwd);
	job->cwd = cwd;
	return 0;
}

int control_write_env(fuse_req_t req, struct control_handle *handle, struct bytes line,
		      size_t written, const char **ret_why)
{
	struct buffer variable = {0};
	int error;

	*ret_why = started;
	if (handle->job->state != CONTROL_JOB_NEW)
		return -EBUSY;
	if (!line.size)
		return 0;
	error = control_lines_read_variable(line, &variable);
	*ret_why = error == -EINVAL
		       ? "a line is NAME=VALUE, and what begins with a quote ends with it"
		       : NULL;
	if (!error) {
		error = control_job_set_variable(handle->job,
						 (struct bytes){variable.data, variable.size});
		*ret_why = "that is more than one command can take along";
	}
	buffer_deinit(&variable);
	return error;
}

int control_write_tty(fuse_req_t req, struct control_handle *handle, struct bytes line,
		      size_t written, const char **ret_why)
{
	struct control_job *job = handle->job;
	struct args_job_resize args = {.job = job->number};
	struct line_ask *ask;
	unsigned rows, cols;

	*ret_why = "the size of a terminal is its rows and columns: 24 80";
	if (control_lines_read_size(line, &rows, &cols))
		return -EINVAL;
	*ret_why = "the job is just being started";
	if (job->state == CONTROL_JOB_STARTING)
		return -EBUSY;
	*ret_why = NULL;
	if (job->state == CONTROL_JOB_NEW) {
		job->rows = rows;
		job->cols = cols;
		return 0;
	}
	ask = new_line_ask(req, handle, written);
	if (!ask)
		return -ENOMEM;
	args.rows = rows;
	args.cols = cols;
	control_ask_send(&ask->ask, OP_JOB_RESIZE, &args);
	return 1;
}

void control_truncate_cwd(struct control_job *job)
{
	if (job->state != CONTROL_JOB_NEW)
		return;
	free(job->cwd);
	job->cwd = NULL;
}

void control_truncate_env(struct control_job *job)
{
	if (job->state == CONTROL_JOB_NEW)
		job->env.size = 0;
}

void control_truncate_tty(struct control_job *job)
{
	if (job->state == CONTROL_JOB_NEW)
		job->rows = job->cols = 0;
}

/* --- commands --------------------------------------------------------------------------------- */

static bool is_blank(struct bytes line)
{
	for (size_t i = 0; i < line.size; i++)
		if (line.data[i] != ' ' && line.data[i] != '\t')
			return false;
	return true;
}

static int check_command(const struct control_handle *handle, struct bytes line,
			 const char **ret_why)
{
	*ret_why = "an empty line is no command";
	if (is_blank(line))
		return -EINVAL;
	*ret_why = "one command is one line; none of these was started";
	return control_write_has_more(handle) ? -EINVAL : 0;
}

int control_write_cmd(fuse_req_t req, struct control_handle *handle, struct bytes line,
		      size_t written, const char **ret_why)
{
	struct control_job *job = handle->job;
	struct args_job_start args;
	struct buffer lists = {0};
	struct line_ask *ask;
	int error = check_command(handle, line, ret_why);

	if (error)
		return error;
	*ret_why = started;
	if (job->state != CONTROL_JOB_NEW || job->is_removed)
		return -EBUSY;
	*ret_why = NULL;
	error = control_job_start_args(job, line, JOB_STDIN, &args, &lists);
	if (error == -E2BIG)
		*ret_why = "command, directory and environment together are too long";
	job->cmd = error ? NULL : bytes_to_text(line);
	ask = job->cmd ? new_line_ask(req, handle, written) : NULL;
	if (!ask) {
		free(job->cmd);
		job->cmd = NULL;
		buffer_deinit(&lists);
		return error ? error : -ENOMEM;
	}
	ask->is_start = true;
	job->state = CONTROL_JOB_STARTING;
	control_ask_send(&ask->ask, OP_JOB_START, &args);
	buffer_deinit(&lists);
	return 1;
}

int control_write_exec(fuse_req_t req, struct control_handle *handle, struct bytes line,
		       size_t written, const char **ret_why)
{
	int error = check_command(handle, line, ret_why);

	if (error)
		return error;
	*ret_why = "one command is all that one open takes: open it again";
	if (control_feed_is_used(handle))
		return -EBUSY;
	error = control_feed_exec(handle, line, req, written);
	*ret_why = NULL;
	return error ? error : 1;
}

int control_write_ctl(fuse_req_t req, struct control_handle *handle, struct bytes line,
		      size_t written, const char **ret_why)
{
	struct args_job_signal args = {.job = handle->job->number};
	struct control_order order;
	struct line_ask *ask;

	*ret_why = "that is none of: signal NAME, eof, close";
	if (control_lines_read_order(line, &order))
		return -EINVAL;
	*ret_why = NULL;
	if (order.kind == CONTROL_EOF)
		return control_input_eof(handle->job);
	ask = new_line_ask(req, handle, written);
	if (!ask)
		return -ENOMEM;
	args.signal = order.kind == CONTROL_SIGNAL ? order.signal : SIGHUP;
	args.kill_after_ms = order.kind == CONTROL_SIGNAL ? 0 : CLOSE_PATIENCE_MS;
	control_ask_send(&ask->ask, OP_JOB_SIGNAL, &args);
	return 1;
}
