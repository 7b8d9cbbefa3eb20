/* loopsy_task_create, _claim, _finish, _list. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/context.h"
#include "ctl/fetch.h"
#include "ctl/mcp/control_path.h"
#include "ctl/mcp/mcp_text.h"
#include "ctl/mcp/tools.h"
#include "ctl/task_client.h"

#define SHOWN_MAX 4000 /* bytes of a description, as JSON */
#define BRIEF_MAX 200  /* of those of a list */
#define LIST_MAX  20

static const char *const statuses[] = {"pending", "running", "done", "failed", NULL};
static const char *const endings[] = {"done", "failed", NULL};

#define FIELD_PEER                                                                                 \
	{                                                                                          \
		"peer", SCHEMA_STRING, .min = 1, .max = OPS_CTL_NAME_MAX,                          \
				       .description = "default: this machine"                      \
	}

static const struct schema_field task_output[] = {
    {"id", SCHEMA_STRING, .required = true},
    {"status", SCHEMA_STRING, .required = true},
    {"description", SCHEMA_STRING},
    {"from", SCHEMA_STRING},
    {"path", SCHEMA_STRING},
    {.name = NULL},
};

/* A client for the tasks of the argument "peer"; false having failed. */
static bool begin(struct mcp_call *call, const json_t *arguments, struct task_client *client)
{
	*client = (struct task_client){.remote = mcp_call_remote(call),
				       .peer = tool_string(arguments, "peer", "")};
	return client->remote != NULL;
}

static void fail(struct mcp_call *call, const struct task_client *client, int error)
{
	mcp_call_fail_errno(call, client->peer, error, client->reason);
}

/* A task with its texts cut to so many bytes; takes the reference. */
static json_t *cut(struct mcp_call *call, const char *peer, json_t *task, size_t max)
{
	static const char *const texts[] = {"description", "result"};
	const char *id = fetch_text(task, "id");
	bool truncated = false;

	for (size_t i = 0; i < 2; i++) {
		const char *text = fetch_text(task, texts[i]);
		size_t size = strlen(text), n = mcp_text_fit(text, size, max, false);

		truncated = truncated || n < size;
		if (n < size)
			json_object_set_new(task, texts[i], mcp_text(text, n));
	}
	if (json_is_null(json_object_get(task, "result")))
		json_object_del(task, "result");
	if (truncated) {
		char key[TASK_CLIENT_ID_MAX + 8];

		snprintf(key, sizeof(key), "task:%s", id);
		json_object_set_new(task, "truncated", json_true());
		control_path_add(task, control_path_kv(call, peer, bytes_of_text(key)));
	}
	return task;
}

/* --- create ----------------------------------------------------------------------------------- */

static const struct schema_field create_input[] = {
    {"description", SCHEMA_STRING, .required = true, .min = 1, .max = TASK_CLIENT_TEXT_MAX},
    FIELD_PEER,
    {.name = NULL},
};

static const struct schema_field changed_output[] = {
    {"id", SCHEMA_STRING, .required = true},
    {"status", SCHEMA_STRING, .required = true},
    {.name = NULL},
};

/* `task` is taken over, if `r` is 0. */
static void answer_changed(struct mcp_call *call, struct task_client *client, int r, json_t *task)
{
	if (r < 0) {
		fail(call, client, r);
		return;
	}
	mcp_call_answer(call,
			json_pack("{s:O, s:O}", "id", json_object_get(task, "id"), "status",
				  json_object_get(task, "status")),
			NULL);
	json_decref(task);
}

static void run_create(struct mcp_call *call, const json_t *arguments)
{
	char name[OPS_CTL_NAME_MAX + 1];
	struct task_client client;
	json_t *task = NULL;
	int r;

	if (!begin(call, arguments, &client))
		return;
	r = task_client_own_name(&client, name);
	if (r == 0)
		r = task_client_create(&client, name, client.peer[0] ? client.peer : name,
				       tool_string(arguments, "description", ""), &task);
	answer_changed(call, &client, r, task);
}

const struct tool tools_tasks_create = {
    .name = "loopsy_task_create",
    .title = "Give a task",
    .description = "Leave a task for an agent on a peer; loopsy_task_list shows how it goes.",
    .input = create_input,
    .output = changed_output,
    .run = run_create,
};

/* --- claim ------------------------------------------------------------------------------------ */

static const struct schema_field claim_input[] = {
    {"id", SCHEMA_STRING, .min = 1, .max = TASK_CLIENT_ID_MAX,
     .description = "default: the oldest pending"},
    FIELD_PEER,
    {.name = NULL},
};

