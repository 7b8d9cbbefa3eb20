/*
 * exec: a command on a peer, as if it ran here.
 *
 * One loop over: the connection to loopsyd, standard input, what standard output and standard error
 * do not take at once, and signals. The first Ctrl-C is the command's (SIGINT for its process
 * group); another one within two seconds leaves it running there. Everything that ends us ends the
 * command, because it belongs to our stream.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "ctl/command.h"
#include "ctl/exec_command.h"
#include "ctl/job_client.h"
#include "ctl/monotonic.h"
#include "ctl/output.h"
#include "ctl/raw_terminal.h"
#include "ctl/path_filter.h"
#include "ctl/terminal.h"

#define LEAVE_MS 2000 /* between two Ctrl-C */
#define TELL_MS  3000 /* how long a link is lost before it is worth a line */

struct exec {
	const struct context *context;
	const struct exec_command *command;
	struct remote *remote;
	struct job_client *job;
	struct output outputs[2]; /* by channel */
	size_t owed[2];           /* bytes of filtered ones that are told and not given back */
	char name[OPS_JOB_NAME_MAX + 1];
	bool has_started, has_ended, is_over; /* over: nothing is awaited any more */
	bool reads_stdin;
	int status;
	unsigned n_interrupts;
	int64_t interrupted_at; /* ms */
	bool is_lost, was_told_lost;
	int64_t lost_at;
	bool has_terminal; /* of ours, for a command that has one: keys go there as they are */
	struct raw_terminal terminal;
};

static void enter_raw(struct exec *exec)
{
	if (exec->has_terminal)
		raw_terminal_enter(&exec->terminal);
}

static void leave_raw(struct exec *exec)
{
	if (exec->has_terminal)
		raw_terminal_leave(&exec->terminal);
}

static void finish(struct exec *exec, int status)
{
	if (!exec->is_over)
		exec->status = status;
	exec->is_over = true;
}

static void fail(struct exec *exec, const char *text)
{
	char *escaped = terminal_escape(text, strlen(text));

	leave_raw(exec);
	if (!exec->is_over)
		context_fail(exec->context, "%s", escaped ? escaped : text);
	free(escaped);
	finish(exec, EXEC_FAILURE);
}

/* --- what the job tells ----------------------------------------------------------------------- */

static void on_started(void *arg, const struct job_info *info)
{
	struct exec *exec = arg;

	memcpy(exec->name, info->name.data, info->name.size);
	exec->has_started = true;
	enter_raw(exec);
	if (!exec->command->detach)
		return;
	fprintf(exec->context->out, "%s\n", exec->name);
	finish(exec, 0);
}

/* What a filter makes of bytes has another size: they are given back once all is written. */
static size_t to_give_back(struct exec *exec, unsigned channel, size_t n)
{
	if (!exec->command->filters[channel])
		return n;
	if (output_pending(&exec->outputs[channel]) > 0)
		return 0;
	n = exec->owed[channel];
	exec->owed[channel] = 0;
	return n;
}

static void written(struct exec *exec, unsigned channel, ssize_t n)
{
	if (n >= 0) {
		job_client_consumed(exec->job, channel, to_give_back(exec, channel, (size_t)n));
	} else if (channel == JOB_STDERR) {
		/* As a command whose standard error is closed: it goes on. */
		n = (ssize_t)output_pending(&exec->outputs[channel]);
		output_deinit(&exec->outputs[channel]);
		exec->outputs[channel] = (struct output){.fd = -1};
		job_client_consumed(exec->job, channel, to_give_back(exec, channel, (size_t)n));
	} else if (n == -EPIPE) {
		finish(exec, 128 + SIGPIPE);
	} else {
		context_fail(exec->context, "cannot write the output: %s", strerror((int)-n));
		finish(exec, EXEC_FAILURE);
	}
}

static void write_filtered(struct exec *exec, unsigned channel, struct bytes data)
{
	struct path_filter *filter = exec->command->filters[channel];
	struct buffer out = {0};
	int r;

	exec->owed[channel] += data.size;
	r = data.data ? path_filter_take(filter, data, &out) : path_filter_finish(filter, &out);
	written(exec, channel,
		r < 0 ? r
		      : output_write(&exec->outputs[channel], (struct bytes){out.data, out.size}));
	buffer_deinit(&out);
}

static void on_output(void *arg, unsigned channel, struct bytes data)
{
	struct exec *exec = arg;

	if (exec->has_terminal)
		raw_terminal_watch(&exec->terminal.changes, data);
	if (exec->is_over || exec->outputs[channel].fd < 0)
		job_client_consumed(exec->job, channel, data.size);
	else if (exec->command->filters[channel])
		write_filtered(exec, channel, data);
	else
		written(exec, channel, output_write(&exec->outputs[channel], data));
}

static void on_ended(void *arg, const struct job_info *info)
{
	struct exec *exec = arg;

	exec->has_ended = true;
	for (unsigned i = 0; i < 2 && !exec->is_over; i++)
		if (exec->command->filters[i] && exec->outputs[i].fd >= 0)
			write_filtered(exec, i, (struct bytes){0});
	if (exec->is_over)
		return;
	if (info->state == JOB_EXITED)
		exec->status = (int)info->exit;
	else if (info->state == JOB_KILLED)
		exec->status = 128 + (int)info->signal;
	else
		fail(exec, "how the command ended is not known");
}

