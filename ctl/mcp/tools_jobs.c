/* loopsy_job_wait, loopsy_job_output, loopsy_job_list, loopsy_job_kill */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/fetch.h"
#include "ctl/job_list.h"
#include "ctl/mcp/job_report.h"
#include "ctl/mcp/mcp_text.h"
#include "ctl/mcp/tools.h"

#define LOOK_BACK     (64 * 1024) /* bytes of earlier output that a wait begins with */
#define KILL_AFTER_MS 5000
#define KILL_WAIT_MS  (KILL_AFTER_MS + 1000)
#define LIST_MAX      50

/* A connection, and what is known of the job that the arguments name; NULL having failed. */
static struct remote *find_job(struct mcp_call *call, const json_t *arguments,
			       struct result_job_status *ret_status)
{
	const char *peer = tool_string(arguments, "peer", "");
	const char *job = tool_string(arguments, "job", "");
	struct args_job_status args = {.name = bytes_of_text(job)};
	struct remote *remote = mcp_call_remote(call);
	const char *reason;
	int r;

	if (!remote)
		return NULL;
	r = remote_ask(remote, peer, OP_JOB_STATUS, &args, ret_status, &reason);
	if (r == 0)
		return remote;
	if (r == -ENOENT && mcp_call_knows_peer(call, peer))
		mcp_call_fail(call,
			      "no job of ours on %s is called '%s'; loopsy_job_list lists them",
			      peer, job);
	else
		mcp_call_fail_errno(call, peer, r, reason);
	return NULL;
}

/* --- loopsy_job_wait -------------------------------------------------------------------------- */

static const struct schema_field wait_input[] = {
    JOB_REPORT_FIELD_PEER,
    JOB_REPORT_FIELD_JOB,
    {"wait_s", SCHEMA_INTEGER, .max = JOB_FOLLOW_WAIT_MAX, .description = "at most (30)"},
    {"offset", SCHEMA_INTEGER, .description = "only output behind this, as the last output_bytes"},
    JOB_REPORT_FIELD_MAX,
    {.name = NULL},
};

/* Where to begin: what is not kept any more is passed over, and behind the end there is nothing. */
static uint64_t offset_to_read(const json_t *arguments, const struct job_info *info)
{
	long long offset = tool_integer(arguments, "offset", 0);
	uint64_t from = (uint64_t)offset;

	if (offset < 0)
		from = (uint64_t) - (offset + 1) < info->end ? info->end + from : 0;
	if (from < info->kept)
		return info->kept;
	return from < info->end ? from : info->end;
}

/* Without an offset it is the latest output that counts. */
static void choose_offset(struct job_followed *followed, const json_t *arguments,
			  const struct job_info *info)
{
	followed->offset = offset_to_read(arguments, info);
	if (json_object_get(arguments, "offset"))
		return;
	if (followed->offset + LOOK_BACK < info->end)
		followed->offset = info->end - LOOK_BACK;
	followed->excerpt.skipped = followed->offset;
}

static void run_wait(struct mcp_call *call, const json_t *arguments)
{
	const char *peer = tool_string(arguments, "peer", "");
	size_t room = job_report_room(call, arguments);
	struct result_job_status status;
	struct remote *remote = find_job(call, arguments, &status);
	struct job_followed followed;
	int r;

	if (!remote)
		return;
	r = job_followed_init(&followed, room);
	if (r == 0) {
		job_followed_take(&followed, &status.info);
		choose_offset(&followed, arguments, &status.info);
		r = job_follow_attach(call, remote, peer,
				      (int)tool_integer(arguments, "wait_s", 30) * 1000, &followed);
	}
	if (r < 0)
		mcp_call_fail_errno(call, peer, r, followed.reason);
	else
		job_report_answer(call, peer, &followed, room, false);
	job_followed_deinit(&followed);
}

/* --- loopsy_job_output ------------------------------------------------------------------------ */

static const struct schema_field output_input[] = {
    JOB_REPORT_FIELD_PEER,
    JOB_REPORT_FIELD_JOB,
    {"offset", SCHEMA_INTEGER, .description = "negative: from the end (0)"},
    JOB_REPORT_FIELD_MAX,
    {.name = NULL},
};

static const struct schema_field output_output[] = {
    {"peer", SCHEMA_STRING, .required = true},
    {"job", SCHEMA_STRING, .required = true},
    {"offset", SCHEMA_INTEGER, .required = true},
    {"next_offset", SCHEMA_INTEGER, .required = true},
    {"output_bytes", SCHEMA_INTEGER, .required = true, .description = "so far"},
    {"eof", SCHEMA_BOOLEAN, .required = true, .description = "there is no more"},
    {"output", SCHEMA_STRING},
    {"log_path", SCHEMA_STRING},
    {.name = NULL},
};

/* What was read, as far as it has room: *ret_text is NULL if it is binary. Returns how much of it.
 */
