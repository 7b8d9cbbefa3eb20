/*
 * One loop over the connection to loopsyd, the keys, what the terminal does not take at once, and
 * signals. All of them end in leave(), after which the terminal is as it was found.
 *
 * While the link is lost, keys are kept (but for escapes, which are ours) and the last line of the
 * terminal says so; since that overwrites something, the screen is asked for anew when the link is
 * back. What a key does is not known when its call fails, so no key is sent twice.
 */
#include "ctl/attached.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "ctl/escapes.h"
#include "ctl/job_client.h"
#include "ctl/monotonic.h"
#include "ctl/raw_terminal.h"
#include "ctl/terminal.h"

#define TELL_MS  2000 /* how long a link is lost before it is worth a line */
#define KEPT_MAX (64 * 1024)
#define END_MS   5000 /* between SIGHUP and SIGKILL */

struct attached {
	const struct context *context;
	const struct attached_target *target;
	struct remote *remote;
	struct job_client *job;
	struct raw_terminal terminal;
	bool is_terminal; /* both ours and the job's */
	struct escapes escapes;
	struct buffer kept;    /* typed while the link is lost */
	struct buffer pending; /* for the terminal, or for standard output */
	size_t n_written;
	bool has_started, has_ended, is_over, reads_input;
	bool wants_redraw, redraws;
	bool is_lost, was_told_lost, is_ending;
	int64_t lost_at; /* ms */
	int status;
	const char *parting; /* what is said at the end; static, with one %s for the name and one
			      * for the peer */
};

static void finish(struct attached *attached, int status)
{
	if (!attached->is_over)
		attached->status = status;
	attached->is_over = true;
}

static void leave(struct attached *attached)
{
	if (!attached->is_terminal)
		return;
	raw_terminal_leave(&attached->terminal);
}

static void fail(struct attached *attached, const char *text)
{
	char *escaped = terminal_escape(text, strlen(text));

	leave(attached);
	if (!attached->is_over)
		context_fail(attached->context, "%s", escaped ? escaped : text);
	free(escaped);
	finish(attached, ATTACHED_FAILURE);
}

static void show(struct attached *attached, const char *text)
{
	raw_terminal_write(&attached->terminal, bytes_of_text(text));
}

/* --- what the job tells ----------------------------------------------------------------------- */

static void on_started(void *arg, const struct job_info *info)
{
	struct attached *attached = arg;

	attached->has_started = true;
	if (attached->redraws)
		raw_terminal_clear(&attached->terminal);
}

static void flush(struct attached *attached)
{
	struct buffer *pending = &attached->pending;
	struct bytes rest = {pending->data + attached->n_written,
			     pending->size - attached->n_written};
	ssize_t n;

	if (rest.size == 0)
		return;
	n = raw_terminal_write_some(&attached->terminal, rest);
	if (n < 0) {
		finish(attached, 128 + SIGHUP);
		return;
	}
	attached->n_written += (size_t)n;
	job_client_consumed(attached->job, JOB_STDOUT, (size_t)n);
	if (attached->n_written == pending->size)
		pending->size = attached->n_written = 0;
}

static void write_plain(struct attached *attached, unsigned channel, struct bytes data)
{
	FILE *file = channel == JOB_STDERR ? attached->context->err : attached->context->out;

	if (fwrite(data.data, 1, data.size, file) != data.size || fflush(file) == EOF)
		finish(attached, 128 + SIGPIPE);
	job_client_consumed(attached->job, channel, data.size);
}

static void on_output(void *arg, unsigned channel, struct bytes data)
{
	struct attached *attached = arg;

	if (attached->is_over || channel != JOB_STDOUT || !attached->is_terminal) {
		if (attached->is_over)
			job_client_consumed(attached->job, channel, data.size);
		else
			write_plain(attached, channel, data);
		return;
	}
	raw_terminal_watch(&attached->terminal.changes, data);
	if (buffer_append(&attached->pending, data.data, data.size) < 0)
		fail(attached, strerror(ENOMEM));
	else
		flush(attached);
}

static void on_ended(void *arg, const struct job_info *info)
{
	struct attached *attached = arg;

	attached->has_ended = true;
	if (attached->is_over)
		return;
	if (info->state == JOB_EXITED)
		attached->status = (int)info->exit;
	else if (info->state == JOB_KILLED)
		attached->status = 128 + (int)info->signal;
	else
		fail(attached, "how it ended is not known");
}

