/* exec's command line, and the args of JOB_START that come of it. */
#include "ctl/exec_command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ctl/command.h"
#include "ctl/target.h"

static int add_word(struct list *list, struct buffer *words, const char *text, size_t size)
{
	struct job_word word = {.text = {(const uint8_t *)text, size}};

	words->limit = OPS_CTL_CALL_MAX;
	return codec_list_append(list, words, &job_word_record, &word);
}

int exec_command_add(struct exec_command *command, const char *word)
{
	return add_word(&command->args.argv, &command->argv, word, strlen(word));
}

int exec_command_add_env(struct exec_command *command, const char *text)
{
	return add_word(&command->args.env, &command->env, text, strlen(text));
}

int exec_command_set_line(struct exec_command *command, char *const *words, int n)
{
	struct buffer line = {.limit = OPS_JOB_WORD_MAX};
	int r = 0;

	for (int i = 0; i < n && r == 0; i++) {
		if (i > 0)
			r = buffer_append(&line, " ", 1);
		if (r == 0)
			r = buffer_append(&line, words[i], strlen(words[i]));
	}
	command->line = (char *)line.data;
	command->args.line = (struct bytes){line.data, line.size};
	return r;
}

void exec_command_finish(struct exec_command *command)
{
	codec_list_finish(&command->args.argv, &command->argv);
	codec_list_finish(&command->args.env, &command->env);
}

void exec_command_deinit(struct exec_command *command)
{
	buffer_deinit(&command->argv);
	buffer_deinit(&command->env);
	free(command->line);
}

/* --- the command line ------------------------------------------------------------------------- */

/* exec's own options may stand on both sides of the peer's name. Returns 0, or a negative errno
 * having said why. */
static int take_peer(struct context *context, struct local_client *client, const char **ret_peer)
{
	const struct option_row *tables[] = {command_common_options, context->command->options,
					     NULL};
	char error[ARGUMENTS_ERROR_MAX];
	int r = 1;

	*ret_peer = NULL;
	if (context->arguments.words_only || context->n_rest == 0)
		return 0;
	if (context->n_rest < 2 || strcmp(context->rest[1], "--") != 0)
		r = target_is_peer(context, client, context->rest[0]);
	if (r <= 0)
		return r;
	*ret_peer = context->rest[0];
	context->rest++;
	context->n_rest--;
	r = arguments_parse(&context->arguments, context->n_rest, context->rest, tables, true,
			    error);
	if (r < 0) {
		context_usage(context, "exec: %s", error);
		return r;
	}
	context->rest += r;
	context->n_rest -= r;
	return 0;
}

static int add_environment(const struct context *context, struct exec_command *command)
{
	char text[OPS_JOB_WORD_MAX];
	int r = 0;

	for (unsigned i = 0; i < context->arguments.n_options && r == 0; i++) {
		const struct given_option *option = &context->arguments.options[i];
		const char *value;

		if (strcmp(option->row->name, "env") != 0)
			continue;
		if (strchr(option->text, '=')) {
			r = exec_command_add_env(command, option->text);
			continue;
		}
		value = getenv(option->text);
		if (!value)
			continue;
		if ((size_t)snprintf(text, sizeof(text), "%s=%s", option->text, value) >=
		    sizeof(text))
			return -EMSGSIZE;
		r = exec_command_add_env(command, text);
	}
	return r;
}

void exec_command_set_terminal(struct exec_command *command)
{
	const char *term = getenv("TERM");
	struct winsize size = {0};

	command->args.flags |= JOB_TTY | JOB_STDIN;
	command->args.term = bytes_of_text(term && strlen(term) <= OPS_JOB_NAME_MAX ? term : "");
	if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) < 0 &&
	    ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0)
		return;
	command->args.rows = size.ws_row;
	command->args.cols = size.ws_col;
}

/* As ssh does: a shell at a terminal gets one. */
static bool wants_terminal(const struct context *context)
{
	static const char *const shells[] = {"sh", "bash", "dash", "zsh", "fish", "ksh"};
	const char *name = context->n_rest == 1 ? context->rest[0] : "";
	const char *slash = strrchr(name, '/');

	if (arguments_has(&context->arguments, "tty"))
		return true;
	for (size_t i = 0; i < sizeof(shells) / sizeof(shells[0]) && context->terminal; i++)
		if (strcmp(slash ? slash + 1 : name, shells[i]) == 0)
			return !arguments_has(&context->arguments, "detach");
	return false;
}

static void set_flags(const struct context *context, struct exec_command *command)
{
	const struct arguments *arguments = &context->arguments;

	command->detach = arguments_has(arguments, "detach");
	command->args.name = bytes_of_text(arguments_text(arguments, "name", ""));
	command->args.timeout_ms = arguments_number(arguments, "timeout", 0) * 1000;
	if (wants_terminal(context))
		exec_command_set_terminal(command);
	if (command->detach)
		return;
	command->args.flags |= JOB_OWNER;
	if (!isatty(context->in) || arguments_has(arguments, "interactive"))
		command->args.flags |= JOB_STDIN;
}

static int set_command(const struct context *context, struct exec_command *command)
{
	int r = add_environment(context, command);

	if (arguments_has(&context->arguments, "shell"))
		return r < 0 ? r : exec_command_set_line(command, context->rest, context->n_rest);
	for (int i = 0; i < context->n_rest && r == 0; i++)
		r = exec_command_add(command, context->rest[i]);
	return r;
}

static int run(struct context *context, struct remote *remote)
{
	struct exec_command command = {0};
	struct target target = {0};
	const char *peer;
	int r = take_peer(context, remote_client(remote), &peer), status = EXEC_FAILURE;

	if (r < 0)
		return EXEC_FAILURE;
	if (context->n_rest == 0) {
		context_usage(context, "exec: the command is missing");
		return EXEC_FAILURE;
	}
	r = target_find(context, remote_client(remote), peer,
			arguments_text(&context->arguments, "directory", NULL), &target);
	if (r < 0)
		goto out;
	command.peer = target.peer;
	command.args.cwd = bytes_of_text(target.directory);
	set_flags(context, &command);
	r = set_command(context, &command);
	if (r < 0) {
		context_fail(context, "%s",
			     r == -ENOMEM ? "out of memory" : "the command is too long");
		goto out;
	}
	exec_command_finish(&command);
	status = cmd_exec_follow(context, remote, &command);
out:
	exec_command_deinit(&command);
	target_deinit(&target);
	return status;
}

int cmd_exec_run(struct context *context)
{
	struct remote *remote;
	int status;

	if (context_connect_remote(context, &remote) != CONTEXT_OK)
		return EXEC_FAILURE;
	status = run(context, remote);
	remote_free(remote);
	return status;
}
