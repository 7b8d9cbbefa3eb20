/*
 * find, grep, git: where the files are. The command line is the program's own; only the paths in it
 * are looked at, to learn which peer is meant and what they are called there.
 *
 * From within the mount, relative paths mean the same on the peer, if the program starts in the
 * same directory: nothing is changed then. Else it starts at the peer's top, and what it prints is
 * given back the paths that the user wrote (path_filter.h).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/command.h"
#include "ctl/exec_command.h"
#include "ctl/mounted.h"
#include "ctl/path_filter.h"
#include "ctl/target.h"

struct finder {
	struct context *context;
	char *mount;
	struct mounted here; /* the current directory; peer NULL when it is not in the mount */
	char *peer;          /* that all paths are on; NULL before the first */
	bool at_top; /* the paths are below the peer's top, not below the current directory */
	struct exec_command command;
	struct path_filter filters[2];
};

static int fail(struct finder *finder, const char *path, int error)
{
	const char *name = finder->context->command->name;

	if (error == -EXDEV)
		context_fail(finder->context, "%s is not in the mount: '%s' alone searches here",
			     path, name);
	else if (error == -EISDIR)
		context_fail(finder->context, "%s is all machines: name a directory of one", path);
	else if (error == -EBADF)
		context_fail(finder->context, "%s is on another machine than the paths before it",
			     path);
	else
		context_fail(finder->context, "%s: %s", path, strerror(-error));
	return error;
}

static int finder_init(struct finder *finder, struct context *context, struct remote *remote)
{
	int r;

	*finder = (struct finder){.context = context};
	r = target_mount(context, remote_client(remote), &finder->mount);
	if (r == 0)
		mounted_find(finder->mount, ".", &finder->here);
	return r;
}

static void finder_deinit(struct finder *finder)
{
	free(finder->mount);
	free(finder->peer);
	mounted_deinit(&finder->here);
	exec_command_deinit(&finder->command);
	for (unsigned i = 0; i < 2; i++)
		path_filter_deinit(&finder->filters[i]);
}

/* Whether that path can be given as it is. */
static bool is_same_there(const struct finder *finder, const char *path)
{
	return finder->here.peer && path[0] != '/';
}

/* First pass: whose path is it, and can all be given as they are? */
static int look_at(struct finder *finder, const char *path)
{
	struct mounted mounted;
	int r = mounted_find(finder->mount, path, &mounted);

	if (r == 0 && finder->peer && strcmp(finder->peer, mounted.peer) != 0)
		r = -EBADF;
	if (r < 0)
		return fail(finder, path, r);
	if (!is_same_there(finder, path) || strcmp(mounted.peer, finder->here.peer) != 0)
		finder->at_top = true;
	if (!finder->peer) {
		finder->peer = mounted.peer;
		mounted.peer = NULL;
	}
	mounted_deinit(&mounted);
	return 0;
}

/* Second pass: adds it to the command. */
static int add_path(struct finder *finder, const char *path)
{
	struct mounted mounted;
	char *there;
	int r;

	if (!finder->at_top)
		return exec_command_add(&finder->command, path);
	r = mounted_find(finder->mount, path, &mounted);
	if (r < 0)
		return fail(finder, path, r);
	r = -ENOMEM;
	if (asprintf(&there, "%s%s", mounted.path[0] == '-' ? "./" : "",
		     mounted.path[0] ? mounted.path : ".") >= 0) {
		r = exec_command_add(&finder->command, there);
		for (unsigned i = 0; i < 2 && r == 0 && strcmp(there, path) != 0; i++)
			r = path_filter_add(&finder->filters[i], there, path);
		free(there);
	}
	mounted_deinit(&mounted);
	return r;
}

/* Runs what was added. Returns the exit status. */
static int run(struct finder *finder, struct remote *remote)
{
	struct exec_command *command = &finder->command;
	const char *directory = ".";

	if (!finder->peer && !finder->here.peer) {
		fail(finder, "the current directory", -EXDEV);
		return EXEC_FAILURE;
	}
	if (!finder->at_top && finder->here.path[0])
		directory = finder->here.path;
	command->peer = finder->peer ? finder->peer : finder->here.peer;
	command->args.flags |= JOB_OWNER;
	command->args.cwd = bytes_of_text(directory);
	/* What is drawn is not to be changed, nor to wait for the end of a line. */
	for (unsigned i = 0; i < 2 && !(command->args.flags & JOB_TTY); i++)
		command->filters[i] = finder->filters[i].n_pairs ? &finder->filters[i] : NULL;
	exec_command_finish(command);
	return cmd_exec_follow(finder->context, remote, command);
}

