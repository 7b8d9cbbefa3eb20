/* The operations: what each asks, of which job, and its answer. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/jobs/jobs_private.h"
#include "daemon/log.h"

static struct job *find_own(const struct jobs_peer *peer, uint64_t number)
{
	struct job *job;

	TAILQ_FOREACH(job, &peer->jobs_list, entry)
	{
		if (job->number == number)
			return job;
	}
	return NULL;
}

static struct job *find_number(const struct jobs_guest *guest, uint64_t number)
{
	struct job *job = find_own(guest->peer, number);

	if (!guest->is_local)
		return job;
	for (const struct jobs_peer *peer = guest->peer->jobs->peers; peer && !job;
	     peer = peer->next)
		job = find_own(peer, number);
	return job;
}

/* One that runs before one that has ended, and the newest of them. */
static struct job *find_name(const struct jobs_peer *peer, struct bytes name)
{
	struct job *job, *best = NULL;

	TAILQ_FOREACH(job, &peer->jobs_list, entry)
	{
		if (job->is_retired || strlen(job->name) != name.size ||
		    (name.size && memcmp(job->name, name.data, name.size) != 0))
			continue;
		if (!best || best->phase == JOB_OVER || job->phase != JOB_OVER)
			best = job;
	}
	return best;
}

/* The job that is meant; NULL, having answered, if there is none, or it is just being started. */
static struct job *take_job(struct jobs_guest *guest, struct request *request, uint64_t number,
			    struct bytes name)
{
	struct job *job = number ? find_number(guest, number) : find_name(guest->peer, name);

	if (job && job->phase != JOB_STARTING)
		return job;
	request_fail(request, job ? -EAGAIN : -ENOENT);
	return NULL;
}

/* --- starting --------------------------------------------------------------------------------- */

/* Answers a JOB_START whose job is there. */
static void answer_start(struct job *job, struct request *request)
{
	const struct args_job_start *args = request->args;
	struct result_job_start result;

	job_describe(job, &result.info);
	if (args->flags & JOB_ATTACH)
		job_stream_open(job, request, &result, spool_kept(job->spool),
				(args->flags & JOB_OWNER) != 0, NULL);
	else
		request_reply(request, &result, NULL, NULL);
}

void jobs_ops_started(struct job *job, int error)
{
	struct job_pending *pending;

	if (error < 0) {
		job->peer->n_active--;
		job->jobs->n_active--;
		TAILQ_REMOVE(&job->peer->jobs_list, job, entry);
		job->is_listed = false;
	}
	jobs_tell(job, error);
	while ((pending = TAILQ_FIRST(&job->starters))) {
		struct request *request;

		TAILQ_REMOVE(&job->starters, pending, of_job);
		request = jobs_pending_take(pending);
		if (error < 0)
			request_fail(request, error);
		else
			answer_start(job, request);
	}
	if (error < 0)
		jobs_settle(job->jobs);
	else
		jobs_note(job);
}

/* Its name: as asked for, or made of the command's. Returns 0, -EINVAL or -EEXIST. */
static int choose_name(struct jobs_peer *peer, const struct args_job_start *args, const char *base,
		       char ret_name[OPS_JOB_NAME_MAX + 1])
{
	const char *wanted = (const char *)args->name.data;

	if (args->name.size > 0) {
		if (!job_command_name_is_valid(wanted, args->name.size))
			return -EINVAL;
		snprintf(ret_name, OPS_JOB_NAME_MAX + 1, "%.*s", (int)args->name.size, wanted);
		return jobs_name_is_taken(peer, ret_name, true) ? -EEXIST : 0;
	}
	snprintf(ret_name, OPS_JOB_NAME_MAX + 1, "%s", base);
	for (unsigned i = 2; jobs_name_is_taken(peer, ret_name, false); i++)
		snprintf(ret_name, OPS_JOB_NAME_MAX + 1, "%.48s-%u", base, i);
	return 0;
}

/* A finished job whose name is asked for anew makes way. */
static void replace_finished(struct jobs_peer *peer, const char *name)
{
	struct job *job, *next;

	for (job = TAILQ_FIRST(&peer->jobs_list); job; job = next) {
		next = TAILQ_NEXT(job, entry);
		if (job->phase == JOB_OVER && strcmp(job->name, name) == 0 && !job->is_retired)
			job_forget(job);
	}
}

