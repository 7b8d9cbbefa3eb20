/* stop and restart */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ctl/command.h"
#include "ctl/daemon_start.h"

#define STOP_TIMEOUT_MS 60000
#define ARGUMENTS_SIZE  4096
#define ARGUMENTS_N     16

/* Asks the daemon to end and waits until its process has. */
static int stop_daemon(const struct context *context, struct local_client *client)
{
	pid_t pid = client->pid;
	/* Taken before it can end, so that it is this process and no later one of its number. */
	int pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1, r;
	struct pollfd poll_fd = {.fd = pidfd, .events = POLLIN};
	struct frame frame;

	r = context_call(context, client, OP_CTL_STOP, &(struct args_ctl_stop){0}, NULL);
	if (r != CONTEXT_OK)
		goto out;
	do
		r = local_client_receive(client, STOP_TIMEOUT_MS, &frame);
	while (r == 0);
	if (r == -ECONNRESET)
		r = pidfd < 0 || poll(&poll_fd, 1, STOP_TIMEOUT_MS) > 0 ? 0 : -ETIMEDOUT;
	r = r == 0 ? CONTEXT_OK
		   : context_fail(context,
				  "loopsyd (pid %d) has not ended after %d s: 'kill -9 "
				  "%d' ends it, the next start clears its mount",
				  (int)pid, STOP_TIMEOUT_MS / 1000, (int)pid);
out:
	if (pidfd >= 0)
		close(pidfd);
	return r;
}

int cmd_stop_run(struct context *context)
{
	struct local_client *client = NULL;
	int r = context_connect_if_up(context, &client);
	pid_t pid = client ? client->pid : 0;
	bool found = client != NULL;

	if (found)
		r = stop_daemon(context, client);
	local_client_free(client);
	if (r != CONTEXT_OK)
		return r;
	if (context->json)
		return context_print_json(context, json_pack("{s:b}", "stopped", found));
	if (found)
		context_say(context, "loopsyd (pid %d) has ended", (int)pid);
	else
		context_say(context, "loopsyd is not running");
	return CONTEXT_OK;
}

/*
 * The options that the running daemon was given, from its command line: what follows `run`, but for
 * the readiness descriptor. `buffer` holds the text.
 */
static void read_arguments(pid_t pid, char *buffer, const char **ret_arguments)
{
	unsigned n = 0;
	char path[64];
	ssize_t size = -1;
	bool run = false;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		size = read(fd, buffer, ARGUMENTS_SIZE - 1);
		close(fd);
	}
	if (size < 0)
		size = 0;
	buffer[size] = '\0';
	for (char *at = buffer; at < buffer + size && n + 1 < ARGUMENTS_N; at += strlen(at) + 1) {
		if (!run)
			run = strcmp(at, "run") == 0;
		else if (strcmp(at, "--ready-fd") == 0)
			at += strlen(at) + 1; /* and its value */
		else
			ret_arguments[n++] = at;
	}
	ret_arguments[n] = NULL;
}

int cmd_stop_run_restart(struct context *context)
{
	const char *port = arguments_text(&context->arguments, "port", NULL);
	const char *arguments[ARGUMENTS_N] = {NULL};
	char *buffer = malloc(ARGUMENTS_SIZE + 1);
	struct local_client *client = NULL;
	int r = context_connect_if_up(context, &client);
	unsigned n = 0;

	if (r != CONTEXT_OK || !buffer) {
		r = CONTEXT_FAILURE;
		goto out;
	}
	if (client) {
		read_arguments(client->pid, buffer, arguments);
		r = stop_daemon(context, client);
		if (r != CONTEXT_OK)
			goto out;
	}
	if (arguments_has(&context->arguments, "lan") || port) {
		if (arguments_has(&context->arguments, "lan"))
			arguments[n++] = "--lan";
		if (port) {
			arguments[n++] = "--port";
			arguments[n++] = port;
		}
		arguments[n] = NULL;
	}
	r = daemon_start(context, arguments);
out:
	local_client_free(client);
	free(buffer);
	return r;
}
