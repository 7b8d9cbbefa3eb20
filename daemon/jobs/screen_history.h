/*
 * The lines that left a screen at its top: the last SCREEN_HISTORY_LINES, and of those as many as
 * fit into SCREEN_HISTORY_BYTES.
 */
#ifndef DAEMON_JOBS_SCREEN_HISTORY_H
#define DAEMON_JOBS_SCREEN_HISTORY_H

#include "daemon/jobs/screen_grid.h"
#include "proto/codec.h"

struct screen_history_line {
	uint8_t *data; /* as in screen_line.h; NULL if it is empty */
	uint32_t size;
};

/* Zero at first. */
struct screen_history {
	struct screen_history_line *lines; /* a ring */
	unsigned capacity;
	unsigned first, n;
	size_t n_bytes;
	struct buffer line; /* the one that is being made */
};

void screen_history_deinit(struct screen_history *history);
/* 0 or -ENOMEM. */
int screen_history_push(struct screen_history *history, const struct screen_row *row,
			unsigned n_cols);
/* The newest goes back to a row that is blank. 0, -ENOENT or -ENOMEM. */
int screen_history_pop(struct screen_history *history, struct screen_grid *grid, unsigned row);
void screen_history_clear(struct screen_history *history);
/* From the oldest, 0, on; i < n. */
struct bytes screen_history_get(const struct screen_history *history, unsigned i);

#endif
