#include "ctl/daemon_start.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ctl/daemon_program.h"

#define LOG_MAX        (4 * 1024 * 1024) /* an older one is set aside at a start */
#define READY_FD       3
#define READY_FD_TEXT  "3"
#define END_TIMEOUT_MS 10000
#define TIMEOUT_S      90

/* The log, opened to append. */
static int open_log(const struct context *context)
{
	const char *path = context->home->log;
	char *older = NULL;
	struct stat st;

	if (stat(path, &st) == 0 && st.st_size > LOG_MAX && asprintf(&older, "%s.1", path) >= 0)
		rename(path, older);
	free(older);
	return open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
}

/* What the daemon wrote into its log since `start`: its complaint, or all of it when there is
 * nothing but log lines. */
static void show_log(const struct context *context, int log, off_t start)
{
	char *text = NULL, *line, *rest;
	struct stat st;
	size_t size;
	bool said = false;

	if (fstat(log, &st) < 0 || st.st_size <= start)
		return;
	size = (size_t)(st.st_size - start);
	if (size > 65536) {
		start += (off_t)(size - 65536);
		size = 65536;
	}
	text = calloc(1, size + 1);
	if (!text || pread(log, text, size, start) <= 0)
		goto out;
	for (int pass = 0; pass < 2 && !said; pass++) {
		char *copy = strdup(text);

		for (rest = copy; (line = strsep(&rest, "\n"));) {
			if (!*line || (pass == 0 && strncmp(line, "time=", 5) == 0))
				continue;
			fprintf(context->err, "%s\n", line);
			said = true;
		}
		free(copy);
	}
out:
	free(text);
}

/* In the child: nothing of the caller's stays open, so that a pipe it waits on can end. */
static void become_daemon(const char *const *argv, int log, int ready, const sigset_t *signals)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	setsid();
	/* Out of the way of the numbers that are given now. */
	log = fcntl(log, F_DUPFD_CLOEXEC, 10);
	ready = fcntl(ready, F_DUPFD_CLOEXEC, 10);
	if (null < 0 || log < 0 || ready < 0 || dup2(null, STDIN_FILENO) < 0 ||
	    dup2(log, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0 ||
	    dup2(ready, READY_FD) < 0)
		_exit(126);
	close_range(READY_FD + 1, ~0u, 0);
	signal(SIGPIPE, SIG_DFL);
	sigprocmask(SIG_SETMASK, signals, NULL);
	execv(argv[0], (char *const *)argv);
	dprintf(STDERR_FILENO, "cannot run %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

/* Waits for the line. Returns 1 when ready, 0 when the daemon ended or let go of the descriptor
 * without it, -ETIMEDOUT, or -EINTR when a signal came. */
static int wait_ready(int fd, int signals)
{
	struct pollfd poll_fds[] = {{.fd = fd, .events = POLLIN},
				    {.fd = signals, .events = POLLIN}};
	time_t deadline = time(NULL) + TIMEOUT_S;
	char text[16];
	size_t n = 0;

	while (time(NULL) < deadline && n < sizeof(text)) {
		ssize_t got;

		if (poll(poll_fds, 2, 1000) <= 0)
			continue;
		if (poll_fds[1].revents)
			return -EINTR;
		got = read(fd, text + n, sizeof(text) - n);
		if (got == 0)
			return 0;
		if (got > 0)
			n += (size_t)got;
		if (n >= 6 && memcmp(text, "ready\n", 6) == 0)
			return 1;
	}
	return -ETIMEDOUT;
}

static int report_ready(const struct context *context, pid_t pid)
{
	struct result_ctl_status status;
	struct local_client *client;
	struct ctl_address address;
	json_t *listen;
	int r = context_connect(context, &client);

	if (r != CONTEXT_OK)
		return r;
	r = context_call(context, client, OP_CTL_STATUS, &(struct args_ctl_status){0}, &status);
	if (r != CONTEXT_OK)
		goto out;
	listen = json_array();
	while (status.listen.n > 0 &&
	       codec_list_next(&status.listen, &ctl_address_record, &address, NULL) == 0)
		json_array_append_new(listen, context_json_text(address.address));
	if (context->json) {
		r = context_print_json(context,
				       json_pack("{s:i, s:o, s:o}", "pid", (int)pid, "listen",
						 listen, "mount", context_json_text(status.mount)));
		goto out;
	}
	for (size_t i = 0; i < json_array_size(listen); i++)
		context_say(context, "listening on %s",
			    json_string_value(json_array_get(listen, i)));
	json_decref(listen);
	context_say(context, "loopsyd is running (pid %d), peers are in %.*s", (int)pid,
		    (int)status.mount.size, (const char *)status.mount.data);
out:
	local_client_free(client);
	return r;
}

/* Waits for the end of a child that is not ready, and sees to it. Returns its status. */
static int end_child(pid_t pid, bool at_once)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0), status = 0;
	struct pollfd poll_fd = {.fd = pidfd, .events = POLLIN};

	if (at_once)
		kill(pid, SIGTERM);
	if (poll(&poll_fd, 1, END_TIMEOUT_MS) == 0)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (pidfd >= 0)
		close(pidfd);
	return status;
}