static void on_closed(void *arg, int error, const char *why)
{
	struct exec *exec = arg;

	if (exec->has_ended || exec->is_over)
		return;
	if (error == -ESHUTDOWN) {
		leave_raw(exec);
		context_fail(
		    exec->context,
		    "loopsyd on %s was stopped, and the command with it: run it again when "
		    "'loopsyctl peers' shows %s online",
		    exec->command->peer, exec->command->peer);
		finish(exec, EXEC_FAILURE);
		return;
	}
	fail(exec, why);
}

static void on_link(void *arg, bool lost)
{
	struct exec *exec = arg;

	exec->is_lost = lost;
	exec->lost_at = monotonic_ms();
	if (!lost && exec->was_told_lost)
		context_say(exec->context, "loopsyctl: the link to %s is back",
			    exec->command->peer);
	exec->was_told_lost = false;
	if (!lost)
		enter_raw(exec);
}

static void tell_lost(struct exec *exec)
{
	exec->was_told_lost = true;
	if (exec->has_terminal)
		raw_terminal_pause(&exec->terminal); /* Ctrl-C is ours until it is back */
	context_say(exec->context,
		    "loopsyctl: the link to %s is lost: waiting for it, the command runs on",
		    exec->command->peer);
}

static const struct job_client_handler job_handler = {on_started, on_output, on_ended, on_closed,
						      on_link};

/* --- signals ---------------------------------------------------------------------------------- */

static void on_detached(void *arg, const struct remote_reply *reply)
{
	struct exec *exec = arg;
	const char *peer = exec->command->peer;

	if (exec->is_over || exec->has_ended)
		return;
	if (reply->error < 0) {
		fail(exec, reply->reason[0] ? reply->reason : strerror(-reply->error));
		return;
	}
	context_say(exec->context,
		    "\nloopsyctl: %s runs on as '%s': 'loopsyctl attach %s %s' shows it again, "
		    "'loopsyctl kill %s %s' ends it",
		    peer, exec->name, peer, exec->name, peer, exec->name);
	finish(exec, 128 + SIGINT);
}

static const struct remote_handler detaching = {.reply = on_detached};

static void interrupt(struct exec *exec)
{
	struct args_job_detach args = {.job = job_client_number(exec->job)};
	int64_t now = monotonic_ms();

	if (now - exec->interrupted_at > LEAVE_MS)
		exec->n_interrupts = 0;
	exec->interrupted_at = now;
	exec->n_interrupts++;
	if (exec->n_interrupts == 1 && !exec->is_lost)
		job_client_signal(exec->job, SIGINT);
	else if (exec->n_interrupts <= 2 && exec->has_started && !exec->is_lost)
		remote_call(exec->remote, exec->command->peer, OP_JOB_DETACH, &args, &detaching,
			    exec, NULL);
	else if (exec->n_interrupts >= 2)
		finish(exec, 128 + SIGINT);
}

static void resize(struct exec *exec)
{
	unsigned rows, cols;

	if (!exec->has_terminal)
		return;
	raw_terminal_get_size(&exec->terminal, &rows, &cols);
	job_client_resize(exec->job, rows, cols);
}

static void take_signals(struct exec *exec, int fd)
{
	struct signalfd_siginfo info;

	while (read(fd, &info, sizeof(info)) == sizeof(info)) {
		switch (info.ssi_signo) {
		case SIGINT:
			interrupt(exec);
			break;
		case SIGQUIT:
			job_client_signal(exec->job, SIGQUIT);
			break;
		case SIGWINCH:
			resize(exec);
			break;
		default:
			finish(exec, 128 + (int)info.ssi_signo);
		}
	}
}