static int check_start(const struct jobs_peer *peer, const struct args_job_start *args)
{
	if (args->job == 0)
		return -EINVAL;
	if (args->flags & JOB_OWNER && !(args->flags & JOB_ATTACH))
		return -EINVAL;
	if (peer->jobs->is_stopping)
		return -ESHUTDOWN;
	if (!peer->key)
		return -EACCES;
	if (peer->n_active >= peer->jobs->options.max_jobs)
		return -EAGAIN;
	return 0;
}

/* For the audit log. */
static void tell_refused(struct jobs *jobs, const char *peer_name,
			 const struct job_command *command, int error)
{
	struct job_info info = {
	    .cmd = {(const uint8_t *)command->text, strlen(command->text)},
	};

	if (jobs->options.told)
		jobs->options.told(jobs->options.arg, peer_name, &info, error, -1);
}

static int start(struct jobs_guest *guest, struct request *request, const char *peer_name,
		 struct job_command *command)
{
	const struct args_job_start *args = request->args;
	struct jobs_peer *peer = guest->peer;
	struct jobs *jobs = peer->jobs;
	char name[OPS_JOB_NAME_MAX + 1] = "";
	struct job_pending *pending;
	struct job *job;
	int error = check_start(peer, args);

	/* In any case, so that what was refused has a name. */
	if (error == 0 || error == -EAGAIN) {
		int r = job_command_init(command, args, &jobs->env, &jobs->rules);

		error = r < 0 ? r : error;
	}
	if (error == 0)
		error = choose_name(peer, args, command->base, name);
	if (error == 0)
		error = job_env_set(&command->env, "LOOPSY_PEER", peer_name);
	if (error == 0)
		error = job_env_set(&command->env, "LOOPSY_JOB", name);
	if (error == 0)
		error = job_new(peer, args, peer_name, &job, command);
	if (error < 0)
		return error;
	replace_finished(peer, name);
	snprintf(job->name, sizeof(job->name), "%s", name);
	job->is_listed = true;
	TAILQ_INSERT_TAIL(&peer->jobs_list, job, entry);
	peer->n_jobs++;
	peer->n_active++;
	jobs->n_active++;
	pending = jobs_pending_new(JOB_PENDING_START, request, job, guest);
	if (!pending) {
		job->is_cancelled = true;
		return -ENOMEM;
	}
	TAILQ_INSERT_TAIL(&job->starters, pending, of_job);
	return 0;
}

static void on_start(struct jobs_guest *guest, struct request *request)
{
	const struct args_job_start *args = request->args;
	struct jobs *jobs = guest->peer->jobs;
	struct job *known = args->job ? find_own(guest->peer, args->job) : NULL;
	struct job_command command = {0};
	struct job_pending *pending;
	char peer_name[64];
	int error;

	if (known && known->phase != JOB_STARTING) {
		answer_start(known, request);
		return;
	}
	if (known) {
		pending = jobs_pending_new(JOB_PENDING_START, request, known, guest);
		if (pending)
			TAILQ_INSERT_TAIL(&known->starters, pending, of_job);
		else
			request_fail(request, -ENOMEM);
		return;
	}
	snprintf(peer_name, sizeof(peer_name), "%s",
		 guest->peer->key ? jobs->options.peer_name(jobs->options.arg, guest->peer->key)
				  : "");
	error = start(guest, request, peer_name, &command);
	if (error < 0) {
		tell_refused(jobs, peer_name, &command, error);
		request_fail(request, error);
	}
	job_command_deinit(&command);
}

/* --- following -------------------------------------------------------------------------------- */

static void on_attach(struct jobs_guest *guest, struct request *request)
{
	const struct args_job_attach *args = request->args;
	struct job *job = take_job(guest, request, args->job, args->name);
	struct result_job_attach result = {0};

	if (!job)
		return;
	if (job->state == JOB_LOST) {
		request_fail(request, -ESHUTDOWN); /* as it did those who were attached then */
		return;
	}
	if ((job->flags & JOB_TTY) && args->rows && args->cols)
		job_resize(job, args->rows, args->cols);
	if (args->flags & JOB_SCREEN) {
		jobs_screen_ask(job, guest, request);
		return;
	}
	result.offset = args->offset == OPS_ANY ? spool_end(job->spool) : args->offset;
	if (result.offset < spool_kept(job->spool) || result.offset > spool_end(job->spool)) {
		request_fail(request, -ERANGE);
		return;
	}
	job_describe(job, &result.info);
	job_stream_open(job, request, &result, result.offset, (args->flags & JOB_OWNER) != 0, NULL);
}

/* A JOB_READ, while its bytes are got. */
struct reading {
	struct request *request;
	struct job *job;
	struct spool_read read;
	uint8_t data[];
};

