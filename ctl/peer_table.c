#include "ctl/peer_table.h"

#include <string.h>

#include "ctl/fetch.h"
#include "ctl/terminal.h"

const char *peer_table_permissions(const json_t *list, char *text, size_t size)
{
	size_t n = 0;

	snprintf(text, size, "none");
	for (size_t i = 0; i < json_array_size(list) && n < size; i++)
		n += (size_t)snprintf(text + n, size - n, "%s%s", i ? "," : "",
				      json_string_value(json_array_get(list, i)));
	return text;
}

static enum terminal_color state_color(const char *state)
{
	if (strcmp(state, "online") == 0)
		return TERMINAL_GREEN;
	return strcmp(state, "connecting") == 0 ? TERMINAL_YELLOW : TERMINAL_RED;
}

void peer_table_print(const struct context *context, const json_t *peers)
{
	static const char *const titles[] = {"PEER", "STATE", "ADDRESS", "RTT", "MAY DO HERE"};
	struct terminal_table table = {.n_columns = 5};
	char text[300];

	for (unsigned i = 0; i < 5; i++)
		terminal_table_add(&table, titles[i], TERMINAL_BOLD);
	for (size_t i = 0; i < json_array_size(peers); i++) {
		const json_t *peer = json_array_get(peers, i), *rtt;
		const char *state = fetch_text(peer, "state");

		terminal_table_add(&table, fetch_text(peer, "name"), TERMINAL_PLAIN);
		terminal_table_add(&table, state, state_color(state));
		terminal_table_add(&table, fetch_text(peer, "address"), TERMINAL_PLAIN);
		rtt = json_object_get(peer, "rtt_ms");
		snprintf(text, sizeof(text), "%.1f ms", json_number_value(rtt));
		terminal_table_add(&table, json_is_number(rtt) ? text : NULL, TERMINAL_PLAIN);
		terminal_table_add(&table,
				   peer_table_permissions(json_object_get(peer, "permissions"),
							  text, sizeof(text)),
				   TERMINAL_PLAIN);
	}
	terminal_table_print(&table, context->out, context->color);
}
