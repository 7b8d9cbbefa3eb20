/* peers … */
#include <stdlib.h>
#include <string.h>

#include "ctl/command.h"
#include "ctl/fetch.h"
#include "ctl/peer_table.h"
#include "ctl/terminal.h"

int cmd_peers_run_list(struct context *context)
{
	struct local_client *client;
	json_t *peers;
	int r = context_connect(context, &client);

	if (r != CONTEXT_OK)
		return r;
	r = fetch_peers(context, client, &peers);
	local_client_free(client);
	if (r != CONTEXT_OK)
		return r;
	if (context->json)
		return context_print_json(context, peers);
	if (json_array_size(peers) == 0)
		context_say(context, "no peers yet: 'loopsyctl pair' here and 'loopsyctl pair "
				     "ADDRESS' on the other machine");
	else
		peer_table_print(context, peers);
	json_decref(peers);
	return CONTEXT_OK;
}

static void print_discovered(const struct context *context, const json_t *list)
{
	struct terminal_table table = {.n_columns = 4};

	terminal_table_add(&table, "NAME", TERMINAL_BOLD);
	terminal_table_add(&table, "ADDRESS", TERMINAL_BOLD);
	terminal_table_add(&table, "PAIRED AS", TERMINAL_BOLD);
	terminal_table_add(&table, "ID", TERMINAL_BOLD);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *found = json_array_get(list, i);

		terminal_table_add(&table, fetch_text(found, "name"), TERMINAL_PLAIN);
		terminal_table_add(&table, fetch_text(found, "address"), TERMINAL_PLAIN);
		terminal_table_add(&table, fetch_text(found, "peer"), TERMINAL_PLAIN);
		terminal_table_add(&table, fetch_text(found, "id"), TERMINAL_PLAIN);
	}
	terminal_table_print(&table, context->out, context->color);
}

int cmd_peers_run_discovered(struct context *context)
{
	struct local_client *client;
	char *warning = NULL;
	json_t *list;
	int r = context_connect(context, &client);

	if (r != CONTEXT_OK)
		return r;
	r = fetch_discovered(context, client, &list, &warning);
	local_client_free(client);
	if (r != CONTEXT_OK)
		return r;
	if (warning) {
		char *text = terminal_escape(warning, strlen(warning));

		fprintf(context->err, "loopsyctl: %s\n", text ? text : "");
		free(text);
		free(warning);
	}
	if (context->json)
		return context_print_json(context, list);
	if (json_array_size(list) == 0)
		context_say(context, "no other machine announces itself here: where multicast does "
				     "not reach, use 'loopsyctl pair ADDRESS'");
	else
		print_discovered(context, list);
	json_decref(list);
	return CONTEXT_OK;
}

/* Connects, calls, and frees the client when the call failed. */
static int call_daemon(const struct context *context, uint16_t op, const void *args, void *result,
		       struct local_client **ret_client)
{
	int r = context_connect(context, ret_client);

	if (r != CONTEXT_OK)
		return r;
	r = context_call(context, *ret_client, op, args, result);
	if (r != CONTEXT_OK)
		local_client_free(*ret_client);
	return r;
}

/* A text of a reply, safe to show; malloc'ed. */
static char *shown(struct bytes text)
{
	return terminal_escape((const char *)text.data, text.size);
}

int cmd_peers_run_add(struct context *context)
{
	struct args_ctl_peer_add args = {.address = bytes_of_text(context->arguments.words[0])};
	struct result_ctl_peer_add result;
	struct local_client *client;
	int r = call_daemon(context, OP_CTL_PEER_ADD, &args, &result, &client);

	if (r != CONTEXT_OK)
		return r;
	if (context->json) {
		r = context_print_json(
		    context,
		    json_pack("{s:o, s:o}", "address", context_json_text(result.address), "peer",
			      result.peer.size ? context_json_text(result.peer) : json_null()));
	} else {
		char *peer = shown(result.peer), *address = shown(result.address);

		if (result.peer.size > 0)
			context_say(context, "%s is at %s", peer, address);
		else
			context_say(
			    context,
			    "peers are looked for at %s now; 'loopsyctl pair %s' pairs with a "
			    "machine there",
			    address, address);
		free(peer);
		free(address);
	}
	local_client_free(client);
	return r;
}

