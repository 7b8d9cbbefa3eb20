#include "ctl/daemon_program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTPUT_MAX (1024 * 1024)

extern char **environ;

static char *beside_ourselves(void)
{
	char path[4096], *slash;
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - sizeof("/loopsyd"));

	if (n < 0)
		return NULL;
	path[n] = '\0';
	slash = strrchr(path, '/');
	if (!slash)
		return NULL;
	strcpy(slash, "/loopsyd");
	return access(path, X_OK) == 0 ? strdup(path) : NULL;
}

static char *in_path(void)
{
	const char *at = getenv("PATH");

	while (at && *at) {
		size_t n = strcspn(at, ":");
		char *path;

		if (n > 0 && asprintf(&path, "%.*s/loopsyd", (int)n, at) >= 0) {
			if (access(path, X_OK) == 0)
				return path;
			free(path);
		}
		at += n + (at[n] == ':');
	}
	return NULL;
}

char *daemon_program_find(void)
{
	const char *named = getenv("LOOPSYD");
	char *path;

	if (named && *named)
		return access(named, X_OK) == 0 ? strdup(named) : NULL;
	path = beside_ourselves();
	return path ? path : in_path();
}

int daemon_program_arguments(const struct context *context, const char *program, const char *verb,
			     const char *const *arguments,
			     const char *ret_argv[DAEMON_PROGRAM_ARGUMENTS_MAX])
{
	unsigned n = 0;

	ret_argv[n++] = program;
	if (context->home->loopsy_home) {
		ret_argv[n++] = "--home";
		ret_argv[n++] = context->home->loopsy_home;
	}
	ret_argv[n++] = verb;
	for (; arguments && *arguments; arguments++) {
		if (n + 1 == DAEMON_PROGRAM_ARGUMENTS_MAX)
			return -E2BIG;
		ret_argv[n++] = *arguments;
	}
	ret_argv[n] = NULL;
	return 0;
}

/* Reads both descriptors to their ends, what exceeds OUTPUT_MAX is dropped. A -1 is none. */
static void read_all(int fds[2], struct buffer outputs[2])
{
	struct pollfd poll_fds[2] = {{.fd = fds[0], .events = POLLIN},
				     {.fd = fds[1], .events = POLLIN}};

	while (poll_fds[0].fd >= 0 || poll_fds[1].fd >= 0) {
		if (poll(poll_fds, 2, -1) < 0 && errno != EINTR)
			return;
		for (unsigned i = 0; i < 2; i++) {
			char piece[4096];
			ssize_t n;

			if (poll_fds[i].fd < 0 || !poll_fds[i].revents)
				continue;
			n = read(poll_fds[i].fd, piece, sizeof(piece));
			if (n > 0)
				buffer_append(&outputs[i], piece, (size_t)n);
			else if (n == 0 || errno != EINTR)
				poll_fds[i].fd = -1;
		}
	}
}

/* Spawns with the pipes' write ends as stdout and stderr (where there are some). */
static int spawn(const char *const *argv, int pipes[2][2], pid_t *ret_pid)
{
	posix_spawn_file_actions_t actions;
	int r = posix_spawn_file_actions_init(&actions);

	if (r != 0)
		return -r;
	for (int i = 0; i < 2 && r == 0; i++)
		if (pipes[i][1] >= 0)
			r = posix_spawn_file_actions_adddup2(&actions, pipes[i][1], i + 1);
	if (r == 0)
		r = posix_spawn(ret_pid, argv[0], &actions, NULL, (char *const *)argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	return -r;
}

static int exit_status(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return CONTEXT_FAILURE;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int daemon_program_ask(const struct context *context, const char *verb,
		       const char *const *arguments, char **ret_output, char **ret_error)
{
	const char *argv[DAEMON_PROGRAM_ARGUMENTS_MAX];
	char **wanted[2] = {ret_output, ret_error};
	struct buffer outputs[2] = {{.limit = OUTPUT_MAX}, {.limit = OUTPUT_MAX}};
	int pipes[2][2] = {{-1, -1}, {-1, -1}}, fds[2];
	char *program = daemon_program_find();
	pid_t pid;
	int r = 0;

	if (!program)
		return context_fail(context, "there is no program loopsyd beside loopsyctl or in "
					     "PATH: install loopsy, or name it in LOOPSYD");
	r = daemon_program_arguments(context, program, verb, arguments, argv);
	for (int i = 0; i < 2 && r == 0; i++)
		if (wanted[i] && pipe2(pipes[i], O_CLOEXEC) < 0)
			r = -errno;
	fflush(context->out);
	if (r == 0)
		r = spawn(argv, pipes, &pid);
	for (int i = 0; i < 2; i++) {
		if (pipes[i][1] >= 0)
			close(pipes[i][1]);
		fds[i] = pipes[i][0];
	}
	if (r == 0) {
		read_all(fds, outputs);
		r = exit_status(pid);
	} else {
		r = context_fail(context, "cannot run %s: %s", program, strerror(-r));
	}
	for (int i = 0; i < 2; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		if (wanted[i])
			*wanted[i] = strndup(outputs[i].data ? (char *)outputs[i].data : "",
					     outputs[i].size);
		buffer_deinit(&outputs[i]);
	}
	free(program);
	return r;
}

int daemon_program_run(const struct context *context, const char *verb,
		       const char *const *arguments, char **ret_output)
{
	char *output = NULL;
	int r = daemon_program_ask(context, verb, arguments, &output, NULL);

	if (ret_output) {
		*ret_output = output;
		return r;
	}
	fputs(output ? output : "", context->out);
	free(output);
	return r;
}
