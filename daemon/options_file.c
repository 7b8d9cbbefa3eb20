/*
 * inih tells the handler neither the line number nor sections without keys, and only the first
 * error. So the lines are cut here, sections are recognised here, and inih is given one line at a
 * time: it knows comments, blanks and separators.
 */
#include "daemon/options_file.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/option_value.h"
#include "daemon/peer_name.h"

#define ERRORS_MAX 20 /* after so many nobody reads on */

struct parser {
	const char *file;
	int64_t line;
	struct options *options;
	bool in_section, skip; /* skip: within a section that was refused */
	FILE *errors;          /* NULL until there is one */
	char *error_text;
	size_t error_length;
	int n_errors;
	int status; /* -ENOMEM once that has happened */
};

static void add_error(struct parser *parser, int64_t line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void add_error(struct parser *parser, int64_t line, const char *format, ...)
{
	va_list args;

	if (!parser->errors)
		parser->errors = open_memstream(&parser->error_text, &parser->error_length);
	if (!parser->errors) {
		parser->status = -ENOMEM;
		return;
	}
	if (++parser->n_errors > ERRORS_MAX)
		return;
	fprintf(parser->errors, "%s:%lld: ", parser->file, (long long)line);
	va_start(args, format);
	vfprintf(parser->errors, format, args);
	va_end(args);
	fputc('\n', parser->errors);
}

static struct options_export *current_export(struct parser *parser)
{
	return &parser->options->exports[parser->options->n_exports - 1];
}

static void set_option(struct parser *parser, const char *name, const char *value)
{
	struct failure failure = {""};
	int row = options_find(name), r;

	if (row < 0) {
		bool of_export = strcmp(name, "path") == 0 || strcmp(name, "mode") == 0 ||
				 strcmp(name, "deny") == 0;

		add_error(parser, parser->line, "unknown option %s%s", LOG_VALUE(name),
			  of_export ? " (it belongs below [export NAME])" : "");
		return;
	}
	if (parser->options->file_line[row]) {
		add_error(parser, parser->line, "%s is given twice, first in line %lld", name,
			  (long long)parser->options->file_line[row]);
		return;
	}
	parser->options->file_line[row] = parser->line;
	r = options_set(parser->options, name, value, OPTIONS_SOURCE_FILE, &failure);
	if (r == -ENOMEM)
		parser->status = r;
	else if (r < 0)
		add_error(parser, parser->line, "%s: %s", name, failure.text);
}

static int set_export_path(struct parser *parser, struct options_export *export, const char *value,
			   struct failure *failure)
{
	char *path;
	int r;

	if (export->path[0])
		return failure_set(failure, -EINVAL, "given twice in this section");
	r = option_value_parse_path(value, parser->options->home_dir, NULL, &path, failure);
	if (r < 0)
		return r;
	free(export->path);
	export->path = path;
	return 0;
}

static int set_export_mode(struct options_export *export, const char *value,
			   struct failure *failure)
{
	if (export->has_mode)
		return failure_set(failure, -EINVAL, "given twice in this section");
	if (strcmp(value, "rw") != 0 && strcmp(value, "ro") != 0)
		return failure_set(failure, -EINVAL, "%s is neither rw nor ro", LOG_VALUE(value));
	export->read_only = value[1] == 'o';
	export->has_mode = true;
	return 0;
}

/* Kept as it is until the section ends: what it is relative to may come later. */
static int add_export_deny(struct parser *parser, struct options_export *export, const char *value,
			   struct failure *failure)
{
	char *path;
	int r;

	if (export->n_deny == OPTIONS_FILE_DENY_MAX)
		return failure_set(failure, -EINVAL, "more than %d in one section",
				   OPTIONS_FILE_DENY_MAX);
	r = option_value_parse_path(value, parser->options->home_dir, "/", &path, failure);
	if (r < 0)
		return r;
	free(path);
	return options_export_deny(export, value);
}

static void set_export_key(struct parser *parser, const char *name, const char *value)
{
	struct options_export *export = current_export(parser);
	struct failure failure = {""};
	int r;

	if (value[0] == '\0')
		r = failure_set(&failure, -EINVAL, "the value is missing");
	else if (strcmp(name, "path") == 0)
		r = set_export_path(parser, export, value, &failure);
	else if (strcmp(name, "mode") == 0)
		r = set_export_mode(export, value, &failure);
	else if (strcmp(name, "deny") == 0)
		r = add_export_deny(parser, export, value, &failure);
	else
		r = failure_set(&failure, -EINVAL, "an export has only path, mode and deny%s",
				options_find(name) >= 0 ? " (put this above the first section)"
							: "");
	if (r == -ENOMEM)
		parser->status = r;
	else if (r < 0)
		add_error(parser, parser->line, "%s: %s", LOG_VALUE(name), failure.text);
}

static int handle(void *user, const char *section, const char *name, const char *value)
{
	struct parser *parser = user;

	(void)section;
	if (parser->skip)
		return 1;
	if (parser->in_section)
		set_export_key(parser, name, value);
	else
		set_option(parser, name, value);
	return 1;
}

static void finish_section(struct parser *parser)
{
	struct options_export *export;

	if (!parser->in_section || parser->skip)
		return;
	export = current_export(parser);
	if (export->path[0] == '\0') {
		add_error(parser, export->line, "export %s has no path", export->name);
		return;
	}
	for (size_t i = 0; i < export->n_deny; i++) {
		char *path;
		int r = option_value_parse_path(export->deny[i], parser->options->home_dir,
						export->path, &path, NULL);

		if (r < 0) {
			parser->status = r;
			return;
		}
		free(export->deny[i]);
		export->deny[i] = path;
	}
}

/* The NAME of "[export NAME]", cut out of line; NULL if it is written otherwise. */
static char *section_name(char *line)
{
	const char *blanks = " \t";
	char *end = strchr(line, ']'), *name;

	if (!end)
		return NULL;
	name = end + 1 + strspn(end + 1, blanks);
	if (*name && *name != ';' && *name != '#')
		return NULL;
	while (end > line + 1 && strchr(blanks, end[-1]))
		end--;
	*end = '\0';
	name = line + 1 + strspn(line + 1, blanks);
	if (strncmp(name, "export", 6) != 0 || !strchr(blanks, name[6]) || !name[6])
		return NULL;
	return name + 6 + strspn(name + 6, blanks);
}

static void begin_section(struct parser *parser, char *line)
{
	const char *name;

	finish_section(parser);
	parser->in_section = true;
	parser->skip = true;
	name = section_name(line);
	if (!name) {
		add_error(parser, parser->line, "a section is written [export NAME]");
		return;
	}
	if (!peer_name_is_valid(name) || strlen(name) > OPTIONS_FILE_EXPORT_NAME_MAX) {
		add_error(parser, parser->line, "%s is no name for an export", LOG_VALUE(name));
		return;
	}
	for (size_t i = 0; i < parser->options->n_exports; i++)
		if (strcmp(parser->options->exports[i].name, name) == 0) {
			add_error(parser, parser->line, "export %s is there already, in line %lld",
				  name, (long long)parser->options->exports[i].line);
			return;
		}
	if (parser->options->n_exports == OPTIONS_FILE_EXPORTS_MAX) {
		add_error(parser, parser->line, "more than %d exports", OPTIONS_FILE_EXPORTS_MAX);
		return;
	}
	parser->status = options_add_export(parser->options, name, "");
	if (parser->status < 0)
		return;
	current_export(parser)->line = parser->line;
	parser->skip = false;
}

static void parse_line(struct parser *parser, const char *text, size_t n)
{
	char line[OPTIONS_FILE_LINE_MAX + 1];

	while (n > 0 && strchr(" \t\r", text[n - 1]) && text[n - 1])
		n--;
	while (n > 0 && (*text == ' ' || *text == '\t')) {
		text++;
		n--;
	}
	for (size_t i = 0; i < n; i++)
		if (((unsigned char)text[i] < 0x20 && text[i] != '\t') || text[i] == 0x7f) {
			add_error(parser, parser->line, "control character 0x%02x in the line",
				  (unsigned char)text[i]);
			return;
		}
	if (n == 0 || *text == '#' || *text == ';')
		return;
	if (n > OPTIONS_FILE_LINE_MAX) {
		add_error(parser, parser->line, "the line is longer than %d bytes",
			  OPTIONS_FILE_LINE_MAX);
		return;
	}
	memcpy(line, text, n);
	line[n] = '\0';
	if (line[0] == '[')
		begin_section(parser, line);
	else if (line[0] == '=' || line[0] == ':' || ini_parse_string(line, handle, parser) != 0)
		add_error(parser, parser->line, "no \"name = value\"");
}

int options_file_parse(const char *file, const char *text, size_t n, const char *home_dir,
		       struct options **ret_options, char **ret_errors)
{
	struct parser parser = {.file = file};

	parser.status = options_new(home_dir, &parser.options);
	if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) { /* an editor's byte order mark */
		text += 3;
		n -= 3;
	}
	while (parser.status == 0 && n > 0) {
		const char *newline = memchr(text, '\n', n);
		size_t length = newline ? (size_t)(newline - text) : n;

		parser.line++;
		parse_line(&parser, text, length);
		text += length + (newline != NULL);
		n -= length + (newline != NULL);
	}
	if (parser.status == 0)
		finish_section(&parser);
	if (parser.n_errors > ERRORS_MAX && parser.errors)
		fprintf(parser.errors, "%s: %d more errors\n", file, parser.n_errors - ERRORS_MAX);
	if (parser.errors && fclose(parser.errors) != 0)
		parser.status = -ENOMEM;
	if (parser.status == 0 && parser.n_errors > 0) {
		parser.status = -EINVAL;
		*ret_errors = parser.error_text;
		parser.error_text = NULL;
	}
	free(parser.error_text);
	if (parser.status < 0)
		options_free(parser.options);
	else
		*ret_options = parser.options;
	return parser.status;
}

