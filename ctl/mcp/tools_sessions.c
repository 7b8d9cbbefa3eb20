/* loopsy_session_start, _send, _screen, _stop, _list, _remove: terminals on peers, which are jobs
 * that have one. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/fetch.h"
#include "ctl/job_list.h"
#include "ctl/mcp/excerpt.h"
#include "ctl/mcp/job_place.h"
#include "ctl/mcp/job_report.h"
#include "ctl/mcp/job_settle.h"
#include "ctl/mcp/mcp_text.h"
#include "ctl/mcp/tools.h"

#define KILL_AFTER_MS  2000
#define STOP_WAIT_MS   (KILL_AFTER_MS + 1000)
#define SCROLLBACK_MAX 1000
#define SETTLE_S       2

#define FIELD_SESSION                                                                              \
	{                                                                                          \
		"session", SCHEMA_STRING, .required = true, .min = 1, .max = OPS_JOB_NAME_MAX      \
	}
#define FIELD_WAIT                                                                                 \
	{                                                                                          \
		"wait_s", SCHEMA_INTEGER,                                                          \
		    .max = JOB_FOLLOW_WAIT_MAX,                                                    \
		    .description = "for the screen to come to rest, at most (2)"                   \
	}

static const struct schema_field session_input[] = {
    JOB_REPORT_FIELD_PEER,
    FIELD_SESSION,
    {.name = NULL},
};

static const struct schema_field screen_output[] = {
    {"session", SCHEMA_STRING, .required = true},
    {"state", SCHEMA_STRING, .required = true, .choices = job_report_states},
    {"screen", SCHEMA_STRING, .required = true},
    {"cursor_row", SCHEMA_INTEGER, .description = "from 0"},
    {"cursor_col", SCHEMA_INTEGER},
    {"title", SCHEMA_STRING},
    {.name = NULL},
};

/* What all of them know of their session. */
struct session {
	struct mcp_call *call;
	struct remote *remote;
	const char *peer, *name;
};

static void fail(const struct session *session, int error, const char *reason)
{
	if (error == -ENOENT && mcp_call_knows_peer(session->call, session->peer))
		mcp_call_fail(session->call,
			      "no session on %s is called '%s'; loopsy_session_list lists them, "
			      "loopsy_session_start starts one",
			      session->peer, session->name);
	else if (error == -ENOTTY)
		mcp_call_fail(session->call,
			      "%s is a job without a terminal; loopsy_job_output shows what it "
			      "prints",
			      session->name);
	else
		mcp_call_fail_errno(session->call, session->peer, error, reason);
}

/* Returns false having failed. */
static bool find(struct mcp_call *call, const json_t *arguments, struct session *session)
{
	*session = (struct session){.call = call,
				    .peer = tool_string(arguments, "peer", ""),
				    .name = tool_string(arguments, "session", "")};
	session->remote = mcp_call_remote(call);
	return session->remote != NULL;
}

/* Returns false having failed. */
static bool ask_status(const struct session *session, struct job_followed *ret_followed)
{
	struct args_job_status args = {.name = bytes_of_text(session->name)};
	struct result_job_status result;
	const char *reason;
	int r = remote_ask(session->remote, session->peer, OP_JOB_STATUS, &args, &result, &reason);

	if (r == 0 && !result.info.tty)
		r = -ENOTTY;
	if (r < 0)
		fail(session, r, reason);
	else
		job_followed_take(ret_followed, &result.info);
	return r == 0;
}

/* --- the screen ------------------------------------------------------------------------------- */

/* Lines that are empty at the end say nothing. */
static size_t without_blanks(struct bytes text)
{
	size_t n = text.size;

	while (n > 0 && text.data[n - 1] == '\n')
		n--;
	return n;
}

static char *screen_text(struct bytes text, size_t room)
{
	struct excerpt excerpt;
	bool truncated;
	char *shown;

	if (excerpt_init(&excerpt, room) < 0)
		return NULL;
	text.size = without_blanks(text);
	shown = excerpt_add(&excerpt, text) == 0 ? excerpt_text(&excerpt, room, NULL, &truncated)
						 : NULL;
	excerpt_deinit(&excerpt);
	return shown;
}

