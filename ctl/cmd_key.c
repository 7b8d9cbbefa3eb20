/* key: the file is loopsyd's; here it is only asked for. */
#include <stdlib.h>
#include <string.h>

#include "ctl/command.h"
#include "ctl/daemon_program.h"

static int run_verb(struct context *context, const char *verb)
{
	const char *const arguments[] = {verb, NULL};
	char *key = NULL;
	int r = daemon_program_run(context, "key", arguments, &key);

	if (r == CONTEXT_OK && key) {
		key[strcspn(key, "\n")] = '\0';
		if (context->json)
			r = context_print_json(context, json_pack("{s:s}", "key", key));
		else
			fprintf(context->out, "%s\n", key);
		explicit_bzero(key, strlen(key));
	}
	free(key);
	return r == CONTEXT_OK ? CONTEXT_OK : CONTEXT_FAILURE;
}

int cmd_key_run_show(struct context *context)
{
	return run_verb(context, "show");
}

int cmd_key_run_generate(struct context *context)
{
	return run_verb(context, "generate");
}
