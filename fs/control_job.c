#include "fs/control_job.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "fs/control_private.h"

bool control_job_name_is_good(struct bytes name)
{
	if (!name.size || name.size > OPS_JOB_NAME_MAX || name.data[0] == '.' ||
	    name.data[0] == '-')
		return false;
	for (size_t i = 0; i < name.size; i++)
		if (!name.data[i] || name.data[i] >= 0x80 ||
		    !strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-",
			    name.data[i]))
			return false;
	return true;
}

uint64_t control_job_number(void)
{
	uint64_t number = 0;

	while (!number)
		if (getrandom(&number, sizeof(number), 0) != sizeof(number))
			number = 0;
	return number;
}

struct control_job *control_job_new(struct fs_peer *peer, struct bytes name, uint64_t number,
				    enum control_job_state state)
{
	struct control_job *job = calloc(1, sizeof(*job));

	assert(name.size <= OPS_JOB_NAME_MAX);
	if (!job)
		return NULL;
	job->peer = peer;
	job->refs = 1;
	job->number = number;
	job->state = state;
	job->inputs_end = &job->inputs;
	if (name.size)
		memcpy(job->name, name.data, name.size);
	job->next = peer->control.jobs;
	if (job->next)
		job->next->prev = job;
	peer->control.jobs = job;
	return job;
}

struct control_job *control_job_ref(struct control_job *job)
{
	job->refs++;
	return job;
}

void control_job_unref(struct control_job *job)
{
	if (!job || --job->refs)
		return;
	assert(!job->feeds && !job->wait && !job->waiters && !job->inputs);
	*(job->prev ? &job->prev->next : &job->peer->control.jobs) = job->next;
	if (job->next)
		job->next->prev = job->prev;
	free(job->cwd);
	free(job->cmd);
	buffer_deinit(&job->env);
	free(job);
}

struct control_job *control_job_find(struct fs_peer *peer, struct bytes name)
{
	for (struct control_job *job = peer->control.jobs; job; job = job->next)
		if (!job->is_removed && name.size && strlen(job->name) == name.size &&
		    memcmp(job->name, name.data, name.size) == 0)
			return job;
	return NULL;
}

struct control_job *control_job_find_number(struct fs_peer *peer, uint64_t number)
{
	for (struct control_job *job = peer->control.jobs; job; job = job->next)
		if (!job->is_removed && job->number == number && *job->name)
			return job;
	return NULL;
}

void control_job_removed(struct control_job *job)
{
	job->is_removed = true;
}

void control_job_ended(struct control_job *job, const struct job_info *info)
{
	if (info->state == JOB_RUNNING)
		return;
	job->has_ended = true;
	job->end = *info;
	job->end.name = job->end.cmd = (struct bytes){0};
	control_follow_wake_all(job->waiters);
}

void control_job_forget_all(struct fs_peer *peer)
{
	struct control_job *next;

	for (struct control_job *job = peer->control.jobs; job; job = next) {
		next = job->next;
		job->is_removed = true;
		if (job->state == CONTROL_JOB_STARTED)
			continue;
		job->state = CONTROL_JOB_STARTED; /* as if: it has no reference of its own */
		control_job_unref(job);
	}
}

/* --- starting --------------------------------------------------------------------------------- */

static int append_word(struct list *list, struct buffer *lists, const char *word)
{
	struct job_word value = {.text = {(const uint8_t *)word, strlen(word)}};

	return codec_list_append(list, lists, &job_word_record, &value);
}

int control_job_start_args(const struct control_job *job, struct bytes line, uint64_t flags,
			   struct args_job_start *ret_args, struct buffer *lists)
{
	struct args_job_start args = {
	    .job = job->number,
	    .name = {(const uint8_t *)job->name, strlen(job->name)},
	    .flags = flags,
	    .line = line,
	};
	int error = 0;

	if (line.size + job->env.size + (job->cwd ? strlen(job->cwd) : 0) > CONTROL_JOB_START_MAX)
		return -E2BIG;
	if (job->cwd)
		args.cwd = (struct bytes){(const uint8_t *)job->cwd, strlen(job->cwd)};
	if (job->rows) {
		args.flags |= JOB_TTY;
		args.rows = job->rows;
		args.cols = job->cols;
		args.term = (struct bytes){(const uint8_t *)"xterm-256color", 14};
	}
	for (size_t at = 0; at < job->env.size && !error;
	     at += strlen((const char *)job->env.data + at) + 1)
		error = append_word(&args.env, lists, (const char *)job->env.data + at);
	if (error)
		return error;
	if (args.env.n > OPS_JOB_WORDS_MAX)
		return -E2BIG;
	codec_list_finish(&args.env, lists);
	*ret_args = args;
	return 0;
}

int control_job_set_variable(struct control_job *job, struct bytes variable)
{
	const uint8_t *equals = memchr(variable.data, '=', variable.size);
	size_t name_size = (size_t)(equals - variable.data) + 1, size;
	struct buffer *env = &job->env;

	for (size_t at = 0; at < env->size; at += size) {
		size = strlen((const char *)env->data + at) + 1;
		if (size <= name_size || memcmp(env->data + at, variable.data, name_size) != 0)
			continue;
		memmove(env->data + at, env->data + at + size, env->size - at - size);
		env->size -= size;
		break;
	}
	if (env->size + variable.size + 1 > CONTROL_JOB_START_MAX)
		return -E2BIG;
	if (buffer_reserve(env, variable.size + 1))
		return -ENOMEM;
	buffer_append(env, variable.data, variable.size);
	return buffer_append(env, "", 1);
}
