#include "ctl/job_list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/command.h"
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
	struct bytes whose = info->peer.size ? info->peer : bytes_of_text(peer);
	bool exited = info->state == JOB_EXITED, killed = info->state == JOB_KILLED;

	return json_pack("{s:o,s:o,s:o,s:s,s:o,s:o,s:b,s:o,s:I,s:I}", "name",
			 context_json_text(info->name), "peer", context_json_text(whose), "cmd",
			 context_json_text(info->cmd), "state", states[info->state], "exit",
			 exited ? json_integer((json_int_t)info->exit) : json_null(), "signal",
			 killed ? json_integer((json_int_t)info->signal) : json_null(), "tty",
			 info->tty, "started", fetch_time(info->started), "bytes_kept",
			 (json_int_t)(info->end - info->kept), "offset", (json_int_t)info->kept);
}

int job_list_words(const struct context *context, unsigned n_more, struct job_words *ret_words)
{
	const struct arguments *arguments = &context->arguments;
	bool here = arguments_has(arguments, "here");
	unsigned at = here ? 0 : 1;

	if (arguments->n_words < at + 1)
		return context_usage(context, "%s: something is missing", context->command->name);
	if (arguments->n_words > at + 1 + n_more)
		return context_usage(context, "%s: '%.100s' is too much", context->command->name,
				     arguments->words[at + 1 + n_more]);
	*ret_words = (struct job_words){
	    .peer = here ? "" : arguments->words[0],
	    .job = arguments->words[at],
	    .more = arguments->n_words > at + 1 ? arguments->words[at + 1] : NULL,
	};
	return CONTEXT_OK;
}

int job_list_each(struct remote *remote, const char *peer,
		  void (*each)(void *arg, const struct job_info *info), void *arg,
		  const char **ret_reason)
{
	struct args_job_list args = {.limit = OPS_JOB_PAGE_MAX, .all = peer[0] == '\0'};
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
	struct bytes whose; /* only those of that peer; empty: of all */
	uint64_t number;    /* 0: it is none */
	unsigned n_found;
	bool is_exact;
	struct job_info info;
	char peer[OPS_JOB_NAME_MAX + 1]; /* whose that is, where it was said */
};

static bool is_same(struct bytes a, struct bytes b)
{
	return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

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

	bool is_others = finding->n_found > 0 && !is_same(bytes_of_text(finding->peer), info->peer);

	if (finding->whose.size > 0 && !is_same(finding->whose, info->peer))
		return;
	if (exact ? !is_better(finding, info) : !begins || finding->is_exact)
		return;
	/* The latest of a name stands for it, but not for another peer's. */
	finding->n_found = exact && !(finding->is_exact && is_others) ? 1 : finding->n_found + 1;
	finding->is_exact = exact;
	finding->info = *info;
	finding->info.name = finding->info.cmd = finding->info.peer = (struct bytes){0};
	snprintf(finding->peer, sizeof(finding->peer), "%.*s", (int)info->peer.size,
		 info->peer.size ? (const char *)info->peer.data : "");
}

/* "desk/build" is the one that desk started here. */
static void take_peer(struct finding *finding)
{
	const char *slash = strchr(finding->text, '/');

	if (!slash)
		return;
	finding->whose =
	    (struct bytes){(const uint8_t *)finding->text, (size_t)(slash - finding->text)};
	finding->text = slash + 1;
}

int job_list_find(const struct context *context, struct remote *remote, const char *peer,
		  const char *text, struct job_info *ret_info)
{
	struct finding finding = {.text = text};
	char *end, *escaped;
	const char *reason;
	int r;

	errno = 0;
	if (!peer[0])
		take_peer(&finding);
	finding.number = strtoull(finding.text, &end, 10);
	if (*end || errno || finding.text[0] < '0' || finding.text[0] > '9')
		finding.number = 0;
	r = job_list_each(remote, peer, look_at, &finding, &reason);
	if (r < 0) {
		job_list_complain(context, r, reason);
		return r;
	}
	if (finding.n_found == 1 && finding.text[0]) {
		*ret_info = finding.info;
		return 0;
	}
	escaped = terminal_escape(text, strlen(text));
	context_fail(context, "%s job on %s %s '%s': 'loopsyctl jobs %s' lists them",
		     finding.n_found > 1 ? "more than one" : "no", remote_place(peer),
		     finding.n_found > 1 && !finding.is_exact ? "begins with" : "is called",
		     escaped ? escaped : "", peer[0] ? peer : "--here");
	free(escaped);
	return -ENOENT;
}
