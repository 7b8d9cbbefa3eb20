/*
 *   data      |-- kept for later readers --|-- to be read --|
 *             ^ first                      ^ passed         ^ end      (offsets of the job's
 * output)
 *
 * Channels change at the ends of runs. Credit is given for what is passed, that is, read or skipped
 * by the fastest reader.
 */
#include "fs/control_feed.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/control_private.h"

#define KEPT_TRIES 8 /* to find where what is kept begins, while it moves */

struct run {
	uint64_t end; /* offset behind its last byte */
	unsigned channel;
};

struct control_feed {
	struct control_job *job;          /* held */
	struct control_feed *prev, *next; /* job->feeds */
	struct control_ask *ask; /* its stream, or what leads to one; NULL: there is none */
	struct control_handle *readers;
	struct buffer data; /* from `first` to `end` */
	uint64_t first, passed, end;
	uint64_t began; /* the first byte of this stream: credit is for what it brought */
	struct run *runs;
	size_t n_runs, runs_size;
	struct buffer notice; /* a job_info that has not come whole */
	bool is_exec;
	bool from_kept; /* it began with the first byte that was kept */
	bool is_over;   /* nothing comes any more: 0 or `error` */
	int error;
	unsigned n_tries;
};

struct feed_ask {
	struct control_ask ask;
	struct control_feed *feed; /* NULL: it was given up */
	struct control_job *job;   /* held */
	/* of exec's JOB_START: */
	struct control_handle *handle;
	size_t written;
};

static void attach(struct control_feed *feed);

/* --- memory ----------------------------------------------------------------------------------- */

static struct control_feed *new_feed(struct control_job *job, uint64_t offset)
{
	struct control_feed *feed;

	if (job->peer->control.n_streams >= CONTROL_FEEDS_MAX)
		return NULL;
	feed = calloc(1, sizeof(*feed));
	if (!feed)
		return NULL;
	feed->job = control_job_ref(job);
	feed->first = feed->passed = feed->end = offset;
	feed->next = job->feeds;
	if (feed->next)
		feed->next->prev = feed;
	job->feeds = feed;
	job->peer->control.n_streams++;
	return feed;
}

static void free_feed(struct control_feed *feed)
{
	struct control_ask *ask = feed->ask;
	struct control_job *job = feed->job;

	assert(!feed->readers);
	*(feed->prev ? &feed->prev->next : &job->feeds) = feed->next;
	if (feed->next)
		feed->next->prev = feed->prev;
	job->peer->control.n_streams--;
	if (ask)
		control_ask_abandon(ask);
	free(feed->data.data);
	free(feed->runs);
	buffer_deinit(&feed->notice);
	free(feed);
	control_job_unref(job);
}

static void leave(struct control_handle *handle)
{
	struct control_feed *feed = handle->feed;

	control_reader_leave(handle);
	handle->feed = NULL;
	if (feed && !feed->readers)
		free_feed(feed);
}

static void join(struct control_handle *handle, struct control_feed *feed)
{
	struct control_feed *before = handle->feed;

	if (before == feed)
		return;
	if (before)
		leave(handle);
	handle->feed = feed;
	control_reader_join(handle, &feed->readers);
}

static void release(struct control_ask *ask)
{
	control_job_unref(((struct feed_ask *)ask)->job);
}

static void over(struct control_feed *feed, int error)
{
	feed->is_over = true;
	feed->error = error;
	control_follow_wake_all(feed->readers);
}

/* --- the window ------------------------------------------------------------------------------- */

