/*
 * key: the one without limits is a file of loopsyd's; those with a name are in its store. So the
 * program loopsyd is asked for the former, and for the latter the daemon, or, where none runs, the
 * program.
 */
#include <stdlib.h>
#include <string.h>

#include "ctl/command.h"
#include "ctl/daemon_program.h"
#include "ctl/fetch.h"
#include "ctl/key_client.h"
#include "ctl/peer_table.h"
#include "ctl/terminal.h"

/* Prints a key and forgets it. */
static int print_key(const struct context *context, char *key)
{
	int r = CONTEXT_OK;

	key[strcspn(key, "\n")] = '\0';
	if (context->json)
		r = context_print_json(context, json_pack("{s:s}", "key", key));
	else
		fprintf(context->out, "%s\n", key);
	explicit_bzero(key, strlen(key));
	return r;
}

static int ask_program(struct context *context, const char *const *arguments)
{
	char *output = NULL;
	int r = daemon_program_run(context, "key", arguments, &output);

	if (r == CONTEXT_OK && output)
		r = print_key(context, output);
	free(output);
	return r == CONTEXT_OK ? CONTEXT_OK : CONTEXT_FAILURE;
}

/* --- making ----------------------------------------------------------------------------------- */

int cmd_key_run_show(struct context *context)
{
	return ask_program(context, (const char *const[]){"show", NULL});
}

static int complain(const struct context *context, char *error)
{
	context_fail(context, "%s", error ? error : "out of memory");
	free(error);
	return CONTEXT_FAILURE;
}

int cmd_key_run_generate(struct context *context)
{
	const char *name = arguments_text(&context->arguments, "name", NULL);
	const char *allow = arguments_text(&context->arguments, "allow", NULL);
	const char *peers = arguments_text(&context->arguments, "peers", NULL);
	char *key = NULL, *error = NULL;
	int r;

	if (!name && (allow || peers))
		return context_usage(context, "only a key with a name has limits: give --name");
	if (!name)
		return ask_program(context, (const char *const[]){"generate", NULL});
	if (key_client_generate(context, name, allow, peers, &key, &error) < 0)
		return complain(context, error);
	r = print_key(context, key);
	free(key);
	return r;
}

/* --- listing ---------------------------------------------------------------------------------- */

static struct timespec time_of(json_t *line, const char *name)
{
	json_int_t ms = json_integer_value(json_object_get(line, name));

	return (struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
}

/* What the program loopsyd printed: a line each. */
static json_t *read_lines(char *output)
{
	json_t *list = json_array();
	char *rest = NULL;

	for (char *at = strtok_r(output, "\n", &rest); at; at = strtok_r(NULL, "\n", &rest)) {
		json_t *line = json_loads(at, 0, NULL);
		struct ctl_key_info key = {
		    .name = bytes_of_text(fetch_text(line, "name")),
		    .permissions = bytes_of_text(fetch_text(line, "permissions")),
		    .is_for_all = json_is_null(json_object_get(line, "peers")),
		    .peers = bytes_of_text(fetch_text(line, "peers")),
		    .created = time_of(line, "created_ms"),
		    .used = time_of(line, "used_ms"),
		};

		json_array_append_new(list, fetch_key(&key));
		json_decref(line);
	}
	return list;
}

static int list_by_program(const struct context *context, json_t **ret_list)
{
	const char *const arguments[] = {"list", NULL};
	char *output = NULL;
	int r = daemon_program_run(context, "key", arguments, &output);

	if (r == CONTEXT_OK && output)
		*ret_list = read_lines(output);
	free(output);
	return r == CONTEXT_OK ? CONTEXT_OK : CONTEXT_FAILURE;
}

static void print_table(const struct context *context, const json_t *keys)
{
	static const char *const titles[] = {"KEY", "ALLOWS", "FOR", "LAST USED"};
	struct terminal_table table = {.n_columns = 4};

	for (size_t i = 0; i < 4 && json_array_size(keys) > 0; i++)
		terminal_table_add(&table, titles[i], TERMINAL_PLAIN);
	for (size_t i = 0; i < json_array_size(keys); i++) {
		const json_t *key = json_array_get(keys, i), *peers = json_object_get(key, "peers");
		char permissions[OPS_CTL_NAME_MAX + 1], names[OPS_CTL_PATH_MAX + 1];
		const char *used = fetch_text(key, "used");

		peer_table_permissions(json_object_get(key, "permissions"), permissions,
				       sizeof(permissions));
		terminal_table_add(&table, fetch_text(key, "name"), TERMINAL_PLAIN);
		terminal_table_add(&table, permissions, TERMINAL_PLAIN);
		terminal_table_add(&table,
				   json_is_null(peers)
				       ? "all peers"
				       : peer_table_permissions(peers, names, sizeof(names)),
				   TERMINAL_PLAIN);
		terminal_table_add(&table, used[0] ? used : "never", TERMINAL_PLAIN);
	}
	terminal_table_print(&table, context->out, context->color);
}

int cmd_key_run_list(struct context *context)
{
	struct local_client *client;
	json_t *keys = NULL;
	int r = context_connect_if_up(context, &client);

	if (r != CONTEXT_OK)
		return r;
	r = client ? fetch_keys(context, client, &keys) : list_by_program(context, &keys);
	local_client_free(client);
	if (r != CONTEXT_OK)
		return r;
	if (context->json)
		return context_print_json(context, json_pack("{s:o}", "keys", keys));
	print_table(context, keys);
	if (json_array_size(keys) == 0)
		context_say(context,
			    "no key has a name: 'loopsyctl key generate --name N' makes one");
	json_decref(keys);
	return CONTEXT_OK;
}

/* --- revoking --------------------------------------------------------------------------------- */

int cmd_key_run_revoke(struct context *context)
{
	char *error = NULL;

	if (key_client_revoke(context, context->arguments.words[0], &error) < 0)
		return complain(context, error);
	return CONTEXT_OK;
}