static size_t output_text(const struct result_job_read *read, uint64_t offset, size_t room,
			  char **ret_text)
{
	struct bytes data = read->data;
	bool more = offset + data.size < read->end || !read->eof;
	size_t n = mcp_text_fit(data.data, data.size, room, more);

	*ret_text = NULL;
	if (mcp_text_count_odd(data.data, data.size) > data.size / 16)
		return data.size;
	*ret_text = mcp_text_clean(data.data, n);
	return n;
}

static void answer_output(struct mcp_call *call, const json_t *arguments, uint64_t offset,
			  const struct result_job_read *read)
{
	const char *peer = tool_string(arguments, "peer", "");
	const char *job = tool_string(arguments, "job", "");
	char *log = job_report_log_path(call, peer, job), *text;
	size_t n = output_text(read, offset, job_report_room(call, arguments), &text);
	bool eof = read->eof && offset + n >= read->end;
	json_t *object =
	    json_pack("{s:s, s:s, s:I, s:I, s:I, s:b}", "peer", peer, "job", job, "offset",
		      (json_int_t)offset, "next_offset", (json_int_t)(offset + n), "output_bytes",
		      (json_int_t)read->end, "eof", eof);

	if (log)
		json_object_set_new(object, "log_path", json_string(log));
	if (text)
		json_object_set_new(object, "output", json_string(text));
	if (text)
		mcp_call_answer(call, object, "%llu to %llu of %llu bytes%s\n[data from %s]\n%s",
				(unsigned long long)offset, (unsigned long long)(offset + n),
				(unsigned long long)read->end, eof ? "" : ", and more may come",
				peer, text);
	else
		mcp_call_answer(call, object, "%s: the output is binary: %llu bytes%s%s", peer,
				(unsigned long long)read->end, log ? " in " : "", log ? log : "");
	free(text);
	free(log);
}

static void run_output(struct mcp_call *call, const json_t *arguments)
{
	const char *peer = tool_string(arguments, "peer", "");
	struct result_job_status status;
	struct remote *remote = find_job(call, arguments, &status);
	struct result_job_read result;
	struct args_job_read args;
	const char *reason;
	int r;

	if (!remote)
		return;
	args = (struct args_job_read){.job = status.info.job,
				      .offset = offset_to_read(arguments, &status.info),
				      .size = job_report_room(call, arguments)};
	/* A path needs a request of its own, whose answer takes the place of this one's. */
	mcp_call_try_mount(call);
	r = remote_ask(remote, peer, OP_JOB_READ, &args, &result, &reason);
	if (r < 0)
		mcp_call_fail_errno(call, peer, r, reason);
	else
		answer_output(call, arguments, args.offset, &result);
}

/* --- loopsy_job_list -------------------------------------------------------------------------- */

static const struct schema_field list_input[] = {
    JOB_REPORT_FIELD_PEER,
    {.name = NULL},
};

static const struct schema_field list_job[] = {
    {"job", SCHEMA_STRING, .required = true},
    {"command", SCHEMA_STRING, .required = true},
    {"state", SCHEMA_STRING, .required = true, .choices = job_report_states},
    {"exit_code", SCHEMA_INTEGER},
    {"terminal", SCHEMA_BOOLEAN},
    {"started", SCHEMA_STRING},
    {"output_bytes", SCHEMA_INTEGER},
    {.name = NULL},
};

static const struct schema_field list_output[] = {
    {"total", SCHEMA_INTEGER, .required = true},
    {"jobs", SCHEMA_ARRAY, .required = true, .of = list_job, .description = "newest last"},
    {.name = NULL},
};

struct listing {
	json_t *jobs;
	size_t total;
};

static void add_job(void *arg, const struct job_info *info)
{
	struct listing *listing = arg;
	json_t *job = json_pack(
	    "{s:o, s:o, s:s, s:b, s:o, s:I}", "job", mcp_text(info->name.data, info->name.size),
	    "command", mcp_text(info->cmd.data, info->cmd.size < 200 ? info->cmd.size : 200),
	    "state", job_report_states[info->state], "terminal", info->tty, "started",
	    fetch_time(info->started), "output_bytes", (json_int_t)info->end);

	if (info->state == JOB_EXITED)
		json_object_set_new(job, "exit_code", json_integer((json_int_t)info->exit));
	listing->total++;
	if (json_array_size(listing->jobs) >= LIST_MAX)
		json_array_remove(listing->jobs, 0);
	json_array_append_new(listing->jobs, job);
}

static void run_list(struct mcp_call *call, const json_t *arguments)
{
	const char *peer = tool_string(arguments, "peer", "");
	struct remote *remote = mcp_call_remote(call);
	struct listing listing = {0};
	const char *reason = "";
	int r;

	if (!remote)
		return;
	listing.jobs = json_array();
	r = job_list_each(remote, peer, add_job, &listing, &reason);
	if (r < 0) {
		mcp_call_fail_errno(call, peer, r, reason);
		json_decref(listing.jobs);
		return;
	}
	mcp_call_answer(
	    call, json_pack("{s:I, s:o}", "total", (json_int_t)listing.total, "jobs", listing.jobs),
	    NULL);
}