static void answer_screen(const struct session *session, const struct job_followed *followed,
			  const struct result_job_screen *result, const json_t *arguments)
{
	char *shown = screen_text(result->text, job_report_room(session->call, arguments));
	char *state = job_report_state(followed);
	json_t *object = NULL;

	if (shown && state)
		object = json_pack("{s:s, s:s, s:s, s:I, s:I}", "session", session->name, "state",
				   job_report_states[followed->state], "screen", shown,
				   "cursor_row", (json_int_t)result->cursor_row, "cursor_col",
				   (json_int_t)result->cursor_col);
	if (object && result->title.size > 0)
		json_object_set_new(object, "title",
				    mcp_text(result->title.data, result->title.size));
	mcp_call_answer(session->call, object,
			"%s on %s: %s; cursor in row %llu, column %llu\n[screen of %s]\n%s",
			session->name, session->peer,
			followed->state == JOB_RUNNING ? "it runs"
			: state                        ? state
						       : "",
			(unsigned long long)result->cursor_row,
			(unsigned long long)result->cursor_col, session->peer, shown ? shown : "");
	free(state);
	free(shown);
}

/* Asks what the terminal shows and answers with it. */
static void show(const struct session *session, const json_t *arguments)
{
	struct args_job_screen args = {.scrollback =
					   (uint64_t)tool_integer(arguments, "scrollback", 0)};
	struct job_followed followed;
	struct result_job_screen result;
	const char *reason;
	int r;

	if (!ask_status(session, &followed))
		return;
	args.job = followed.number;
	r = remote_ask(session->remote, session->peer, OP_JOB_SCREEN, &args, &result, &reason);
	if (r < 0)
		fail(session, r, reason);
	else
		answer_screen(session, &followed, &result, arguments);
}

static const struct schema_field screen_input[] = {
    JOB_REPORT_FIELD_PEER,
    FIELD_SESSION,
    {"scrollback", SCHEMA_INTEGER, .max = SCROLLBACK_MAX, .description = "lines above, too (0)"},
    {.name = NULL},
};

static void run_screen(struct mcp_call *call, const json_t *arguments)
{
	struct session session;

	if (find(call, arguments, &session))
		show(&session, arguments);
}

/* --- start ------------------------------------------------------------------------------------ */

static const struct schema_field start_input[] = {
    JOB_REPORT_FIELD_PEER,
    {"session", SCHEMA_STRING, .min = 1, .max = OPS_JOB_NAME_MAX, .description = "what to call it"},
    {"command", SCHEMA_STRING, .min = 1, .max = OPS_JOB_WORD_MAX,
     .description = "else a login shell"},
    {"cwd", SCHEMA_STRING, .max = OPS_TARGET_MAX},
    {"env", SCHEMA_MAP, .max = 1000},
    {"rows", SCHEMA_INTEGER, .min = 2, .max = 200, .description = "(24)"},
    {"cols", SCHEMA_INTEGER, .min = 10, .max = 500, .description = "(80)"},
    FIELD_WAIT,
    {.name = NULL},
};

static int wait_ms_of(const json_t *arguments)
{
	return (int)tool_integer(arguments, "wait_s", SETTLE_S) * 1000;
}

/* Returns 0 or -errno. */
static int fill_command(struct exec_command *command, const json_t *arguments)
{
	const char *line = tool_string(arguments, "command", NULL);
	int r = 0;

	command->args.flags = JOB_TTY | JOB_STDIN | (line ? 0 : JOB_LOGIN);
	command->args.term = bytes_of_text("xterm-256color");
	command->args.rows = (uint64_t)tool_integer(arguments, "rows", 24);
	command->args.cols = (uint64_t)tool_integer(arguments, "cols", 80);
	if (line)
		r = exec_command_set_line(command, (char *[]){(char *)line}, 1);
	if (r == 0)
		r = job_place_set_env(command, json_object_get(arguments, "env"));
	exec_command_finish(command);
	return r;
}

static void fail_start(const struct session *session, int error, const char *reason)
{
	if (error == -EEXIST)
		mcp_call_fail(session->call,
			      "a session '%s' runs on %s already; use it with loopsy_session_send, "
			      "or choose another name",
			      session->name, session->peer);
	else if (error == -EINVAL)
		mcp_call_fail(session->call,
			      "the name, the command or its environment is not valid: a name has "
			      "1 to 64 of A-Za-z0-9._- and begins with a letter or a digit");
	else
		mcp_call_fail_errno(session->call, session->peer, error, reason);
}

/* Returns false having failed. */
static bool start(const struct session *session, const struct exec_command *command,
		  uint64_t *ret_job)
{
	struct job_followed followed;
	int r = job_followed_init(&followed, JOB_REPORT_BYTES_MIN);

	if (r == 0)
		r = job_follow_start(session->call, session->remote, session->peer, &command->args,
				     (struct bytes){0}, 0, &followed);
	if (r < 0)
		fail_start(session, r, followed.reason);
	*ret_job = followed.number;
	job_followed_deinit(&followed);
	return r == 0;
}

