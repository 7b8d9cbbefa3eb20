/* jobs, wait, kill */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "ctl/command.h"
#include "ctl/exec_command.h"
#include "ctl/fetch.h"
#include "ctl/job_client.h"
#include "ctl/job_list.h"
#include "ctl/monotonic.h"
#include "ctl/terminal.h"

#define AGAIN_MS 1000

/* --- jobs ------------------------------------------------------------------------------------- */

struct listing {
	const char *peer;
	json_t *jobs;
	uint64_t *ended; /* numbers of those that do not run; malloc'ed */
	size_t n_ended;
	bool failed;
};

static void add_job(void *arg, const struct job_info *info)
{
	struct listing *listing = arg;
	uint64_t *ended;

	if (json_array_append_new(listing->jobs, job_list_json(listing->peer, info)) < 0)
		listing->failed = true;
	if (info->state == JOB_RUNNING)
		return;
	ended = reallocarray(listing->ended, listing->n_ended + 1, sizeof(*ended));
	if (!ended) {
		listing->failed = true;
		return;
	}
	listing->ended = ended;
	listing->ended[listing->n_ended++] = info->job;
}

/* Forgets the ended ones of that peer. */
static int remove_ended(struct remote *remote, struct listing *listing, const char **ret_reason)
{
	int r = 0;

	for (size_t i = 0; i < listing->n_ended && r == 0; i++) {
		struct args_job_remove args = {.job = listing->ended[i]};

		r = remote_ask(remote, listing->peer, OP_JOB_REMOVE, &args, NULL, ret_reason);
		if (r == -ENOENT)
			r = 0; /* somebody else did */
	}
	return r;
}

/* Those of one peer. With `quietly`, a peer that cannot be asked is told of and passed over. */
static int list_peer(const struct context *context, struct remote *remote, const char *peer,
		     json_t *jobs, bool quietly)
{
	struct listing listing = {.peer = peer, .jobs = jobs};
	const char *reason = "";
	int r = job_list_each(remote, peer, add_job, &listing, &reason);

	if (r == 0 && listing.failed)
		r = -ENOMEM;
	if (r == 0 && arguments_has(&context->arguments, "remove"))
		r = remove_ended(remote, &listing, &reason);
	free(listing.ended);
	if (r == 0)
		return CONTEXT_OK;
	job_list_complain(context, r, reason);
	return quietly ? CONTEXT_OK : CONTEXT_FAILURE;
}

static int list_online(const struct context *context, struct remote *remote, json_t *jobs)
{
	json_t *peers;
	int r = fetch_peers(context, remote_client(remote), &peers);

	if (r != CONTEXT_OK)
		return r;
	for (size_t i = 0; i < json_array_size(peers) && r == CONTEXT_OK; i++) {
		const json_t *peer = json_array_get(peers, i), *granted;
		bool exec = false;

		granted = json_object_get(peer, "granted");
		for (size_t j = 0; j < json_array_size(granted); j++)
			exec |= strcmp(json_string_value(json_array_get(granted, j)), "exec") == 0;
		if (exec && strcmp(fetch_text(peer, "state"), "online") == 0)
			r = list_peer(context, remote, fetch_text(peer, "name"), jobs, true);
	}
	json_decref(peers);
	return r;
}

static void add_cells(struct terminal_table *table, const json_t *job)
{
	const char *state = fetch_text(job, "state");
	char text[64];

	snprintf(text, sizeof(text), "%s", state);
	if (strcmp(state, "exited") == 0)
		snprintf(text, sizeof(text), "exited %d",
			 (int)json_integer_value(json_object_get(job, "exit")));
	else if (strcmp(state, "killed") == 0)
		snprintf(text, sizeof(text), "killed by %d",
			 (int)json_integer_value(json_object_get(job, "signal")));
	terminal_table_add(table, fetch_text(job, "peer"), TERMINAL_PLAIN);
	terminal_table_add(table, fetch_text(job, "name"), TERMINAL_PLAIN);
	terminal_table_add(table, text,
			   strcmp(state, "running") == 0 ? TERMINAL_GREEN : TERMINAL_PLAIN);
	terminal_table_add(table, fetch_text(job, "started"), TERMINAL_PLAIN);
	terminal_table_add(table, fetch_text(job, "cmd"), TERMINAL_PLAIN);
}

static void print_jobs(const struct context *context, const json_t *jobs)
{
	static const char *const titles[] = {"PEER", "NAME", "STATE", "STARTED", "COMMAND"};
	struct terminal_table table = {.n_columns = 5};

	for (size_t i = 0; i < 5; i++)
		terminal_table_add(&table, titles[i], TERMINAL_BOLD);
	for (size_t i = 0; i < json_array_size(jobs); i++)
		add_cells(&table, json_array_get(jobs, i));
	terminal_table_print(&table, context->out, context->color);
}

