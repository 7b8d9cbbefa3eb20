#include "ctl/key_client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/daemon_program.h"

#define ARGUMENTS_MAX 8

/* The daemon, or NULL in *ret_client when none runs. */
static int connect_daemon(const struct context *context, struct local_client **ret_client,
			  char **ret_error)
{
	if (context_connect_if_up(context, ret_client) == CONTEXT_OK)
		return 0;
	*ret_error = strdup("loopsyd cannot be asked");
	return -EIO;
}

/* What the program said, without its name. */
static int failed(char *said, char **ret_error)
{
	static const char prefix[] = "loopsyd: ";
	const char *text = said && *said ? said : "loopsyd failed";

	if (strncmp(text, prefix, strlen(prefix)) == 0)
		text += strlen(prefix);
	*ret_error = strndup(text, strcspn(text, "\n"));
	return -EIO;
}

static int ask_program(const struct context *context, const char *const *arguments,
		       char **ret_output, char **ret_error)
{
	char *output = NULL, *said = NULL;
	int r = 0;

	if (daemon_program_ask(context, "key", arguments, &output, &said) != CONTEXT_OK)
		r = failed(said, ret_error);
	free(said);
	if (r == 0 && ret_output)
		*ret_output = output;
	else
		free(output);
	return r;
}

static int generate_by_program(const struct context *context, const char *name, const char *allow,
			       const char *peers, char **ret_key, char **ret_error)
{
	const char *arguments[ARGUMENTS_MAX] = {"generate", "--name", name};
	unsigned n = 3;
	int r;

	if (allow) {
		arguments[n++] = "--allow";
		arguments[n++] = allow;
	}
	if (peers) {
		arguments[n++] = "--peers";
		arguments[n++] = peers;
	}
	r = ask_program(context, arguments, ret_key, ret_error);
	if (r == 0)
		(*ret_key)[strcspn(*ret_key, "\n")] = '\0';
	return r;
}

int key_client_generate(const struct context *context, const char *name, const char *allow,
			const char *peers, char **ret_key, char **ret_error)
{
	struct args_ctl_key_generate args = {.name = bytes_of_text(name),
					     .permissions = bytes_of_text(allow),
					     .peers = bytes_of_text(peers)};
	struct result_ctl_key_generate result;
	struct local_client *client;
	int r = connect_daemon(context, &client, ret_error);

	if (r < 0)
		return r;
	if (!client)
		return generate_by_program(context, name, allow, peers, ret_key, ret_error);
	r = local_client_call(client, OP_CTL_KEY_GENERATE, &args, &result);
	if (r < 0)
		*ret_error = context_explain(client, r);
	else if (!(*ret_key = bytes_to_text(result.key)))
		r = -ENOMEM;
	local_client_free(client);
	return r;
}

bool key_client_holds(const struct context *context, const char *key)
{
	struct args_ctl_key args = {.key = bytes_of_text(key)};
	struct local_client *client;
	int r = local_client_new(context->home->socket, &client);

	if (r < 0)
		return true;
	r = local_client_call(client, OP_CTL_KEY, &args, NULL);
	local_client_free(client);
	return r != -EKEYREJECTED;
}

int key_client_revoke(const struct context *context, const char *name, char **ret_error)
{
	const char *const arguments[] = {"revoke", "--", name, NULL};
	struct args_ctl_key_revoke args = {.name = bytes_of_text(name)};
	struct local_client *client;
	int r = connect_daemon(context, &client, ret_error);

	if (r < 0)
		return r;
	if (!client)
		return ask_program(context, arguments, NULL, ret_error);
	r = local_client_call(client, OP_CTL_KEY_REVOKE, &args, NULL);
	if (r < 0)
		*ret_error = context_explain(client, r);
	local_client_free(client);
	return r;
}
