/*
 * The room: sessions (guests) and the jobs of each peer, which outlive them. A peer is here as long
 * as it has a session or a job; one that was unpaired has no key any more, and its jobs are killed.
 */
#include "daemon/jobs/jobs.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/jobs/jobs_private.h"

static struct jobs_peer *find_peer(struct jobs *jobs, const void *key)
{
	for (struct jobs_peer *peer = jobs->peers; peer; peer = peer->next) {
		if (peer->key == key)
			return peer;
	}
	return NULL;
}

static struct jobs_peer *peer_new(struct jobs *jobs, const void *key)
{
	struct jobs_peer *peer = calloc(1, sizeof(*peer));

	if (!peer)
		return NULL;
	peer->jobs = jobs;
	peer->key = key;
	TAILQ_INIT(&peer->jobs_list);
	TAILQ_INIT(&peer->watchers);
	peer->next = jobs->peers;
	jobs->peers = peer;
	return peer;
}

void jobs_peer_settle(struct jobs_peer *peer)
{
	struct jobs_peer **at = &peer->jobs->peers;

	if (peer->n_guests > 0 || peer->n_jobs > 0)
		return;
	while (*at != peer)
		at = &(*at)->next;
	*at = peer->next;
	free(peer);
}

/* --- sessions --------------------------------------------------------------------------------- */

static int session_open(void *arg, struct session *session, void **ret_state)
{
	struct jobs *jobs = arg;
	const void *key = session_peer(session);
	struct jobs_peer *peer = find_peer(jobs, key);
	struct jobs_guest *guest = calloc(1, sizeof(*guest));

	if (guest && !peer)
		peer = peer_new(jobs, key);
	if (!guest || !peer) {
		free(guest);
		return -ENOMEM;
	}
	guest->peer = peer;
	guest->is_local = session_is_local(session);
	peer->n_guests++;
	TAILQ_INIT(&guest->pending);
	*ret_state = guest;
	return 0;
}

static void withdraw(struct job_pending *pending)
{
	struct job *job = pending->job;

	switch (pending->kind) {
	case JOB_PENDING_START:
		TAILQ_REMOVE(&job->starters, pending, of_job);
		if (!job->is_detached)
			job->is_cancelled = true;
		request_fail(jobs_pending_take(pending), -EINTR);
		break;
	case JOB_PENDING_WAIT:
		TAILQ_REMOVE(&job->waits, pending, of_job);
		request_fail(jobs_pending_take(pending), -EINTR);
		break;
	case JOB_PENDING_WRITE:
		job_stdin_withdraw(pending);
		break;
	case JOB_PENDING_SCREEN:
		jobs_screen_withdraw(pending);
		break;
	}
}

/* Starts go on without it: who returns may ask for the job. */
static void session_close(void *arg, void *state)
{
	struct jobs_guest *guest = state;
	struct job_pending *pending;

	while ((pending = TAILQ_FIRST(&guest->pending))) {
		if (pending->kind == JOB_PENDING_START) {
			TAILQ_REMOVE(&guest->pending, pending, of_guest);
			pending->guest = NULL;
		} else {
			withdraw(pending);
		}
	}
	guest->peer->n_guests--;
	jobs_peer_settle(guest->peer);
	free(guest);
}

static void handle(void *arg, void *state, struct request *request)
{
	jobs_ops_handle(state, request);
}

static void cancel(void *arg, void *state, struct request *request)
{
	if (request->room)
		withdraw(request->room);
}

struct job_pending *jobs_pending_new(enum job_pending_kind kind, struct request *request,
				     struct job *job, struct jobs_guest *guest)
{
	struct job_pending *pending = calloc(1, sizeof(*pending));

	if (!pending)
		return NULL;
	pending->kind = kind;
	pending->request = request;
	pending->job = job;
	pending->guest = guest;
	TAILQ_INSERT_TAIL(&guest->pending, pending, of_guest);
	request->room = pending;
	return pending;
}