/* The run that the byte at `offset` is in; there must be one. */
static size_t run_at(const struct control_feed *feed, uint64_t offset)
{
	size_t low = 0, high = feed->n_runs;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (feed->runs[middle].end <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void give_credit(struct control_feed *feed, uint64_t until)
{
	for (size_t i = run_at(feed, feed->passed); feed->passed < until; i++) {
		uint64_t end = feed->runs[i].end < until ? feed->runs[i].end : until;

		if (feed->ask && end > feed->began)
			control_ask_consumed(
			    feed->ask, feed->runs[i].channel,
			    (size_t)(end -
				     (feed->passed > feed->began ? feed->passed : feed->began)));
		feed->passed = end;
	}
}

/* To the next byte that it shows. True if there is one. */
static bool skip(struct control_handle *handle)
{
	const struct control_feed *feed = handle->feed;

	if (!handle->has_position) {
		if (!feed->n_runs && !feed->is_over)
			return false; /* where it begins is not known before the answer */
		handle->position = feed->first;
		handle->has_position = true;
	}
	for (size_t i = run_at(feed, handle->position); i < feed->n_runs; i++) {
		if (handle->row->channels & 1u << feed->runs[i].channel)
			return true;
		handle->position = feed->runs[i].end;
	}
	return false;
}

/* Drops what was passed long ago, and with it those readers who still would need it: they get a
 * feed of their own when they read on. Who waits is at the end of it, or about to be answered. */
static void trim(struct control_feed *feed)
{
	struct control_handle *reader, *next;
	uint64_t first = feed->passed, most = feed->first;
	size_t runs;

	if (feed->passed - feed->first < 2 * CONTROL_FEED_KEPT && feed->n_runs <= CONTROL_FEED_RUNS)
		return;
	if (feed->n_runs <= CONTROL_FEED_RUNS)
		first -= CONTROL_FEED_KEPT;
	for (reader = feed->readers; reader; reader = reader->next_reader) {
		if (reader->reads)
			skip(reader);
		if (reader->reads && reader->position < first)
			first = reader->position;
		if (reader->has_position && reader->position > most)
			most = reader->position;
	}
	if (first > most)
		first = most; /* one reader stays */
	if (first <= feed->first)
		return;
	runs = run_at(feed, first);
	feed->data.size -= (size_t)(first - feed->first);
	memmove(feed->data.data, feed->data.data + (first - feed->first), feed->data.size);
	feed->n_runs -= runs;
	memmove(feed->runs, feed->runs + runs, feed->n_runs * sizeof(*feed->runs));
	feed->first = first;
	for (reader = feed->readers; reader; reader = next) {
		next = reader->next_reader;
		if (!reader->has_position || reader->position < first)
			leave(reader);
	}
}

/* --- what comes ------------------------------------------------------------------------------- */

static int append(struct control_feed *feed, unsigned channel, struct bytes data)
{
	struct run *last = feed->n_runs ? &feed->runs[feed->n_runs - 1] : NULL;

	if (!last || last->channel != channel) {
		if (feed->n_runs == feed->runs_size) {
			size_t size = feed->runs_size ? 2 * feed->runs_size : 16;
			struct run *runs = realloc(feed->runs, size * sizeof(*runs));

			if (!runs)
				return -ENOMEM;
			feed->runs = runs;
			feed->runs_size = size;
		}
		last = &feed->runs[feed->n_runs];
		last->channel = channel;
	}
	if (buffer_append(&feed->data, data.data, data.size))
		return -ENOMEM;
	feed->n_runs = (size_t)(last - feed->runs) + 1;
	feed->end += data.size;
	last->end = feed->end;
	return 0;
}

/* A job_info, in one piece or in several. */
static void take_notice(struct control_feed *feed, struct bytes data)
{
	struct job_info info;
	struct bytes input;

	feed->notice.limit = sizeof(info) + OPS_JOB_NAME_MAX + OPS_JOB_CMD_MAX;
	if (buffer_append(&feed->notice, data.data, data.size)) {
		feed->notice.size = 0; /* it is none */
		return;
	}
	input = (struct bytes){feed->notice.data, feed->notice.size};
	if (codec_decode(&job_info_record, &input, &info, NULL))
		return;
	control_job_ended(feed->job, &info);
	feed->notice.size = 0;
	/* What is left of exec's may hold its output open for ever; its reader wants its command's.
	 */
	if (feed->is_exec && info.state != JOB_RUNNING)
		over(feed, 0);
}

static void on_data(struct control_ask *ask, unsigned channel, struct bytes data)
{
	struct control_feed *feed = ((struct feed_ask *)ask)->feed;

	if (!data.size)
		return;
	if (channel == JOB_NOTICES) {
		control_ask_consumed(ask, channel, data.size);
		take_notice(feed, data);
		return;
	}
	if (channel > JOB_STDERR || feed->is_over) {
		control_ask_consumed(ask, channel, data.size);
		return;
	}
	if (append(feed, channel, data)) {
		over(feed, -ENOMEM);
		return;
	}
	control_follow_wake_all(feed->readers);
	trim(feed);
	/* Credit bounds bytes, not how often they change their channel: the rest is asked for when
	 * these are read. exec's have one channel. */
	if (feed->n_runs <= CONTROL_FEED_RUNS)
		return;
	feed->ask = NULL;
	control_ask_abandon(ask);
	if (feed->is_exec)
		over(feed, -EPROTO);
}

static void on_end(struct control_ask *ask, int error)
{
	struct control_feed *feed = ((struct feed_ask *)ask)->feed;

	feed->ask = NULL;
	if (error == -ENOTCONN && !feed->is_over)
		attach(feed);
	else if (!feed->is_over)
		over(feed, error);
}

/* --- attaching -------------------------------------------------------------------------------- */

static struct feed_ask *new_ask(struct control_feed *feed, fuse_req_t req)
{
	struct feed_ask *ask = control_ask_new(feed->job->peer, sizeof(*ask), req);

	if (!ask)
		return NULL;
	ask->feed = feed;
	ask->job = control_job_ref(feed->job);
	ask->ask.data = on_data;
	ask->ask.end = on_end;
	ask->ask.release = release;
	feed->ask = &ask->ask;
	return ask;
}

/* Where what is kept begins. */
static void on_status(struct control_ask *ask, const struct transport_reply *reply)
{
	struct control_feed *feed = ((struct feed_ask *)ask)->feed;
	const struct result_job_status *result = reply->result;

	feed->ask = NULL;
	if (reply->error) {
		over(feed, reply->error);
		return;
	}
	feed->first = feed->passed = feed->end = result->info.kept;
	attach(feed);
}

static void ask_status(struct control_feed *feed)
{
	struct args_job_status args = {.job = feed->job->number};
	struct feed_ask *ask = new_ask(feed, NULL);

	if (!ask) {
		over(feed, -ENOMEM);
		return;
	}
	ask->ask.done = on_status;
	control_ask_send(&ask->ask, OP_JOB_STATUS, &args);
}

static void on_attach(struct control_ask *ask, const struct transport_reply *reply)
{
	struct control_feed *feed = ((struct feed_ask *)ask)->feed;
	const struct result_job_attach *result = reply->result;
	bool is_new = feed->from_kept && feed->first == feed->end && feed->n_tries < KEPT_TRIES;

	if (reply->error == -ERANGE && is_new) {
		feed->ask = NULL;
		feed->n_tries++;
		ask_status(feed);
	} else if (reply->error) {
		feed->ask = NULL;
		over(feed, reply->error);
	} else if (result->offset != feed->end && is_new) {
		feed->first = feed->passed = feed->began = feed->end = result->offset;
	} else if (result->offset != feed->end) {
		feed->ask = NULL;
		over(feed, -EPROTO);
		control_ask_abandon(ask);
	}
	if (!reply->error)
		control_job_ended(((struct feed_ask *)ask)->job, &result->info);
}

static void attach(struct control_feed *feed)
{
	struct args_job_attach args = {
	    .job = feed->job->number,
	    .offset = feed->end,
	    .flags = feed->is_exec ? JOB_OWNER : 0,
	};
	struct feed_ask *ask = new_ask(feed, NULL);

	feed->notice.size = 0;
	feed->began = feed->end;
	if (!ask) {
		over(feed, -ENOMEM);
		return;
	}
	ask->ask.done = on_attach;
	control_ask_send(&ask->ask, OP_JOB_ATTACH, &args);
}

/* --- readers ---------------------------------------------------------------------------------- */

static bool has_position(const struct control_feed *feed, const struct control_handle *handle)
{
	if (feed->is_exec || (feed->is_over && feed->error))
		return false;
	if (!handle->has_position)
		return feed->from_kept && feed->first == 0;
	return handle->position >= feed->first && handle->position <= feed->end;
}

static int start(struct control_handle *handle)
{
	struct control_feed *feed = handle->feed;

	if (feed) {
		trim(feed);
		/* It may have been given up for its many runs. */
		if (!feed->ask && !feed->is_over && !skip(handle) && handle->position == feed->end)
			attach(feed);
		return 0;
	}
	for (feed = handle->job->feeds; feed && !has_position(feed, handle); feed = feed->next)
		continue;
	if (feed) {
		join(handle, feed);
		return 0;
	}
	feed = new_feed(handle->job, handle->has_position ? handle->position : 0);
	if (!feed)
		return handle->job->peer->control.n_streams >= CONTROL_FEEDS_MAX ? -ENFILE
										 : -ENOMEM;
	feed->from_kept = !handle->has_position;
	join(handle, feed);
	attach(feed);
	return 0;
}

static bool is_ready(struct control_handle *handle)
{
	struct control_feed *feed = handle->feed;
	bool has_more;

	if (!feed)
		return false;
	has_more = skip(handle);
	if (handle->has_position)
		give_credit(feed, handle->position);
	return has_more || feed->is_over;
}

static ssize_t take(struct control_handle *handle, uint8_t *buffer, size_t size)
{
	struct control_feed *feed = handle->feed;
	int error = feed->error;
	size_t n = 0;

	while (n < size && skip(handle)) {
		const struct run *run = &feed->runs[run_at(feed, handle->position)];
		size_t some = (size_t)(run->end - handle->position);

		if (some > size - n)
			some = size - n;
		memcpy(buffer + n, feed->data.data + (handle->position - feed->first), some);
		handle->position += some;
		n += some;
	}
	if (n) {
		give_credit(feed, handle->position);
		return (ssize_t)n;
	}
	if (!size || !error)
		return 0;
	/* Once it was said, the next READ tries again; what is not kept is passed over then. */
	if (error == -ERANGE)
		handle->has_position = false;
	if (!feed->is_exec)
		leave(handle);
	return error;
}

const struct control_source control_feed_source = {
    .start = start, .is_ready = is_ready, .take = take, .leave = leave};

/* --- exec ------------------------------------------------------------------------------------- */

/* It can be read before there is a line, and waits for that. */
static int exec_start(struct control_handle *handle)
{
	return 0;
}

const struct control_source control_exec_source = {
    .start = exec_start, .is_ready = is_ready, .take = take, .leave = leave};

static void on_exec(struct control_ask *ask, const struct transport_reply *reply)
{
	struct feed_ask *exec = (struct feed_ask *)ask;
	struct control_feed *feed = exec->feed;
	struct control_handle *handle = exec->handle;
	fuse_req_t req = control_ask_take(ask);

	if (reply->error) {
		feed->ask = NULL;
		if (req)
			control_write_fail(req, handle, OP_JOB_START, reply->error, NULL);
		over(feed, reply->error);
	} else if (req) {
		control_write_go_on(req, handle, exec->written);
	}
}

bool control_feed_is_used(const struct control_handle *handle)
{
	return handle->feed && !(handle->feed->is_over && handle->feed->error);
}

int control_feed_exec(struct control_handle *handle, struct bytes line, fuse_req_t req,
		      size_t written)
{
	struct fs_peer *peer = control_peer_of(handle);
	struct args_job_start args;
	struct buffer lists = {0};
	struct control_job *job;
	struct control_feed *feed;
	struct feed_ask *ask;
	int error;

	if (peer->control.n_streams >= CONTROL_FEEDS_MAX)
		return -ENFILE;
	job = control_job_new(peer, (struct bytes){0}, control_job_number(), CONTROL_JOB_STARTED);
	feed = job ? new_feed(job, 0) : NULL;
	control_job_unref(job); /* the feed's now */
	if (!feed)
		return -ENOMEM;
	error =
	    control_job_start_args(job, line, JOB_MERGED | JOB_ATTACH | JOB_OWNER, &args, &lists);
	ask = error ? NULL : new_ask(feed, req);
	if (!ask) {
		buffer_deinit(&lists);
		free_feed(feed);
		return error ? error : -ENOMEM;
	}
	feed->is_exec = true;
	join(handle, feed);
	handle->has_position = true;
	ask->handle = handle;
	ask->written = written;
	ask->ask.done = on_exec;
	control_ask_send(&ask->ask, OP_JOB_START, &args);
	buffer_deinit(&lists);
	return 0;
}
