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
#include "ctl/peer_table.h"
#include "ctl/terminal.h"

#define ARGUMENTS_MAX 8

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

static int ask_program(struct context *context, const char *const *arguments, bool prints_key)
{
	char *output = NULL;
	int r = daemon_program_run(context, "key", arguments, &output);

	if (r == CONTEXT_OK && output && prints_key)
		r = print_key(context, output);
	free(output);
	return r == CONTEXT_OK ? CONTEXT_OK : CONTEXT_FAILURE;
}

/* --- making ----------------------------------------------------------------------------------- */

int cmd_key_run_show(struct context *context)
{
	return ask_program(context, (const char *const[]){"show", NULL}, true);
}

static int generate_by_program(struct context *context, const char *name, const char *allow,
			       const char *peers)
{
	const char *arguments[ARGUMENTS_MAX] = {"generate", "--name", name};
	unsigned n = 3;

	if (allow[0]) {
		arguments[n++] = "--allow";
		arguments[n++] = allow;
	}
	if (peers[0]) {
		arguments[n++] = "--peers";
		arguments[n++] = peers;
	}
	return ask_program(context, arguments, true);
}

static int generate_by_daemon(struct context *context, struct local_client *client,
			      const struct args_ctl_key_generate *args)
{
	struct result_ctl_key_generate result;
	char *key;
	int r = context_call(context, client, OP_CTL_KEY_GENERATE, args, &result);

	if (r != CONTEXT_OK)
		return r;
	key = bytes_to_text(result.key);
	r = key ? print_key(context, key) : context_fail(context, "out of memory");
	free(key);
	return r;
}

int cmd_key_run_generate(struct context *context)
{
	const char *name = arguments_text(&context->arguments, "name", NULL);
	const char *allow = arguments_text(&context->arguments, "allow", "");
	const char *peers = arguments_text(&context->arguments, "peers", "");
	struct args_ctl_key_generate args = {.name = context_bytes(name),
					     .permissions = context_bytes(allow),
					     .peers = context_bytes(peers)};
	struct local_client *client;
	int r;

	if (!name && (allow[0] || peers[0]))
		return context_usage(context, "only a key with a name has limits: give --name");
	if (!name)
		return ask_program(context, (const char *const[]){"generate", NULL}, true);
	r = context_connect_if_up(context, &client);
	if (r != CONTEXT_OK)
		return r;
	r = client ? generate_by_daemon(context, client, &args)
		   : generate_by_program(context, name, allow, peers);
	local_client_free(client);
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
		    .name = context_bytes(fetch_text(line, "name")),
		    .permissions = context_bytes(fetch_text(line, "permissions")),
		    .is_for_all = json_is_null(json_object_get(line, "peers")),
		    .peers = context_bytes(fetch_text(line, "peers")),
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
	const char *name = context->arguments.words[0];
	struct args_ctl_key_revoke args = {.name = context_bytes(name)};
	struct local_client *client;
	int r = context_connect_if_up(context, &client);

	if (r != CONTEXT_OK)
		return r;
	if (client)
		r = context_call(context, client, OP_CTL_KEY_REVOKE, &args, NULL);
	else
		r = ask_program(context, (const char *const[]){"revoke", "--", name, NULL}, false);
	local_client_free(client);
	return r;
}
