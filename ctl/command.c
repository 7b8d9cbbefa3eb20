#include "ctl/command.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Before the command. */
static const struct option_row global_options[] = {
    {.name = "version", .letter = 'V', .summary = "print the version"},
    {.name = NULL},
};

static const struct option_row no_options[] = {{.name = NULL}};

const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < command_table_n; i++)
		if (strcmp(command_table[i].name, name) == 0)
			return &command_table[i];
	return NULL;
}

/* The second word of a row of the group, or NULL. */
static const char *second_word(const struct command *row, const char *group)
{
	size_t n = strlen(group);

	return strncmp(row->name, group, n) == 0 && row->name[n] == ' ' ? row->name + n + 1 : NULL;
}

bool command_is_group(const char *word)
{
	for (size_t i = 0; i < command_table_n; i++)
		if (second_word(&command_table[i], word))
			return true;
	return false;
}

/* Of one or two words at argv; how many is returned in ret_n. */
static const struct command *find_words(int argc, char *const *argv, int *ret_n)
{
	char name[64];

	if (argc >= 2 && argv[1][0] != '-') {
		snprintf(name, sizeof(name), "%.30s %.30s", argv[0], argv[1]);
		*ret_n = 2;
		if (command_find(name))
			return command_find(name);
	}
	*ret_n = 1;
	return command_find(argv[0]);
}

static int complain_unknown(const struct context *context, int argc, char *const *argv)
{
	bool group = command_is_group(argv[0]);

	if (group && argc > 1)
		context_fail(context, "unknown command '%.60s %.60s'; there are:", argv[0],
			     argv[1]);
	else if (group)
		context_fail(context, "'%.60s' alone is no command; there are:", argv[0]);
	else
		context_fail(context, "unknown command '%.60s': try 'loopsyctl help'", argv[0]);
	if (group)
		command_print_group(context->err, argv[0]);
	return CONTEXT_USAGE;
}

/* Reads what stands behind the command's name. Returns CONTEXT_OK, or CONTEXT_USAGE having said
 * why.
 */
static int read_arguments(struct context *context, int argc, char *const *argv)
{
	const struct command *command = context->command;
	const struct option_row *tables[] = {
	    command_common_options, command->options ? command->options : no_options, NULL};
	char error[ARGUMENTS_ERROR_MAX];
	int n = 0;

	context->rest = argv;
	context->n_rest = argc;
	if (command->rest == COMMAND_REST_ALL && !(argc == 1 && strcmp(argv[0], "--help") == 0))
		return CONTEXT_OK;
	n = arguments_parse(&context->arguments, argc, argv, tables,
			    command->rest == COMMAND_REST_AFTER_OPTIONS, error);
	if (n < 0)
		return context_usage(context, "%s: %s", command->name, error);
	context->rest += n;
	context->n_rest -= n;
	if (arguments_has(&context->arguments, "help") || command->rest != COMMAND_REST_NONE)
		return CONTEXT_OK;
	if (context->arguments.n_words < command->min_words)
		return context_usage(context, "%s: something is missing", command->name);
	if (context->arguments.n_words > command->max_words)
		return context_usage(context, "%s: '%.100s' is too much", command->name,
				     context->arguments.words[command->max_words]);
	return CONTEXT_OK;
}

static int run_command(struct context *context, int argc, char *const *argv)
{
	int n, r;

	context->command = find_words(argc, argv, &n);
	if (!context->command)
		return complain_unknown(context, argc, argv);
	/* A first word that is a group's, with a second that none of its commands has. */
	if (n == 1 && argc > 1 && argv[1][0] != '-' && command_is_group(argv[0]))
		return complain_unknown(context, argc, argv);
	r = read_arguments(context, argc - n, argv + n);
	if (r != CONTEXT_OK)
		return context->command->failure ? context->command->failure : r;
	if (arguments_has(&context->arguments, "help")) {
		command_print_help(context->out, context->command);
		return CONTEXT_OK;
	}
	context->json = arguments_has(&context->arguments, "json");
	r = home_new(arguments_text(&context->arguments, "home", NULL), &context->home);
	if (r < 0) {
		r = context_fail(context, "no home directory: set HOME or LOOPSY_HOME");
		return context->command->failure ? context->command->failure : r;
	}
	r = context->command->run(context);
	home_free(context->home);
	return r;
}

int command_main(int argc, char *const *argv, int in, FILE *out, FILE *err)
{
	const struct option_row *const tables[] = {command_common_options, global_options, NULL};
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
	struct context context = {.in = in, .out = out, .err = err};
	char error[ARGUMENTS_ERROR_MAX];
	bool terminal = fileno(out) >= 0 && isatty(fileno(out));
	int n = arguments_parse(&context.arguments, argc - 1, argv + 1, tables, true, error), r;

	context.terminal = terminal && isatty(in);
	context.color =
	    terminal && !(no_color && *no_color) && !(term && strcmp(term, "dumb") == 0);
	if (n < 0)
		return context_usage(&context, "%s", error);
	if (arguments_has(&context.arguments, "version")) {
		r = cmd_help_run_version(&context);
	} else if (n + 1 < argc) {
		r = run_command(&context, argc - 1 - n, argv + 1 + n);
	} else if (arguments_has(&context.arguments, "help")) {
		command_print_help(out, NULL);
		r = CONTEXT_OK;
	} else {
		command_print_help(err, NULL);
		r = CONTEXT_USAGE;
	}
	if (fflush(out) != 0 || ferror(out))
		return context_fail(&context, "cannot write the output");
	return r;
}

static void print_options(FILE *out, const struct option_row *options)
{
	for (; options && options->name; options++) {
		char text[64];

		snprintf(text, sizeof(text), "%c%c%s--%s%s%s", options->letter ? '-' : ' ',
			 options->letter ? options->letter : ' ', options->letter ? ", " : "  ",
			 options->name, options->value ? " " : "",
			 options->value ? options->value : "");
		fprintf(out, "  %-24s %s\n", text, options->summary);
	}
}

void command_print_group(FILE *out, const char *word)
{
	for (size_t i = 0; i < command_table_n; i++)
		if (second_word(&command_table[i], word))
			fprintf(out, "  %-17s %s\n", command_table[i].name,
				command_table[i].summary);
}

void command_print_help(FILE *out, const struct command *command)
{
	if (command) {
		fprintf(out, "usage: loopsyctl %s%s%s\n\n%s\n\noptions:\n", command->name,
			command->usage[0] ? " " : "", command->usage, command->summary);
		print_options(out, command->options);
		print_options(out, command_common_options);
		if (command_is_group(command->name))
			fprintf(out, "\nand:\n");
		command_print_group(out, command->name);
		return;
	}
	fprintf(out, "usage: loopsyctl [--home DIR] COMMAND [ARGUMENT ...]\n\n"
		     "Your other machines as folders.\n\ncommands:\n");
	for (size_t i = 0; i < command_table_n; i++) {
		const struct command *row = &command_table[i];

		fprintf(out, "  %-17s %s\n", row->name, row->summary);
	}
	fprintf(out, "\noptions:\n");
	print_options(out, global_options);
	print_options(out, command_common_options);
	fprintf(out, "\nFirst steps: 'loopsyctl init', 'loopsyctl start --lan', 'loopsyctl pair'.\n"
		     "More: 'loopsyctl help COMMAND', 'man loopsyctl'.\n");
}