/* A child that is not ready: ends it, and says what it said. */
static int report_failure(const struct context *context, pid_t pid, int log, off_t start, int r)
{
	int status = end_child(pid, r < 0);
	off_t end = lseek(log, 0, SEEK_END);

	if (r == -EINTR)
		return context_fail(context, "interrupted; loopsyd is not started");
	show_log(context, log, start);
	if (r == -ETIMEDOUT)
		return context_fail(context,
				    "loopsyd was not ready after %d s and was ended: see "
				    "%s",
				    TIMEOUT_S, context->home->log);
	if (WIFSIGNALED(status))
		return context_fail(context, "loopsyd was killed by signal %d (%s): see %s",
				    WTERMSIG(status), strsignal(WTERMSIG(status)),
				    context->home->log);
	if (end == start)
		return context_fail(context, "loopsyd ended with status %d and said nothing",
				    WEXITSTATUS(status));
	return CONTEXT_FAILURE;
}

static int start_program(const struct context *context, const char *program,
			 const char *const *arguments, int log)
{
	const char *argv[DAEMON_PROGRAM_ARGUMENTS_MAX],
	    *all[DAEMON_PROGRAM_ARGUMENTS_MAX] = {"--ready-fd", READY_FD_TEXT};
	off_t start = lseek(log, 0, SEEK_END);
	int ready[2], signals, r;
	sigset_t set, before;
	pid_t pid;

	for (unsigned i = 0; arguments[i] && i + 3 < DAEMON_PROGRAM_ARGUMENTS_MAX; i++)
		all[i + 2] = arguments[i];
	if (daemon_program_arguments(context, program, "run", all, argv) < 0)
		return context_fail(context, "too many options");
	if (pipe2(ready, O_CLOEXEC) < 0)
		return context_fail(context, "cannot make a pipe: %s", strerror(errno));
	/* From here on Ctrl-C ends the daemon too, which is in a session of its own. */
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, &before);
	signals = signalfd(-1, &set, SFD_CLOEXEC);
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		become_daemon(argv, log, ready[1], &before);
	close(ready[1]);
	if (pid < 0)
		r = context_fail(context, "cannot start a process: %s", strerror(errno));
	else if ((r = wait_ready(ready[0], signals)) == 1)
		r = report_ready(context, pid);
	else
		r = report_failure(context, pid, log, start, r);
	close(ready[0]);
	if (signals >= 0)
		close(signals);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return r;
}

int daemon_start(const struct context *context, const char *const *arguments)
{
	char *program = daemon_program_find();
	int log, r;

	if (!program)
		return context_fail(context, "there is no program loopsyd beside loopsyctl or in "
					     "PATH: install loopsy, or name it in LOOPSYD");
	log = open_log(context);
	if (log < 0 && errno == ENOENT)
		r = context_fail(context, "this machine has no identity yet: make one with "
					  "'loopsyctl init'");
	else if (log < 0)
		r = context_fail(context, "cannot open %s: %s", context->home->log,
				 strerror(errno));
	else
		r = start_program(context, program, arguments, log);
	if (log >= 0)
		close(log);
	free(program);
	return r;
}
