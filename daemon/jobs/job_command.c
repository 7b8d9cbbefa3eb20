#include "daemon/jobs/job_command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *base_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '.' || c == '_' || c == '-';
}

bool job_command_name_is_valid(const char *name, size_t size)
{
	if (size == 0 || size > OPS_JOB_NAME_MAX || name[0] == '.' || name[0] == '-')
		return false;
	for (size_t i = 0; i < size; i++) {
		if (!is_name_char(name[i]))
			return false;
	}
	return true;
}

bool job_command_is_listed(const char *list, const char *name)
{
	size_t length = strlen(name);

	while (*list) {
		size_t n = strcspn(list, ", \t");

		if (n > 0 && n == length && strncmp(list, name, n) == 0)
			return true;
		list += n + strspn(list + n, ", \t");
	}
	return false;
}

/* --- words ------------------------------------------------------------------------------------ */

static char *copy_text(struct bytes bytes)
{
	if (bytes.size && memchr(bytes.data, '\0', bytes.size))
		return NULL;
	return bytes_to_text(bytes);
}

static int take_argv(struct job_command *command, struct list list)
{
	struct job_word word;

	command->argv = calloc((size_t)list.n + 1, sizeof(*command->argv));
	if (!command->argv)
		return -ENOMEM;
	for (size_t i = 0; list.n > 0; i++) {
		if (codec_list_next(&list, &job_word_record, &word, NULL) < 0)
			return -EINVAL;
		command->argv[i] = copy_text(word.text);
		if (!command->argv[i])
			return -EINVAL;
	}
	return command->argv[0][0] ? 0 : -EINVAL;
}

static int take_env(struct job_command *command, struct list list)
{
	struct job_word word;

	while (list.n > 0) {
		int error = codec_list_next(&list, &job_word_record, &word, NULL);

		if (error == 0)
			error = job_env_put(&command->env, (const char *)word.text.data,
					    word.text.size);
		if (error < 0)
			return error == -ENOMEM ? error : -EINVAL;
	}
	return 0;
}

/* The user's shell: as a login shell, or for a line. */
static int take_shell(struct job_command *command, const char *shell, struct bytes line,
		      bool is_login)
{
	command->argv = calloc(4, sizeof(*command->argv));
	command->file = strdup(shell);
	if (!command->argv || !command->file)
		return -ENOMEM;
	if (is_login) {
		if (asprintf(&command->argv[0], "-%s", base_of(shell)) < 0) {
			command->argv[0] = NULL;
			return -ENOMEM;
		}
		return 0;
	}
	command->argv[0] = strdup(base_of(shell));
	command->argv[1] = strdup("-c");
	if (!command->argv[0] || !command->argv[1])
		return -ENOMEM;
	command->argv[2] = copy_text(line);
	return command->argv[2] ? 0 : -EINVAL;
}

/* --- for people ------------------------------------------------------------------------------- */

/* The length of the UTF-8 sequence of a printable character, or 0. */
static size_t character(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

	if (n == 1)
		return p[0] >= 0x20 && p[0] != 0x7f;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	/* Too long a form, a surrogate, beyond Unicode, a C1 control. */
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f) ||
	    (p[0] == 0xc2 && p[1] < 0xa0))
		return 0;
	return n;
}

struct text {
	char *out;
	size_t size;
	bool is_full;
};

static void append(struct text *text, const char *bytes, size_t n)
{
	if (text->is_full || text->size + n > OPS_JOB_CMD_MAX) {
		text->is_full = true;
		return;
	}
	memcpy(text->out + text->size, bytes, n);
	text->size += n;
	text->out[text->size] = '\0';
}

static void append_plain(struct text *text, const char *word)
{
	while (*word && !text->is_full) {
		size_t n = character(word);

		append(text, n ? word : "?", n ? n : 1);
		word += n ? n : 1;
	}
}

