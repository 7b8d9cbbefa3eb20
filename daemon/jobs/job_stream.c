/*
 * Those who follow a job's output. Each has a position of its own in the spool and takes from there
 * as much as its stream has credit for: from memory, or from the disk through a buffer. What it was
 * sent but may not have got yet, should its link break, is still guarded.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/jobs/jobs_private.h"

#define WORTH_LENDING (4 * 1024)

struct job_client {
	struct job *job;
	TAILQ_ENTRY(job_client) entry;
	struct request_stream *stream; /* NULL: broken */
	uint64_t position;             /* of the next byte to be sent */
	size_t unused; /* of what was sent, that may not have arrived if the link breaks now */
	struct buffer screen; /* comes before everything else */
	size_t screen_sent;
	bool is_notified;
	bool is_reading;
	struct spool_read read;
	uint8_t *read_data;
	size_t read_at; /* of what was read, what has been sent */
};

/* What comes before it, the client has got for certain. */
static uint64_t floor_of(const struct job_client *client)
{
	return client->position > client->unused ? client->position - client->unused : 0;
}

void job_stream_guard(struct job *job)
{
	struct job_client *client;
	uint64_t floor = job->in_grace ? job->grace_floor : SPOOL_UNGUARDED;
	bool is_lean =
	    job->n_clients > 0 && !job->is_detached && !job->in_grace && !job_is_complete(job);
	size_t unused = 0;

	if (!job->spool)
		return;
	TAILQ_FOREACH(client, &job->clients, entry)
	{
		if (!client->stream)
			continue;
		client->unused = request_stream_unused(client->stream);
		if (client->unused > unused)
			unused = client->unused;
		if (floor_of(client) < floor)
			floor = floor_of(client);
	}
	if (job->screen && job_screen_position(job->screen) < floor && job->phase != JOB_OVER)
		floor = job_screen_position(job->screen);
	spool_guard(job->spool, floor, is_lean ? unused + SPOOL_MEMORY : 0);
	if (job->n_clients == 0 && job_is_complete(job))
		spool_settle(job->spool);
}

/* Out of the list, once no read is under way. */
static void leave(struct job_client *client)
{
	struct job *job = client->job;

	if (client->stream) {
		client->stream = NULL;
		job->n_clients--;
	}
	if (job->owner == client)
		job->owner = NULL;
	if (client->is_reading)
		return;
	TAILQ_REMOVE(&job->clients, client, entry);
	buffer_deinit(&client->screen);
	free(client->read_data);
	free(client);
}

static void end(struct job_client *client, int error)
{
	struct job *job = client->job;
	bool is_owner = job->owner == client;

	request_stream_end(client->stream, error);
	leave(client);
	/* Its client has been sent all of it: it stays only in case that this has not arrived. */
	if (is_owner && error == 0)
		job->is_retired = true;
}

static void gone(struct job_client *client, int error)
{
	struct job *job = client->job;
	bool is_owner = job->owner == client;
	uint64_t floor = floor_of(client);
	bool knows_end = client->is_notified;

	leave(client);
	if (!is_owner)
		return;
	if (error == -EINTR && job->phase == JOB_OVER && knows_end)
		job_forget(job);
	else if (error == -EINTR)
		job_hang_up(job, JOB_KILL_MS);
	else if (job->phase == JOB_ACTIVE)
		job_begin_grace(job, floor);
}

/* How much may be sent, of so much that there is. */
static size_t room_for(const struct job_client *client, uint64_t size)
{
	size_t room = request_stream_room(client->stream);

	if (room < size && size <= REQUEST_STREAM_LITTLE &&
	    request_stream_takes_little(client->stream))
		return (size_t)size;
	return room;
}

/* --- sending ---------------------------------------------------------------------------------- */

static int send_notice(struct job_client *client)
{
	struct job_info info;
	struct buffer buffer = {0};
	int r;

	job_describe(client->job, &info);
	r = codec_encode(&job_info_record, &info, &buffer, NULL);
	if (r == 0 && room_for(client, buffer.size) < buffer.size)
		r = -EAGAIN;
	if (r == 0)
		r = request_stream_write(client->stream, JOB_NOTICES,
					 (struct bytes){buffer.data, buffer.size});
	buffer_deinit(&buffer);
	client->is_notified = r == 0;
	return r;
}

static void read_done(struct spool_read *read, int error)
{
	struct job_client *client = read->arg;
	struct job *job = client->job;

	client->is_reading = false;
	client->read_at = 0;
	if (error < 0)
		read->size = 0;
	job_hold(job);
	if (!client->stream)
		leave(client);
	else if (error < 0)
		end(client, error);
	else
		job_stream_pump(job);
	job_release(job);
}

static int start_read(struct job_client *client)
{
	int r;

	if (!client->read_data)
		client->read_data = malloc(SPOOL_PIECE_MAX);
	if (!client->read_data)
		return -ENOMEM;
	client->read = (struct spool_read){
	    .done = read_done,
	    .arg = client,
	    .offset = client->position,
	    .size = SPOOL_PIECE_MAX,
	    .data = client->read_data,
	};
	r = spool_read_start(client->job->spool, &client->read);
	client->is_reading = r == 0;
	return r < 0 ? r : -EAGAIN;
}

