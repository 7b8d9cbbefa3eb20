#include "fs_fake_jobs.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static char *copy(struct bytes bytes)
{
	return bytes_to_text(bytes);
}

static struct job_info info_of(const struct fs_fake_job *job)
{
	return (struct job_info){
	    .job = job->number,
	    .name = {(const uint8_t *)job->name, strlen(job->name)},
	    .cmd = {(const uint8_t *)job->line, strlen(job->line)},
	    .state = job->state,
	    .exit = job->exit,
	    .signal = job->signal,
	    .tty = job->flags & JOB_TTY,
	    .rows = job->rows,
	    .cols = job->cols,
	    .started = {.tv_sec = 1000000000},
	    .kept = job->kept,
	    .end = job->end,
	};
}

static struct fs_fake_job *find(struct fs_fake *fake, uint64_t number, struct bytes name)
{
	for (struct fs_fake_job *job = fake->jobs; job; job = job->next)
		if (number ? job->number == number
			   : strlen(job->name) == name.size &&
				 memcmp(job->name, name.data, name.size) == 0)
			return job;
	return NULL;
}

struct fs_fake_job *fs_fake_job_find(struct fs_fake *fake, const char *name)
{
	struct fs_fake_job *job = fake->jobs;

	while (name && job && strcmp(job->name, name) != 0)
		job = job->next;
	return job;
}

static struct fs_fake_job *start(struct fs_fake *fake, const struct args_job_start *args)
{
	struct fs_fake_job *job = find(fake, args->job, args->name);
	struct buffer env = {0};
	struct list list = args->env;
	struct job_word word;

	if (job && job->number == args->job)
		return job;
	job = calloc(1, sizeof(*job));
	job->number = args->job;
	job->flags = args->flags;
	job->name = args->name.size ? copy(args->name) : strdup("sh");
	job->line = copy(args->line);
	job->cwd = copy(args->cwd);
	job->rows = (unsigned)args->rows;
	job->cols = (unsigned)args->cols;
	while (list.n) {
		int error = codec_list_next(&list, &job_word_record, &word, NULL);

		assert(!error);
		buffer_append(&env, word.text.data, word.text.size);
		buffer_append(&env, ";", 1);
	}
	job->env = copy((struct bytes){env.data, env.size});
	buffer_deinit(&env);
	job->next = fake->jobs;
	fake->jobs = job;
	return job;
}

void fs_fake_job_write(struct fs_fake_job *job, unsigned channel, const void *data, size_t size)
{
	job->output = realloc(job->output, job->end + size + 1);
	job->channels = realloc(job->channels, job->end + size + 1);
	memcpy(job->output + job->end, data, size);
	memset(job->channels + job->end, (int)channel, size);
	job->end += size;
}

void fs_fake_job_exit(struct fs_fake_job *job, unsigned status)
{
	job->state = JOB_EXITED;
	job->exit = status;
	job->is_over = true;
}

void fs_fake_job_event(struct fs_fake *fake, const char *name, bool is_removed)
{
	struct job_info info = info_of(fs_fake_job_find(fake, name));

	if (is_removed)
		info.job = 0;
	codec_encode(&job_info_record, &info, &fake->job_events, NULL);
}

static void free_job(struct fs_fake_job *job)
{
	free(job->name);
	free(job->line);
	free(job->cwd);
	free(job->env);
	free(job->output);
	free(job->channels);
	free(job->input);
	free(job);
}

static void remove_job(struct fs_fake *fake, struct fs_fake_job *job)
{
	struct fs_fake_job **at = &fake->jobs;

	while (*at != job)
		at = &(*at)->next;
	*at = job->next;
	free_job(job);
}

void fs_fake_jobs_free(struct fs_fake *fake)
{
	while (fake->jobs)
		remove_job(fake, fake->jobs);
	buffer_deinit(&fake->job_events);
}

static int list_jobs(struct fs_fake *fake, const struct args_job_list *args,
		     struct result_job_list *result, struct buffer *scratch)
{
	uint32_t at = 0;

	for (struct fs_fake_job *job = fake->jobs; job; job = job->next, at++) {
		struct job_info info = info_of(job);

		result->total++;
		if (at >= args->offset && result->jobs.n < args->limit)
			codec_list_append(&result->jobs, scratch, &job_info_record, &info);
	}
	codec_list_finish(&result->jobs, scratch);
	return 0;
}

static int take_input(struct fs_fake_job *job, const struct args_job_write *args)
{
	if (!job->takes_input)
		return -EINPROGRESS;
	if (job->state != JOB_RUNNING)
		return -EPIPE;
	job->input = realloc(job->input, job->n_input + args->data.size + 1);
	if (args->data.size)
		memcpy(job->input + job->n_input, args->data.data, args->data.size);
	job->n_input += args->data.size;
	job->input[job->n_input] = '\0';
	job->has_eof |= args->eof;
	return 0;
}