static void answer_read(struct reading *reading, int error)
{
	struct job *job = reading->job;
	struct request *request = reading->request;
	struct result_job_read result = {
	    .kept = spool_kept(job->spool),
	    .end = spool_end(job->spool),
	    .data = {reading->data, reading->read.size},
	};

	result.eof = job_is_complete(job) && reading->read.offset + result.data.size == result.end;
	if (error < 0) {
		request_fail(request, error);
		free(reading);
	} else {
		request_reply(request, &result, free, reading);
	}
	job_release(job);
}

static void on_read_done(struct spool_read *read, int error)
{
	answer_read(read->arg, error);
}

static void on_read(struct jobs_guest *guest, struct request *request)
{
	const struct args_job_read *args = request->args;
	struct job *job = take_job(guest, request, args->job, args->name);
	struct reading *reading;
	struct spool_piece piece;
	size_t n = 0;
	int r = 0;

	if (!job)
		return;
	reading = malloc(sizeof(*reading) + args->size);
	if (!reading) {
		request_fail(request, -ENOMEM);
		return;
	}
	job_hold(job);
	*reading = (struct reading){.request = request, .job = job};
	reading->read = (struct spool_read){
	    .done = on_read_done,
	    .arg = reading,
	    .offset = args->offset,
	    .data = reading->data,
	    .any_channel = true,
	};
	while (n < args->size) {
		r = spool_peek(job->spool, args->offset + n, &piece);
		if (r < 0 || piece.size == 0)
			break;
		if (piece.size > args->size - n)
			piece.size = (size_t)(args->size - n);
		memcpy(reading->data + n, piece.data, piece.size);
		n += piece.size;
	}
	reading->read.size = n;
	if (n == 0 && r == -EAGAIN) {
		reading->read.size = args->size;
		r = spool_read_start(job->spool, &reading->read);
		if (r == 0)
			return;
	}
	answer_read(reading, n > 0 || r == 0 ? 0 : r);
}

/* --- the others ------------------------------------------------------------------------------- */

static void on_write(struct jobs_guest *guest, struct request *request)
{
	const struct args_job_write *args = request->args;
	struct job *job = args->job ? find_number(guest, args->job) : NULL;

	/* It may come right behind its JOB_START. */
	if (!job)
		job = take_job(guest, request, args->job, args->name);
	if (!job)
		return;
	job_hold(job);
	job_stdin_write(job, guest, request);
	job_release(job);
}

static void on_signal(struct jobs_guest *guest, struct request *request)
{
	const struct args_job_signal *args = request->args;
	struct job *job = take_job(guest, request, args->job, args->name);
	struct result_job_signal result = {0};
	int error;

	if (!job)
		return;
	error = job->phase == JOB_OVER ? -ESRCH : job_signal(job, (int)args->signal);
	if (error < 0) {
		request_fail(request, error);
		return;
	}
	if (args->signal == SIGKILL)
		job_kill(job);
	else if (args->kill_after_ms)
		job_kill_after(job, args->kill_after_ms);
	request_reply(request, &result, NULL, NULL);
}

static void on_resize(struct jobs_guest *guest, struct request *request)
{
	const struct args_job_resize *args = request->args;
	struct job *job = take_job(guest, request, args->job, args->name);
	struct result_job_resize result = {0};
	int error;

	if (!job)
		return;
	result.same = job->rows == args->rows && job->cols == args->cols;
	error = job_resize(job, args->rows, args->cols);
	if (error < 0)
		request_fail(request, error);
	else
		request_reply(request, &result, NULL, NULL);
}

static void on_detach(struct jobs_guest *guest, struct request *request)
{
	const struct args_job_detach *args = request->args;
	struct job *job = take_job(guest, request, args->job, args->name);
	struct result_job_detach result = {0};

	if (!job)
		return;
	job->is_detached = true;
	job->owner = NULL;
	job_end_grace(job);
	job_stream_guard(job);
	jobs_note(job);
	request_reply(request, &result, NULL, NULL);
}

static void answer_info(struct job *job, struct request *request)
{
	struct result_job_wait result; /* as JOB_STATUS's */

	job_describe(job, &result.info);
	request_reply(request, &result, NULL, NULL);
}

static void on_wait(struct jobs_guest *guest, struct request *request)
{
	const struct args_job_wait *args = request->args;
	struct job *job = take_job(guest, request, args->job, args->name);
	struct job_pending *pending;

	if (!job)
		return;
	if (job->phase == JOB_OVER) {
		answer_info(job, request);
		return;
	}
	pending = jobs_pending_new(JOB_PENDING_WAIT, request, job, guest);
	if (pending)
		TAILQ_INSERT_TAIL(&job->waits, pending, of_job);
	else
		request_fail(request, -ENOMEM);
}

