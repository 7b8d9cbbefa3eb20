#include "daemon/jobs/screen_grid.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct screen_cell blank(uint32_t background)
{
	return (struct screen_cell){.character = ' ', .pen = {.bg = background}, .width = 1};
}

static void clear(struct screen_row *row, uint32_t background)
{
	row->n_used = 0;
	row->background = background;
}

/* --- rows ------------------------------------------------------------------------------------- */

void screen_row_deinit(struct screen_row *row)
{
	free(row->cells);
	free(row->marks);
	*row = (struct screen_row){0};
}

struct screen_cell screen_row_get(const struct screen_row *row, unsigned col)
{
	return col < row->n_used ? row->cells[col] : blank(row->background);
}

const uint32_t *screen_row_get_marks(const struct screen_row *row, unsigned col)
{
	return col < row->n_used && row->marks ? row->marks[col] : NULL;
}

static int reserve_marks(struct screen_row *row)
{
	if (!row->marks)
		row->marks = calloc(row->capacity, sizeof(*row->marks));
	return row->marks ? 0 : -ENOMEM;
}

static int reserve(struct screen_row *row, unsigned n)
{
	unsigned capacity = row->capacity ? row->capacity : 80;
	struct screen_cell *cells;
	void *marks;

	if (n <= row->capacity)
		return 0;
	while (capacity < n)
		capacity *= 2;
	if (row->marks) {
		marks = realloc(row->marks, capacity * sizeof(*row->marks));
		if (!marks)
			return -ENOMEM;
		row->marks = marks;
	}
	cells = realloc(row->cells, capacity * sizeof(*cells));
	if (!cells)
		return -ENOMEM;
	row->cells = cells;
	row->capacity = capacity;
	return 0;
}

/* Makes the first n cells ones that can be written to. */
static int use(struct screen_row *row, unsigned n)
{
	int r = reserve(row, n);

	if (r < 0)
		return r;
	for (; row->n_used < n; row->n_used++)
		row->cells[row->n_used] = blank(row->background);
	return 0;
}

/* Makes right what is left and right of a border: half a wide glyph is none. */
static void heal(struct screen_row *row, unsigned col)
{
	bool is_wide = col > 0 && col - 1 < row->n_used && row->cells[col - 1].width == 2;
	bool is_half = col < row->n_used && row->cells[col].width == 0;

	if (is_wide == is_half)
		return;
	if (is_wide)
		row->cells[col - 1] = blank(row->cells[col - 1].pen.bg);
	else
		row->cells[col] = blank(row->cells[col].pen.bg);
}

static void move(struct screen_row *row, unsigned to, unsigned from, unsigned n)
{
	memmove(row->cells + to, row->cells + from, n * sizeof(*row->cells));
	if (row->marks)
		memmove(row->marks + to, row->marks + from, n * sizeof(*row->marks));
}

/* --- the grid --------------------------------------------------------------------------------- */

int screen_grid_init(struct screen_grid *grid, unsigned n_rows, unsigned n_cols)
{
	struct screen_row *rows = calloc(n_rows, sizeof(*rows));

	if (!rows)
		return -ENOMEM;
	*grid = (struct screen_grid){
	    .n_rows = n_rows, .n_cols = n_cols, .capacity = n_rows, .rows = rows};
	return 0;
}

void screen_grid_deinit(struct screen_grid *grid)
{
	for (unsigned i = 0; i < grid->n_rows; i++)
		screen_row_deinit(&grid->rows[i]);
	free(grid->rows);
	*grid = (struct screen_grid){0};
}

int screen_grid_put(struct screen_grid *grid, unsigned row, unsigned col,
		    const struct screen_cell *cell, const uint32_t *marks)
{
	struct screen_row *where = &grid->rows[row];
	unsigned end = col + cell->width;
	int r = use(where, col);

	if (r == 0)
		r = reserve(where, end);
	if (r == 0 && cell->n_marks > 0)
		r = reserve_marks(where);
	if (r < 0)
		return r;
	if (where->n_used < end)
		where->n_used = end;
	where->cells[col] = *cell;
	if (cell->n_marks > 0)
		memcpy(where->marks[col], marks, cell->n_marks * sizeof(*marks));
	if (cell->width == 2)
		where->cells[col + 1] =
		    (struct screen_cell){.character = ' ', .pen = cell->pen, .width = 0};
	heal(where, col);
	heal(where, end);
	return 0;
}