static int read_output(const struct fs_fake_job *job, const struct args_job_read *args,
		       struct result_job_read *result)
{
	uint64_t size = args->offset < job->end ? job->end - args->offset : 0;

	if (args->offset < job->kept)
		return -ERANGE;
	result->kept = job->kept;
	result->end = job->end;
	result->eof = job->is_over;
	result->data =
	    (struct bytes){job->output + args->offset, size < args->size ? size : args->size};
	return 0;
}

int fs_fake_job_answer(struct fs_fake *fake, uint16_t op, const void *args, void *result,
		       struct fs_fake_job_call *call, struct buffer *scratch)
{
	/* All but three begin with these. */
	const struct args_job_status *which = args;
	struct fs_fake_job *job;

	if (op == OP_JOB_LIST)
		return list_jobs(fake, args, result, scratch);
	if (op == OP_JOB_EVENTS) {
		call->is_stream = true;
		return 0;
	}
	job = op == OP_JOB_START ? start(fake, args) : find(fake, which->job, which->name);
	if (!job)
		return -ENOENT;
	switch (op) {
	case OP_JOB_START:
		((struct result_job_start *)result)->info = info_of(job);
		*call = (struct fs_fake_job_call){.job = job,
						  .is_stream = job->flags & JOB_ATTACH,
						  .is_owner = job->flags & JOB_OWNER};
		return 0;
	case OP_JOB_ATTACH: {
		const struct args_job_attach *attach = args;

		if (attach->offset < job->kept)
			return -ERANGE;
		((struct result_job_attach *)result)->info = info_of(job);
		((struct result_job_attach *)result)->offset = attach->offset;
		*call = (struct fs_fake_job_call){.job = job,
						  .at = attach->offset,
						  .is_stream = true,
						  .is_owner = attach->flags & JOB_OWNER};
		return 0;
	}
	case OP_JOB_WRITE:
		return take_input(job, args);
	case OP_JOB_READ:
		return read_output(job, args, result);
	case OP_JOB_SIGNAL:
		job->last_signal = (unsigned)((const struct args_job_signal *)args)->signal;
		return job->state == JOB_RUNNING ? 0 : -ESRCH;
	case OP_JOB_RESIZE:
		job->rows = (unsigned)((const struct args_job_resize *)args)->rows;
		job->cols = (unsigned)((const struct args_job_resize *)args)->cols;
		return job->flags & JOB_TTY ? 0 : -ENOTTY;
	case OP_JOB_WAIT:
		((struct result_job_wait *)result)->info = info_of(job);
		return job->state == JOB_RUNNING ? -EINPROGRESS : 0;
	case OP_JOB_STATUS:
		((struct result_job_status *)result)->info = info_of(job);
		return 0;
	case OP_JOB_REMOVE:
		if (job->state == JOB_RUNNING)
			return -EBUSY;
		remove_job(fake, job);
		return 0;
	case OP_JOB_SCREEN:
		((struct result_job_screen *)result)->text =
		    (struct bytes){(const uint8_t *)"screen\n", 7};
		return job->flags & JOB_TTY ? 0 : -ENOTTY;
	default:
		return -ENOSYS;
	}
}

int fs_fake_job_next(struct fs_fake *fake, struct fs_fake_job_call *call, size_t room,
		     unsigned *ret_channel, struct buffer *ret_data)
{
	struct fs_fake_job *job = call->job;
	struct job_info info;

	if (!job) { /* events */
		*ret_channel = 0;
		*ret_data = fake->job_events;
		fake->job_events = (struct buffer){0};
		return ret_data->size > 0;
	}
	if (call->at < job->end && room) {
		uint64_t until = call->at;

		*ret_channel = job->channels[call->at];
		while (until < job->end && until - call->at < room &&
		       job->channels[until] == *ret_channel)
			until++;
		buffer_append(ret_data, job->output + call->at, until - call->at);
		call->at = until;
		return 1;
	}
	if (call->at < job->end)
		return 0;
	if (job->state != JOB_RUNNING && !call->was_told) {
		info = info_of(job);
		call->was_told = true;
		*ret_channel = JOB_NOTICES;
		codec_encode(&job_info_record, &info, ret_data, NULL);
		return 1;
	}
	return job->is_over ? -1 : 0;
}

void fs_fake_job_gone(struct fs_fake_job_call *call)
{
	if (!call->is_owner || call->job->state != JOB_RUNNING)
		return;
	call->job->state = JOB_KILLED;
	call->job->signal = SIGHUP;
	call->job->is_over = true;
}