struct request *jobs_pending_take(struct job_pending *pending)
{
	struct request *request = pending->request;

	if (pending->guest)
		TAILQ_REMOVE(&pending->guest->pending, pending, of_guest);
	request->room = NULL;
	free(pending);
	return request;
}

/* --- jobs ------------------------------------------------------------------------------------- */

bool jobs_name_is_taken(const struct jobs_peer *peer, const char *name, bool only_active)
{
	struct job *job;

	TAILQ_FOREACH(job, &peer->jobs_list, entry)
	{
		if (!job->is_retired && strcmp(job->name, name) == 0 &&
		    !(only_active && job->phase == JOB_OVER))
			return true;
	}
	return false;
}

void jobs_tell(struct job *job, int error)
{
	struct jobs_options *options = &job->jobs->options;
	int64_t duration = -1;
	struct job_info info;

	job_describe(job, &info);
	if (job->phase == JOB_OVER)
		duration = (int64_t)(uv_now(options->loop) - job->started_ms);
	if (options->told)
		options->told(options->arg, job->peer_name, &info, error, duration);
	if (error == 0)
		jobs_watch_tell(job->peer, &info);
}

void jobs_note(struct job *job)
{
	const struct jobs *jobs = job->jobs;
	bool is_to_be_kept = job->is_listed && (job->state == JOB_LOST ||
						(job->phase == JOB_ACTIVE && job->is_detached));
	struct job_info info;

	/* What ends with us is lost. */
	if (is_to_be_kept == job->is_noted || jobs->is_stopping || !job->peer->key ||
	    !jobs->options.note)
		return;
	job->is_noted = is_to_be_kept;
	job_describe(job, &info);
	jobs->options.note(jobs->options.arg, job->peer->key, &info, is_to_be_kept);
}

int jobs_add_lost(struct jobs *jobs, const void *key, const struct job_info *info)
{
	struct jobs_peer *peer = find_peer(jobs, key);
	struct job *job;
	int error;

	if (!job_command_name_is_valid((const char *)info->name.data, info->name.size))
		return -EINVAL;
	if (!peer)
		peer = peer_new(jobs, key);
	if (!peer)
		return -ENOMEM;
	error = job_new_lost(peer, info, jobs->options.peer_name(jobs->options.arg, key), &job);
	if (error < 0) {
		jobs_peer_settle(peer);
		return error;
	}
	job->is_listed = job->is_noted = true;
	TAILQ_INSERT_TAIL(&peer->jobs_list, job, entry);
	peer->n_jobs++;
	jobs_keep_few(peer);
	return 0;
}

static bool is_earlier(const struct job *a, const struct job *b)
{
	return a->ended.tv_sec != b->ended.tv_sec ? a->ended.tv_sec < b->ended.tv_sec
						  : a->ended.tv_nsec < b->ended.tv_nsec;
}

static void keep_few_of(struct jobs_peer *peer, bool retired)
{
	struct job *job, *first = NULL;
	unsigned n = 0;

	TAILQ_FOREACH(job, &peer->jobs_list, entry)
	{
		if (job->phase != JOB_OVER || job->is_retired != retired)
			continue;
		n++;
		if (!first || is_earlier(job, first))
			first = job;
	}
	if (n > JOB_FINISHED)
		job_forget(first);
}

void jobs_keep_few(struct jobs_peer *peer)
{
	keep_few_of(peer, false);
	keep_few_of(peer, true);
}

void jobs_ended(struct job *job)
{
	struct jobs_peer *peer = job->peer;
	struct jobs *jobs = job->jobs;

	peer->n_active--;
	jobs->n_active--;
	jobs_tell(job, 0);
	jobs_note(job);
	jobs_ops_ended(job);
	job_stream_pump(job);
	job_stream_guard(job);
	if (job->screen)
		job_screen_feed(job->screen);
	if (peer->key)
		jobs_keep_few(peer);
	else
		job_forget(job); /* nobody can ask for it any more */
	jobs_settle(jobs);
}

