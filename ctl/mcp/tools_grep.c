/*
 * loopsy_grep: runs where the files are, as a job of the peer. What it may print is bounded there;
 * a match is PATH NUL LINE ':' TEXT, and behind the matches comes a line that begins with a NUL:
 * what it complained of.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/context.h"
#include "ctl/exec_command.h"
#include "ctl/mcp/job_follow.h"
#include "ctl/mcp/job_place.h"
#include "ctl/mcp/mcp_text.h"
#include "ctl/mcp/peer_path.h"
#include "ctl/mcp/tools.h"

#define MATCHES     50
#define MATCHES_MAX 500
#define LINE_BYTES  600 /* of a line, path included */
#define TEXT_BYTES  300 /* of it in the answer */
#define WAIT_S      45  /* clients wait for a reply for 60 */
#define COMPLAINTS  2000

/* $1 whether it is plain text, $2 options, $3 how many lines, $4 the pattern, $5 a glob, $6 the
 * path. Ripgrep is made to look at what grep looks at. */
static const char script[] =
    "exec 4>&1\n"
    "search() {\n"
    "if [ \"$1\" = plain ] && command -v rg >/dev/null 2>&1; then\n"
    "rg --no-config --no-ignore --hidden --no-heading --color=never --null -HnF $2 "
    "${5:+-g \"$5\"} -e \"$4\" -- \"$6\"\n"
    "else f=-E; [ \"$1\" = plain ] && f=-F\n"
    "grep -rnHIZ $f $2 ${5:+--include=\"$5\"} -e \"$4\" -- \"$6\"\n"
    "fi; }\n"
    "e=$({ search \"$@\" 2>&3 3>&- | head -n \"$3\" | cut -b 1-600 >&4; } 3>&1 | tail -c 2000)\n"
    "printf '\\0%s' \"$e\"\n";

static const struct schema_field input[] = {
    {"peer", SCHEMA_STRING, .required = true, .min = 1, .max = OPS_CTL_NAME_MAX},
    {"pattern", SCHEMA_STRING, .required = true, .min = 1, .max = 1000,
     .description = "extended regex"},
    {"path", SCHEMA_STRING, .max = 4096, .description = "file or directory there, or in the mount"},
    {"fixed", SCHEMA_BOOLEAN, .description = "the pattern is plain text"},
    {"ignore_case", SCHEMA_BOOLEAN},
    {"glob", SCHEMA_STRING, .max = 200, .description = "of file names, as *.c"},
    {"max_matches", SCHEMA_INTEGER, .min = 1, .max = MATCHES_MAX, .description = "(50)"},
    {.name = NULL},
};

static const struct schema_field match_fields[] = {
    {"path", SCHEMA_STRING, .required = true},
    {"line", SCHEMA_INTEGER, .required = true},
    {"text", SCHEMA_STRING, .required = true},
    {.name = NULL},
};

static const struct schema_field output[] = {
    {"matches", SCHEMA_ARRAY, .required = true, .of = match_fields,
     .description = "paths in the mount"},
    {"truncated", SCHEMA_BOOLEAN, .required = true},
    {"errors", SCHEMA_STRING},
    {.name = NULL},
};

struct found {
	const char *top; /* the peer's, in the mount */
	json_t *matches;
	struct buffer text; /* the same, to be read */
	bool truncated;
	size_t max;
};

/* One line of its output; one that was cut off within the path is none. */
static void take_line(struct found *found, const char *line, size_t size)
{
	const char *nul = memchr(line, '\0', size), *end = line + size, *text;
	char *number_end, *path = NULL, *shown;
	unsigned long number;

	if (!nul || nul == line)
		return;
	number = strtoul(nul + 1, &number_end, 10);
	if (number_end >= end || *number_end != ':')
		return;
	if (json_array_size(found->matches) == found->max) {
		found->truncated = true;
		return;
	}
	text = number_end + 1;
	if (asprintf(&path, "%s/%s", found->top, strncmp(line, "./", 2) == 0 ? line + 2 : line) < 0)
		return;
	shown = mcp_text_clean(text, (size_t)(end - text) < TEXT_BYTES ? (size_t)(end - text)
								       : TEXT_BYTES);
	json_array_append_new(found->matches,
			      json_pack("{s:o, s:I, s:s}", "path", mcp_text(path, strlen(path)),
					"line", (json_int_t)number, "text", shown ? shown : ""));
	if (shown && asprintf(&number_end, "%s:%lu:%s\n", path, number, shown) >= 0) {
		buffer_append(&found->text, number_end, strlen(number_end));
		free(number_end);
	}
	free(shown);
	free(path);
}

/* All of it; returns what it complained of, malloc'ed, or NULL. */
static char *take_output(struct found *found, struct bytes printed)
{
	const char *at = (const char *)printed.data, *end = at + printed.size;

	while (at < end && *at != '\0') {
		const char *line = memchr(at, '\n', (size_t)(end - at));

		if (!line)
			return NULL;
		take_line(found, at, (size_t)(line - at));
		at = line + 1;
	}
	return at + 1 < end ? mcp_text_clean(at + 1, (size_t)(end - at - 1)) : NULL;
}