static void on_closed(void *arg, int error, const char *why)
{
	struct attached *attached = arg;

	if (attached->has_ended || attached->is_over)
		return;
	if (error == -ESHUTDOWN)
		fail(attached, "loopsyd there was stopped, and what ran in it ended");
	else
		fail(attached, why);
}

static void on_link(void *arg, bool lost)
{
	struct attached *attached = arg;

	attached->is_lost = lost;
	attached->lost_at = monotonic_ms();
	if (!lost && attached->was_told_lost && attached->is_terminal)
		attached->wants_redraw = true;
	attached->was_told_lost = false;
}

static const struct job_client_handler job_handler = {on_started, on_output, on_ended, on_closed,
						      on_link};

static void tell_lost(struct attached *attached)
{
	char text[400];

	attached->was_told_lost = true;
	if (!attached->is_terminal) {
		context_say(attached->context, "loopsyctl: %s does not answer; waiting for it",
			    remote_place(attached->target->peer));
		return;
	}
	snprintf(text, sizeof(text),
		 "\0337\033[r\033[9999;1H\033[0;7m\033[Kloopsy: %s does not answer; ~. to "
		 "leave\033[0m\0338",
		 remote_place(attached->target->peer));
	show(attached, text);
}

/* --- asking ----------------------------------------------------------------------------------- */

static int attach(struct attached *attached)
{
	struct args_job_attach args = {.job = attached->target->job, .offset = OPS_ANY};
	unsigned rows, cols;

	attached->redraws = attached->is_terminal;
	if (attached->is_terminal) {
		raw_terminal_get_size(&attached->terminal, &rows, &cols);
		args.flags = JOB_SCREEN;
		args.rows = rows;
		args.cols = cols;
	} else if (!attached->target->tty) {
		args.offset = 0; /* all that it wrote */
	}
	return job_client_attach(attached->job, &args);
}

/* The whole screen once more. */
static int attach_again(struct attached *attached)
{
	int r;

	attached->wants_redraw = false;
	attached->job = job_client_free(attached->job);
	attached->pending.size = attached->n_written = 0;
	r = job_client_new(attached->remote, attached->target->peer, &job_handler, attached,
			   &attached->job);
	return r < 0 ? r : attach(attached);
}

static void send_keys(struct attached *attached, struct bytes data, bool eof)
{
	struct args_job_write args = {
	    .job = attached->target->job, .offset = OPS_ANY, .eof = eof, .data = data};
	unsigned rows, cols;

	if (attached->is_lost) {
		if (attached->kept.size + data.size <= KEPT_MAX)
			buffer_append(&attached->kept, data.data, data.size);
		return;
	}
	if (data.size == 0 && !eof)
		return;
	remote_hold(attached->remote);
	/* Whoever types has the say about the size; others may have been here meanwhile. */
	if (attached->is_terminal) {
		raw_terminal_get_size(&attached->terminal, &rows, &cols);
		job_client_resize(attached->job, rows, cols);
	}
	remote_call(attached->remote, attached->target->peer, OP_JOB_WRITE, &args, NULL, NULL,
		    NULL);
	remote_let_go(attached->remote);
}

static void send_kept(struct attached *attached)
{
	struct buffer kept = attached->kept;

	attached->kept = (struct buffer){0};
	send_keys(attached, (struct bytes){kept.data, kept.size}, false);
	buffer_deinit(&kept);
}

/* --- keys ------------------------------------------------------------------------------------- */

static void on_hung_up(void *arg, const struct remote_reply *reply)
{
	struct attached *attached = arg;

	if (reply->error < 0 && !attached->has_ended)
		fail(attached, reply->reason[0] ? reply->reason : strerror(-reply->error));
}

static const struct remote_handler hanging_up = {.reply = on_hung_up};