static void each_job(struct jobs_peer *peer, void (*act)(struct job *job))
{
	struct job *job, *next;

	for (job = TAILQ_FIRST(&peer->jobs_list); job; job = next) {
		next = TAILQ_NEXT(job, entry);
		act(job);
	}
}

static void remove_job(struct job *job)
{
	job_kill(job);
	if (job->phase == JOB_OVER)
		job_forget(job);
}

void jobs_peer_removed(struct jobs *jobs, const void *key)
{
	struct jobs_peer *peer = find_peer(jobs, key);

	if (!peer)
		return;
	peer->key = NULL;
	peer->n_guests++; /* it stays while we are at it */
	jobs_watch_end(peer, -ENOTCONN);
	each_job(peer, remove_job);
	peer->n_guests--;
	jobs_peer_settle(peer);
}

/* --- birth and death -------------------------------------------------------------------------- */

int jobs_new(const struct jobs_options *options, struct jobs **ret_jobs)
{
	struct jobs *jobs = calloc(1, sizeof(*jobs));
	int error;

	if (!jobs)
		return -ENOMEM;
	jobs->options = *options;
	jobs->rules = (struct job_rules){.allow = options->allow ? options->allow : "",
					 .deny = options->deny ? options->deny : ""};
	jobs->service = (struct service){
	    .name = "jobs",
	    .first_op = OP_JOB_START,
	    .last_op = OP_JOB_EVENTS,
	    .session_open = session_open,
	    .session_close = session_close,
	    .handle = handle,
	    .cancel = cancel,
	    .arg = jobs,
	};
	error = job_env_base(&jobs->env, options->environment);
	if (error < 0) {
		job_env_deinit(&jobs->env);
		free(jobs);
		return error;
	}
	*ret_jobs = jobs;
	return 0;
}

const struct service *jobs_service(const struct jobs *jobs)
{
	return &jobs->service;
}

static void stop_job(struct job *job)
{
	job_stream_end_all(job, -ESHUTDOWN);
	if (job->phase == JOB_OVER && !job->is_reaped)
		job_kill(job);
	else
		job_hang_up(job, JOB_STOP_MS);
}

void jobs_stop(struct jobs *jobs, void (*done)(void *arg), void *arg)
{
	jobs->is_stopping = true;
	jobs->stopped = done;
	jobs->stopped_arg = arg;
	jobs->n_active++; /* until all have been told */
	for (struct jobs_peer *peer = jobs->peers; peer; peer = peer->next) {
		jobs_watch_end(peer, -ESHUTDOWN);
		each_job(peer, stop_job);
	}
	jobs->n_active--;
	jobs_settle(jobs);
}

void jobs_settle(struct jobs *jobs)
{
	void (*stopped)(void *arg) = jobs->stopped;
	void (*freed)(void *arg) = jobs->freed;
	void *arg = jobs->freed_arg;

	if (stopped && jobs->n_active == 0) {
		jobs->stopped = NULL;
		stopped(jobs->stopped_arg);
		return;
	}
	if (!jobs->is_freeing || jobs->peers)
		return;
	job_env_deinit(&jobs->env);
	free(jobs);
	freed(arg);
}

static void free_job(struct job *job)
{
	job_forget(job);
}

void jobs_free(struct jobs *jobs, void (*done)(void *arg), void *arg)
{
	struct jobs_peer *peer, *next;

	jobs->freed = done;
	jobs->freed_arg = arg;
	for (peer = jobs->peers; peer; peer = next) {
		next = peer->next;
		peer->n_guests++;
		each_job(peer, free_job);
		peer->n_guests--;
		jobs_peer_settle(peer);
	}
	jobs->is_freeing = true;
	jobs_settle(jobs);
}