/* The frame of all three: `add` builds the command. */
static int run_finder(struct context *context,
		      int (*add)(struct finder *finder, char *const *words, int n))
{
	struct finder finder = {0};
	struct remote *remote;
	int status = EXEC_FAILURE, r;

	if (context_connect_remote(context, &remote) != CONTEXT_OK)
		return EXEC_FAILURE;
	r = finder_init(&finder, context, remote);
	if (r == 0) {
		r = add(&finder, context->rest, context->n_rest);
		if (r == -ENOMEM || r == -E2BIG || r == -EMSGSIZE)
			context_fail(context, "%s", strerror(-r));
	}
	if (r == 0)
		status = run(&finder, remote);
	finder_deinit(&finder);
	remote_free(remote);
	return status;
}

static int add_words(struct finder *finder, char *const *words, int n)
{
	int r = 0;

	for (int i = 0; i < n && r == 0; i++)
		r = exec_command_add(&finder->command, words[i]);
	return r;
}

/* --- find ------------------------------------------------------------------------------------- */

/* -H, -L, -P, -O and -D stand before the paths; the expression begins with what looks like one. */
static int add_find(struct finder *finder, char *const *words, int n)
{
	int first = 0, end, r = 0;

	while (first < n && words[first][0] == '-' && strchr("HLPOD", words[first][1]) &&
	       words[first][1])
		first += strcmp(words[first], "-D") == 0 ? 2 : 1;
	if (first > n)
		first = n;
	for (end = first; end < n && !strchr("-(),!", words[end][0]); end++)
		;
	for (int i = first; i < end && r == 0; i++)
		r = look_at(finder, words[i]);
	if (r == 0)
		r = exec_command_add(&finder->command, "find");
	if (r == 0)
		r = add_words(finder, words, first);
	for (int i = first; i < end && r == 0; i++)
		r = add_path(finder, words[i]);
	return r == 0 ? add_words(finder, words + end, n - end) : r;
}

int cmd_find_run(struct context *context)
{
	return run_finder(context, add_find);
}

/* --- grep ------------------------------------------------------------------------------------- */

/* What grep's command line is, as far as it matters. */
struct grep_line {
	bool is_path[1024];
	int pattern;      /* index; -1 when -e or -f gave it */
	bool only_simple; /* options that ripgrep has too, with the same meaning */
	bool is_recursive, is_fixed;
};

static bool takes_value(const char *word)
{
	static const char *const names[] = {
	    "--regexp",  "--file",    "--max-count",   "--after-context", "--before-context",
	    "--context", "--include", "--exclude",     "--exclude-from",  "--exclude-dir",
	    "--devices", "--label",   "--directories", "--binary-files",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(word, names[i]) == 0)
			return true;
	return false;
}

/* One word of letters. Returns whether the next word is a value. */
static bool read_letters(struct grep_line *line, const char *letters)
{
	for (; *letters; letters++) {
		line->is_recursive |= *letters == 'r' || *letters == 'R';
		line->is_fixed |= *letters == 'F';
		if (!strchr("rniwvxFloHq", *letters))
			line->only_simple = false;
		if (*letters == 'e' || *letters == 'f')
			line->pattern = -1;
		if (strchr("efmABCDd", *letters))
			return letters[1] == '\0';
	}
	return false;
}

static int read_grep(struct grep_line *line, char *const *words, int n)
{
	bool is_word = false;

	*line = (struct grep_line){.pattern = -2, .only_simple = true};
	if (n > (int)(sizeof(line->is_path) / sizeof(line->is_path[0])))
		return -E2BIG;
	/* -e anywhere makes all words paths. */
	for (int pass = 0; pass < 2; pass++) {
		is_word = false;
		for (int i = 0; i < n; i++) {
			const char *word = words[i];

			if (!is_word && strcmp(word, "--") == 0) {
				is_word = true;
			} else if (is_word || word[0] != '-' || word[1] == '\0') {
				if (pass == 1 && line->pattern == -2)
					line->pattern = i;
				else if (pass == 1 && line->pattern != i)
					line->is_path[i] = true;
			} else if (word[1] == '-') {
				line->only_simple = false;
				line->is_recursive |= strcmp(word, "--recursive") == 0;
				if (strncmp(word, "--regexp", 8) == 0 ||
				    strcmp(word, "--file") == 0 || strncmp(word, "--file=", 7) == 0)
					line->pattern = -1;
				i += takes_value(word);
			} else {
				i += read_letters(line, word + 1);
			}
		}
	}
	return 0;
}