void jobs_ops_ended(struct job *job)
{
	struct job_pending *pending;

	while ((pending = TAILQ_FIRST(&job->waits))) {
		TAILQ_REMOVE(&job->waits, pending, of_job);
		answer_info(job, jobs_pending_take(pending));
	}
}

static void on_status(struct jobs_guest *guest, struct request *request)
{
	const struct args_job_status *args = request->args;
	struct job *job = take_job(guest, request, args->job, args->name);

	if (job)
		answer_info(job, request);
}

/* A page that is being made. */
struct page {
	const struct args_job_list *args;
	struct result_job_list result;
	struct buffer elements;
	bool is_full;
};

static void list_peer(struct page *page, const struct jobs_peer *peer)
{
	const struct jobs_options *options = &peer->jobs->options;
	struct job_info info;
	struct job *job;

	TAILQ_FOREACH(job, &peer->jobs_list, entry)
	{
		if (job->is_retired || job->phase == JOB_STARTING)
			continue;
		if (page->result.total++ < page->args->offset ||
		    page->result.jobs.n >= page->args->limit || page->is_full)
			continue;
		job_describe(job, &info);
		if (page->args->all) {
			const char *name = peer->key ? options->peer_name(options->arg, peer->key)
						     : job->peer_name;

			info.peer = (struct bytes){(const uint8_t *)name, strlen(name)};
		}
		page->is_full = codec_list_append(&page->result.jobs, &page->elements,
						  &job_info_record, &info) < 0;
	}
}

static void on_list(struct jobs_guest *guest, struct request *request)
{
	struct page page = {.args = request->args, .elements = {.limit = 128 * 1024}};

	if (page.args->all && !guest->is_local) {
		request_fail(request, -EACCES);
		return;
	}
	if (page.args->all)
		for (const struct jobs_peer *peer = guest->peer->jobs->peers; peer;
		     peer = peer->next)
			list_peer(&page, peer);
	else
		list_peer(&page, guest->peer);
	codec_list_finish(&page.result.jobs, &page.elements);
	request_reply(request, &page.result, NULL, NULL);
	buffer_deinit(&page.elements);
}

static void on_remove(struct jobs_guest *guest, struct request *request)
{
	const struct args_job_remove *args = request->args;
	struct job *job = take_job(guest, request, args->job, args->name);
	struct result_job_remove result = {0};
	struct job_info info;

	if (!job)
		return;
	if (job->phase != JOB_OVER) {
		request_fail(request, -EBUSY);
		return;
	}
	job_describe(job, &info);
	info.job = 0;
	jobs_watch_tell(job->peer, &info);
	job_forget(job);
	request_reply(request, &result, NULL, NULL);
}

static void on_screen(struct jobs_guest *guest, struct request *request)
{
	const struct args_job_screen *args = request->args;
	struct job *job = take_job(guest, request, args->job, args->name);

	if (job)
		jobs_screen_ask(job, guest, request);
}

static void on_events(struct jobs_guest *guest, struct request *request)
{
	if (guest->peer->jobs->is_stopping)
		request_fail(request, -ESHUTDOWN);
	else
		jobs_watch(guest->peer, request);
}

void jobs_ops_handle(struct jobs_guest *guest, struct request *request)
{
	static void (*const handlers[])(struct jobs_guest * guest, struct request * request) = {
	    [OP_JOB_START - OP_JOB_START] = on_start,   [OP_JOB_ATTACH - OP_JOB_START] = on_attach,
	    [OP_JOB_WRITE - OP_JOB_START] = on_write,   [OP_JOB_READ - OP_JOB_START] = on_read,
	    [OP_JOB_SIGNAL - OP_JOB_START] = on_signal, [OP_JOB_RESIZE - OP_JOB_START] = on_resize,
	    [OP_JOB_DETACH - OP_JOB_START] = on_detach, [OP_JOB_WAIT - OP_JOB_START] = on_wait,
	    [OP_JOB_STATUS - OP_JOB_START] = on_status, [OP_JOB_LIST - OP_JOB_START] = on_list,
	    [OP_JOB_REMOVE - OP_JOB_START] = on_remove, [OP_JOB_SCREEN - OP_JOB_START] = on_screen,
	    [OP_JOB_EVENTS - OP_JOB_START] = on_events,
	};

	handlers[request->op->number - OP_JOB_START](guest, request);
}
