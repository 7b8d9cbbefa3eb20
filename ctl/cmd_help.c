/* help and version. */
#include <string.h>

#include "ctl/command.h"

int cmd_help_run(struct context *context)
{
	const struct arguments *arguments = &context->arguments;
	const struct command *command = NULL;
	char name[64];

	if (arguments->n_words > 0) {
		snprintf(name, sizeof(name), "%.30s%s%.30s", arguments->words[0],
			 arguments->n_words > 1 ? " " : "",
			 arguments->n_words > 1 ? arguments->words[1] : "");
		command = command_find(name);
		if (!command && command_is_group(name)) {
			command_print_group(context->out, name);
			return CONTEXT_OK;
		}
		if (!command)
			return context_usage(context, "help: there is no command '%s'", name);
	}
	command_print_help(context->out, command);
	return CONTEXT_OK;
}

int cmd_help_run_version(struct context *context)
{
	if (context->json)
		return context_print_json(context, json_pack("{s:s}", "version", LOOPSY_VERSION));
	fprintf(context->out, "loopsyctl %s\n", LOOPSY_VERSION);
	return CONTEXT_OK;
}
