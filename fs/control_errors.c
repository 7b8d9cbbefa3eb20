#include "fs/control_errors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/control_lines.h"

#define ERRORS_KEPT   64
#define ERRORS_TEXT   320
#define ANCESTORS_MAX 16
#define STATUS_SIZE   1024 /* Tgid and PPid are among the first lines */
#define NOT_RELATED   ANCESTORS_MAX

struct control_error {
	pid_t process, parent;
	uint32_t uid;
	char text[ERRORS_TEXT];
};

struct control_errors {
	struct control_error ring[ERRORS_KEPT];
	uint64_t n; /* all that there were */
};

/* --- processes -------------------------------------------------------------------------------- */

static pid_t field_of(const char *status, const char *name)
{
	const char *at = strstr(status, name);

	return at ? (pid_t)strtol(at + strlen(name), NULL, 10) : 0;
}

/* The start of a thread's file in /proc; false: it is not to be seen. */
static bool read_file(pid_t tid, const char *name, char ret_text[STATUS_SIZE])
{
	char path[40];
	ssize_t n;
	int fd;

	if (tid <= 0)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/%s", (int)tid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, ret_text, STATUS_SIZE - 1);
	close(fd);
	ret_text[n > 0 ? n : 0] = '\0';
	return n > 0;
}

/* A thread's process and that one's parent; 0: not to be seen. */
static void read_process(pid_t tid, pid_t *ret_process, pid_t *ret_parent)
{
	char status[STATUS_SIZE];

	*ret_process = tid;
	*ret_parent = 0;
	if (!read_file(tid, "status", status))
		return;
	*ret_parent = field_of(status, "\nPPid:");
	if (field_of(status, "\nTgid:"))
		*ret_process = field_of(status, "\nTgid:");
}

pid_t control_errors_process(pid_t tid)
{
	pid_t process, parent;

	read_process(tid, &process, &parent);
	return process;
}

/* Of /proc/TID/stat, behind the name of the program (which may be anything): proc(5) counts the
 * state as the third field. */
#define STAT_FLAGS     9
#define STAT_EXIT_CODE 52
#define FLAG_EXITING   0x4 /* PF_EXITING, which is as old as Linux */

bool control_errors_was_killed(pid_t tid)
{
	unsigned long flags = 0, code = 0;
	char text[STATUS_SIZE];
	const char *at = read_file(tid, "stat", text) ? strrchr(text, ')') : NULL;

	for (int field = 2; at && field < STAT_EXIT_CODE; field++) {
		at = strchr(at + 1, ' ');
		if (at && field + 1 == STAT_FLAGS)
			flags = strtoul(at + 1, NULL, 10);
	}
	if (at)
		code = strtoul(at + 1, NULL, 10);
	return (flags & FLAG_EXITING) && (code & 0x7f); /* as of wait(2): the signal */
}

/* --- remembering ------------------------------------------------------------------------------ */

static void keep(struct control_errors **errors, const struct control_error *error)
{
	if (!*errors)
		*errors = calloc(1, sizeof(**errors));
	if (*errors)
		(*errors)->ring[(*errors)->n++ % ERRORS_KEPT] = *error;
}

void control_errors_note(fuse_req_t req, struct fs_peer *peer, const char *text)
{
	const struct fuse_ctx *context = fuse_req_ctx(req);
	struct control_error error = {.uid = context->uid};

	read_process(context->pid, &error.process, &error.parent);
	snprintf(error.text, sizeof(error.text), "%s", text);
	keep(&fs_of(req)->errors, &error);
	if (peer)
		keep(&peer->control.errors, &error);
}

/* What it means where no operation says it better; %s is the peer. */
static const struct {
	int error;
	const char *text;
} meanings[] = {
    {-EHOSTDOWN, "%s is offline"},
    {-ETIMEDOUT, "%s did not answer in time: the link is lost"},
    {-ENOTCONN, "the link to %s was lost"},
    {-ESTALE, "%s is not paired any more, or was started again"},
    {-ENOSYS, "loopsyd on %s is too old for this"},
    {-EOPNOTSUPP, "loopsyd on %s is too old for this"},
    {-E2BIG, "a line is longer than 131072 bytes"},
    {-EILSEQ, "that is not UTF-8 text"},
    {-EINTR, "interrupted"},
};

static const char *meaning_of(uint16_t op, int error)
{
	const char *text = op ? ops_peer_error(op, error) : NULL;

	for (size_t i = 0; !text && i < sizeof(meanings) / sizeof(meanings[0]); i++)
		if (meanings[i].error == error)
			text = meanings[i].text;
	return text;
}

/* Whom an operation asks: what is local, this machine. */
static const char *name_of_asked(uint16_t op, const struct fs_peer *peer)
{
	const struct op *row = op ? op_find(&ops_peer, op) : NULL;

	if (row && row->permission == PERMISSION_LOCAL)
		return "this machine";
	return peer ? peer->name : "here";
}

void control_errors_reply(fuse_req_t req, struct fs_peer *peer, const char *what, uint16_t op,
			  int error, const char *why)
{
	const char *format = why ? NULL : meaning_of(op, error);
	char text[ERRORS_TEXT];
	int n = snprintf(text, sizeof(text), "%s: ", what);

	if (n < 0 || (size_t)n >= sizeof(text))
		n = 0;
	if (format) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(text + n, sizeof(text) - (size_t)n, format, name_of_asked(op, peer));
#pragma GCC diagnostic pop
	} else {
		snprintf(text + n, sizeof(text) - (size_t)n, "%s", why ? why : strerror(-error));
	}
	control_errors_note(req, peer, text);
	fuse_reply_err(req, -error);
}

/* --- telling ---------------------------------------------------------------------------------- */

/* The reader and those above it, up to init. */
static unsigned ancestors(pid_t tid, pid_t *ret_chain)
{
	unsigned n = 0;

	while (n < ANCESTORS_MAX && tid > 1) {
		pid_t parent;

		read_process(tid, &ret_chain[n], &parent);
		n++;
		tid = parent;
	}
	return n;
}

static unsigned distance(const struct control_error *error, const pid_t *chain, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (error->process == chain[i] || error->parent == chain[i])
			return i;
	return NOT_RELATED;
}

int control_errors_print(fuse_req_t req, const struct fs_peer *peer, struct buffer *text)
{
	const struct control_errors *errors = peer ? peer->control.errors : fs_of(req)->errors;
	const struct fuse_ctx *context = fuse_req_ctx(req);
	const struct control_error *found = NULL;
	unsigned nearest = NOT_RELATED + 1, n;
	pid_t chain[ANCESTORS_MAX];
	int error;

	n = errors ? ancestors(context->pid, chain) : 0;
	for (uint64_t i = 0; errors && i < errors->n && i < ERRORS_KEPT; i++) {
		const struct control_error *one = &errors->ring[(errors->n - 1 - i) % ERRORS_KEPT];
		unsigned far = distance(one, chain, n);

		if (one->uid != context->uid || far >= nearest)
			continue;
		found = one;
		nearest = far;
	}
	if (!found)
		return 0;
	error = control_lines_print(
	    (struct bytes){(const uint8_t *)found->text, strlen(found->text)}, text);
	return error ? error : buffer_append(text, "\n", 1);
}