/* Those that are ignored stay so: nohup, and a shell's background commands. */
static int open_signals(sigset_t *ret_old)
{
	static const int numbers[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGWINCH};
	struct sigaction action;
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (sigaction(numbers[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
			sigaddset(&set, numbers[i]);
	sigprocmask(SIG_BLOCK, &set, ret_old);
	return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

/* --- the loop --------------------------------------------------------------------------------- */

static void read_stdin(struct exec *exec)
{
	static const size_t most = OPS_IO_MAX;
	uint8_t *data = malloc(most);
	ssize_t n = data ? read(exec->context->in, data, most) : -1;
	int r = 0;

	if (n >= 0)
		r = job_client_input(exec->job, (struct bytes){data, (size_t)n}, n == 0);
	else if (errno != EAGAIN && errno != EINTR)
		r = job_client_input(exec->job, (struct bytes){0},
				     true); /* closed, or a directory */
	if (n == 0 || r < 0 || job_client_input_is_closed(exec->job))
		exec->reads_stdin = false;
	free(data);
}

enum { POLL_REMOTE, POLL_SIGNALS, POLL_STDIN, POLL_OUTPUT, N_POLL = POLL_OUTPUT + 2 };

static void fill_poll(const struct exec *exec, int signals, struct pollfd fds[N_POLL])
{
	fds[POLL_REMOTE] = remote_poll(exec->remote);
	fds[POLL_SIGNALS] = (struct pollfd){signals, POLLIN, 0};
	fds[POLL_STDIN] = (struct pollfd){-1, POLLIN, 0};
	if (exec->reads_stdin && !exec->has_ended && job_client_input_room(exec->job) > 0 &&
	    remote_room(exec->remote) > 4)
		fds[POLL_STDIN].fd = exec->context->in;
	for (unsigned i = 0; i < 2; i++) {
		const struct output *output = &exec->outputs[i];

		fds[POLL_OUTPUT + i] =
		    (struct pollfd){output_pending(output) > 0 ? output->fd : -1, POLLOUT, 0};
	}
}

static int poll_timeout(const struct exec *exec)
{
	int timeout = job_client_timeout(exec->job), tell;

	if (!exec->is_lost || exec->was_told_lost)
		return timeout;
	tell = (int)(exec->lost_at + TELL_MS - monotonic_ms());
	if (tell < 0)
		tell = 0;
	return timeout < 0 || tell < timeout ? tell : timeout;
}

static void turn(struct exec *exec, int signals)
{
	struct pollfd fds[N_POLL];
	int r;

	fill_poll(exec, signals, fds);
	if (poll(fds, N_POLL, poll_timeout(exec)) < 0)
		return;
	if (fds[POLL_SIGNALS].revents)
		take_signals(exec, signals);
	for (unsigned i = 0; i < 2 && !exec->is_over; i++)
		if (fds[POLL_OUTPUT + i].revents)
			written(exec, i, output_flush(&exec->outputs[i]));
	if (fds[POLL_STDIN].revents && !exec->is_over)
		read_stdin(exec);
	if (fds[POLL_REMOTE].revents && !exec->is_over) {
		r = remote_turn(exec->remote);
		if (r == -EKEYREVOKED)
			fail(exec, remote_end_reason(exec->remote));
		else if (r < 0 && !exec->has_ended)
			fail(exec, r == -ECONNRESET ? "loopsyd here was stopped, and the command "
						      "with it: 'loopsyctl start' starts it"
						    : strerror(-r));
		else if (r < 0)
			exec->is_over = true;
	}
	if (exec->is_lost && !exec->was_told_lost && monotonic_ms() - exec->lost_at >= TELL_MS)
		tell_lost(exec);
	if (!exec->is_over)
		job_client_turn(exec->job);
}

/* All that it wrote before it ended is told before that; what it left behind is not waited for. */
static bool is_done(const struct exec *exec)
{
	return exec->is_over || (exec->has_ended && output_pending(&exec->outputs[0]) == 0 &&
				 output_pending(&exec->outputs[1]) == 0);
}

static int follow(struct exec *exec, const struct args_job_start *args)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN}, old_pipe;
	sigset_t old_set;
	int signals, r;

	sigaction(SIGPIPE, &ignore, &old_pipe);
	signals = open_signals(&old_set);
	output_init(&exec->outputs[0], fileno(exec->context->out));
	output_init(&exec->outputs[1], fileno(exec->context->err));
	r = job_client_start(exec->job, args);
	if (r < 0)
		fail(exec,
		     r == -EMSGSIZE || r == -EINVAL ? "the command is too long" : strerror(-r));
	while (!is_done(exec))
		turn(exec, signals);
	leave_raw(exec);
	for (unsigned i = 0; i < 2; i++)
		output_deinit(&exec->outputs[i]);
	if (signals >= 0)
		close(signals);
	sigprocmask(SIG_SETMASK, &old_set, NULL);
	sigaction(SIGPIPE, &old_pipe, NULL);
	return exec->status;
}

/* The one that keys come from, also if the output goes elsewhere. */
static int open_terminal(struct exec *exec)
{
	int out = fileno(exec->context->out);

	return raw_terminal_init(&exec->terminal, exec->context->in,
				 isatty(out) ? out : exec->context->in);
}

int cmd_exec_follow(const struct context *context, struct remote *remote,
		    const struct exec_command *command)
{
	struct exec exec = {.context = context,
			    .command = command,
			    .remote = remote,
			    .reads_stdin = (command->args.flags & JOB_STDIN) != 0,
			    .interrupted_at = -LEAVE_MS - 1};
	struct args_job_start args = command->args;
	int status;

	if (getrandom(&args.job, sizeof(args.job), 0) != sizeof(args.job) ||
	    job_client_new(remote, command->peer, &job_handler, &exec, &exec.job) < 0) {
		context_fail(context, "out of memory");
		return EXEC_FAILURE;
	}
	args.job |= 1; /* not 0 */
	exec.has_terminal = (args.flags & JOB_TTY) && open_terminal(&exec) == 0;
	status = follow(&exec, &args);
	if (exec.has_terminal)
		raw_terminal_deinit(&exec.terminal);
	job_client_free(exec.job);
	return status;
}
