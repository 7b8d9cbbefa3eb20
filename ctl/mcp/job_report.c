#include "ctl/mcp/job_report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const char *const job_report_states[] = {
    [JOB_RUNNING] = "running",
    [JOB_EXITED] = "exited",
    [JOB_KILLED] = "killed",
    [JOB_LOST] = "lost",
    NULL,
};

const struct schema_field job_report_fields[] = {
    {"peer", SCHEMA_STRING, .required = true},
    {"state", SCHEMA_STRING, .required = true, .choices = job_report_states},
    {"exit_code", SCHEMA_INTEGER},
    {"signal", SCHEMA_INTEGER},
    {"duration_s", SCHEMA_NUMBER},
    {"output", SCHEMA_STRING},
    {"output_bytes", SCHEMA_INTEGER, .required = true},
    {"truncated", SCHEMA_BOOLEAN, .required = true},
    {"job", SCHEMA_STRING, .description = "its id, if it is kept"},
    {"log_path", SCHEMA_STRING, .description = "local path of all output"},
    {"sha256", SCHEMA_STRING, .description = "of binary output"},
    {.name = NULL},
};

size_t job_report_room(const struct mcp_call *call, const json_t *arguments)
{
	size_t max = (size_t)tool_integer(arguments, "max_bytes", JOB_REPORT_BYTES);

	return mcp_call_version(call) >= MCP_2025_06_18 ? max / 16 * 11 : max;
}

char *job_report_log_path(struct mcp_call *call, const char *peer, const char *name)
{
	const char *mount = mcp_call_try_mount(call);
	char *path;

	if (!mount || asprintf(&path, "%s/%s/.loopsy/jobs/%s/log", mount, peer, name) < 0)
		return NULL;
	return path;
}

char *job_report_state(const struct job_followed *followed)
{
	char *text;
	int r;

	switch (followed->state) {
	case JOB_EXITED:
		r = asprintf(&text, "exit %u%s", followed->exit,
			     followed->exit == 124 ? " (124: perhaps its time was over)" : "");
		break;
	case JOB_KILLED:
		r = asprintf(&text, "killed by signal %u", followed->signal);
		break;
	case JOB_LOST:
		r = asprintf(&text, "loopsyd there ended before it: how it ended is not known");
		break;
	default:
		r = asprintf(&text, "job %s runs", followed->name);
	}
	return r < 0 ? NULL : text;
}

static double seconds_of(const struct job_followed *followed)
{
	struct timespec end = followed->ended;
	double seconds;

	if (followed->state == JOB_RUNNING)
		clock_gettime(CLOCK_REALTIME, &end);
	seconds = (double)(end.tv_sec - followed->started.tv_sec) +
		  (double)(end.tv_nsec - followed->started.tv_nsec) / 1e9;
	/* The peer's clock is another one. */
	return seconds > 0 ? seconds : 0;
}

/* --- the answer ------------------------------------------------------------------------------- */

struct report {
	struct job_followed *followed;
	const char *peer;
	char *state, *output, *log_path;
	char sha256[EXCERPT_SHA256_MAX]; /* "" : it is text */
	bool truncated, is_kept;
};

static void report_deinit(struct report *report)
{
	free(report->state);
	free(report->output);
	free(report->log_path);
}

static int report_init(struct report *report, struct mcp_call *call, const char *peer,
		       struct job_followed *followed, size_t room, bool may_forget)
{
	bool ended = followed->state != JOB_RUNNING;
	bool binary = excerpt_is_binary(&followed->excerpt);

	*report = (struct report){.followed = followed, .peer = peer};
	report->state = job_report_state(followed);
	/* Whether the path is needed is known when the text is made, and the text says the path. */
	if (!binary)
		report->output = excerpt_text(&followed->excerpt, room, NULL, &report->truncated);
	report->is_kept = binary || report->truncated || !ended || !may_forget;
	if (report->is_kept)
		report->log_path = job_report_log_path(call, peer, followed->name);
	if (report->truncated) {
		free(report->output);
		report->output =
		    excerpt_text(&followed->excerpt, room, report->log_path, &report->truncated);
	}
	if (binary && ended && followed->offset == 0)
		excerpt_sha256(&followed->excerpt, report->sha256);
	if (binary)
		report->truncated = true;
	return !report->state || (!binary && !report->output) ? -1 : 0;
}

static json_t *structured_of(const struct report *report)
{
	const struct job_followed *followed = report->followed;
	json_t *object = json_pack("{s:s, s:s}", "peer", report->peer, "state",
				   job_report_states[followed->state]);

	if (followed->state == JOB_EXITED)
		json_object_set_new(object, "exit_code", json_integer(followed->exit));
	if (followed->state == JOB_KILLED)
		json_object_set_new(object, "signal", json_integer(followed->signal));
	/* Milliseconds are enough, and a shorter number. */
	json_object_set_new(object, "duration_s",
			    json_real((double)(long long)(seconds_of(followed) * 1000) / 1000));
	if (report->output)
		json_object_set_new(object, "output", json_string(report->output));
	json_object_set_new(object, "output_bytes", json_integer((json_int_t)followed->next));
	json_object_set_new(object, "truncated", json_boolean(report->truncated));
	if (report->is_kept)
		json_object_set_new(object, "job", json_string(followed->name));
	if (report->log_path)
		json_object_set_new(object, "log_path", json_string(report->log_path));
	if (report->sha256[0])
		json_object_set_new(object, "sha256", json_string(report->sha256));
	return object;
}

/* What stands above the output. */
static char *headline(const struct report *report)
{
	const struct job_followed *followed = report->followed;
	bool runs = followed->state == JOB_RUNNING, binary = !report->output;
	char *text;
	int n =
	    asprintf(&text, "%s: %s after %.1f s%s%s%s%s%s%s", report->peer, report->state,
		     seconds_of(followed),
		     runs ? "; loopsy_job_wait waits for it, loopsy_job_kill ends it" : "",
		     binary ? "; the output is binary" : "", report->sha256[0] ? ", sha256 " : "",
		     report->sha256, report->log_path ? "; all output: " : "",
		     report->log_path ? report->log_path : "");

	return n < 0 ? NULL : text;
}

bool job_report_answer(struct mcp_call *call, const char *peer, struct job_followed *followed,
		       size_t room, bool may_forget)
{
	struct report report;
	char *head = NULL;
	bool complete;

	if (report_init(&report, call, peer, followed, room, may_forget) == 0)
		head = headline(&report);
	complete = head && !report.is_kept;
	if (!head)
		mcp_call_fail(call, "out of memory");
	else if (!report.output || !report.output[0])
		mcp_call_answer(call, structured_of(&report), "%s%s", head,
				report.output ? "\n(no output)" : "");
	else
		mcp_call_answer(call, structured_of(&report), "%s\n[data from %s]\n%s", head, peer,
				report.output);
	free(head);
	report_deinit(&report);
	return complete;
}
