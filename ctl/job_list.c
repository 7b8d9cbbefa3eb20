#include "ctl/job_list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/fetch.h"
#include "ctl/terminal.h"

static const char *const states[] = {
    [JOB_RUNNING] = "running",
    [JOB_EXITED] = "exited",
    [JOB_KILLED] = "killed",
    [JOB_LOST] = "lost",
};

json_t *job_list_json(const char *peer, const struct job_info *info)
{
	bool exited = info->state == JOB_EXITED, killed = info->state == JOB_KILLED;

	return json_pack("{s:o,s:s,s:o,s:s,s:o,s:o,s:b,s:o,s:I,s:I}", "name",
			 context_json_text(info->name), "peer", peer, "cmd",
			 context_json_text(info->cmd), "state", states[info->state], "exit",
			 exited ? json_integer((json_int_t)info->exit) : json_null(), "signal",
			 killed ? json_integer((json_int_t)info->signal) : json_null(), "tty",
			 info->tty, "started", fetch_time(info->started), "bytes_kept",
			 (json_int_t)(info->end - info->kept), "offset", (json_int_t)info->kept);
}

int job_list_each(struct remote *remote, const char *peer,
		  void (*each)(void *arg, const struct job_info *info), void *arg,
		  const char **ret_reason)
{
	struct args_job_list args = {.limit = OPS_JOB_PAGE_MAX};
	struct result_job_list result;
	int r;

	do {
		r = remote_ask(remote, peer, OP_JOB_LIST, &args, &result, ret_reason);
		if (r < 0)
			return r;
		args.offset += result.jobs.n;
		for (uint32_t i = result.jobs.n; i > 0; i--) {
			struct job_info info;

			if (codec_list_next(&result.jobs, &job_info_record, &info, NULL) < 0)
				return -EBADMSG;
			each(arg, &info);
		}
	} while (args.offset < result.total && args.offset > 0);
	return 0;
}

int job_list_complain(const struct context *context, int error, const char *reason)
{
	char *text;

	if (!reason[0])
		reason = error == -ECONNRESET
			     ? "loopsyd ended before it answered: 'loopsyctl start' starts it"
			     : strerror(-error);
	text = terminal_escape(reason, strlen(reason));
	context_fail(context, "%s", text ? text : reason);
	free(text);
	return CONTEXT_FAILURE;
}

/* --- one of them ------------------------------------------------------------------------------ */

struct finding {
	const char *text;
	uint64_t number; /* 0: it is none */
	unsigned n_found;
	bool is_exact;
	struct job_info info;
};

/* The latest of those that have the very name, a running one before ended ones. */
static bool is_better(const struct finding *finding, const struct job_info *info)
{
	return !finding->is_exact || info->state == JOB_RUNNING ||
	       finding->info.state != JOB_RUNNING;
}

static void look_at(void *arg, const struct job_info *info)
{
	struct finding *finding = arg;
	size_t n = strlen(finding->text);
	bool begins = info->name.size >= n && memcmp(info->name.data, finding->text, n) == 0;
	bool exact = (begins && info->name.size == n) ||
		     (finding->number != 0 && info->job == finding->number);

	if (exact ? !is_better(finding, info) : !begins || finding->is_exact)
		return;
	finding->n_found = exact ? 1 : finding->n_found + 1;
	finding->is_exact = exact;
	finding->info = *info;
	finding->info.name = finding->info.cmd = (struct bytes){0};
}

int job_list_find(const struct context *context, struct remote *remote, const char *peer,
		  const char *text, struct job_info *ret_info)
{
	struct finding finding = {.text = text};
	char *end, *escaped;
	const char *reason;
	int r;

	errno = 0;
	finding.number = strtoull(text, &end, 10);
	if (*end || errno || text[0] < '0' || text[0] > '9')
		finding.number = 0;
	r = job_list_each(remote, peer, look_at, &finding, &reason);
	if (r < 0) {
		job_list_complain(context, r, reason);
		return r;
	}
	if (finding.n_found == 1 && text[0]) {
		*ret_info = finding.info;
		return 0;
	}
	escaped = terminal_escape(text, strlen(text));
	context_fail(context, "%s job on %s %s '%s': 'loopsyctl jobs %s' lists them",
		     finding.n_found > 1 ? "more than one" : "no", peer,
		     finding.n_found > 1 ? "begins with" : "is called", escaped ? escaped : "",
		     peer);
	free(escaped);
	return -ENOENT;
}
