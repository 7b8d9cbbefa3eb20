/*
 * The emulation is a work for a thread, one at a time:
 *
 *     resize (if its place is reached) ── bytes from `position` on ── redraw for the first waiter
 *
 * It is put off while a client is attached and nobody asks, until there is enough to be worth a
 * thread: a keystroke's echo is not. Without a client it is done at once, because then it is the
 * screen that answers what the program asks its terminal. What was asked while there was a client,
 * that one's terminal has answered.
 */
#include "daemon/jobs/job_screen.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/jobs/jobs_private.h"
#include "daemon/jobs/screen.h"

#define WORTH_IT (256 * 1024)
#define PIECES   8

struct job_screen {
	struct job *job;
	struct screen *screen; /* the thread's while it is busy */
	uint64_t position;
	uint64_t seen;       /* up to here, a client's terminal has got it */
	uint64_t resize_at;  /* UINT64_MAX: not */
	unsigned rows, cols; /* that it will have then */
	TAILQ_HEAD(, job_screen_wait) waits;
	/* the work */
	bool is_busy;
	bool does_resize;
	bool is_seen;                      /* all that goes in */
	unsigned new_rows, new_cols;       /* if it does */
	struct spool_piece pieces[PIECES]; /* held */
	size_t n_pieces;
	struct job_screen_wait *asked; /* NULL: nobody */
	struct buffer answers;
	int error;
	uv_work_t work;
	struct spool_read read;
	uint8_t *read_data; /* NULL: it comes from memory */
};

int job_screen_new(struct job *job, unsigned rows, unsigned cols, struct job_screen **ret_screen)
{
	struct job_screen *screen = calloc(1, sizeof(*screen));
	int error = screen ? screen_new(rows, cols, &screen->screen) : -ENOMEM;

	if (error < 0) {
		free(screen);
		return error;
	}
	screen->job = job;
	screen->resize_at = UINT64_MAX;
	TAILQ_INIT(&screen->waits);
	*ret_screen = screen;
	return 0;
}

void job_screen_free(struct job_screen *screen)
{
	if (!screen)
		return;
	screen_free(screen->screen);
	buffer_deinit(&screen->answers);
	free(screen->read_data);
	free(screen);
}

bool job_screen_is_busy(const struct job_screen *screen)
{
	return screen->is_busy || !TAILQ_EMPTY(&screen->waits);
}

uint64_t job_screen_position(const struct job_screen *screen)
{
	return screen->position;
}

/* --- on a thread ------------------------------------------------------------------------------ */

/* As much of what is above as an answer may have. */
static int draw_text(struct screen *screen, struct job_screen_wait *wait)
{
	unsigned n = wait->n_history;
	int error;

	wait->out.limit = OPS_IO_MAX;
	while ((error = screen_text(screen, n, &wait->out)) == -EMSGSIZE && n > 0) {
		buffer_deinit(&wait->out);
		wait->out.limit = OPS_IO_MAX;
		n /= 2;
	}
	return error;
}

static int draw(struct screen *screen, struct job_screen_wait *wait)
{
	struct screen_info info;

	screen_get_info(screen, &info);
	wait->rows = info.rows;
	wait->cols = info.cols;
	wait->cursor_row = info.cursor_row;
	wait->cursor_col = info.cursor_col;
	snprintf(wait->title, sizeof(wait->title), "%s", info.title);
	return wait->as_text ? draw_text(screen, wait) : screen_redraw(screen, &wait->out);
}

static void work_run(uv_work_t *work)
{
	struct job_screen *screen = work->data;
	int error = 0;

	if (screen->does_resize)
		error = screen_resize(screen->screen, screen->new_rows, screen->new_cols);
	for (size_t i = 0; i < screen->n_pieces && error == 0; i++)
		error =
		    screen_write(screen->screen, screen->pieces[i].data, screen->pieces[i].size);
	screen_take_answers(screen->screen, &screen->answers);
	if (screen->asked)
		error = draw(screen->screen, screen->asked);
	screen->error = error;
}

/* --- on the loop ------------------------------------------------------------------------------ */

static void go_on(struct job_screen *screen);

static void tell(struct job_screen *screen, struct job_screen_wait *wait, int error)
{
	TAILQ_REMOVE(&screen->waits, wait, entry);
	wait->offset = screen->position;
	wait->done(wait, error);
}

