/* completions: shell scripts made of the table of commands. */
#include <string.h>

#include "ctl/command.h"

static size_t first_word_length(const struct command *command)
{
	return strcspn(command->name, " ");
}

/* Whether an earlier row has the same first word. */
static bool is_repeated(size_t row)
{
	size_t n = first_word_length(&command_table[row]);

	for (size_t i = 0; i < row; i++)
		if (first_word_length(&command_table[i]) == n &&
		    strncmp(command_table[i].name, command_table[row].name, n) == 0)
			return true;
	return false;
}

static void print_first_words(FILE *out)
{
	const char *blank = "";

	for (size_t i = 0; i < command_table_n; i++) {
		if (is_repeated(i))
			continue;
		fprintf(out, "%s%.*s", blank, (int)first_word_length(&command_table[i]),
			command_table[i].name);
		blank = " ";
	}
}

/* The second words of a group, "" when it is none. */
static void print_second_words(FILE *out, const char *group, size_t n)
{
	const char *blank = "";

	for (size_t i = 0; i < command_table_n; i++) {
		if (strncmp(command_table[i].name, group, n) != 0 ||
		    command_table[i].name[n] != ' ')
			continue;
		fprintf(out, "%s%s", blank, command_table[i].name + n + 1);
		blank = " ";
	}
}

static void print_options(FILE *out, const struct option_row *options)
{
	for (; options && options->name; options++)
		fprintf(out, " --%s", options->name);
}

static bool wants_peer(const struct command *command)
{
	return strncmp(command->usage, "NAME", 4) == 0;
}

/* What may come behind a command; and behind the first word of a group, once. */
static void print_bash_case(FILE *out, size_t i)
{
	const struct command *command = &command_table[i];

	fprintf(out, "\t'%s'%s) choices=\"", command->name,
		strchr(command->name, ' ') || command->max_words > 0 ? "*" : "");
	if (strcmp(command->name, "help") == 0)
		print_first_words(out);
	else if (strcmp(command->name, "completions") == 0)
		fprintf(out, "bash zsh fish");
	else
		print_second_words(out, command->name, strlen(command->name));
	if (wants_peer(command))
		fprintf(out, "$(eval \"$peers\" | tail -n +2 | cut -d' ' -f1)");
	print_options(out, command->options);
	print_options(out, command_common_options);
	fprintf(out, "\" ;;\n");
	/* A group whose first word alone is no command. */
	if (!strchr(command->name, ' ') || is_repeated(i))
		return;
	fprintf(out, "\t%.*s) choices='", (int)first_word_length(command), command->name);
	print_second_words(out, command->name, first_word_length(command));
	fprintf(out, "' ;;\n");
}

static void print_bash(FILE *out)
{
	fprintf(out, "# made by 'loopsyctl completions bash'\n"
		     "_loopsyctl() {\n"
		     "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} "
		     "words=() word i\n"
		     "\tCOMPREPLY=()\n"
		     "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
		     "\t\tword=${COMP_WORDS[i]}\n"
		     "\t\tcase $word in\n"
		     "\t\t--home) ((i++)) ;;\n"
		     "\t\t-*) ;;\n"
		     "\t\t*) words+=(\"$word\") ;;\n"
		     "\t\tesac\n"
		     "\tdone\n"
		     "\tif [[ $prev == --home ]]; then\n"
		     "\t\tCOMPREPLY=($(compgen -d -- \"$cur\"))\n"
		     "\t\treturn\n"
		     "\tfi\n"
		     "\tlocal choices peers=\"loopsyctl peers 2>/dev/null\"\n"
		     "\tcase \"${words[*]}\" in\n"
		     "\t'') choices='");
	print_first_words(out);
	fprintf(out, " --version");
	print_options(out, command_common_options);
	fprintf(out, "' ;;\n");
	for (size_t i = 0; i < command_table_n; i++)
		print_bash_case(out, i);
	fprintf(out, "\tesac\n"
		     "\tCOMPREPLY=($(compgen -W \"$choices\" -- \"$cur\"))\n"
		     "}\n"
		     "complete -F _loopsyctl loopsyctl loopsy\n");
}

/* zsh runs bash's; for `source <(loopsyctl completions zsh)`. */
static void print_zsh(FILE *out)
{
	fprintf(out, "autoload -U +X bashcompinit && bashcompinit\n");
	print_bash(out);
}

static void print_fish_quoted(FILE *out, const char *text)
{
	fputc('\'', out);
	for (; *text; text++)
		fprintf(out, *text == '\'' || *text == '\\' ? "\\%c" : "%c", *text);
	fputc('\'', out);
}

static void print_fish_options(FILE *out, const char *condition, const struct option_row *options)
{
	for (; options && options->name; options++) {
		fprintf(out, "complete -c loopsyctl%s -l %s", condition, options->name);
		if (options->letter)
			fprintf(out, " -s %c", options->letter);
		if (options->value)
			fprintf(out, " -r");
		fprintf(out, " -d ");
		print_fish_quoted(out, options->summary);
		fputc('\n', out);
	}
}

static void print_fish(FILE *out)
{
	fprintf(out, "# made by 'loopsyctl completions fish'\n"
		     "complete -c loopsyctl -f\n"
		     "complete -c loopsy -w loopsyctl\n");
	print_fish_options(out, "", command_common_options);
	for (size_t i = 0; i < command_table_n; i++) {
		const struct command *command = &command_table[i];
		const char *second = strchr(command->name, ' ');
		char condition[256];
		int n = (int)first_word_length(command);

		if (!second || !is_repeated(i)) {
			fprintf(out, "complete -c loopsyctl -n __fish_use_subcommand -a %.*s", n,
				command->name);
			if (!second) {
				fprintf(out, " -d ");
				print_fish_quoted(out, command->summary);
			}
			fputc('\n', out);
		}
		snprintf(condition, sizeof(condition), " -n '__fish_seen_subcommand_from %.*s'", n,
			 command->name);
		if (second) {
			fprintf(out, "complete -c loopsyctl%s -a %s -d ", condition, second + 1);
			print_fish_quoted(out, command->summary);
			fputc('\n', out);
		}
		print_fish_options(out, condition, command->options);
	}
}

int cmd_completions_run(struct context *context)
{
	static const struct {
		const char *shell;
		void (*print)(FILE *out);
	} shells[] = {{"bash", print_bash}, {"zsh", print_zsh}, {"fish", print_fish}};

	for (size_t i = 0; i < sizeof(shells) / sizeof(shells[0]); i++)
		if (strcmp(context->arguments.words[0], shells[i].shell) == 0) {
			shells[i].print(context->out);
			return CONTEXT_OK;
		}
	return context_usage(context, "completions: '%.40s' is none of bash, zsh and fish",
			     context->arguments.words[0]);
}
