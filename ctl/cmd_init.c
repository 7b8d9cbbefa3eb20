/* init: the identity is loopsyd's to make. */
#include <stdlib.h>

#include "ctl/command.h"
#include "ctl/daemon_program.h"

int cmd_init_run(struct context *context)
{
	const char *name = arguments_text(&context->arguments, "name", NULL);
	const char *const arguments[] = {name ? "--name" : NULL, name, NULL};
	char *output = NULL;
	int r = daemon_program_run(context, "init", arguments, &output);

	if (r == CONTEXT_OK && context->json) {
		r = context_print_json(context, json_pack("{s:b, s:s, s:s}", "ok", 1, "config",
							  context->home->config_file, "identity",
							  context->home->identity));
	} else {
		fputs(output ? output : "", context->err);
		if (r == CONTEXT_OK)
			context_say(context, "next: 'loopsyctl start --lan'");
	}
	free(output);
	return r == CONTEXT_OK ? CONTEXT_OK : CONTEXT_FAILURE;
}
