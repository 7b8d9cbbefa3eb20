/* status */
#include <string.h>

#include "ctl/command.h"
#include "ctl/fetch.h"
#include "ctl/peer_table.h"
#include "ctl/terminal.h"

static void print_uptime(char *text, size_t size, long long seconds)
{
	if (seconds < 60)
		snprintf(text, size, "%lld s", seconds);
	else if (seconds < 3600)
		snprintf(text, size, "%lld min", seconds / 60);
	else if (seconds < 86400)
		snprintf(text, size, "%lld h %lld min", seconds / 3600, seconds / 60 % 60);
	else
		snprintf(text, size, "%lld d %lld h", seconds / 86400, seconds / 3600 % 24);
}

static void add_line(struct terminal_table *table, const char *title, const char *text)
{
	terminal_table_add(table, title, TERMINAL_BOLD);
	terminal_table_add(table, text, TERMINAL_PLAIN);
}

static void print_status(const struct context *context, const json_t *status)
{
	const json_t *listen = json_object_get(status, "listen"),
		     *peers = json_object_get(status, "peers");
	struct terminal_table table = {.n_columns = 2};
	char text[1024], uptime[64];
	size_t n = 0;

	add_line(&table, "name", fetch_text(status, "name"));
	add_line(&table, "id", fetch_text(status, "id"));
	print_uptime(uptime, sizeof(uptime),
		     json_integer_value(json_object_get(status, "uptime_s")));
	snprintf(text, sizeof(text), "loopsyd %s, pid %lld, up %s", fetch_text(status, "version"),
		 (long long)json_integer_value(json_object_get(status, "pid")), uptime);
	add_line(&table, "daemon", text);
	text[0] = '\0';
	for (size_t i = 0; i < json_array_size(listen) && n < sizeof(text); i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", i ? ", " : "",
				      json_string_value(json_array_get(listen, i)));
	add_line(&table, "listening", text);
	add_line(&table, "mount", fetch_text(status, "mount"));
	terminal_table_print(&table, context->out, context->color);
	fputc('\n', context->out);
	if (json_array_size(peers) == 0)
		fprintf(context->out, "no peers yet: 'loopsyctl pair' here and 'loopsyctl pair "
				      "ADDRESS' on the other machine\n");
	else
		peer_table_print(context, peers);
}

int cmd_status_run(struct context *context)
{
	struct local_client *client;
	json_t *status;
	int r = context_connect(context, &client);

	if (r != CONTEXT_OK)
		return r;
	r = fetch_status(context, client, &status);
	local_client_free(client);
	if (r != CONTEXT_OK)
		return r;
	if (context->json)
		return context_print_json(context, status);
	print_status(context, status);
	json_decref(status);
	return CONTEXT_OK;
}