static void run_claim(struct mcp_call *call, const json_t *arguments)
{
	char name[OPS_CTL_NAME_MAX + 1];
	struct task_client client;
	json_t *task;
	int r;

	if (!begin(call, arguments, &client))
		return;
	r = task_client_own_name(&client, name);
	if (r == 0)
		r = task_client_claim(&client, tool_string(arguments, "id", NULL), name, &task);
	if (r < 0) {
		fail(call, &client, r);
		return;
	}
	task = cut(call, client.peer, task, SHOWN_MAX);
	mcp_call_answer(
	    call, json_incref(task), "task %s is yours\n[data from %s]\n%s%s%s",
	    fetch_text(task, "id"), fetch_text(task, "from"), fetch_text(task, "description"),
	    json_object_get(task, "truncated") ? "\nall of it: " : "", fetch_text(task, "path"));
	json_decref(task);
}

const struct tool tools_tasks_claim = {
    .name = "loopsy_task_claim",
    .title = "Take a task",
    .description = "Take a pending task before you work on it: nobody else gets it then.",
    .input = claim_input,
    .output = task_output,
    .run = run_claim,
};

/* --- finish ----------------------------------------------------------------------------------- */

static const struct schema_field finish_input[] = {
    {"id", SCHEMA_STRING, .required = true, .min = 1, .max = TASK_CLIENT_ID_MAX},
    {"status", SCHEMA_STRING, .required = true, .choices = endings},
    {"result", SCHEMA_STRING, .min = 0, .max = TASK_CLIENT_TEXT_MAX},
    FIELD_PEER,
    {.name = NULL},
};

static void run_finish(struct mcp_call *call, const json_t *arguments)
{
	struct task_client client;
	json_t *task = NULL;
	int r;

	if (!begin(call, arguments, &client))
		return;
	r = task_client_finish(&client, tool_string(arguments, "id", ""),
			       tool_string(arguments, "status", "done"),
			       tool_string(arguments, "result", ""), &task);
	answer_changed(call, &client, r, task);
}

const struct tool tools_tasks_finish = {
    .name = "loopsy_task_finish",
    .title = "Finish a task",
    .description = "Say how a task that you took ended.",
    .hints = TOOL_DESTRUCTIVE,
    .input = finish_input,
    .output = changed_output,
    .run = run_finish,
};

/* --- list ------------------------------------------------------------------------------------- */

static const struct schema_field list_input[] = {
    {"status", SCHEMA_STRING, .choices = statuses},
    FIELD_PEER,
    {.name = NULL},
};

static const struct schema_field list_task[] = {
    {"id", SCHEMA_STRING},          {"status", SCHEMA_STRING}, {"from", SCHEMA_STRING},
    {"description", SCHEMA_STRING}, {"result", SCHEMA_STRING}, {.name = NULL},
};

static const struct schema_field list_output[] = {
    {"tasks", SCHEMA_ARRAY, .required = true, .of = list_task},
    {"more", SCHEMA_BOOLEAN, .required = true},
    {.name = NULL},
};

static void add_line(struct buffer *text, const json_t *task)
{
	const char *description = fetch_text(task, "description");
	const char *result = fetch_text(task, "result");
	char line[2 * BRIEF_MAX + TASK_CLIENT_ID_MAX + 100];

	snprintf(line, sizeof(line), "%s %s: %.*s%s%.*s\n", fetch_text(task, "id"),
		 fetch_text(task, "status"), (int)strcspn(description, "\n"), description,
		 result[0] ? " -> " : "", (int)strcspn(result, "\n"), result);
	buffer_append(text, line, strlen(line));
}

static void run_list(struct mcp_call *call, const json_t *arguments)
{
	struct task_client client;
	struct buffer text = {0};
	json_t *tasks;
	bool more;
	int r;

	if (!begin(call, arguments, &client))
		return;
	r = task_client_list(&client, tool_string(arguments, "status", NULL), LIST_MAX, &tasks,
			     &more);
	if (r < 0) {
		fail(call, &client, r);
		return;
	}
	for (size_t i = 0; i < json_array_size(tasks); i++)
		add_line(&text, cut(call, client.peer, json_array_get(tasks, i), BRIEF_MAX));
	mcp_call_answer(call, json_pack("{s:o, s:b}", "tasks", tasks, "more", more),
			"[data from %s]\n%.*s%s", remote_place(client.peer), (int)text.size,
			text.size ? (const char *)text.data : "",
			more             ? "there are more: give status"
			: text.size == 0 ? "no tasks"
					 : "");
	buffer_deinit(&text);
}

const struct tool tools_tasks_list = {
    .name = "loopsy_task_list",
    .title = "List tasks",
    .description = "Tasks of a machine, oldest first.",
    .hints = TOOL_READ_ONLY | TOOL_IDEMPOTENT,
    .input = list_input,
    .output = list_output,
    .run = run_list,
};