/* Ends the job; the second time, or without a link, only us. */
static void end(struct attached *attached)
{
	struct args_job_signal args = {
	    .job = attached->target->job, .signal = SIGHUP, .kill_after_ms = END_MS};

	if (attached->is_lost || attached->is_ending || !attached->has_started) {
		attached->parting = "left '%s' on %s, which may run on";
		finish(attached, ATTACHED_FAILURE);
		return;
	}
	attached->is_ending = true;
	if (remote_call(attached->remote, attached->target->peer, OP_JOB_SIGNAL, &args, &hanging_up,
			attached, NULL) < 0)
		finish(attached, ATTACHED_FAILURE);
}

static void do_command(struct attached *attached, enum escapes_command command)
{
	switch (command) {
	case ESCAPES_END:
		end(attached);
		break;
	case ESCAPES_DETACH:
		attached->parting = "detached from '%s' on %s, which runs on";
		finish(attached, 0);
		break;
	case ESCAPES_HELP:
		show(attached, "\r\n~.  end the terminal and what runs in it\r\n"
			       "~d  detach: it runs on\r\n~?  this help\r\n~~  a tilde\r\n"
			       "At the beginning of a line only.\r\n");
		break;
	case ESCAPES_NONE:
		break;
	}
}

static void take_keys(struct attached *attached, const uint8_t *data, size_t size)
{
	uint8_t keys[2 * 4096];
	size_t n_keys = 0;

	for (size_t i = 0; i < size && !attached->is_over; i++) {
		size_t n;
		enum escapes_command command =
		    escapes_take(&attached->escapes, data[i], keys + n_keys, &n);

		n_keys += n;
		if (command == ESCAPES_NONE)
			continue;
		send_keys(attached, (struct bytes){keys, n_keys}, false);
		n_keys = 0;
		do_command(attached, command);
	}
	send_keys(attached, (struct bytes){keys, n_keys}, false);
}

static void read_input(struct attached *attached)
{
	uint8_t data[4096];
	ssize_t n = read(attached->context->in, data, sizeof(data));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0 && attached->is_terminal) {
		take_keys(attached, data, (size_t)n);
	} else if (n > 0) {
		send_keys(attached, (struct bytes){data, (size_t)n}, false);
	} else {
		attached->reads_input = false;
		if (attached->is_terminal)
			finish(attached, 128 + SIGHUP);
		else
			send_keys(attached, (struct bytes){0}, true);
	}
}

/* --- signals ---------------------------------------------------------------------------------- */

