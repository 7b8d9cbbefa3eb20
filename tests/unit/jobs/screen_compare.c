#include "tests/unit/jobs/screen_compare.h"

#include <stdio.h>
#include <string.h>

#include "daemon/jobs/screen_line.h"
#include "daemon/jobs/screen_private.h"

#define DIFFERS(...)                                                                               \
	do {                                                                                       \
		snprintf(text, size, __VA_ARGS__);                                                 \
		return -1;                                                                         \
	} while (0)

#define SAME(field)                                                                                \
	do {                                                                                       \
		if (a->field != b->field)                                                          \
			DIFFERS("%s: %lld and %lld", #field, (long long)a->field,                  \
				(long long)b->field);                                              \
	} while (0)

static int compare_cells(const struct screen_row *a, const struct screen_row *b, unsigned n_cols,
			 const char *what, unsigned row, char *text, size_t size)
{
	for (unsigned col = 0; col < n_cols; col++) {
		struct screen_cell x = screen_row_get(a, col), y = screen_row_get(b, col);

		if (x.character != y.character || x.width != y.width || x.n_marks != y.n_marks)
			DIFFERS(
			    "%s %u,%u: U+%04X width %u, %u marks, and U+%04X width %u, %u marks",
			    what, row, col, x.character, x.width, x.n_marks, y.character, y.width,
			    y.n_marks);
		if (!screen_pen_equal(&x.pen, &y.pen))
			DIFFERS("%s %u,%u: pens %x %x %x %x %x and %x %x %x %x %x", what, row, col,
				x.pen.fg, x.pen.bg, x.pen.under, x.pen.attributes, x.pen.underline,
				y.pen.fg, y.pen.bg, y.pen.under, y.pen.attributes, y.pen.underline);
		if (x.n_marks > 0 && memcmp(screen_row_get_marks(a, col),
					    screen_row_get_marks(b, col), 4 * x.n_marks) != 0)
			DIFFERS("%s %u,%u: other marks", what, row, col);
	}
	return 0;
}

static int compare_grids(const struct screen_grid *a, const struct screen_grid *b, const char *what,
			 char *text, size_t size)
{
	for (unsigned i = 0; i < a->n_rows; i++)
		if (compare_cells(&a->rows[i], &b->rows[i], a->n_cols, what, i, text, size) < 0)
			return -1;
	return 0;
}

bool screen_compare_history_fits(const struct screen *screen)
{
	bool fits = true;

	for (unsigned i = 0; fits && i < screen->history.n; i++) {
		struct screen_grid grid;

		if (screen_grid_init(&grid, 1, SCREEN_COLS_MAX) < 0)
			return false;
		fits = screen_line_decode(screen_history_get(&screen->history, i), &grid, 0) == 0 &&
		       grid.rows[0].n_used <= screen->cols;
		screen_grid_deinit(&grid);
	}
	return fits;
}

static int compare_histories(const struct screen *a, const struct screen *b, char *text,
			     size_t size)
{
	if (!screen_compare_history_fits(a))
		return 0;
	SAME(history.n);
	for (unsigned i = 0; i < a->history.n; i++) {
		struct bytes x = screen_history_get(&a->history, i),
			     y = screen_history_get(&b->history, i);

		if (x.size != y.size || (x.size > 0 && memcmp(x.data, y.data, x.size) != 0))
			DIFFERS("line %u above: %zu and %zu bytes", i, x.size, y.size);
	}
	return 0;
}

static int compare_slots(const struct screen_slot *a, const struct screen_slot *b, char *text,
			 size_t size)
{
	SAME(row);
	SAME(col);
	SAME(origin);
	SAME(charset.shift);
	if (memcmp(a->charset.sets, b->charset.sets, 4) != 0 || !screen_pen_equal(&a->pen, &b->pen))
		DIFFERS("saved cursor: character set or pen");
	return 0;
}

static int compare_modes(const struct screen_modes *a, const struct screen_modes *b, char *text,
			 size_t size)
{
	SAME(changed);
	SAME(mouse);
	SAME(mouse_encoding);
	SAME(keypad);
	SAME(insert);
	SAME(newline);
	SAME(cursor_style);
	SAME(other_keys);
	return 0;
}

int screen_compare(const struct screen *a, const struct screen *b, char *text, size_t size)
{
	unsigned rows[2], cols[2];

	SAME(rows);
	SAME(cols);
	SAME(active);
	SAME(top);
	SAME(bottom);
	SAME(n_titles);
	if (compare_histories(a, b, text, size) < 0 ||
	    compare_grids(&a->grids[SCREEN_MAIN], &b->grids[SCREEN_MAIN], "main", text, size) < 0)
		return -1;
	if (a->active == SCREEN_ALTERNATE &&
	    (compare_grids(&a->grids[SCREEN_ALTERNATE], &b->grids[SCREEN_ALTERNATE], "alternate",
			   text, size) < 0 ||
	     compare_slots(&a->slots[SCREEN_ALTERNATE], &b->slots[SCREEN_ALTERNATE], text, size) <
		 0))
		return -1;
	if (compare_slots(&a->slots[SCREEN_MAIN], &b->slots[SCREEN_MAIN], text, size) < 0 ||
	    compare_modes(&a->modes, &b->modes, text, size) < 0)
		return -1;
	screen_get_cursor(a, &rows[0], &cols[0]);
	screen_get_cursor(b, &rows[1], &cols[1]);
	if (rows[0] != rows[1] || cols[0] != cols[1])
		DIFFERS("cursor %u,%u and %u,%u", rows[0], cols[0], rows[1], cols[1]);
	SAME(wraps_next);
	SAME(charset.shift);
	if (memcmp(a->charset.sets, b->charset.sets, 4) != 0)
		DIFFERS("character sets");
	if (!screen_pen_equal(&a->pen, &b->pen))
		DIFFERS("pen");
	if (memcmp(a->tabs, b->tabs, a->cols * sizeof(*a->tabs)) != 0)
		DIFFERS("tabs");
	if (strcmp(a->title, b->title) != 0)
		DIFFERS("title '%s' and '%s'", a->title, b->title);
	return 0;
}

struct screen *screen_compare_redrawn(struct screen *screen)
{
	struct buffer out = {0};
	struct screen *other = NULL;

	if (screen_redraw(screen, &out) == 0 &&
	    screen_new(screen->rows, screen->cols, &other) == 0 &&
	    screen_write(other, out.data, out.size) < 0)
		other = screen_free(other);
	buffer_deinit(&out);
	return other;
}