static void answer(struct mcp_call *call, const char *peer, const char *top, size_t max,
		   const struct job_followed *followed)
{
	struct found found = {.top = top, .matches = json_array(), .max = max};
	bool is_over = followed->state != JOB_RUNNING;
	struct bytes head = {followed->excerpt.head.data, followed->excerpt.head.size};
	char *errors = head.size > 0 ? take_output(&found, head) : NULL;
	size_t n = json_array_size(found.matches);
	json_t *all;

	/* It stopped by itself, at the first complaint that is about the pattern. */
	if (n == 0 && errors && !strstr(errors, "ermission denied")) {
		mcp_call_fail(call, "grep on %s: %s", peer, errors);
		json_decref(found.matches);
		free(errors);
		return;
	}
	all = json_pack("{s:o, s:b}", "matches", found.matches, "truncated",
			found.truncated || !is_over);
	if (errors)
		json_object_set_new(all, "errors", json_string(errors));
	mcp_call_answer(call, all, "[data from %s: %zu matches%s%s]\n%.*s%s", peer, n,
			found.truncated ? ", and more: narrow it" : "",
			is_over ? "" : "; stopped after 45 s: narrow the path",
			(int)found.text.size, found.text.size ? (const char *)found.text.data : "",
			errors ? errors : "");
	buffer_deinit(&found.text);
	free(errors);
}

/* The peer keeps nothing of it. */
static void forget_job(struct remote *remote, const char *peer, const struct job_followed *followed)
{
	struct args_job_signal stop = {.job = followed->number, .signal = SIGKILL};
	struct args_job_remove remove = {.job = followed->number};

	if (followed->state == JOB_RUNNING) {
		remote_ask(remote, peer, OP_JOB_SIGNAL, &stop, NULL, NULL);
		return;
	}
	remote_ask(remote, peer, OP_JOB_REMOVE, &remove, NULL, NULL);
}

static int build(struct exec_command *command, const json_t *arguments, const char *path,
		 size_t max)
{
	const char *pattern = tool_string(arguments, "pattern", "");
	bool plain =
	    tool_boolean(arguments, "fixed", false) || !strpbrk(pattern, "\\.[]*^$+?(){}|");
	char lines[32];
	const char *const words[] = {"sh",
				     "-c",
				     script,
				     "grep",
				     plain ? "plain" : "regex",
				     tool_boolean(arguments, "ignore_case", false) ? "-i" : "",
				     lines,
				     pattern,
				     tool_string(arguments, "glob", ""),
				     path};
	int r = 0;

	snprintf(lines, sizeof(lines), "%zu", max + 1);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]) && r == 0; i++)
		r = exec_command_add(command, words[i]);
	exec_command_finish(command);
	return r;
}

static void search(struct mcp_call *call, struct remote *remote, const char *peer,
		   const char *there, const char *top, const json_t *arguments)
{
	size_t max = (size_t)tool_integer(arguments, "max_matches", MATCHES);
	struct exec_command command = {.peer = peer};
	char name[OPS_JOB_NAME_MAX + 1];
	struct job_followed followed;
	char *path = NULL;
	int r = job_followed_init(&followed, (max + 1) * LINE_BYTES + COMPLAINTS + 1);

	job_place_make_name("grep", name, sizeof(name));
	command.args.name = bytes_of_text(name);
	command.args.cwd = bytes_of_text(".");
	if (r == 0 &&
	    asprintf(&path, "%s%s", there[0] == '-' ? "./" : "", there[0] ? there : ".") < 0)
		r = -ENOMEM;
	if (r == 0)
		r = build(&command, arguments, path, max);
	if (r == 0)
		r = job_follow_start(call, remote, peer, &command.args, (struct bytes){0},
				     WAIT_S * 1000, &followed);
	if (r == 0) {
		answer(call, peer, top, max, &followed);
		forget_job(remote, peer, &followed);
	} else {
		mcp_call_fail_errno(call, peer, r, followed.reason);
	}
	exec_command_deinit(&command);
	job_followed_deinit(&followed);
	free(path);
}

static void run(struct mcp_call *call, const json_t *arguments)
{
	const char *peer = tool_string(arguments, "peer", ""), *mount;
	struct remote *remote;
	struct peer_path path;
	char *top = NULL;

	if (peer_path_take(call, peer, tool_string(arguments, "path", ""), "fs:ro", &path) < 0)
		return;
	remote = mcp_call_remote(call);
	mount = remote ? mcp_call_mount(call) : NULL;
	if (!mount) {
		peer_path_deinit(&path);
		return;
	}
	if (asprintf(&top, "%s/%s", mount, peer) >= 0) {
		search(call, remote, peer, path.there, top, arguments);
		free(top);
	} else {
		mcp_call_fail(call, "out of memory");
	}
	peer_path_deinit(&path);
}

const struct tool tools_grep = {
    .name = "loopsy_grep",
    .title = "Search in a peer's files",
    .description = "Searches text in files on a peer, running there: much faster than searching "
		   "the mount.",
    .hints = TOOL_READ_ONLY | TOOL_IDEMPOTENT,
    .input = input,
    .output = output,
    .run = run,
};