static void print_peer(const struct context *context, const json_t *peer)
{
	static const struct {
		const char *title, *key;
	} lines[] = {{"name", "name"},
		     {"id", "id"},
		     {"fingerprint", "fingerprint"},
		     {"state", "state"},
		     {"why", "error"},
		     {"address", "address"},
		     {"round trip", "rtt_ms"},
		     {"may do here", "permissions"},
		     {"lets us do", "granted"},
		     {"runs", "software"},
		     {"last seen", "last_seen"}};
	struct terminal_table table = {.n_columns = 2};
	char text[300];

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		const json_t *value = json_object_get(peer, lines[i].key);
		const char *shown_value = json_string_value(value);

		if (json_is_array(value)) {
			shown_value = peer_table_permissions(value, text, sizeof(text));
		} else if (json_is_number(value)) {
			snprintf(text, sizeof(text), "%.1f ms", json_number_value(value));
			shown_value = text;
		}
		if (strcmp(lines[i].key, "error") == 0 && (!shown_value || !*shown_value))
			continue;
		terminal_table_add(&table, lines[i].title, TERMINAL_BOLD);
		terminal_table_add(&table, shown_value, TERMINAL_PLAIN);
	}
	terminal_table_print(&table, context->out, context->color);
}

int cmd_peers_run_show(struct context *context)
{
	struct args_ctl_peer_show args = {.name = bytes_of_text(context->arguments.words[0])};
	struct result_ctl_peer_show result;
	struct local_client *client;
	json_t *peer;
	int r = call_daemon(context, OP_CTL_PEER_SHOW, &args, &result, &client);

	if (r != CONTEXT_OK)
		return r;
	peer = fetch_peer(&result.peer);
	local_client_free(client);
	if (context->json)
		return context_print_json(context, peer);
	print_peer(context, peer);
	json_decref(peer);
	return CONTEXT_OK;
}

int cmd_peers_run_rename(struct context *context)
{
	const char *const *words = context->arguments.words;
	struct args_ctl_peer_rename args = {.name = bytes_of_text(words[0]),
					    .new_name = bytes_of_text(words[1])};
	struct local_client *client;
	int r = call_daemon(context, OP_CTL_PEER_RENAME, &args, NULL, &client);

	if (r != CONTEXT_OK)
		return r;
	local_client_free(client);
	if (context->json)
		return context_print_json(context, json_pack("{s:s}", "name", words[1]));
	context_say(context, "%s is called %s now", words[0], words[1]);
	return CONTEXT_OK;
}

int cmd_peers_run_remove(struct context *context)
{
	const char *name = context->arguments.words[0];
	struct args_ctl_peer_remove args = {.name = bytes_of_text(name)};
	struct local_client *client;
	int r = call_daemon(context, OP_CTL_PEER_REMOVE, &args, NULL, &client);

	if (r != CONTEXT_OK)
		return r;
	local_client_free(client);
	if (context->json)
		return context_print_json(context, json_pack("{s:s}", "removed", name));
	context_say(context, "%s is not paired any more", name);
	return CONTEXT_OK;
}

int cmd_peers_run_allow(struct context *context)
{
	const char *const *words = context->arguments.words;
	struct args_ctl_peer_allow args = {.name = bytes_of_text(words[0]),
					   .permissions = bytes_of_text(words[1])};
	struct result_ctl_peer_allow result;
	struct local_client *client;
	json_t *permissions;
	char text[300];
	int r = call_daemon(context, OP_CTL_PEER_ALLOW, &args, &result, &client);

	if (r != CONTEXT_OK)
		return r;
	permissions = fetch_permissions(result.permissions);
	local_client_free(client);
	if (context->json)
		return context_print_json(
		    context, json_pack("{s:s, s:o}", "name", words[0], "permissions", permissions));
	context_say(context, "%s may do here: %s", words[0],
		    peer_table_permissions(permissions, text, sizeof(text)));
	json_decref(permissions);
	return CONTEXT_OK;
}
