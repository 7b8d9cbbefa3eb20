/* The contents of control files that are text: status, last-error, settings, and what the peer says
 * of a job. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "fs/control_job.h"
#include "fs/control_private.h"

static int append_text(struct buffer *text, const char *string)
{
	return buffer_append(text, string, strlen(string));
}

int control_text_status(const struct fs_node *node, fuse_req_t req, struct buffer *text)
{
	struct fs *fs = fs_of(req);
	struct fs_peer *peer = node_peer(fs, node);

	if (!fs->config.status_text)
		return 0;
	return fs->config.status_text(fs->config.arg, peer ? peer->arg : NULL, text);
}

int control_text_last_error(const struct fs_node *node, fuse_req_t req, struct buffer *text)
{
	return control_errors_print(req, node_peer(fs_of(req), node), text);
}

/* --- settings --------------------------------------------------------------------------------- */

static int one_line(const char *line, struct buffer *text)
{
	int error = line ? append_text(text, line) : 0;

	return line && !error ? append_text(text, "\n") : error;
}

int control_text_cwd(const struct fs_node *node, fuse_req_t req, struct buffer *text)
{
	return one_line(node->control->job->cwd, text);
}

int control_text_cmd(const struct fs_node *node, fuse_req_t req, struct buffer *text)
{
	return one_line(node->control->job->cmd, text);
}

int control_text_env(const struct fs_node *node, fuse_req_t req, struct buffer *text)
{
	const struct buffer *env = &node->control->job->env;
	int error = 0;

	for (size_t at = 0; at < env->size && !error;) {
		size_t size = strlen((const char *)env->data + at);

		error = control_lines_print_variable((struct bytes){env->data + at, size}, text);
		at += size + 1;
	}
	return error;
}

int control_text_tty(const struct fs_node *node, fuse_req_t req, struct buffer *text)
{
	const struct control_job *job = node->control->job;
	char line[32];

	if (!job->rows)
		return 0;
	snprintf(line, sizeof(line), "%u %u\n", job->rows, job->cols);
	return append_text(text, line);
}

/* --- what the peer says ----------------------------------------------------------------------- */

static int append_time(struct buffer *text, const char *name, struct timespec time)
{
	char line[96], when[80] = "";
	struct tm tm;

	if (!time.tv_sec || !gmtime_r(&time.tv_sec, &tm))
		return 0;
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	snprintf(line, sizeof(line), "%s %s\n", name, when);
	return append_text(text, line);
}

static int append_info(const struct job_info *info, struct buffer *text)
{
	static const char *const states[] = {"running", "exited", "killed", "lost"};
	char line[160];
	int error;

	snprintf(line, sizeof(line), "state %s\n", states[info->state]);
	error = append_text(text, line);
	if (!error && info->state == JOB_EXITED) {
		snprintf(line, sizeof(line), "exit %u\n", (unsigned)info->exit);
		error = append_text(text, line);
	}
	if (!error && info->state == JOB_KILLED) {
		snprintf(line, sizeof(line), "signal %u\n", (unsigned)info->signal);
		error = append_text(text, line);
	}
	if (!error)
		error = append_time(text, "started", info->started);
	if (!error)
		error = append_time(text, "ended", info->ended);
	if (!error && info->tty) {
		snprintf(line, sizeof(line), "tty %u %u\n", (unsigned)info->rows,
			 (unsigned)info->cols);
		error = append_text(text, line);
	}
	if (error)
		return error;
	snprintf(line, sizeof(line), "kept %llu\nend %llu\n", (unsigned long long)info->kept,
		 (unsigned long long)info->end);
	return append_text(text, line);
}

int control_text_of_status(const struct control_job *job, const struct transport_reply *reply,
			   struct buffer *text)
{
	const struct result_job_status *result = reply ? reply->result : NULL;
	int error;

	if (!reply)
		return append_text(text, job->state == CONTROL_JOB_NEW ? "state new\n"
								       : "state starting\n");
	if (reply->error)
		return reply->error;
	error = append_info(&result->info, text);
	if (!error)
		error = append_text(text, "cmd ");
	if (!error)
		error = control_lines_print(result->info.cmd, text);
	return error ? error : append_text(text, "\n");
}

int control_text_of_screen(const struct control_job *job, const struct transport_reply *reply,
			   struct buffer *text)
{
	const struct result_job_screen *result = reply ? reply->result : NULL;

	if (!reply)
		return -ENXIO;
	if (reply->error)
		return reply->error;
	return buffer_append(text, result->text.data, result->text.size);
}