static void run_start(struct mcp_call *call, const json_t *arguments)
{
	struct exec_command command = {0};
	char name[OPS_JOB_NAME_MAX + 1];
	struct session session;
	const char *reason;
	char *cwd = NULL;
	uint64_t job;
	int r;

	if (!find(call, arguments, &session) || job_place_find_cwd(call, arguments, &cwd) < 0)
		return;
	job_place_make_name(tool_string(arguments, "command", "shell"), name, sizeof(name));
	if (!session.name[0])
		session.name = name;
	command.args.name = bytes_of_text(session.name);
	command.args.cwd = bytes_of_text(cwd);
	r = fill_command(&command, arguments);
	if (r < 0) {
		mcp_call_fail(call, "the command or its environment is too long, or not valid");
	} else if (start(&session, &command, &job)) {
		r = job_settle(call, session.remote, session.peer, job, NULL, wait_ms_of(arguments),
			       &reason);
		if (r < 0)
			fail(&session, r, reason);
		else
			show(&session, arguments);
	}
	exec_command_deinit(&command);
	free(cwd);
}

/* --- send ------------------------------------------------------------------------------------- */

static const struct schema_field send_input[] = {
    JOB_REPORT_FIELD_PEER,
    FIELD_SESSION,
    {"text", SCHEMA_STRING, .max = 65536, .description = "typed as it is; a newline is enter"},
    {"keys", SCHEMA_STRINGS, .max = 256,
     .description = "then these: enter tab escape up f5 ctrl-c alt-x …"},
    FIELD_WAIT,
    {.name = NULL},
};

static void run_send(struct mcp_call *call, const json_t *arguments)
{
	struct job_settle_keys typed = {.text = tool_string(arguments, "text", ""),
					.keys = json_object_get(arguments, "keys")};
	struct job_followed followed;
	struct session session;
	const char *reason;
	int r;

	if (!find(call, arguments, &session) || !ask_status(&session, &followed))
		return;
	if (followed.state != JOB_RUNNING) {
		mcp_call_fail(call,
			      "%s has ended; loopsy_session_screen shows its last screen, "
			      "loopsy_session_start starts another",
			      session.name);
		return;
	}
	r = job_settle(call, session.remote, session.peer, followed.number, &typed,
		       wait_ms_of(arguments), &reason);
	if (r == -ENOENT && reason[0])
		mcp_call_fail(
		    call,
		    "there is no key '%.60s': enter, tab, escape, space, backspace, delete, "
		    "insert, up, down, left, right, home, end, pageup, pagedown, f1 to f12, "
		    "shift-tab, ctrl-X, alt-X, or one character",
		    reason);
	else if (r == -EAGAIN)
		mcp_call_fail(call,
			      "the program in %s does not read what is typed; "
			      "loopsy_session_screen shows it",
			      session.name);
	else if (r < 0)
		fail(&session, r, reason);
	else
		show(&session, arguments);
}

/* --- stop, list, remove ----------------------------------------------------------------------- */

static const struct schema_field state_output[] = {
    {"session", SCHEMA_STRING, .required = true},
    {"state", SCHEMA_STRING, .required = true, .choices = job_report_states},
    {.name = NULL},
};

static void run_stop(struct mcp_call *call, const json_t *arguments)
{
	struct args_job_signal args = {.signal = SIGHUP, .kill_after_ms = KILL_AFTER_MS};
	struct job_followed followed;
	struct session session;
	const char *reason = "";
	int r;

	if (job_followed_init(&followed, JOB_REPORT_BYTES_MIN) < 0) {
		mcp_call_fail(call, "out of memory");
		return;
	}
	if (!find(call, arguments, &session) || !ask_status(&session, &followed))
		goto out;
	args.job = followed.number;
	r = remote_ask(session.remote, session.peer, OP_JOB_SIGNAL, &args, NULL, &reason);
	if (r == 0 || r == -ESRCH) {
		followed.offset = OPS_ANY;
		r = job_follow_attach(call, session.remote, session.peer, STOP_WAIT_MS, &followed);
		reason = followed.reason;
	}
	if (r < 0)
		fail(&session, r, reason);
	else
		mcp_call_answer(call,
				json_pack("{s:s, s:s}", "session", session.name, "state",
					  job_report_states[followed.state]),
				NULL);
out:
	job_followed_deinit(&followed);
}

