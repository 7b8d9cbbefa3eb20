/*
 * The cells of a screen: rows that begin with cells which were written, and go on with blanks of
 * one background colour, so that erasing costs nothing.
 */
#ifndef DAEMON_JOBS_SCREEN_GRID_H
#define DAEMON_JOBS_SCREEN_GRID_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/jobs/screen_pen.h"

#define SCREEN_MARKS_MAX 5 /* combining characters of a cell; more are left out */

struct screen_cell {
	uint32_t character; /* ' ' if nothing was written */
	struct screen_pen pen;
	uint8_t width; /* 1, 2, or 0 for the right half of the one before */
	uint8_t n_marks;
};

struct screen_row {
	struct screen_cell *cells;
	uint32_t (*marks)[SCREEN_MARKS_MAX]; /* of each cell; NULL: there are none */
	unsigned capacity;
	unsigned n_used;     /* beyond: blanks */
	uint32_t background; /* of those */
};

struct screen_grid {
	unsigned n_rows, n_cols;
	unsigned capacity; /* in rows */
	struct screen_row *rows;
};

/* 0 or -ENOMEM. */
int screen_grid_init(struct screen_grid *grid, unsigned n_rows, unsigned n_cols);
void screen_grid_deinit(struct screen_grid *grid);
void screen_row_deinit(struct screen_row *row);

/* A copy; beyond what was written a blank. */
struct screen_cell screen_row_get(const struct screen_row *row, unsigned col);
const uint32_t *screen_row_get_marks(const struct screen_row *row, unsigned col);

/* Writes a glyph; halves of wide ones that are left over become blanks. 0 or -ENOMEM. */
int screen_grid_put(struct screen_grid *grid, unsigned row, unsigned col,
		    const struct screen_cell *cell, const uint32_t *marks);
/* From one column up to another, which is not erased. 0 or -ENOMEM. */
int screen_grid_erase(struct screen_grid *grid, unsigned row, unsigned from, unsigned to,
		      uint32_t background);
/* Takes `n` cells out at `from`, what is right of them up to `to` moves there; with n < 0 blanks
 * come in. 0 or -ENOMEM. */
int screen_grid_shift(struct screen_grid *grid, unsigned row, unsigned from, unsigned to, int n,
		      uint32_t background);
/* Moves the rows from `top` up to `bottom` by n up, or down with n < 0. */
void screen_grid_scroll(struct screen_grid *grid, unsigned top, unsigned bottom, int n,
			uint32_t background);
/* Room for so many rows. 0 or -ENOMEM. */
int screen_grid_reserve(struct screen_grid *grid, unsigned n_rows);
/* Rows come or go at the bottom, columns at the right. There must be room. */
void screen_grid_resize(struct screen_grid *grid, unsigned n_rows, unsigned n_cols);

#endif
