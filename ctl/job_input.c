/*
 * Standard input on its way to a job: pieces that are kept until the peer has taken them over, each
 * with its offset, so that after a lost link all of them can be sent again and none is taken twice.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/job_client_private.h"

#define PIECES_MAX 32 /* of 128 KiB: 4 MiB under way */

void job_input_init(struct job_input *input)
{
	*input = (struct job_input){.last = &input->first};
}

static void drop_all(struct job_input *input)
{
	struct job_input_piece *piece;

	while ((piece = input->first)) {
		input->first = piece->next;
		if (piece->call)
			remote_cancel(piece->call);
		free(piece);
	}
	input->last = &input->first;
	input->n_pieces = 0;
}

void job_input_deinit(struct job_input *input)
{
	drop_all(input);
}

static void drop(struct job_input *input, struct job_input_piece *piece)
{
	struct job_input_piece **at = &input->first;

	while (*at != piece)
		at = &(*at)->next;
	*at = piece->next;
	if (!piece->next)
		input->last = at;
	input->n_pieces--;
	free(piece);
}

/* --- sending ---------------------------------------------------------------------------------- */

static void on_written(void *arg, const struct remote_reply *reply)
{
	struct job_input_piece *piece = arg;
	struct job_client *job = piece->job;

	piece->call = NULL;
	switch (reply->error) {
	case 0:
		drop(&job->input, piece);
		return;
	case -EHOSTDOWN:
	case -ENOTCONN:
	case -ETIMEDOUT:
	case -ESTALE:
	case -EIO:
	case -EINVAL: /* the one before it was lost so */
		/* The stream breaks or is broken too; when it goes on, this does. */
		return;
	default: /* EPIPE and the like: nobody reads it */
		job->input.closed = true;
		drop_all(&job->input);
	}
}

static const struct remote_handler writing = {.reply = on_written};

static int send_piece(struct job_input_piece *piece)
{
	struct job_client *job = piece->job;
	struct args_job_write args = {.job = job->number,
				      .offset = piece->offset,
				      .eof = piece->eof,
				      .data = {piece->data, piece->size}};

	return remote_call(job->remote, job->peer, OP_JOB_WRITE, &args, &writing, piece,
			   &piece->call);
}

void job_input_resume(struct job_client *job)
{
	for (struct job_input_piece *piece = job->input.first; piece; piece = piece->next)
		if (!piece->call && send_piece(piece) < 0)
			return;
}

/* --- taking ----------------------------------------------------------------------------------- */

size_t job_client_input_room(const struct job_client *job)
{
	const struct job_input *input = &job->input;

	return input->closed || job->is_lost || input->n_pieces >= PIECES_MAX ? 0 : OPS_IO_MAX;
}

int job_client_input(struct job_client *job, struct bytes data, bool eof)
{
	struct job_input *input = &job->input;
	struct job_input_piece *piece;
	int r;

	if (input->closed)
		return -EPIPE;
	piece = malloc(sizeof(*piece) + data.size);
	if (!piece)
		return -ENOMEM;
	*piece = (struct job_input_piece){
	    .job = job, .offset = input->end, .eof = eof, .size = data.size};
	if (data.size > 0)
		memcpy(piece->data, data.data, data.size);
	if (!job->is_lost) {
		r = send_piece(piece);
		if (r < 0) {
			free(piece);
			return r;
		}
	}
	*input->last = piece;
	input->last = &piece->next;
	input->n_pieces++;
	input->end += data.size;
	input->closed = eof;
	return 0;
}

bool job_client_input_is_closed(const struct job_client *job)
{
	return job->input.closed;
}