static void append_quoted(struct text *text, const char *word)
{
	const char *plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
			    "_-+=:,./@%^";

	if (word[0] && word[strspn(word, plain)] == '\0') {
		append(text, word, strlen(word));
		/* Longer than all that fits: its beginning says more than nothing. */
		if (text->is_full && text->size == 0) {
			text->is_full = false;
			append(text, word, OPS_JOB_CMD_MAX);
		}
		return;
	}
	append(text, "'", 1);
	while (*word && !text->is_full) {
		size_t n = character(word);

		if (*word == '\'')
			append(text, "'\\''", 4);
		else
			append(text, n ? word : "?", n ? n : 1);
		word += n ? n : 1;
	}
	append(text, "'", 1);
}

static void describe(struct job_command *command, const struct args_job_start *args)
{
	struct text text = {.out = command->text};

	if (args->line.size > 0) {
		append_plain(&text, command->argv[2]);
		return;
	}
	if (args->flags & JOB_LOGIN) {
		append_plain(&text, command->argv[0]);
		return;
	}
	for (char **word = command->argv; *word; word++) {
		if (word != command->argv)
			append(&text, " ", 1);
		append_quoted(&text, *word);
	}
}

/* The first word of a shell's line, as far as it is a plain one. */
static void first_word(const char *line, char ret_word[256])
{
	size_t n;

	line += strspn(line, " \t\n");
	n = strcspn(line, " \t\n;&|<>()\"'`$\\");
	snprintf(ret_word, 256, "%.*s", n < 256 ? (int)n : 255, line);
}

static void choose_base(struct job_command *command, const char *from)
{
	const char *name = base_of(from);
	size_t n = 0;

	while (*name && !(is_name_char(*name) && *name != '.' && *name != '-'))
		name++;
	for (; *name && n < 48; name++)
		command->base[n++] = is_name_char(*name) ? *name : '_';
	command->base[n] = '\0';
	if (n == 0)
		strcpy(command->base, "job");
}

static int check_rules(const struct job_rules *rules, const char *name, const char *line_word)
{
	if (job_command_is_listed(rules->deny, name))
		return -EPERM;
	if (line_word[0] && job_command_is_listed(rules->deny, base_of(line_word)))
		return -EPERM;
	if (rules->allow[0] && !job_command_is_listed(rules->allow, name))
		return -EPERM;
	return 0;
}

int job_command_init(struct job_command *command, const struct args_job_start *args,
		     const struct job_env *base, const struct job_rules *rules)
{
	bool is_login = args->flags & JOB_LOGIN, is_line = args->line.size > 0;
	char word[256] = "";
	int error;

	*command = (struct job_command){0};
	if (is_login + is_line + (args->argv.n > 0) != 1)
		return -EINVAL;
	error = job_env_copy(&command->env, base);
	if (error == 0)
		error = take_env(command, args->env);
	if (error < 0)
		return error;
	if (args->argv.n > 0) {
		error = take_argv(command, args->argv);
		if (error == 0 && !(command->file = strdup(command->argv[0])))
			error = -ENOMEM;
	} else {
		error = take_shell(command, job_env_get(base, "SHELL"), args->line, is_login);
	}
	command->cwd = copy_text(args->cwd);
	command->cwd_size = args->cwd.size;
	if (error == 0 && !command->cwd)
		error = -EINVAL;
	if (error < 0)
		return error;
	snprintf(command->term, sizeof(command->term), "%.*s", (int)args->term.size,
		 args->term.size ? (const char *)args->term.data : "");
	if (is_line)
		first_word(command->argv[2], word);
	describe(command, args);
	choose_base(command, is_login ? "shell" : word[0] ? word : command->file);
	return check_rules(rules, base_of(command->file), word);
}

void job_command_deinit(struct job_command *command)
{
	for (char **word = command->argv; word && *word; word++)
		free(*word);
	free(command->argv);
	free(command->file);
	free(command->cwd);
	job_env_deinit(&command->env);
	*command = (struct job_command){0};
}
