/* doctor: our own checks, then the daemon's. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/command.h"
#include "ctl/fetch.h"
#include "ctl/local_checks.h"
#include "ctl/terminal.h"

static void check_daemon(const struct context *context, json_t *list)
{
	struct local_client *client = NULL;
	json_t *checks = NULL;
	char detail[64];
	int r = local_client_new(context->home->socket, &client);

	if (r == -ENOENT || r == -ECONNREFUSED || r == -ENOTDIR) {
		local_checks_add(list, "daemon", "failure", "loopsyd is not running",
				 "loopsyctl start");
		return;
	}
	if (r < 0) {
		local_checks_add(list, "daemon", "failure", strerror(-r),
				 "end loopsyd with 'kill -9 PID' and 'loopsyctl start' it again");
		return;
	}
	snprintf(detail, sizeof(detail), "loopsyd runs (pid %d)", (int)client->pid);
	if (fetch_checks(context, client, &checks) == CONTEXT_OK) {
		local_checks_add(list, "daemon", "ok", detail, "");
		json_array_extend(list, checks);
		json_decref(checks);
	} else {
		local_checks_add(list, "daemon", "failure", "loopsyd does not answer as it should",
				 "loopsyctl restart");
	}
	local_client_free(client);
}

static enum terminal_color status_color(const char *status)
{
	if (strcmp(status, "ok") == 0)
		return TERMINAL_GREEN;
	return strcmp(status, "warning") == 0 ? TERMINAL_YELLOW : TERMINAL_RED;
}

static void print_checks(const struct context *context, const json_t *list)
{
	struct terminal_table table = {.n_columns = 3};
	size_t n_failures = 0, n_warnings = 0;

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *check = json_array_get(list, i);
		const char *status = fetch_text(check, "status"), *fix = fetch_text(check, "fix");

		n_failures += strcmp(status, "failure") == 0;
		n_warnings += strcmp(status, "warning") == 0;
		terminal_table_add(&table, status, status_color(status));
		terminal_table_add(&table, fetch_text(check, "name"), TERMINAL_PLAIN);
		terminal_table_add(&table, fetch_text(check, "detail"), TERMINAL_PLAIN);
		if (!*fix || strcmp(status, "ok") == 0)
			continue;
		terminal_table_add(&table, " ", TERMINAL_PLAIN);
		terminal_table_add(&table, "Fix:", TERMINAL_BOLD);
		terminal_table_add(&table, fix, TERMINAL_PLAIN);
	}
	terminal_table_print(&table, context->out, context->color);
	if (n_failures + n_warnings == 0)
		fprintf(context->out, "all is well\n");
	else
		fprintf(context->out, "%zu failed, %zu with a warning\n", n_failures, n_warnings);
}

int cmd_doctor_run(struct context *context)
{
	json_t *list = json_array();
	bool ok = true;

	local_checks_run(context, list);
	check_daemon(context, list);
	for (size_t i = 0; i < json_array_size(list); i++)
		ok = ok && strcmp(fetch_text(json_array_get(list, i), "status"), "failure") != 0;
	if (context->json) {
		int r =
		    context_print_json(context, json_pack("{s:b, s:o}", "ok", ok, "checks", list));

		return r == CONTEXT_OK && ok ? CONTEXT_OK : CONTEXT_FAILURE;
	}
	print_checks(context, list);
	json_decref(list);
	return ok ? CONTEXT_OK : CONTEXT_FAILURE;
}