static int open_signals(sigset_t *ret_old)
{
	static const int numbers[] = {SIGWINCH, SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGTSTP, SIGCONT};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaddset(&set, numbers[i]);
	sigprocmask(SIG_BLOCK, &set, ret_old);
	return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static void come_back(struct attached *attached)
{
	if (!attached->is_terminal)
		return;
	/* Whoever had the terminal meanwhile has set it as he liked. */
	attached->terminal.is_raw = false;
	raw_terminal_enter(&attached->terminal);
	attached->wants_redraw = attached->has_started;
}

/* Where another client had given it that size, its program has nothing to draw anew, but we have.
 */
static void on_resized(void *arg, const struct remote_reply *reply)
{
	const struct result_job_resize *result = reply->result;
	struct attached *attached = arg;

	if (reply->error == 0 && result->same)
		attached->wants_redraw = true;
}

static const struct remote_handler resizing = {.reply = on_resized};

static void take_new_size(struct attached *attached)
{
	struct args_job_resize args = {.job = attached->target->job};
	unsigned rows, cols;

	if (!attached->is_terminal || !attached->has_started || attached->is_lost)
		return;
	raw_terminal_get_size(&attached->terminal, &rows, &cols);
	args.rows = rows;
	args.cols = cols;
	remote_call(attached->remote, attached->target->peer, OP_JOB_RESIZE, &args, &resizing,
		    attached, NULL);
}

static void take_signal(struct attached *attached, int number)
{
	switch (number) {
	case SIGWINCH:
		take_new_size(attached);
		break;
	case SIGTSTP:
		leave(attached);
		kill(getpid(), SIGSTOP);
		break;
	case SIGCONT:
		come_back(attached);
		break;
	default:
		finish(attached, 128 + number);
	}
}

static void take_signals(struct attached *attached, int fd)
{
	struct signalfd_siginfo info;

	while (!attached->is_over && read(fd, &info, sizeof(info)) == sizeof(info))
		take_signal(attached, (int)info.ssi_signo);
}

/* --- the loop --------------------------------------------------------------------------------- */

enum { POLL_REMOTE, POLL_SIGNALS, POLL_INPUT, POLL_OUTPUT, N_POLL };

static int poll_timeout(const struct attached *attached)
{
	int timeout = job_client_timeout(attached->job), tell;

	if (!attached->is_lost || attached->was_told_lost)
		return timeout;
	tell = (int)(attached->lost_at + TELL_MS - monotonic_ms());
	if (tell < 0)
		tell = 0;
	return timeout < 0 || tell < timeout ? tell : timeout;
}

static void turn_remote(struct attached *attached)
{
	int r = remote_turn(attached->remote);

	if (r == 0)
		return;
	if (attached->has_ended)
		attached->is_over = true;
	else
		fail(attached,
		     r == -ECONNRESET
			 ? "loopsyd here has ended: 'loopsyctl start' starts it; what ran runs on"
		     : r == -EKEYREVOKED ? remote_end_reason(attached->remote)
					 : strerror(-r));
}

static void turn(struct attached *attached, int signals)
{
	bool reads = attached->reads_input && remote_room(attached->remote) > 4;
	struct pollfd fds[N_POLL] = {
	    [POLL_REMOTE] = remote_poll(attached->remote),
	    [POLL_SIGNALS] = {signals, POLLIN, 0},
	    [POLL_INPUT] = {reads ? attached->context->in : -1, POLLIN, 0},
	    [POLL_OUTPUT] = {attached->pending.size > 0 ? attached->terminal.out : -1, POLLOUT, 0},
	};

	if (poll(fds, N_POLL, poll_timeout(attached)) < 0)
		return;
	if (fds[POLL_SIGNALS].revents)
		take_signals(attached, signals);
	if (fds[POLL_OUTPUT].revents && !attached->is_over)
		flush(attached);
	if (fds[POLL_INPUT].revents && !attached->is_over)
		read_input(attached);
	if (fds[POLL_REMOTE].revents && !attached->is_over)
		turn_remote(attached);
	if (attached->is_over)
		return;
	if (attached->is_lost && !attached->was_told_lost &&
	    monotonic_ms() - attached->lost_at >= TELL_MS)
		tell_lost(attached);
	if (attached->wants_redraw && attach_again(attached) < 0)
		fail(attached, strerror(ENOMEM));
	else
		job_client_turn(attached->job);
	if (!attached->is_lost && attached->kept.size > 0)
		send_kept(attached);
}

static bool is_done(const struct attached *attached)
{
	return attached->is_over || (attached->has_ended && attached->pending.size == 0);
}

static void follow(struct attached *attached)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN}, old_pipe;
	sigset_t old_set;
	int signals, r;

	sigaction(SIGPIPE, &ignore, &old_pipe);
	signals = open_signals(&old_set);
	if (attached->is_terminal)
		raw_terminal_enter(&attached->terminal);
	r = attached->target->start ? job_client_start(attached->job, attached->target->start)
				    : attach(attached);
	if (r < 0)
		fail(attached, strerror(-r));
	while (!is_done(attached))
		turn(attached, signals);
	leave(attached);
	close(signals);
	sigprocmask(SIG_SETMASK, &old_set, NULL);
	sigaction(SIGPIPE, &old_pipe, NULL);
}

int attached_run(const struct context *context, struct remote *remote,
		 const struct attached_target *target)
{
	struct attached attached = {.context = context,
				    .target = target,
				    .remote = remote,
				    .reads_input = true,
				    .terminal = {.out = -1}};
	int r = job_client_new(remote, target->peer, &job_handler, &attached, &attached.job);

	if (r < 0) {
		context_fail(context, "%s", strerror(-r));
		return ATTACHED_FAILURE;
	}
	attached.is_terminal = target->tty && raw_terminal_init(&attached.terminal, context->in,
								fileno(context->out)) == 0;
	follow(&attached);
	raw_terminal_deinit(&attached.terminal);
	if (attached.parting) {
		char text[200];

		snprintf(text, sizeof(text), attached.parting, target->name,
			 remote_place(target->peer));
		context_say(context, "\nloopsyctl: %s", text);
	}
	job_client_free(attached.job);
	buffer_deinit(&attached.kept);
	buffer_deinit(&attached.pending);
	return attached.status;
}
