#include "daemon/lost_jobs.h"

#include <string.h>

#include "daemon/log.h"
#include "daemon/paired.h"
#include "daemon/store_jobs.h"

static struct paired *find(struct daemon *daemon, const void *peer)
{
	for (struct paired *paired = daemon->paired; paired; paired = paired->next) {
		if (paired->net == peer)
			return paired;
	}
	return NULL;
}

static void copy(char *to, size_t size, struct bytes from)
{
	snprintf(to, size, "%.*s", (int)from.size, from.size ? (const char *)from.data : "");
}

void lost_jobs_note(void *arg, const void *peer, const struct job_info *info, bool is_to_be_kept)
{
	struct daemon *daemon = arg;
	struct paired *paired = find(daemon, peer);
	struct store_job job = {.number = info->job, .tty = info->tty, .started = info->started};
	int r;

	if (!paired)
		return;
	memcpy(job.peer, paired->record.id, sizeof(job.peer));
	copy(job.name, sizeof(job.name), info->name);
	copy(job.cmd, sizeof(job.cmd), info->cmd);
	r = is_to_be_kept ? store_put_job(daemon->store, &job)
			  : store_remove_job(daemon->store, job.peer, job.number);
	if (r < 0)
		log_error("daemon", "peer=%s job=%s op=note error=%s", paired->record.name,
			  job.name, strerror(-r));
}

static void on_found(void *arg, const struct store_job *job)
{
	struct daemon *daemon = arg;
	struct paired *paired = paired_find_id(daemon, job->peer);
	struct job_info info = {
	    .job = job->number,
	    .name = {(const uint8_t *)job->name, strlen(job->name)},
	    .cmd = {(const uint8_t *)job->cmd, strlen(job->cmd)},
	    .tty = job->tty,
	    .started = job->started,
	};
	int r;

	if (!paired || !daemon->jobs || daemon->stopping)
		return;
	r = jobs_add_lost(daemon->jobs, paired->net, &info);
	if (r < 0)
		log_error("daemon", "peer=%s job=%s op=lost error=%s", paired->record.name,
			  LOG_VALUE(job->name), strerror(-r));
}

void lost_jobs_load(struct daemon *daemon)
{
	int r = store_load_jobs(daemon->store, on_found, daemon);

	if (r < 0)
		log_error("daemon", "op=lost_jobs error=%s", strerror(-r));
}