/* --- loopsy_job_kill -------------------------------------------------------------------------- */

static const char *const signal_names[] = {"TERM", "INT", "HUP", "KILL", NULL};
static const int signal_numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGKILL};

static const struct schema_field kill_input[] = {
    JOB_REPORT_FIELD_PEER,
    JOB_REPORT_FIELD_JOB,
    {"signal", SCHEMA_STRING, .choices = signal_names,
     .description = "TERM, and KILL 5 s later, if not given"},
    {.name = NULL},
};

static const struct schema_field kill_output[] = {
    {"peer", SCHEMA_STRING, .required = true},
    {"job", SCHEMA_STRING, .required = true},
    {"state", SCHEMA_STRING, .required = true, .choices = job_report_states},
    {"exit_code", SCHEMA_INTEGER},
    {"signal", SCHEMA_INTEGER},
    {.name = NULL},
};

static void answer_kill(struct mcp_call *call, const char *peer,
			const struct job_followed *followed)
{
	char *text = job_report_state(followed);
	json_t *object = json_pack("{s:s, s:s, s:s}", "peer", peer, "job", followed->name, "state",
				   job_report_states[followed->state]);

	if (followed->state == JOB_EXITED)
		json_object_set_new(object, "exit_code", json_integer(followed->exit));
	if (followed->state == JOB_KILLED)
		json_object_set_new(object, "signal", json_integer(followed->signal));
	mcp_call_answer(call, object, "%s: %s: %s", peer, followed->name, text ? text : "");
	free(text);
}

/* Returns 0 or -errno; it is no error if it has ended already. */
static int send_signal(struct remote *remote, const json_t *arguments, uint64_t job,
		       const char **ret_reason)
{
	const char *name = tool_string(arguments, "signal", NULL);
	struct args_job_signal args = {.job = job, .signal = SIGTERM};
	int r;

	for (size_t i = 0; name && signal_names[i]; i++)
		if (strcmp(signal_names[i], name) == 0)
			args.signal = (uint64_t)signal_numbers[i];
	if (!name)
		args.kill_after_ms = KILL_AFTER_MS;
	r = remote_ask(remote, tool_string(arguments, "peer", ""), OP_JOB_SIGNAL, &args, NULL,
		       ret_reason);
	return r == -ESRCH ? 0 : r;
}

static void run_kill(struct mcp_call *call, const json_t *arguments)
{
	const char *peer = tool_string(arguments, "peer", ""), *reason = "";
	struct result_job_status status;
	struct remote *remote = find_job(call, arguments, &status);
	bool given = json_object_get(arguments, "signal");
	struct job_followed followed;
	int r;

	if (!remote)
		return;
	r = job_followed_init(&followed, JOB_REPORT_BYTES_MIN);
	if (r == 0) {
		job_followed_take(&followed, &status.info);
		followed.offset = status.info.end;
		r = send_signal(remote, arguments, followed.number, &reason);
	}
	/* A signal that is asked for need not end it. */
	if (r == 0) {
		r = job_follow_attach(call, remote, peer, given ? 1000 : KILL_WAIT_MS, &followed);
		reason = followed.reason;
	}
	if (r < 0)
		mcp_call_fail_errno(call, peer, r, reason);
	else
		answer_kill(call, peer, &followed);
	job_followed_deinit(&followed);
}

/* --- the table's ------------------------------------------------------------------------------ */

const struct tool tools_jobs_wait = {
    .name = "loopsy_job_wait",
    .title = "Wait for a job",
    .description = "Waits for a job that loopsy_execute left running; returns its end, or that "
		   "it still runs, with the latest output.",
    .hints = TOOL_READ_ONLY | TOOL_IDEMPOTENT,
    .input = wait_input,
    .output = job_report_fields,
    .run = run_wait,
};

const struct tool tools_jobs_output = {
    .name = "loopsy_job_output",
    .title = "Read a job's output",
    .description = "Output of a job from an offset on, without waiting. For long output read "
		   "log_path instead.",
    .hints = TOOL_READ_ONLY | TOOL_IDEMPOTENT,
    .input = output_input,
    .output = output_output,
    .run = run_output,
};

const struct tool tools_jobs_list = {
    .name = "loopsy_job_list",
    .title = "List jobs",
    .description = "Our jobs on a peer that run or have ended.",
    .hints = TOOL_READ_ONLY | TOOL_IDEMPOTENT,
    .input = list_input,
    .output = list_output,
    .run = run_list,
};

const struct tool tools_jobs_kill = {
    .name = "loopsy_job_kill",
    .title = "End a job",
    .description = "Ends a job and all that it started.",
    .hints = TOOL_DESTRUCTIVE | TOOL_IDEMPOTENT,
    .input = kill_input,
    .output = kill_output,
    .run = run_kill,
};
