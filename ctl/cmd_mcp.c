/* mcp: the server that agents start */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/command.h"
#include "ctl/mcp/mcp_server.h"

#define KEY_MAX 4096 /* bytes of a key file */

/* The first line of a file; malloc'ed. Returns 0 or -errno. */
static int read_key(const char *path, char **ret_key)
{
	char text[KEY_MAX + 1];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY), r = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, text, KEY_MAX);
	if (n < 0)
		r = -errno;
	close(fd);
	if (r < 0)
		return r;
	text[n] = '\0';
	text[strcspn(text, "\r\n")] = '\0';
	*ret_key = strdup(text);
	explicit_bzero(text, sizeof(text));
	return *ret_key ? 0 : -ENOMEM;
}

/* It is read once: a key that is made void meanwhile is not to be replaced by another. *ret_key is
 * NULL when there is none yet (no `loopsyctl init`). */
static int find_key(struct context *context, char **ret_key)
{
	const char *path = arguments_text(&context->arguments, "key-file", NULL);
	const char *key = getenv("LOOPSY_API_KEY");
	int r;

	*ret_key = NULL;
	if (key && key[0]) {
		*ret_key = strdup(key);
		return *ret_key ? CONTEXT_OK : context_fail(context, "%s", strerror(ENOMEM));
	}
	r = read_key(path ? path : context->home->api_key, ret_key);
	if (r < 0 && (path || r != -ENOENT))
		return context_fail(context, "cannot read the API key in %s: %s",
				    path ? path : context->home->api_key, strerror(-r));
	return CONTEXT_OK;
}

/* Nothing but the server writes to standard output: whoever else does lands on standard error. */
static int take_output(struct context *context, int *ret_fd)
{
	int fd = fileno(context->out);

	fflush(context->out);
	*ret_fd = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (*ret_fd < 0)
		return -errno;
	if (fd == STDOUT_FILENO && dup2(STDERR_FILENO, fd) < 0)
		return -errno;
	return 0;
}

static void give_output_back(struct context *context, int fd)
{
	if (fileno(context->out) == STDOUT_FILENO)
		dup2(fd, STDOUT_FILENO);
	close(fd);
}

int cmd_mcp_run(struct context *context)
{
	struct mcp_config config = {.in = context->in, .socket = context->home->socket};
	char *key;
	int r = find_key(context, &key);

	if (r != CONTEXT_OK)
		return r;
	config.key = key;
	r = take_output(context, &config.out);
	if (r == 0) {
		r = mcp_server_run(&config);
		if (r > 0)
			_exit(CONTEXT_OK); /* nothing is taken down below a thread that runs */
		give_output_back(context, config.out);
	}
	if (key)
		explicit_bzero(key, strlen(key));
	free(key);
	return r == 0 ? CONTEXT_OK : context_fail(context, "cannot serve: %s", strerror(-r));
}
