/* log: what a job has written, as far as it is kept, and what it writes. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "ctl/command.h"
#include "ctl/job_client.h"
#include "ctl/job_list.h"
#include "ctl/output.h"

struct log {
	const struct context *context;
	struct job_client *job;
	struct output output;
	bool is_over;
	int status;
};

static void on_started(void *arg, const struct job_info *info)
{
}

static void on_output(void *arg, unsigned channel, struct bytes data)
{
	struct log *log = arg;
	ssize_t n = output_write(&log->output, data);

	/* Of both channels one output is made, so what is kept of it is nobody's: wait for it. */
	while (n >= 0 && output_pending(&log->output) > 0) {
		struct pollfd poll_fd = {.fd = log->output.fd, .events = POLLOUT};

		poll(&poll_fd, 1, -1);
		n = output_flush(&log->output);
	}
	job_client_consumed(log->job, channel, data.size);
	if (n >= 0)
		return;
	if (n != -EPIPE)
		context_fail(log->context, "cannot write the output: %s", strerror((int)-n));
	log->status = n == -EPIPE ? 128 + SIGPIPE : CONTEXT_FAILURE;
	log->is_over = true;
}

static void on_ended(void *arg, const struct job_info *info)
{
}

static void on_closed(void *arg, int error, const char *why)
{
	struct log *log = arg;

	if (log->is_over)
		return;
	if (error < 0)
		log->status = job_list_complain(log->context, error, why);
	log->is_over = true;
}

static const struct job_client_handler handler = {on_started, on_output, on_ended, on_closed, NULL};

static int follow(struct log *log, struct remote *remote, const char *peer, uint64_t job,
		  uint64_t offset)
{
	struct args_job_attach args = {.job = job, .offset = offset};
	int r = job_client_new(remote, peer, &handler, log, &log->job);

	if (r == 0)
		r = job_client_attach(log->job, &args);
	while (r == 0 && !log->is_over) {
		struct pollfd poll_fd = remote_poll(remote);

		poll(&poll_fd, 1, job_client_timeout(log->job));
		r = remote_turn(remote);
		if (r == 0 && !log->is_over)
			job_client_turn(log->job);
	}
	if (r < 0)
		log->status = job_list_complain(log->context, r, remote_end_reason(remote));
	job_client_free(log->job);
	return log->status;
}

/* What is there now. */
static int print(const struct context *context, struct remote *remote, const char *peer,
		 const struct job_info *info, uint64_t offset)
{
	struct args_job_read args = {.job = info->job, .offset = offset, .size = OPS_IO_MAX};
	struct result_job_read result;
	const char *reason;

	while (args.offset < info->end) {
		int r = remote_ask(remote, peer, OP_JOB_READ, &args, &result, &reason);

		if (r < 0)
			return job_list_complain(context, r, reason);
		if (result.data.size == 0)
			break;
		args.offset += result.data.size;
		if (fwrite(result.data.data, 1, result.data.size, context->out) != result.data.size)
			break; /* command_main says so */
	}
	return CONTEXT_OK;
}

int cmd_log_run(struct context *context)
{
	const struct arguments *arguments = &context->arguments;
	struct sigaction ignore = {.sa_handler = SIG_IGN}, old;
	struct log log = {.context = context};
	struct job_words words;
	struct remote *remote;
	struct job_info info;
	uint64_t offset;
	int status = job_list_words(context, 0, &words);

	if (status != CONTEXT_OK)
		return status;
	status = CONTEXT_FAILURE;
	if (context_connect_remote(context, &remote) != CONTEXT_OK)
		return CONTEXT_FAILURE;
	if (job_list_find(context, remote, words.peer, words.job, &info) == 0) {
		offset = arguments_number(arguments, "offset", info.kept);
		if (arguments_has(arguments, "follow")) {
			sigaction(SIGPIPE, &ignore, &old);
			output_init(&log.output, fileno(context->out));
			status = follow(&log, remote, words.peer, info.job, offset);
			output_deinit(&log.output);
			sigaction(SIGPIPE, &old, NULL);
		} else {
			status = print(context, remote, words.peer, &info, offset);
		}
	}
	remote_free(remote);
	return status;
}
