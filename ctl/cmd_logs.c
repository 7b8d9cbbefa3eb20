/* logs: the audit log, read from its files, so that it works without a daemon too. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/command.h"
#include "ctl/terminal.h"

#define LINES         50
#define LINE_SIZE_MAX (64 * 1024) /* a longer one is shown in pieces */

/* Lines of a file that may grow and be replaced. */
struct follower {
	const struct context *context;
	int fd;
	char *line; /* what has come of a line that is not complete */
	size_t n_line;
	/* The last lines, oldest at `first`, until all that is there has been read; then NULL. */
	char **ring;
	size_t n_ring, first, size;
};

static void print_value(FILE *out, const char *key, const json_t *value)
{
	char *text = !value ? strdup("-")
		     : json_is_string(value)
			 ? strdup(json_string_value(value))
			 : json_dumps(value, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_ENCODE_ANY);
	char *escaped = text ? terminal_escape(text, strlen(text)) : NULL;

	if (key)
		fprintf(out, " %s=%s", key, escaped ? escaped : "");
	else
		fprintf(out, "%s", escaped ? escaped : "");
	free(escaped);
	free(text);
}

/* Each key=value; those of an object within (what a line has in detail) like its own. */
static void print_pairs(FILE *out, const json_t *object, bool inner)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)object, key, value)
	{
		char *escaped = terminal_escape(key, strlen(key));

		if (json_is_object(value) && !inner)
			print_pairs(out, value, true);
		else if (!json_is_null(value) && (inner || strcmp(key, "time") != 0))
			print_value(out, escaped ? escaped : "?", value);
		free(escaped);
	}
}

/* The time first; a line that is no JSON as it is, escaped. */
static void print_line(const struct context *context, const char *line)
{
	json_t *object = context->json ? NULL : json_loads(line, 0, NULL);

	if (context->json) {
		fprintf(context->out, "%s\n", line);
	} else if (json_is_object(object)) {
		print_value(context->out, NULL, json_object_get(object, "time"));
		print_pairs(context->out, object, false);
		fputc('\n', context->out);
	} else {
		char *escaped = terminal_escape(line, strlen(line));

		fprintf(context->out, "%s\n", escaped ? escaped : "");
		free(escaped);
	}
	json_decref(object);
}

static void take_line(struct follower *follower)
{
	follower->line[follower->n_line] = '\0';
	follower->n_line = 0;
	if (!follower->ring) {
		print_line(follower->context, follower->line);
		return;
	}
	if (follower->size == 0)
		return;
	if (follower->n_ring == follower->size) {
		free(follower->ring[follower->first]);
		follower->ring[follower->first] = strdup(follower->line);
		follower->first = (follower->first + 1) % follower->size;
	} else {
		follower->ring[follower->n_ring++] = strdup(follower->line);
	}
}

static void read_lines(struct follower *follower)
{
	char piece[16384];
	ssize_t n;

	while (follower->fd >= 0 && (n = read(follower->fd, piece, sizeof(piece))) > 0)
		for (ssize_t i = 0; i < n; i++) {
			if (piece[i] == '\n' || follower->n_line == LINE_SIZE_MAX)
				take_line(follower);
			if (piece[i] != '\n')
				follower->line[follower->n_line++] = piece[i];
		}
}

static void close_file(struct follower *follower)
{
	if (follower->fd >= 0)
		close(follower->fd);
	follower->fd = -1;
	follower->n_line = 0;
}

static void print_ring(struct follower *follower)
{
	for (size_t i = 0; i < follower->n_ring; i++) {
		char **line = &follower->ring[(follower->first + i) % follower->n_ring];

		if (*line)
			print_line(follower->context, *line);
		free(*line);
	}
	free(follower->ring);
	follower->ring = NULL;
	fflush(follower->context->out);
}

/* Whether the log is another file than the open one: it was rotated. */
static bool is_replaced(const struct follower *follower)
{
	struct stat open_file, named;

	if (stat(follower->context->home->audit, &named) < 0)
		return false;
	return follower->fd < 0 || fstat(follower->fd, &open_file) < 0 ||
	       open_file.st_ino != named.st_ino || open_file.st_dev != named.st_dev;
}

static int follow(struct follower *follower, int watch)
{
	const struct context *context = follower->context;
	char events[4096] __attribute__((aligned(8)));

	/* The watch was set before the file was read: nothing falls between. */
	for (;;) {
		read_lines(follower);
		if (is_replaced(follower)) {
			read_lines(follower); /* what came between the last read and the rename */
			close_file(follower);
			follower->fd = open(context->home->audit, O_RDONLY | O_CLOEXEC);
			continue;
		}
		if (fflush(context->out) != 0)
			return CONTEXT_FAILURE;
		if (read(watch, events, sizeof(events)) < 0 && errno != EINTR)
			return context_fail(context, "cannot watch %s: %s",
					    context->home->state_dir, strerror(errno));
	}
}

int cmd_logs_run(struct context *context)
{
	struct follower follower = {.context = context, .fd = -1};
	bool follows = arguments_has(&context->arguments, "follow");
	char *older = NULL;
	int watch = -1, r = CONTEXT_FAILURE;

	follower.size = arguments_number(&context->arguments, "lines", LINES);
	follower.ring = calloc(follower.size + 1, sizeof(*follower.ring));
	follower.line = malloc(LINE_SIZE_MAX + 1);
	if (!follower.ring || !follower.line ||
	    asprintf(&older, "%s.1", context->home->audit) < 0) {
		context_fail(context, "out of memory");
		goto out;
	}
	if (follows) {
		watch = inotify_init1(IN_CLOEXEC);
		if (watch < 0 || inotify_add_watch(watch, context->home->state_dir,
						   IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0) {
			context_fail(context, "cannot watch %s: %s", context->home->state_dir,
				     strerror(errno));
			goto out;
		}
	}
	follower.fd = open(older, O_RDONLY | O_CLOEXEC);
	read_lines(&follower);
	close_file(&follower);
	follower.fd = open(context->home->audit, O_RDONLY | O_CLOEXEC);
	if (follower.fd < 0 && errno != ENOENT) {
		context_fail(context, "cannot read %s: %s", context->home->audit, strerror(errno));
		goto out;
	}
	read_lines(&follower);
	if (follower.fd < 0 && follower.n_ring == 0 && !follows)
		context_say(context, "nothing is logged yet");
	print_ring(&follower);
	r = follows ? follow(&follower, watch) : CONTEXT_OK;
out:
	for (size_t i = 0; follower.ring && i < follower.n_ring; i++)
		free(follower.ring[i]);
	free(follower.ring);
	free(follower.line);
	free(older);
	close_file(&follower);
	if (watch >= 0)
		close(watch);
	return r;
}
