/* start */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "ctl/command.h"
#include "ctl/daemon_program.h"
#include "ctl/daemon_start.h"

/* Replaces this program; returns only when that fails. */
static int run_in_foreground(const struct context *context, const char *const *arguments)
{
	const char *argv[DAEMON_PROGRAM_ARGUMENTS_MAX];
	char *program = daemon_program_find();

	if (!program)
		return context_fail(context, "there is no program loopsyd beside loopsyctl or in "
					     "PATH: install loopsy, or name it in LOOPSYD");
	if (daemon_program_arguments(context, program, "run", arguments, argv) < 0)
		return context_fail(context, "too many options");
	execv(program, (char *const *)argv);
	return context_fail(context, "cannot run %s: %s", program, strerror(errno));
}

int cmd_start_run(struct context *context)
{
	const char *port = arguments_text(&context->arguments, "port", NULL);
	const char *arguments[4] = {NULL};
	struct local_client *client;
	unsigned n = 0;

	if (local_client_new(context->home->socket, &client) == 0) {
		pid_t pid = client->pid;

		local_client_free(client);
		return context_fail(context,
				    "loopsyd is already running (pid %d): 'loopsyctl restart' "
				    "starts it anew",
				    (int)pid);
	}
	if (arguments_has(&context->arguments, "lan"))
		arguments[n++] = "--lan";
	if (port) {
		arguments[n++] = "--port";
		arguments[n++] = port;
	}
	if (arguments_has(&context->arguments, "foreground"))
		return run_in_foreground(context, arguments);
	return daemon_start(context, arguments);
}