int screen_grid_erase(struct screen_grid *grid, unsigned row, unsigned from, unsigned to,
		      uint32_t background)
{
	struct screen_row *where = &grid->rows[row];
	int r;

	if (from == 0 && to >= grid->n_cols) {
		clear(where, background);
		return 0;
	}
	r = use(where, to >= grid->n_cols ? from : to);
	if (r < 0)
		return r;
	if (to >= grid->n_cols) {
		where->n_used = from;
		where->background = background;
	}
	for (unsigned i = from; i < where->n_used && i < to; i++)
		where->cells[i] = blank(background);
	heal(where, from);
	heal(where, to);
	return 0;
}

int screen_grid_shift(struct screen_grid *grid, unsigned row, unsigned from, unsigned to, int n,
		      uint32_t background)
{
	struct screen_row *where = &grid->rows[row];
	unsigned width = to - from;
	unsigned by = n < 0 ? -(unsigned)n : (unsigned)n;
	int r;

	if (by >= width)
		return screen_grid_erase(grid, row, from, to, background);
	r = use(where, to);
	if (r < 0)
		return r;
	heal(where, to);
	if (n > 0) {
		move(where, from, from + by, width - by);
		r = screen_grid_erase(grid, row, to - by, to, background);
	} else {
		move(where, from + by, from, width - by);
		/* Before it is healed: the left half may have moved away from the right one. */
		for (unsigned i = from; i < from + by; i++)
			where->cells[i] = blank(background);
		heal(where, from + by);
	}
	heal(where, from);
	heal(where, to);
	return r;
}

static void reverse(struct screen_row *rows, unsigned n)
{
	for (unsigned i = 0; i < n / 2; i++) {
		struct screen_row other = rows[i];

		rows[i] = rows[n - 1 - i];
		rows[n - 1 - i] = other;
	}
}

void screen_grid_scroll(struct screen_grid *grid, unsigned top, unsigned bottom, int n,
			uint32_t background)
{
	struct screen_row *rows = grid->rows + top;
	unsigned height = bottom - top;
	unsigned by = n < 0 ? -(unsigned)n : (unsigned)n;

	if (by > height)
		by = height;
	if (by < height) {
		unsigned split = n > 0 ? by : height - by;

		reverse(rows, split);
		reverse(rows + split, height - split);
		reverse(rows, height);
	}
	for (unsigned i = 0; i < by; i++)
		clear(&rows[n > 0 ? height - 1 - i : i], background);
}

int screen_grid_reserve(struct screen_grid *grid, unsigned n_rows)
{
	struct screen_row *rows;

	if (n_rows <= grid->capacity)
		return 0;
	rows = realloc(grid->rows, n_rows * sizeof(*rows));
	if (!rows)
		return -ENOMEM;
	grid->rows = rows;
	grid->capacity = n_rows;
	return 0;
}

/* What comes at the right was never erased in a colour. */
static void widen(struct screen_row *row, unsigned n_cols)
{
	if (row->background && use(row, n_cols) == 0)
		row->background = 0;
}

static void narrow(struct screen_row *row, unsigned n_cols)
{
	if (row->n_used > n_cols)
		row->n_used = n_cols;
	heal(row, n_cols);
}

void screen_grid_resize(struct screen_grid *grid, unsigned n_rows, unsigned n_cols)
{
	for (; grid->n_rows > n_rows; grid->n_rows--)
		screen_row_deinit(&grid->rows[grid->n_rows - 1]);
	for (unsigned i = 0; i < grid->n_rows; i++) {
		if (n_cols > grid->n_cols)
			widen(&grid->rows[i], grid->n_cols);
		else
			narrow(&grid->rows[i], n_cols);
	}
	for (; grid->n_rows < n_rows; grid->n_rows++)
		grid->rows[grid->n_rows] = (struct screen_row){0};
	grid->n_cols = n_cols;
}