static void work_done(uv_work_t *work, int status)
{
	struct job_screen *screen = work->data;
	struct job *job = screen->job;
	struct job_screen_wait *asked = screen->asked;

	job_hold(job);
	for (size_t i = 0; i < screen->n_pieces; i++)
		spool_drop(screen->pieces[i].chunk);
	screen->n_pieces = 0;
	screen->is_busy = screen->does_resize = false;
	screen->asked = NULL;
	if (screen->answers.size > 0 && !screen->is_seen && job->n_clients == 0 &&
	    job->in_fd >= 0 && write(job->in_fd, screen->answers.data, screen->answers.size) < 0)
		buffer_deinit(&screen->answers); /* it does not read: nobody is to wait for it */
	screen->answers.size = 0;
	if (asked)
		tell(screen, asked, screen->error);
	job_stream_guard(job);
	go_on(screen);
	job_release(job);
}

static void start_work(struct job_screen *screen)
{
	screen->is_busy = true;
	screen->work.data = screen;
	if (uv_queue_work(screen->job->jobs->options.loop, &screen->work, work_run, work_done) < 0)
		abort(); /* only fails without a function */
}

/* Where this work has to stop at the latest. */
static uint64_t limit_of(const struct job_screen *screen)
{
	uint64_t end = spool_end(screen->job->spool);

	if (screen->is_seen && screen->seen < end)
		end = screen->seen;
	return screen->resize_at < end ? screen->resize_at : end;
}

static void use(struct job_screen *screen, struct spool_piece *piece, uint64_t limit)
{
	if (piece->size > limit - screen->position)
		piece->size = (size_t)(limit - screen->position);
	screen->position += piece->size;
	if (piece->chunk)
		spool_hold(piece->chunk);
	screen->pieces[screen->n_pieces++] = *piece;
}

/* All that there is goes in: whoever waits is answered with it. */
static void finish_work(struct job_screen *screen)
{
	if (screen->position == spool_end(screen->job->spool) && screen->resize_at == UINT64_MAX)
		screen->asked = TAILQ_FIRST(&screen->waits);
	start_work(screen);
}

static void read_done(struct spool_read *read, int error)
{
	struct job_screen *screen = read->arg;
	struct spool_piece piece = {.data = read->data, .size = read->size};

	screen->is_busy = false;
	if (error < 0) { /* lost: it goes on behind */
		screen->position = error == -ERANGE ? spool_kept(screen->job->spool)
						    : spool_end(screen->job->spool);
		go_on(screen);
		return;
	}
	use(screen, &piece, limit_of(screen));
	finish_work(screen);
}

static int start_read(struct job_screen *screen)
{
	int error;

	if (!screen->read_data)
		screen->read_data = malloc(SPOOL_PIECE_MAX);
	if (!screen->read_data)
		return -ENOMEM;
	screen->read = (struct spool_read){
	    .done = read_done,
	    .arg = screen,
	    .offset = screen->position,
	    .size = SPOOL_PIECE_MAX,
	    .data = screen->read_data,
	    .any_channel = true,
	};
	error = spool_read_start(screen->job->spool, &screen->read);
	screen->is_busy = error == 0;
	return error;
}

static void go_on(struct job_screen *screen)
{
	struct spool *spool = screen->job->spool;
	uint64_t waiting = spool_end(spool) - screen->position;

	if (screen->job->n_clients > 0)
		screen->seen = spool_end(spool);
	if (screen->is_busy)
		return;
	if (TAILQ_EMPTY(&screen->waits) &&
	    (waiting == 0 || (screen->job->n_clients > 0 && waiting < WORTH_IT)))
		return;
	screen->is_seen = screen->position < screen->seen;
	if (screen->resize_at <= screen->position) {
		screen->does_resize = true;
		screen->new_rows = screen->rows;
		screen->new_cols = screen->cols;
		screen->resize_at = UINT64_MAX;
	}
	while (screen->n_pieces < PIECES && screen->position < limit_of(screen)) {
		struct spool_piece piece;
		int error = spool_peek(spool, screen->position, &piece);

		if (error == -EAGAIN && screen->n_pieces == 0 && start_read(screen) == 0)
			return;
		if (error == -ERANGE && screen->n_pieces == 0)
			screen->position = spool_kept(spool);
		else if (error < 0)
			break;
		else
			use(screen, &piece, limit_of(screen));
	}
	finish_work(screen);
}

void job_screen_feed(struct job_screen *screen)
{
	go_on(screen);
}

void job_screen_resize(struct job_screen *screen, unsigned rows, unsigned cols)
{
	screen->rows = rows;
	screen->cols = cols;
	if (screen->resize_at == UINT64_MAX)
		screen->resize_at = spool_end(screen->job->spool);
}

void job_screen_ask(struct job_screen *screen, struct job_screen_wait *wait)
{
	TAILQ_INSERT_TAIL(&screen->waits, wait, entry);
	go_on(screen);
}