static const struct schema_field list_input[] = {
    JOB_REPORT_FIELD_PEER,
    {.name = NULL},
};

static const struct schema_field list_session[] = {
    {"session", SCHEMA_STRING, .required = true},
    {"command", SCHEMA_STRING, .required = true},
    {"state", SCHEMA_STRING, .required = true, .choices = job_report_states},
    {.name = NULL},
};

static const struct schema_field list_output[] = {
    {"sessions", SCHEMA_ARRAY, .required = true, .of = list_session},
    {.name = NULL},
};

static void add_session(void *arg, const struct job_info *info)
{
	json_t *sessions = arg;

	if (info->tty)
		json_array_append_new(
		    sessions,
		    json_pack("{s:o, s:o, s:s}", "session",
			      mcp_text(info->name.data, info->name.size), "command",
			      mcp_text(info->cmd.data, info->cmd.size < 200 ? info->cmd.size : 200),
			      "state", job_report_states[info->state]));
}

static void run_list(struct mcp_call *call, const json_t *arguments)
{
	json_t *sessions = json_array();
	const char *reason = "";
	struct session session;
	int r;

	if (!find(call, arguments, &session)) {
		json_decref(sessions);
		return;
	}
	r = job_list_each(session.remote, session.peer, add_session, sessions, &reason);
	if (r < 0) {
		json_decref(sessions);
		mcp_call_fail_errno(call, session.peer, r, reason);
		return;
	}
	mcp_call_answer(call, json_pack("{s:o}", "sessions", sessions), NULL);
}

static const struct schema_field remove_output[] = {
    {"removed", SCHEMA_STRING, .required = true},
    {.name = NULL},
};

static void run_remove(struct mcp_call *call, const json_t *arguments)
{
	struct job_followed followed;
	struct args_job_remove args;
	struct session session;
	const char *reason;
	int r;

	if (!find(call, arguments, &session) || !ask_status(&session, &followed))
		return;
	args = (struct args_job_remove){.job = followed.number};
	r = remote_ask(session.remote, session.peer, OP_JOB_REMOVE, &args, NULL, &reason);
	if (r == -EBUSY)
		mcp_call_fail(call, "%s runs; loopsy_session_stop ends it", session.name);
	else if (r < 0)
		fail(&session, r, reason);
	else
		mcp_call_answer(call, json_pack("{s:s}", "removed", session.name), NULL);
}

/* --- the table's ------------------------------------------------------------------------------ */

const struct tool tools_sessions_start = {
    .name = "loopsy_session_start",
    .title = "Start a terminal session",
    .description = "A terminal on a peer that stays: for programs that ask or draw (REPL, editor, "
		   "installer). Plain commands: loopsy_execute.",
    .hints = TOOL_DESTRUCTIVE | TOOL_OPEN_WORLD,
    .input = start_input,
    .output = screen_output,
    .run = run_start,
};

const struct tool tools_sessions_send = {
    .name = "loopsy_session_send",
    .title = "Type into a session",
    .description = "Types text, then keys, and returns the screen when it rests.",
    .hints = TOOL_DESTRUCTIVE | TOOL_OPEN_WORLD,
    .input = send_input,
    .output = screen_output,
    .run = run_send,
};

const struct tool tools_sessions_screen = {
    .name = "loopsy_session_screen",
    .title = "Read a session's screen",
    .description = "What the terminal of a session shows now, as text.",
    .hints = TOOL_READ_ONLY | TOOL_IDEMPOTENT,
    .input = screen_input,
    .output = screen_output,
    .run = run_screen,
};

const struct tool tools_sessions_stop = {
    .name = "loopsy_session_stop",
    .title = "End a session",
    .description = "Hangs up: ends the session's programs.",
    .hints = TOOL_DESTRUCTIVE | TOOL_IDEMPOTENT,
    .input = session_input,
    .output = state_output,
    .run = run_stop,
};

const struct tool tools_sessions_list = {
    .name = "loopsy_session_list",
    .title = "List sessions",
    .description = "Our terminal sessions on a peer.",
    .hints = TOOL_READ_ONLY | TOOL_IDEMPOTENT,
    .input = list_input,
    .output = list_output,
    .run = run_list,
};

const struct tool tools_sessions_remove = {
    .name = "loopsy_session_remove",
    .title = "Forget an ended session",
    .description = "Forgets a session that has ended, with its last screen.",
    .hints = TOOL_DESTRUCTIVE,
    .input = session_input,
    .output = remove_output,
    .run = run_remove,
};
