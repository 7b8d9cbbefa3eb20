/* task: work that agents on several machines give each other. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/command.h"
#include "ctl/fetch.h"
#include "ctl/task_client.h"
#include "ctl/terminal.h"

#define HERE     "." /* this machine, where a peer is to be named */
#define LIST_MAX 10000

static int complain(const struct context *context, const struct task_client *client, int error)
{
	const char *reason = client->reason[0]      ? client->reason
			     : error == -ECONNRESET ? "loopsyd ended before it answered"
						    : strerror(-error);
	char *escaped = terminal_escape(reason, strlen(reason));

	context_fail(context, "%s", escaped ? escaped : "out of memory");
	free(escaped);
	return CONTEXT_FAILURE;
}

/* Connects, to whom --peer says. */
static int begin(const struct context *context, struct task_client *client)
{
	const char *peer = arguments_text(&context->arguments, "peer", "");

	*client = (struct task_client){.peer = strcmp(peer, HERE) == 0 ? "" : peer};
	return context_connect_remote(context, &client->remote);
}

static int end(struct task_client *client, int status)
{
	remote_free(client->remote);
	return status;
}

/* What a word says, or standard input where it is "-": malloc'ed, NULL having said why not. */
static char *read_text(const struct context *context, const char *word)
{
	char *text;
	size_t n = 0;

	if (strcmp(word, "-") != 0)
		return strdup(word);
	text = malloc(TASK_CLIENT_TEXT_MAX + 2);
	while (text && n <= TASK_CLIENT_TEXT_MAX) {
		ssize_t got = read(context->in, text + n, TASK_CLIENT_TEXT_MAX + 1 - n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		n += (size_t)got;
	}
	if (!text) {
		context_fail(context, "out of memory");
		return NULL;
	}
	text[n] = '\0';
	if (strlen(text) != n) {
		context_fail(context, "standard input has a zero byte in it: that is no text");
		free(text);
		return NULL;
	}
	return text;
}

/* Whether it can be the text of a task; says why not. */
static bool is_fit(const struct context *context, const char *text)
{
	size_t n = strlen(text);

	if (n > 0 && n <= TASK_CLIENT_TEXT_MAX)
		return true;
	context_fail(context, n > 0 ? "it is longer than 64 KiB: write it to a file, and say which"
				    : "it is empty");
	return false;
}

/* --- making ----------------------------------------------------------------------------------- */

static int create(const struct context *context, struct task_client *client, const char *peer,
		  const char *description)
{
	char name[OPS_CTL_NAME_MAX + 1];
	json_t *task;
	int r = task_client_own_name(client, name);

	if (r == 0)
		r = task_client_create(client, name, client->peer[0] ? peer : name, description,
				       &task);
	if (r < 0)
		return complain(context, client, r);
	if (context->json)
		return context_print_json(context, task);
	fprintf(context->out, "%s\n", fetch_text(task, "id"));
	json_decref(task);
	return CONTEXT_OK;
}

int cmd_task_run_create(struct context *context)
{
	const char *peer = context->arguments.words[0];
	char *description = read_text(context, context->arguments.words[1]);
	struct task_client client;
	int r = CONTEXT_FAILURE;

	if (description && is_fit(context, description) && begin(context, &client) == CONTEXT_OK) {
		client.peer = strcmp(peer, HERE) == 0 ? "" : peer;
		r = end(&client, create(context, &client, peer, description));
	}
	free(description);
	return r;
}

/* --- changing --------------------------------------------------------------------------------- */

static void print_text(const struct context *context, const json_t *task, const char *name)
{
	const char *text = fetch_text(task, name);
	size_t n = strlen(text);

	fputs(text, context->out);
	if (n > 0 && text[n - 1] != '\n')
		fputc('\n', context->out);
}

int cmd_task_run_claim(struct context *context)
{
	const char *id = context->arguments.n_words > 0 ? context->arguments.words[0] : NULL;
	char name[OPS_CTL_NAME_MAX + 1];
	struct task_client client;
	json_t *task;
	int r = begin(context, &client);

	if (r != CONTEXT_OK)
		return r;
	r = task_client_own_name(&client, name);
	if (r == 0)
		r = task_client_claim(&client, id, arguments_text(&context->arguments, "as", name),
				      &task);
	if (r < 0)
		return end(&client, complain(context, &client, r));
	if (context->json)
		return end(&client, context_print_json(context, task));
	fprintf(context->out, "%s\n", fetch_text(task, "id"));
	print_text(context, task, "description");
	json_decref(task);
	return end(&client, CONTEXT_OK);
}

static int finish(struct context *context, const char *status)
{
	const char *id = context->arguments.words[0];
	char *result =
	    read_text(context, context->arguments.n_words > 1 ? context->arguments.words[1] : "");
	struct task_client client;
	json_t *task;
	int r = CONTEXT_FAILURE;

	if (!result || (result[0] && !is_fit(context, result)) ||
	    begin(context, &client) != CONTEXT_OK)
		goto out;
	r = task_client_finish(&client, id, status, result, &task);
	if (r < 0) {
		r = complain(context, &client, r);
	} else if (context->json) {
		r = context_print_json(context, task);
	} else {
		json_decref(task);
		r = CONTEXT_OK;
	}
	end(&client, r);
out:
	free(result);
	return r;
}

int cmd_task_run_done(struct context *context)
{
	return finish(context, "done");
}

int cmd_task_run_fail(struct context *context)
{
	return finish(context, "failed");
}

/* --- looking ---------------------------------------------------------------------------------- */

static void print_tasks(const struct context *context, const json_t *tasks)
{
	static const char *const columns[] = {"id", "status", "from", "assignee", "description"};
	struct terminal_table table = {.n_columns = 5};

	for (size_t i = 0; i < json_array_size(tasks); i++) {
		for (size_t column = 0; column < 5; column++) {
			const char *text = fetch_text(json_array_get(tasks, i), columns[column]);
			char *line = strndup(text, strcspn(text, "\n"));

			terminal_table_add(&table, line, TERMINAL_PLAIN);
			free(line);
		}
	}
	terminal_table_print(&table, context->out, context->color);
}

/* Adds the tasks of one machine. */
static int add_tasks(const struct context *context, struct task_client *client, json_t *tasks)
{
	const char *status = arguments_text(&context->arguments, "status", NULL);
	json_t *list;
	bool more;
	int r = task_client_list(client, status, LIST_MAX, &list, &more);

	if (r < 0)
		return complain(context, client, r);
	json_array_extend(tasks, list);
	json_decref(list);
	return CONTEXT_OK;
}

static int add_all(const struct context *context, struct task_client *client, json_t *tasks)
{
	json_t *peers;
	int r = fetch_peers(context, remote_client(client->remote), &peers), e;

	if (r != CONTEXT_OK)
		return r;
	r = add_tasks(context, client, tasks);
	for (size_t i = 0; i < json_array_size(peers); i++) {
		client->peer = fetch_text(json_array_get(peers, i), "name");
		client->reason[0] = '\0';
		e = add_tasks(context, client, tasks);
		r = e == CONTEXT_OK ? r : e;
	}
	json_decref(peers);
	return r;
}

int cmd_task_run_list(struct context *context)
{
	bool all = arguments_has(&context->arguments, "all");
	struct task_client client;
	json_t *tasks;
	int r;

	if (all && arguments_has(&context->arguments, "peer"))
		return context_usage(context, "--all and --peer exclude each other");
	r = begin(context, &client);
	if (r != CONTEXT_OK)
		return r;
	tasks = json_array();
	r = all ? add_all(context, &client, tasks) : add_tasks(context, &client, tasks);
	if (context->json && (r == CONTEXT_OK || all)) {
		context_print_json(context, json_incref(tasks));
	} else {
		print_tasks(context, tasks);
	}
	json_decref(tasks);
	return end(&client, r);
}

int cmd_task_run_wait(struct context *context)
{
	struct task_client client;
	json_t *task;
	bool failed;
	int r = begin(context, &client);

	if (r != CONTEXT_OK)
		return r;
	r = task_client_wait(&client, context->arguments.words[0], &task);
	if (r < 0)
		return end(&client, complain(context, &client, r));
	failed = strcmp(fetch_text(task, "status"), "failed") == 0;
	if (context->json) {
		r = context_print_json(context, task);
	} else {
		print_text(context, task, "result");
		json_decref(task);
	}
	return end(&client, failed ? CONTEXT_FAILURE : r);
}
