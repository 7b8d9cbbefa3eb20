/*
 *        kept                     memory                    end
 *         │ in the file (ring)      │ chunks                 │
 *     ────┼─────────────────────────┼──────┬──────┬──────────┤
 *         disk_from          disk_to = memory_from
 *
 * When memory holds more than it should, the oldest chunks are written by a thread of the pool, one
 * write at a time; they can be read from memory until that is done. What is about to be overwritten
 * in the ring is taken out of it before. A guard (spool_guard) keeps bytes from being dropped: then
 * the spool does not grow instead, and its program waits. If the disk fails, memory is all there
 * is: the oldest chunks go as if they were the file's.
 */
#include "daemon/jobs/spool.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/jobs/spool_runs.h"
#include "daemon/log.h"

#define FIRST_CHUNK  (16 * 1024) /* as long as there is little */
#define ROOM_MIN     (4 * 1024)
#define WRITE_CHUNKS 4                  /* at once, at most */
#define MEMORY_MOST  (2 * SPOOL_MEMORY) /* while the disk is slow */

struct spool {
	struct spool_options options;
	struct spool_chunk *first, *last;
	uint64_t memory_from, end;
	uint64_t disk_from, disk_to;
	uint64_t floor;
	size_t memory;   /* how much of it is to be kept there */
	size_t lean;     /* bytes of memory that are all that it uses; 0: it is not */
	bool is_waiting; /* `room` is to be called */
	bool has_failed; /* the disk */
	bool closing;
	int fd;
	struct spool_runs runs;
	uint64_t runs_from; /* of what comes before, the kinds are not known any more */
	unsigned n_reads;
	bool writing;
	uv_work_t write;
	struct spool_chunk *written[WRITE_CHUNKS]; /* each held */
	size_t n_written;
	int write_error;
};

int spool_new(const struct spool_options *options, struct spool **ret_spool)
{
	struct spool *spool = calloc(1, sizeof(*spool));

	if (!spool)
		return -ENOMEM;
	spool->options = *options;
	spool->memory = SPOOL_MEMORY;
	spool->floor = SPOOL_UNGUARDED;
	spool->fd = -1;
	*ret_spool = spool;
	return 0;
}

void spool_hold(struct spool_chunk *chunk)
{
	chunk->n_refs++;
}

void spool_drop(struct spool_chunk *chunk)
{
	if (chunk && --chunk->n_refs == 0)
		free(chunk);
}

uint64_t spool_kept(const struct spool *spool)
{
	uint64_t kept = spool->disk_to > spool->disk_from ? spool->disk_from : spool->memory_from;

	return kept > spool->runs_from ? kept : spool->runs_from;
}

uint64_t spool_end(const struct spool *spool)
{
	return spool->end;
}

/* --- dropping and writing --------------------------------------------------------------------- */

static void drop_first(struct spool *spool)
{
	struct spool_chunk *chunk = spool->first;

	spool->first = chunk->next;
	if (!spool->first)
		spool->last = NULL;
	spool->memory_from = spool->first ? spool->first->offset : spool->end;
	chunk->next = NULL;
	spool_drop(chunk);
}

/* Nothing is on the disk any more. */
static void forget_disk(struct spool *spool)
{
	spool->disk_from = spool->disk_to = spool->memory_from;
}

static bool may_drop(const struct spool *spool, uint64_t up_to)
{
	return spool->floor == SPOOL_UNGUARDED || up_to <= spool->floor;
}

/* The file is a ring: where the output's bytes from `offset` on are in it, and how many of `size`
 * lie there in one piece. */
static size_t ring_piece(const struct spool *spool, uint64_t offset, size_t size, off_t *ret_at)
{
	uint64_t at = offset % spool->options.limit;

	*ret_at = (off_t)at;
	return size < spool->options.limit - at ? size : (size_t)(spool->options.limit - at);
}