/* The same to ripgrep, whose patterns are others. */
static bool is_plain(const char *pattern, bool is_fixed)
{
	return *pattern && (is_fixed || !strpbrk(pattern, "\\.[]*^$+?(){}|"));
}

/* Ripgrep, made to look at what grep looks at, or grep: which is there is found out there. */
static int add_grep_either(struct finder *finder, const struct grep_line *line, char *const *words,
			   int n)
{
	const char *color = finder->context->color ? "always" : "never";
	char letters[256] = "", script[1024], *to = letters;
	int r = 0;

	for (int i = 0; i < n; i++)
		if (!line->is_path[i] && i != line->pattern && strcmp(words[i], "--") != 0)
			for (const char *c = words[i] + 1; *c && to < letters + sizeof(letters) - 4;
			     c++)
				if (*c != 'r')
					to += sprintf(to, " -%c", *c);
	snprintf(
	    script, sizeof(script),
	    "if command -v rg >/dev/null 2>&1; then exec rg --no-config --no-ignore --hidden "
	    "--binary --no-heading --color=%s%s -- \"$@\"; fi; exec grep -r --color=%s%s -- \"$@\"",
	    color, letters, color, letters);
	r = exec_command_add(&finder->command, "sh");
	r = r < 0 ? r : exec_command_add(&finder->command, "-c");
	r = r < 0 ? r : exec_command_add(&finder->command, script);
	r = r < 0 ? r : exec_command_add(&finder->command, "grep");
	r = r < 0 ? r : exec_command_add(&finder->command, words[line->pattern]);
	for (int i = 0; i < n && r == 0; i++)
		if (line->is_path[i])
			r = add_path(finder, words[i]);
	return r;
}

static int add_grep(struct finder *finder, char *const *words, int n)
{
	struct grep_line line;
	int r = read_grep(&line, words, n), n_paths = 0;

	for (int i = 0; i < n && r == 0; i++) {
		n_paths += line.is_path[i];
		if (line.is_path[i])
			r = look_at(finder, words[i]);
	}
	if (r < 0)
		return r;
	if (line.only_simple && line.is_recursive && n_paths > 0 && line.pattern >= 0 &&
	    is_plain(words[line.pattern], line.is_fixed))
		return add_grep_either(finder, &line, words, n);
	r = exec_command_add(&finder->command, "grep");
	if (r == 0 && finder->context->color)
		r = exec_command_add(&finder->command, "--color=always");
	for (int i = 0; i < n && r == 0; i++)
		r = line.is_path[i] ? add_path(finder, words[i])
				    : exec_command_add(&finder->command, words[i]);
	return r;
}

int cmd_find_run_grep(struct context *context)
{
	return run_finder(context, add_grep);
}

/* --- git -------------------------------------------------------------------------------------- */

/* Where it runs is said by -C, before the command, or by the current directory. At a terminal it
 * has one there too, for its pager, its questions and the editor. */
static int add_git(struct finder *finder, char *const *words, int n)
{
	int first = 0, r = 0;

	while (n - first >= 2 && strcmp(words[first], "-C") == 0 && r == 0) {
		r = look_at(finder, words[first + 1]);
		first += 2;
	}
	if (r == 0)
		r = exec_command_add(&finder->command, "git");
	for (int i = 0; i < first && r == 0; i += 2) {
		r = exec_command_add(&finder->command, "-C");
		if (r == 0)
			r = add_path(finder, words[i + 1]);
	}
	if (r == 0 && finder->context->color && !finder->context->terminal) {
		r = exec_command_add(&finder->command, "-c");
		r = r < 0 ? r : exec_command_add(&finder->command, "color.ui=always");
	}
	if (finder->context->terminal)
		exec_command_set_terminal(&finder->command);
	else if (!isatty(finder->context->in))
		finder->command.args.flags |= JOB_STDIN;
	return r == 0 ? add_words(finder, words + first, n - first) : r;
}

int cmd_find_run_git(struct context *context)
{
	return run_finder(context, add_git);
}
