/* config: from the running daemon, which also knows its command line; else from the program. */
#include <stdlib.h>
#include <string.h>

#include "ctl/command.h"
#include "ctl/daemon_program.h"
#include "ctl/fetch.h"
#include "ctl/terminal.h"

/* `loopsyd config` prints an object per line. */
static int read_options(const struct context *context, json_t **ret_list)
{
	char *output = NULL, *line, *rest;
	json_t *list = json_array();
	int r = daemon_program_run(context, "config", NULL, &output);

	for (rest = output; r == CONTEXT_OK && (line = strsep(&rest, "\n"));) {
		json_t *option = *line ? json_loads(line, 0, NULL) : NULL;

		if (option)
			json_array_append_new(list, option);
		else if (*line)
			r = context_fail(context, "'loopsyd config' printed what is no JSON: is it "
						  "of another version?");
	}
	free(output);
	if (r == CONTEXT_OK)
		*ret_list = list;
	else
		json_decref(list);
	return r == CONTEXT_OK ? CONTEXT_OK : CONTEXT_FAILURE;
}

static void print_options(const struct context *context, const json_t *list)
{
	struct terminal_table table = {.n_columns = 4};

	terminal_table_add(&table, "OPTION", TERMINAL_BOLD);
	terminal_table_add(&table, "VALUE", TERMINAL_BOLD);
	terminal_table_add(&table, "FROM", TERMINAL_BOLD);
	terminal_table_add(&table, "WHAT IT DOES", TERMINAL_BOLD);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *option = json_array_get(list, i);

		terminal_table_add(&table, fetch_text(option, "name"), TERMINAL_PLAIN);
		terminal_table_add(&table, fetch_text(option, "value"), TERMINAL_PLAIN);
		terminal_table_add(&table, fetch_text(option, "source"), TERMINAL_PLAIN);
		terminal_table_add(&table, fetch_text(option, "summary"), TERMINAL_PLAIN);
	}
	terminal_table_print(&table, context->out, context->color);
}

int cmd_config_run(struct context *context)
{
	struct local_client *client;
	json_t *list;
	int r = context_connect_if_up(context, &client);

	if (r != CONTEXT_OK)
		return r;
	r = client ? fetch_options(context, client, &list) : read_options(context, &list);
	local_client_free(client);
	if (r != CONTEXT_OK)
		return r;
	if (context->json)
		return context_print_json(context, list);
	print_options(context, list);
	context_say(context, "to change them: %s, then 'loopsyctl restart'",
		    context->home->config_file);
	json_decref(list);
	return CONTEXT_OK;
}
