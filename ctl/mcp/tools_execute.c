/* loopsy_execute */
#include <errno.h>
#include <stdlib.h>

#include "ctl/exec_command.h"
#include "ctl/mcp/job_place.h"
#include "ctl/mcp/job_report.h"
#include "ctl/mcp/tools.h"

#define STDIN_MAX 65536 /* bytes: a pipe takes so many, whether they are read or not */

static const struct schema_field input[] = {
    JOB_REPORT_FIELD_PEER,
    {"command", SCHEMA_STRING, .min = 1, .max = OPS_JOB_WORD_MAX,
     .description = "a shell line; or argv"},
    {"argv", SCHEMA_STRINGS, .min = 1, .max = OPS_JOB_WORDS_MAX},
    {"cwd", SCHEMA_STRING, .max = OPS_TARGET_MAX,
     .description = "on the peer, or its path in the mount; else home"},
    {"env", SCHEMA_MAP, .max = 1000},
    {"stdin", SCHEMA_STRING, .max = STDIN_MAX, .description = "up to 64 KiB"},
    {"timeout_s", SCHEMA_INTEGER, .min = 1, .max = OPS_JOB_TIMEOUT_MAX / 1000,
     .description = "kill it then (never)"},
    {"wait_s", SCHEMA_INTEGER, .max = JOB_FOLLOW_WAIT_MAX,
     .description = "then it goes on as a job (30)"},
    JOB_REPORT_FIELD_MAX,
    {.name = NULL},
};

/* Words and environment. Returns 0, -EINVAL, -EMSGSIZE or -ENOMEM. */
static int set_command(struct exec_command *command, const json_t *arguments)
{
	const json_t *argv = json_object_get(arguments, "argv");
	const char *line = tool_string(arguments, "command", NULL);
	int r = 0;

	for (size_t i = 0; i < json_array_size(argv) && r == 0; i++)
		r = exec_command_add(command, json_string_value(json_array_get(argv, i)));
	if (r == 0 && line)
		r = exec_command_set_line(command, (char *[]){(char *)line}, 1);
	if (r == 0)
		r = job_place_set_env(command, json_object_get(arguments, "env"));
	exec_command_finish(command);
	return r;
}

static const char *first_word(const json_t *arguments)
{
	const json_t *argv = json_object_get(arguments, "argv");

	return argv ? json_string_value(json_array_get(argv, 0))
		    : tool_string(arguments, "command", "");
}

static void fail(struct mcp_call *call, const char *peer, int error,
		 const struct job_followed *followed)
{
	if (error == -EINVAL || error == -EMSGSIZE)
		mcp_call_fail(call, "the command or its environment is too long, or not valid%s%s",
			      followed->reason[0] ? ": " : "", followed->reason);
	else if (error == -ECONNRESET && followed->name[0])
		mcp_call_fail(call,
			      "loopsyd on this machine ended meanwhile; run 'loopsyctl start'. The "
			      "command goes on as job %s: loopsy_job_wait waits for it",
			      followed->name);
	else
		mcp_call_fail_errno(call, peer, error, followed->reason);
}

static void execute(struct mcp_call *call, struct remote *remote, struct exec_command *command,
		    const json_t *arguments)
{
	const char *given = tool_string(arguments, "stdin", "");
	struct bytes in = bytes_of_text(given);
	size_t room = job_report_room(call, arguments);
	int wait_ms = (int)tool_integer(arguments, "wait_s", 30) * 1000;
	struct args_job_remove remove_args;
	struct job_followed followed;
	int r = job_followed_init(&followed, room);

	if (r == 0)
		r = job_follow_start(call, remote, command->peer, &command->args, in, wait_ms,
				     &followed);
	if (r < 0) {
		fail(call, command->peer, r, &followed);
	} else if (job_report_answer(call, command->peer, &followed, room, true)) {
		/* The client has its answer, and nothing is left to be read. */
		remove_args = (struct args_job_remove){.job = followed.number};
		remote_ask(remote, command->peer, OP_JOB_REMOVE, &remove_args, NULL, NULL);
	}
	job_followed_deinit(&followed);
}

static void run(struct mcp_call *call, const json_t *arguments)
{
	struct exec_command command = {.peer = tool_string(arguments, "peer", "")};
	char name[OPS_JOB_NAME_MAX + 1];
	struct remote *remote;
	char *cwd = NULL;

	if (!json_object_get(arguments, "command") == !json_object_get(arguments, "argv")) {
		mcp_call_fail(call, "give one of 'command' (a shell line) and 'argv'");
		return;
	}
	remote = mcp_call_remote(call);
	if (!remote || job_place_find_cwd(call, arguments, &cwd) < 0)
		return;
	job_place_make_name(first_word(arguments), name, sizeof(name));
	command.args.name = bytes_of_text(name);
	command.args.flags = JOB_MERGED;
	command.args.cwd = bytes_of_text(cwd);
	command.args.timeout_ms = (uint64_t)tool_integer(arguments, "timeout_s", 0) * 1000;
	if (set_command(&command, arguments) < 0)
		mcp_call_fail(call, "the command or its environment is too long, or not valid");
	else
		execute(call, remote, &command, arguments);
	exec_command_deinit(&command);
	free(cwd);
}

const struct tool tools_execute = {
    .name = "loopsy_execute",
    .title = "Run a command on a peer",
    .description = "Runs a command on a peer and returns exit code and output (head and tail; "
		   "all of it is at log_path). If it takes longer than wait_s it goes on as a job: "
		   "follow it with loopsy_job_wait.",
    .hints = TOOL_DESTRUCTIVE | TOOL_OPEN_WORLD,
    .input = input,
    .output = job_report_fields,
    .run = run,
};