static int show(const struct context *context, json_t *jobs)
{
	if (arguments_has(&context->arguments, "remove")) {
		json_decref(jobs);
		return CONTEXT_OK;
	}
	if (context->json)
		return context_print_json(context, jobs);
	if (json_array_size(jobs) == 0)
		context_say(context, "no jobs");
	else
		print_jobs(context, jobs);
	json_decref(jobs);
	return CONTEXT_OK;
}

int cmd_jobs_run(struct context *context)
{
	const char *peer = context->arguments.n_words > 0 ? context->arguments.words[0] : NULL;
	struct remote *remote;
	json_t *jobs;
	int r;

	if (arguments_has(&context->arguments, "here")) {
		if (peer)
			return context_usage(context, "jobs: PEER and --here exclude each other");
		peer = "";
	}
	r = context_connect_remote(context, &remote);
	if (r != CONTEXT_OK)
		return r;
	jobs = json_array();
	r = peer ? list_peer(context, remote, peer, jobs, false)
		 : list_online(context, remote, jobs);
	remote_free(remote);
	if (r == CONTEXT_OK)
		return show(context, jobs);
	json_decref(jobs);
	return r;
}

/* --- wait ------------------------------------------------------------------------------------- */

/* A link that is lost meanwhile is waited for. */
static int wait_for(struct remote *remote, const char *peer, uint64_t job,
		    struct result_job_wait *ret_result, const char **ret_reason)
{
	int64_t until = monotonic_ms() + JOB_CLIENT_PATIENCE_MS;
	struct args_job_wait args = {.job = job};
	int r;

	for (;;) {
		int64_t asked = monotonic_ms();

		r = remote_ask(remote, peer, OP_JOB_WAIT, &args, ret_result, ret_reason);
		if (r != -EHOSTDOWN && r != -ETIMEDOUT && r != -ESTALE && r != -ENOTCONN)
			return r;
		if (monotonic_ms() - asked > AGAIN_MS)
			until = monotonic_ms() + JOB_CLIENT_PATIENCE_MS;
		if (monotonic_ms() > until)
			return r;
		poll(NULL, 0, AGAIN_MS);
	}
}

int cmd_jobs_run_wait(struct context *context)
{
	struct result_job_wait result;
	const char *reason = "";
	struct job_words words;
	struct remote *remote;
	struct job_info info;
	int r = job_list_words(context, 0, &words), status = EXEC_FAILURE;

	if (r != CONTEXT_OK)
		return r;
	if (context_connect_remote(context, &remote) != CONTEXT_OK)
		return EXEC_FAILURE;
	if (job_list_find(context, remote, words.peer, words.job, &info) < 0)
		goto out;
	r = wait_for(remote, words.peer, info.job, &result, &reason);
	if (r < 0)
		job_list_complain(context, r, reason);
	else if (result.info.state == JOB_EXITED)
		status = (int)result.info.exit;
	else if (result.info.state == JOB_KILLED)
		status = 128 + (int)result.info.signal;
	else
		context_fail(context, "loopsyd on %s ended before the job did: its status is lost",
			     remote_place(words.peer));
	if (r == 0 && context->json)
		context_print_json(context, job_list_json(words.peer, &result.info));
out:
	remote_free(remote);
	return status;
}

/* --- kill ------------------------------------------------------------------------------------- */

/* 0 when it is none. */
static unsigned find_signal(const char *text)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);

	if (text[0] >= '0' && text[0] <= '9')
		return *end || number > 64 ? 0 : (unsigned)number;
	if (strncasecmp(text, "SIG", 3) == 0)
		text += 3;
	for (int i = 1; i <= 64; i++) {
		const char *name = sigabbrev_np(i);

		if (name && strcasecmp(name, text) == 0)
			return (unsigned)i;
	}
	return 0;
}

int cmd_jobs_run_kill(struct context *context)
{
	struct args_job_signal args = {0};
	const char *reason = "", *name;
	struct job_words words;
	struct remote *remote;
	struct job_info info;
	int r = job_list_words(context, 1, &words);

	if (r != CONTEXT_OK)
		return r;
	name = words.more ? words.more : "TERM";
	args.signal = find_signal(name);
	if (args.signal == 0)
		return context_usage(context, "kill: '%.40s' is no signal", name);
	if (context_connect_remote(context, &remote) != CONTEXT_OK)
		return CONTEXT_FAILURE;
	r = job_list_find(context, remote, words.peer, words.job, &info);
	if (r == 0) {
		args.job = info.job;
		r = remote_ask(remote, words.peer, OP_JOB_SIGNAL, &args, NULL, &reason);
		if (r < 0)
			job_list_complain(context, r, reason);
	}
	remote_free(remote);
	return r < 0 ? CONTEXT_FAILURE : CONTEXT_OK;
}
