/* Those who want to see a job's terminal as it is: as text, or to attach to it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/jobs/jobs_private.h"

struct asking {
	struct job_screen_wait wait;
	struct job *job;
	struct job_pending *pending; /* NULL: it was answered */
};

static void answer_text(struct asking *asking, struct request *request)
{
	const struct job_screen_wait *wait = &asking->wait;
	struct result_job_screen result = {
	    .rows = wait->rows,
	    .cols = wait->cols,
	    .cursor_row = wait->cursor_row,
	    .cursor_col = wait->cursor_col,
	    .title = {(const uint8_t *)wait->title, strlen(wait->title)},
	    .text = {wait->out.data, wait->out.size},
	};

	request_reply(request, &result, NULL, NULL);
}

static void answer_attach(struct asking *asking, struct request *request)
{
	const struct args_job_attach *args = request->args;
	struct result_job_attach result = {
	    .offset = asking->wait.offset,
	    .screen_size = asking->wait.out.size,
	};

	job_describe(asking->job, &result.info);
	job_stream_open(asking->job, request, &result, asking->wait.offset,
			(args->flags & JOB_OWNER) != 0, &asking->wait.out);
}

static void on_shown(struct job_screen_wait *wait, int error)
{
	struct asking *asking = wait->arg;

	if (asking->pending) {
		struct request *request = jobs_pending_take(asking->pending);

		if (error < 0)
			request_fail(request, error);
		else if (wait->as_text)
			answer_text(asking, request);
		else
			answer_attach(asking, request);
	}
	buffer_deinit(&wait->out);
	free(asking);
}

void jobs_screen_ask(struct job *job, struct jobs_guest *guest, struct request *request)
{
	struct asking *asking = job->screen ? calloc(1, sizeof(*asking)) : NULL;

	if (!asking) {
		request_fail(request, job->screen ? -ENOMEM : -ENOTTY);
		return;
	}
	asking->pending = jobs_pending_new(JOB_PENDING_SCREEN, request, job, guest);
	if (!asking->pending) {
		free(asking);
		request_fail(request, -ENOMEM);
		return;
	}
	asking->pending->asking = asking;
	asking->job = job;
	asking->wait.done = on_shown;
	asking->wait.arg = asking;
	if (request->op->number == OP_JOB_SCREEN) {
		asking->wait.as_text = true;
		asking->wait.n_history =
		    (unsigned)((const struct args_job_screen *)request->args)->scrollback;
	}
	job_screen_ask(job->screen, &asking->wait);
}

void jobs_screen_withdraw(struct job_pending *pending)
{
	struct asking *asking = pending->asking;

	asking->pending = NULL;
	request_fail(jobs_pending_take(pending), -EINTR);
}