static int write_chunk(const struct spool *spool, const struct spool_chunk *chunk)
{
	size_t done = 0;

	while (done < chunk->size) {
		off_t at;
		size_t size = ring_piece(spool, chunk->offset + done, chunk->size - done, &at);
		ssize_t n = pwrite(spool->fd, chunk->data + done, size, at);

		if (n < 0 && errno != EINTR)
			return -errno;
		done += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static void write_run(uv_work_t *work)
{
	struct spool *spool = work->data;
	int error = 0;

	if (spool->fd < 0)
		spool->fd = open(spool->options.dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (spool->fd < 0) {
		spool->write_error = -errno;
		return;
	}
	for (size_t i = 0; i < spool->n_written && error == 0; i++)
		error = write_chunk(spool, spool->written[i]);
	if (error < 0)
		spool->write_error = error;
}

static void shrink(struct spool *spool);
static void settle_close(struct spool *spool);

static void tell_room(struct spool *spool)
{
	if (!spool->is_waiting || spool->closing)
		return;
	if (!spool_may_grow(spool))
		return;
	spool->is_waiting = false;
	spool->options.room(spool->options.arg);
}

static void write_done(uv_work_t *work, int status)
{
	struct spool *spool = work->data;

	spool->writing = false;
	if (spool->write_error < 0 && !spool->has_failed) {
		spool->has_failed = true;
		log_warning("jobs", "spool=%s error=%s", LOG_VALUE(spool->options.dir),
			    strerror(-spool->write_error));
	}
	for (size_t i = 0; i < spool->n_written; i++) {
		struct spool_chunk *chunk = spool->written[i];

		if (!spool->has_failed && spool->first == chunk) {
			spool->disk_to = chunk->offset + chunk->size;
			drop_first(spool);
		}
		spool_drop(chunk);
	}
	spool->n_written = 0;
	if (spool->has_failed)
		forget_disk(spool);
	if (spool->closing) {
		settle_close(spool);
		return;
	}
	shrink(spool);
	tell_room(spool);
}

static size_t in_memory(const struct spool *spool)
{
	return (size_t)(spool->end - spool->memory_from);
}

/* How much is to be kept there. */
static size_t memory_of(const struct spool *spool)
{
	return spool->lean ? spool->lean : spool->memory;
}

static size_t memory_most(const struct spool *spool)
{
	return spool->lean > MEMORY_MOST ? spool->lean + SPOOL_MEMORY : MEMORY_MOST;
}

/* Makes room in the ring for bytes up to `to`. Returns false if it must not. */
static bool make_room(struct spool *spool, uint64_t to)
{
	uint64_t from = to > spool->options.limit ? to - spool->options.limit : 0;

	if (from <= spool->disk_from)
		return true;
	if (!may_drop(spool, from))
		return false;
	spool->disk_from = from < spool->disk_to ? from : spool->disk_to;
	return true;
}

static void write_start(struct spool *spool)
{
	struct spool_chunk *chunk = spool->first;
	size_t left = in_memory(spool);

	spool->n_written = 0;
	spool->write_error = 0;
	while (chunk && chunk != spool->last && spool->n_written < WRITE_CHUNKS &&
	       left > memory_of(spool) && make_room(spool, chunk->offset + chunk->size)) {
		spool_hold(chunk);
		spool->written[spool->n_written++] = chunk;
		left -= chunk->size;
		chunk = chunk->next;
	}
	if (spool->n_written == 0)
		return;
	if (spool->disk_to == spool->disk_from)
		forget_disk(spool);
	spool->writing = true;
	spool->write.data = spool;
	if (uv_queue_work(spool->options.loop, &spool->write, write_run, write_done) < 0)
		abort(); /* only fails without a function */
}

/* What there are too many runs of goes, however little it is. */
static void shrink_runs(struct spool *spool)
{
	while (spool->runs.n > SPOOL_RUNS_MAX) {
		uint64_t from = spool_runs_second(&spool->runs);

		if (!may_drop(spool, from))
			return;
		spool_runs_trim(&spool->runs, from);
		spool->runs_from = from;
	}
}

static void shrink(struct spool *spool)
{
	shrink_runs(spool);
	if (spool->writing)
		return;
	while (in_memory(spool) > memory_of(spool) && spool->first && spool->first != spool->last) {
		uint64_t to = spool->first->offset + spool->first->size;

		if (!spool->has_failed && !(spool->lean && may_drop(spool, to)))
			break;
		if (!may_drop(spool, to))
			break;
		drop_first(spool);
		forget_disk(spool);
	}
	if (in_memory(spool) > (spool->lean ? memory_most(spool) : spool->memory) &&
	    !spool->has_failed)
		write_start(spool);
	spool_runs_trim(&spool->runs, spool_kept(spool));
}

/* --- growing ---------------------------------------------------------------------------------- */

uint8_t *spool_reserve(struct spool *spool, size_t *ret_room)
{
	struct spool_chunk *chunk = spool->last;
	size_t capacity = spool->end < 2 * FIRST_CHUNK ? FIRST_CHUNK : SPOOL_PIECE_MAX;

	if (!chunk || chunk->capacity - chunk->size < ROOM_MIN ||
	    chunk->capacity - chunk->size < chunk->capacity / 4) {
		chunk = malloc(sizeof(*chunk) + capacity);
		if (!chunk)
			return NULL;
		*chunk =
		    (struct spool_chunk){.n_refs = 1, .capacity = capacity, .offset = spool->end};
		if (spool->last)
			spool->last->next = chunk;
		else
			spool->first = chunk;
		spool->last = chunk;
	}
	*ret_room = chunk->capacity - chunk->size;
	return chunk->data + chunk->size;
}

void spool_commit(struct spool *spool, unsigned channel, size_t size)
{
	struct spool_chunk *chunk = spool->last;

	assert(size <= chunk->capacity - chunk->size);
	if (size == 0)
		return;
	/* Without memory for that, it is told as the other kind: better than not at all. */
	spool_runs_add(&spool->runs, spool->end, channel);
	chunk->size += size;
	spool->end += size;
	shrink(spool);
}

bool spool_may_grow(struct spool *spool)
{
	bool is_full = in_memory(spool) >= memory_most(spool) || spool->runs.n > SPOOL_RUNS_MAX;

	/* Guarded bytes have a place in the ring, or in memory. */
	if (spool->floor != SPOOL_UNGUARDED && spool->end > spool->floor) {
		uint64_t room =
		    spool->has_failed || spool->lean ? memory_of(spool) : spool->options.limit;

		if (room < spool->memory)
			room = spool->memory;
		is_full |= spool->end - spool->floor >= room;
	}
	if (is_full)
		spool->is_waiting = true;
	return !is_full;
}

void spool_guard(struct spool *spool, uint64_t floor, size_t lean)
{
	if (floor != SPOOL_UNGUARDED && floor < spool_kept(spool))
		floor = spool_kept(spool);
	spool->floor = floor;
	spool->lean = lean;
	if (in_memory(spool) > memory_of(spool) || spool->runs.n > SPOOL_RUNS_MAX)
		shrink(spool);
	tell_room(spool);
}

void spool_settle(struct spool *spool)
{
	struct spool_chunk *last = spool->last;

	spool->memory = SPOOL_IDLE;
	/* The last chunk stays in memory, and takes no more than it must; a reader may hold it. */
	if (last && last->n_refs == 1 && last == spool->first && last->capacity > last->size) {
		struct spool_chunk *fitted = realloc(last, sizeof(*last) + last->size);

		if (fitted) {
			fitted->capacity = fitted->size;
			spool->first = spool->last = fitted;
		}
	}
	shrink(spool);
}

/* --- reading ---------------------------------------------------------------------------------- */

int spool_peek(const struct spool *spool, uint64_t offset, struct spool_piece *ret_piece)
{
	struct spool_piece piece = {0};
	uint64_t run_end;

	if (offset < spool_kept(spool) || offset > spool->end)
		return -ERANGE;
	if (offset < spool->memory_from)
		return -EAGAIN;
	for (struct spool_chunk *chunk = spool->first; chunk; chunk = chunk->next) {
		size_t skip;

		if (offset >= chunk->offset + chunk->size)
			continue;
		skip = (size_t)(offset - chunk->offset);
		piece.chunk = chunk;
		piece.data = chunk->data + skip;
		piece.size = chunk->size - skip;
		piece.channel = spool_runs_find(&spool->runs, offset, &run_end);
		if (piece.size > run_end - offset)
			piece.size = (size_t)(run_end - offset);
		break;
	}
	*ret_piece = piece;
	return 0;
}

static void read_run(uv_work_t *work)
{
	struct spool_read *read = work->data;
	struct spool *spool = read->spool;
	size_t done = 0;

	while (done < read->size) {
		off_t at;
		size_t size = ring_piece(spool, read->offset + done, read->size - done, &at);
		ssize_t n = pread(spool->fd, read->data + done, size, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			read->error = n < 0 ? -errno : -EIO;
			return;
		}
		done += (size_t)n;
	}
}

static void read_done(uv_work_t *work, int status)
{
	struct spool_read *read = work->data;
	struct spool *spool = read->spool;
	int error = read->error;

	spool->n_reads--;
	/* Overwritten meanwhile? (What is being written was taken out before.) */
	if (error == 0 && read->offset < spool_kept(spool))
		error = -ERANGE;
	read->done(read, error);
	if (spool->closing)
		settle_close(spool);
}

int spool_read_start(struct spool *spool, struct spool_read *read)
{
	uint64_t run_end;

	if (read->offset < spool_kept(spool) || read->offset >= spool->disk_to)
		return -ERANGE;
	read->channel = spool_runs_find(&spool->runs, read->offset, &run_end);
	if (read->any_channel || run_end > spool->disk_to)
		run_end = spool->disk_to;
	if (read->size > run_end - read->offset)
		read->size = (size_t)(run_end - read->offset);
	read->spool = spool;
	read->error = 0;
	read->work.data = read;
	spool->n_reads++;
	if (uv_queue_work(spool->options.loop, &read->work, read_run, read_done) < 0)
		abort(); /* only fails without a function */
	return 0;
}

/* --- the end ---------------------------------------------------------------------------------- */

static void close_run(uv_work_t *work)
{
	struct spool *spool = work->data;

	close(spool->fd);
}

static void close_done(uv_work_t *work, int status)
{
	struct spool *spool = work->data;
	void (*closed)(void *arg) = spool->options.closed;
	void *arg = spool->options.arg;

	free(spool);
	closed(arg);
}

/* Giving back 256 MiB takes the disk some time. */
static void settle_close(struct spool *spool)
{
	if (spool->writing || spool->n_reads > 0)
		return;
	while (spool->first)
		drop_first(spool);
	spool_runs_deinit(&spool->runs);
	if (spool->fd < 0) {
		close_done(&(uv_work_t){.data = spool}, 0);
		return;
	}
	spool->write.data = spool;
	if (uv_queue_work(spool->options.loop, &spool->write, close_run, close_done) < 0)
		abort(); /* only fails without a function */
}

void spool_close(struct spool *spool)
{
	spool->closing = true;
	settle_close(spool);
}