static int read_file(const char *path, char **ret_text, size_t *ret_n)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), r = 0;
	struct stat st;
	size_t n = 0;
	char *text;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return -EINVAL;
	}
	text = malloc(OPTIONS_FILE_MAX + 1);
	if (!text)
		r = -ENOMEM;
	while (r == 0 && n <= OPTIONS_FILE_MAX) {
		ssize_t got = read(fd, text + n, OPTIONS_FILE_MAX + 1 - n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			r = -errno;
		if (got <= 0)
			break;
		n += (size_t)got;
	}
	close(fd);
	if (r == 0 && n > OPTIONS_FILE_MAX)
		r = -EFBIG;
	if (r < 0) {
		free(text);
		return r;
	}
	*ret_text = text;
	*ret_n = n;
	return 0;
}

static int add_standard_export(struct options *options)
{
	static const char *const deny[] = {"~/.ssh", "~/.gnupg"};
	int r = options_add_export(options, "home", options->home_dir);

	for (size_t i = 0; r == 0 && i < sizeof(deny) / sizeof(deny[0]); i++) {
		char *path;

		r = option_value_parse_path(deny[i], options->home_dir, NULL, &path, NULL);
		if (r < 0)
			break;
		r = options_export_deny(&options->exports[0], path);
		free(path);
	}
	return r;
}

