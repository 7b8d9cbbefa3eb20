/* mcp install, remove, status: loopsy in the configurations of agents. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/agents.h"
#include "ctl/command.h"
#include "ctl/fetch.h"
#include "ctl/terminal.h"

static const char *result_text(enum agent_result result, bool removing)
{
	switch (result) {
	case AGENT_ADDED:
		return "registered";
	case AGENT_UPDATED:
		return "updated";
	case AGENT_REMOVED:
		return "removed";
	default:
		return removing ? "was not registered" : "is registered already";
	}
}

/* Says how it went; returns the exit status. */
static int print_report(const struct context *context, const struct agent *agent, const char *file,
			int r, bool removing, const struct agent_report *report)
{
	const char *error = r < 0 ? report->error ? report->error : strerror(-r) : NULL;
	const char *result = r < 0 ? "failed" : result_text(report->result, removing);

	if (context->json) {
		int printed = context_print_json(
		    context,
		    json_pack("{s:s, s:s, s:s, s:s?, s:s?}", "agent", agent->name, "file", file,
			      "result", result, "backup", report->backup, "error", error));

		return r < 0 ? CONTEXT_FAILURE : printed;
	}
	if (r < 0)
		return context_fail(context, "%s: %s", agent->title, error);
	fprintf(context->out, "%s: %s in %s\n", agent->title, result, file);
	if (report->backup)
		fprintf(context->out, "  as it was before: %s\n", report->backup);
	return CONTEXT_OK;
}

static int run_one(const struct context *context, const struct agent *agent, bool removing)
{
	struct agent_report report = {0};
	char *file = agent_file(agent);
	int r;

	if (!file)
		return context_fail(context, "no home directory: set HOME");
	r = removing ? agent_setup_remove(context, agent, file, &report)
		     : agent_setup_install(context, agent, file, &report);
	r = print_report(context, agent, file, r, removing, &report);
	agent_report_deinit(&report);
	free(file);
	return r;
}

static bool is_found(const struct agent *agent)
{
	char *file = agent_file(agent), *program = agent_program(agent);
	bool is_there = agent_is_there(agent, program, file);

	free(file);
	free(program);
	return is_there;
}

static int run_all(struct context *context, bool removing)
{
	unsigned n = 0;
	int status = CONTEXT_OK;

	for (size_t i = 0; i < agent_table_n; i++) {
		if (!is_found(&agent_table[i]))
			continue;
		n++;
		if (run_one(context, &agent_table[i], removing) != CONTEXT_OK)
			status = CONTEXT_FAILURE;
	}
	if (n == 0)
		return context_fail(
		    context, "there is none of claude, codex, gemini and opencode here: name "
			     "one, if it is to be set up all the same");
	if (!removing && status == CONTEXT_OK)
		context_say(context, "Agents that run see it when they are started anew.");
	return status;
}

static int run(struct context *context, bool removing)
{
	const struct arguments *arguments = &context->arguments;
	int status = CONTEXT_OK;

	if (arguments->n_words > 0 && arguments_has(arguments, "all"))
		return context_usage(context, "names of agents, or --all");
	for (unsigned i = 0; i < arguments->n_words; i++)
		if (!agent_find(arguments->words[i]))
			return context_usage(
			    context,
			    "'%.60s' is no agent: there are claude, codex, gemini and opencode",
			    arguments->words[i]);
	if (arguments->n_words == 0)
		return run_all(context, removing);
	for (unsigned i = 0; i < arguments->n_words; i++)
		if (run_one(context, agent_find(arguments->words[i]), removing) != CONTEXT_OK)
			status = CONTEXT_FAILURE;
	return status;
}

int cmd_mcp_install_run(struct context *context)
{
	return run(context, false);
}

int cmd_mcp_install_run_remove(struct context *context)
{
	return run(context, true);
}

/* --- status ----------------------------------------------------------------------------------- */

static enum terminal_color state_color(const char *state)
{
	if (strcmp(state, "registered") == 0)
		return TERMINAL_GREEN;
	return strcmp(state, "not registered") == 0 ? TERMINAL_PLAIN : TERMINAL_YELLOW;
}

int cmd_mcp_install_run_status(struct context *context)
{
	struct terminal_table table = {.n_columns = 4};
	json_t *list = json_array(), *state;
	size_t i;

	for (i = 0; i < agent_table_n; i++)
		json_array_append_new(list, agent_setup_state(context, &agent_table[i]));
	if (context->json)
		return context_print_json(context, list);
	json_array_foreach(list, i, state)
	{
		const char *text = fetch_text(state, "state"),
			   *problem = fetch_text(state, "problem");
		bool found = json_is_true(json_object_get(state, "found"));

		terminal_table_add(&table, fetch_text(state, "agent"), TERMINAL_BOLD);
		terminal_table_add(&table, found ? text : "not installed", state_color(text));
		terminal_table_add(&table, fetch_text(state, "file"), TERMINAL_PLAIN);
		terminal_table_add(&table, *problem ? problem : fetch_text(state, "command"),
				   TERMINAL_PLAIN);
	}
	terminal_table_print(&table, context->out, context->color);
	json_decref(list);
	return CONTEXT_OK;
}