/* What comes at its position: 0, or -EAGAIN if it has to wait, or an error. */
static int find_piece(struct job_client *client, struct spool_piece *ret_piece)
{
	int r;

	if (client->is_reading)
		return -EAGAIN;
	if (client->read_at < client->read.size) {
		*ret_piece = (struct spool_piece){
		    .data = client->read_data + client->read_at,
		    .size = client->read.size - client->read_at,
		    .channel = client->read.channel,
		};
		return 0;
	}
	r = spool_peek(client->job->spool, client->position, ret_piece);
	return r == -EAGAIN ? start_read(client) : r;
}

static int send_screen(struct job_client *client, size_t room)
{
	struct bytes piece = {client->screen.data + client->screen_sent,
			      client->screen.size - client->screen_sent};
	int r;

	if (piece.size > room)
		piece.size = room;
	if (piece.size > FRAME_STREAM_DATA_MAX)
		piece.size = FRAME_STREAM_DATA_MAX;
	if (piece.size == 0)
		return 0;
	r = request_stream_write(client->stream, JOB_STDOUT, piece);
	if (r < 0)
		return r;
	client->screen_sent += piece.size;
	return 1;
}

static void drop_chunk(void *arg)
{
	spool_drop(arg);
}

/* What is in memory goes out from there. */
static int send_bytes(struct job_client *client, const struct spool_piece *piece)
{
	struct bytes bytes = {piece->data, piece->size};
	int r;

	if (!piece->chunk || piece->size < WORTH_LENDING)
		return request_stream_write(client->stream, piece->channel, bytes);
	spool_hold(piece->chunk);
	r = request_stream_lend(client->stream, piece->channel, bytes, drop_chunk, piece->chunk);
	if (r < 0)
		spool_drop(piece->chunk);
	return r;
}

/* Sends one piece. Returns 1 if there may be more to do, 0 if it waits, or an error. */
static int send_piece(struct job_client *client)
{
	struct job *job = client->job;
	struct spool_piece piece;
	size_t room;
	int r;

	if (client->screen_sent < client->screen.size)
		return send_screen(client, request_stream_room(client->stream));
	if (!client->is_notified && job->has_notice && job->phase == JOB_OVER &&
	    client->position >= job->notice_at) {
		r = send_notice(client);
		return r == 0 ? 1 : r == -EAGAIN ? 0 : r;
	}
	if (client->position == spool_end(job->spool))
		return 0;
	room = room_for(client, spool_end(job->spool) - client->position);
	if (room == 0)
		return 0;
	r = find_piece(client, &piece);
	if (r < 0)
		return r == -EAGAIN ? 0 : r;
	if (piece.size > room)
		piece.size = room;
	if (!client->is_notified && job->has_notice &&
	    piece.size > job->notice_at - client->position)
		piece.size = (size_t)(job->notice_at - client->position);
	r = send_bytes(client, &piece);
	if (r < 0)
		return r;
	client->position += piece.size;
	if (client->read_at < client->read.size)
		client->read_at += piece.size;
	return 1;
}

static void pump(struct job_client *client)
{
	struct job *job = client->job;
	int r;

	do {
		r = send_piece(client);
	} while (r > 0);
	if (r < 0)
		end(client, r);
	else if (job_is_complete(job) && client->is_notified &&
		 client->screen_sent == client->screen.size &&
		 client->position == spool_end(job->spool))
		end(client, 0);
}

void job_stream_pump(struct job *job)
{
	struct job_client *client, *next;

	if (TAILQ_EMPTY(&job->clients))
		return;
	job_hold(job);
	for (client = TAILQ_FIRST(&job->clients); client; client = next) {
		next = TAILQ_NEXT(client, entry);
		if (client->stream)
			pump(client);
	}
	job_stream_guard(job);
	job_release(job);
}

static void on_ready(void *arg, int error)
{
	struct job_client *client = arg;
	struct job *job = client->job;

	job_hold(job);
	if (error < 0)
		gone(client, error);
	else
		pump(client);
	job_stream_guard(job);
	if (job->screen)
		job_screen_feed(job->screen);
	job_release(job);
}

/* --- coming and going ------------------------------------------------------------------------- */

void job_stream_open(struct job *job, struct request *request, const void *result, uint64_t offset,
		     bool is_owner, struct buffer *screen)
{
	struct job_client *client = calloc(1, sizeof(*client));
	struct request_stream *stream;

	if (!client) {
		request_fail(request, -ENOMEM);
		return;
	}
	job_hold(job);
	client->job = job;
	client->position = offset;
	if (screen) {
		client->screen = *screen;
		*screen = (struct buffer){0};
	}
	TAILQ_INSERT_TAIL(&job->clients, client, entry);
	if (is_owner) {
		job->owner = client;
		job->is_detached = false;
		job_end_grace(job);
		jobs_note(job);
	}
	/* If its link has gone, on_ready is called within, and it is gone after it. */
	stream = request_reply_stream(request, result, on_ready, client);
	if (stream) {
		client->stream = stream;
		job->n_clients++;
		job_stream_guard(job);
		pump(client);
		job_stream_guard(job);
	}
	job_release(job);
}

void job_stream_end_all(struct job *job, int error)
{
	struct job_client *client, *next;

	job_hold(job);
	for (client = TAILQ_FIRST(&job->clients); client; client = next) {
		next = TAILQ_NEXT(client, entry);
		if (client->stream)
			end(client, error);
	}
	job_release(job);
}