static int deny_own(struct options *options, const struct paths *paths)
{
	const char *own[] = {paths->config_dir, paths->state_dir, paths->run_dir};
	int r = 0;

	for (size_t i = 0; i < options->n_exports; i++)
		for (size_t j = 0; r == 0 && j < sizeof(own) / sizeof(own[0]); j++)
			r = options_export_deny(&options->exports[i], own[j]);
	return r;
}

int options_file_load(const struct paths *paths, struct options **ret_options, char **ret_errors)
{
	struct options *options = NULL;
	char *text = NULL;
	size_t n = 0;
	int r = read_file(paths->config_file, &text, &n);

	*ret_errors = NULL;
	if (r < 0 && r != -ENOENT) {
		if (asprintf(ret_errors, "%s: cannot be read: %s\n", paths->config_file,
			     r == -EINVAL ? "no regular file" : strerror(-r)) < 0)
			r = -ENOMEM;
		return r;
	}
	r = options_file_parse(paths->config_file, text, n, paths->home_dir, &options, ret_errors);
	free(text);
	if (r < 0)
		return r;
	if (options->n_exports == 0)
		r = add_standard_export(options);
	if (r == 0)
		r = deny_own(options, paths);
	if (r < 0)
		options_free(options);
	else
		*ret_options = options;
	return r;
}
