/*
 * shell and attach: terminals on peers, which live on when their client goes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <unistd.h>

#include "ctl/attached.h"
#include "ctl/command.h"
#include "ctl/job_list.h"
#include "ctl/target.h"
#include "ctl/terminal.h"

#define STANDARD_NAME "shell"

static int complain(const struct context *context, const char *peer, uint16_t op, int error,
		    const char *reason)
{
	const char *format = reason[0] ? NULL : ops_jobs_error(op, error), *at;
	char *escaped = terminal_escape(reason, strlen(reason));

	at = format ? strstr(format, "%s") : NULL;
	if (at)
		context_fail(context, "%.*s%s%s", (int)(at - format), format, peer, at + 2);
	else
		context_fail(context, "%s", reason[0] && escaped ? escaped : strerror(-error));
	free(escaped);
	return ATTACHED_FAILURE;
}

/* The job of that name, if there is one. 0, -ENOENT, or another -errno having said why. */
static int find(const struct context *context, struct remote *remote, const char *peer,
		const char *name, struct result_job_status *ret_status)
{
	struct args_job_status args = {.name = bytes_of_text(name)};
	const char *reason;
	int r = remote_ask(remote, peer, OP_JOB_STATUS, &args, ret_status, &reason);

	if (r < 0 && r != -ENOENT)
		complain(context, peer, OP_JOB_STATUS, r, reason);
	return r;
}

static int start(const struct context *context, struct remote *remote, const struct target *where,
		 const char *name)
{
	const char *term = getenv("TERM");
	struct args_job_start args = {.name = bytes_of_text(name),
				      .flags = JOB_TTY | JOB_STDIN | JOB_LOGIN | JOB_ATTACH,
				      .cwd = bytes_of_text(where->directory),
				      .rows = 24,
				      .cols = 80};
	struct attached_target target = {
	    .peer = where->peer, .name = name[0] ? name : "the shell", .start = &args, .tty = true};
	struct winsize size;

	if (getrandom(&args.job, sizeof(args.job), 0) != sizeof(args.job)) {
		context_fail(context, "cannot choose a number: %s", strerror(errno));
		return ATTACHED_FAILURE;
	}
	args.job |= 1; /* not 0 */
	target.job = args.job;
	args.term = bytes_of_text(term && strlen(term) <= OPS_JOB_NAME_MAX ? term : "");
	if (ioctl(fileno(context->out), TIOCGWINSZ, &size) == 0 && size.ws_row && size.ws_col) {
		args.rows = size.ws_row;
		args.cols = size.ws_col;
	}
	return attached_run(context, remote, &target);
}

static int attach(const struct context *context, struct remote *remote, const char *peer,
		  const char *name, const struct job_info *info)
{
	struct attached_target target = {
	    .peer = peer, .name = name, .job = info->job, .tty = info->tty};

	return attached_run(context, remote, &target);
}

int cmd_shell_run(struct context *context)
{
	const char *given = context->arguments.n_words > 0 ? context->arguments.words[0] : NULL;
	bool is_new = arguments_has(&context->arguments, "new");
	const char *name = arguments_text(&context->arguments, "name", is_new ? "" : STANDARD_NAME);
	struct result_job_status found;
	struct target target = {0};
	struct remote *remote;
	int r, status = ATTACHED_FAILURE;

	if (!isatty(context->in) || !isatty(fileno(context->out))) {
		context_fail(context, "shell is for terminals: 'loopsyctl exec' runs commands "
				      "without one");
		return ATTACHED_FAILURE;
	}
	if (context_connect_remote(context, &remote) != CONTEXT_OK)
		return ATTACHED_FAILURE;
	if (target_find(context, remote_client(remote), given, NULL, &target) < 0)
		goto out;
	r = is_new ? -ENOENT : find(context, remote, target.peer, name, &found);
	if (r == 0 && found.info.state == JOB_RUNNING && found.info.tty)
		status = attach(context, remote, target.peer, name, &found.info);
	else if (r == 0 || r == -ENOENT)
		status = start(context, remote, &target, name);
	target_deinit(&target);
out:
	remote_free(remote);
	return status;
}

int cmd_shell_run_attach(struct context *context)
{
	struct result_job_status found;
	struct job_words words;
	struct remote *remote;
	int r = job_list_words(context, 0, &words), status = ATTACHED_FAILURE;

	if (r != CONTEXT_OK)
		return r;
	if (context_connect_remote(context, &remote) != CONTEXT_OK)
		return ATTACHED_FAILURE;
	/* On this machine a name is not enough: several peers may have given it. */
	r = words.peer[0] ? find(context, remote, words.peer, words.job, &found)
			  : job_list_find(context, remote, "", words.job, &found.info);
	if (r == -ENOENT && words.peer[0])
		complain(context, words.peer, OP_JOB_STATUS, r, "");
	else if (r == 0)
		status = attach(context, remote, words.peer, words.job, &found.info);
	remote_free(remote);
	return status;
}
