/*
 * A screen as bytes again. The order matters, because most of what sets a terminal up moves its
 * cursor:
 *
 *     titles, lines above, main screen, its saved cursor
 *     if it is shown: alternate screen, its saved cursor
 *     modes, tabs, scrolling region, origin
 *     cursor, pen, character sets, insert mode and automatic wrapping
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/jobs/screen_line.h"
#include "daemon/jobs/screen_private.h"

static const struct screen_pen plain_pen;

static int append(struct buffer *out, const char *text)
{
	return buffer_append(out, text, strlen(text));
}

static int append_position(struct buffer *out, unsigned row, unsigned col)
{
	char text[32];

	return buffer_append(out, text,
			     snprintf(text, sizeof(text), "\033[%u;%uH", row + 1, col + 1));
}

static int emit_title(const char *title, struct buffer *out)
{
	int r = append(out, "\033]2;");

	if (r == 0)
		r = append(out, title);
	return r < 0 ? r : append(out, "\a");
}

static int emit_titles(const struct screen *screen, struct buffer *out)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < screen->n_titles; i++) {
		r = emit_title(screen->titles[i], out);
		if (r == 0)
			r = append(out, "\033[22;2t");
	}
	if (r == 0 && (screen->title[0] || screen->n_titles > 0))
		r = emit_title(screen->title, out);
	return r;
}

/* --- cells ------------------------------------------------------------------------------------
 */

/* Calls one of screen_line.h's for a row. `line` is a buffer that is used again and again. */
static int convert_row(const struct screen_grid *grid, unsigned row, struct buffer *line,
		       int (*convert)(struct bytes line, struct buffer *out), struct buffer *out)
{
	int r;

	line->size = 0;
	r = screen_line_encode(&grid->rows[row], grid->n_cols, line);
	return r < 0 ? r : convert((struct bytes){line->data, line->size}, out);
}

static int emit_main(const struct screen *screen, struct buffer *line, struct buffer *out)
{
	const struct screen_grid *grid = &screen->grids[SCREEN_MAIN];
	int r = 0;

	for (unsigned i = 0; r == 0 && i < screen->history.n; i++) {
		r = screen_line_emit(screen_history_get(&screen->history, i), out);
		if (r == 0)
			r = append(out, "\r\n");
	}
	for (unsigned i = 0; r == 0 && i < grid->n_rows; i++) {
		if (i > 0)
			r = append(out, "\r\n");
		if (r == 0)
			r = convert_row(grid, i, line, screen_line_emit, out);
	}
	return r;
}

/* --- cursors ----------------------------------------------------------------------------------
 */

static int emit_charset(const struct screen_charset *charset, struct buffer *out)
{
	static const char *const shifts[] = {"\017", "\016", "\033n", "\033o"};
	int r = 0;

	if (memcmp(charset, &screen_charset_standard, sizeof(*charset)) == 0)
		return 0;
	for (unsigned i = 0; r == 0 && i < 4; i++) {
		char text[] = {'\033', "()*+"[i], charset -> sets[i], '\0'};

		r = append(out, text);
	}
	return r < 0 ? r : append(out, shifts[charset->shift]);
}

/* What is saved, saved there; the cursor is left there, with a plain pen. */
static int emit_slot(const struct screen_slot *slot, struct buffer *out)
{
	int r = slot->origin ? append(out, "\033[?6h") : 0;

	if (r == 0)
		r = append_position(out, slot->row, slot->col);
	if (r == 0 && !screen_pen_equal(&slot->pen, &plain_pen))
		r = screen_pen_emit(&slot->pen, out);
	if (r == 0)
		r = emit_charset(&slot->charset, out);
	return r < 0 ? r : append(out, "\0337");
}

/* Takes back what emit_slot did, but for the place. */
static int emit_plain(const struct screen_slot *slot, struct buffer *out)
{
	int r = slot->origin ? append(out, "\033[?6l") : 0;

	if (r == 0 && !screen_pen_equal(&slot->pen, &plain_pen))
		r = screen_pen_emit(&plain_pen, out);
	if (r == 0 && memcmp(&slot->charset, &screen_charset_standard, sizeof(slot->charset)) != 0)
		r = append(out, "\033(B\033)B\033*B\033+B\017");
	return r;
}

static int emit_alternate(const struct screen *screen, struct buffer *line, struct buffer *out)
{
	const struct screen_grid *grid = &screen->grids[SCREEN_ALTERNATE];
	int r;

	/* Entering it saves the cursor once more, which has not moved, and erases in its colour. */
	r = append(out, "\033[?1049h");
	if (r == 0)
		r = emit_plain(&screen->slots[SCREEN_MAIN], out);
	if (r == 0)
		r = append(out, "\033[2J");
	for (unsigned i = 0; r == 0 && i < grid->n_rows; i++) {
		r = append_position(out, i, 0);
		if (r == 0)
			r = convert_row(grid, i, line, screen_line_emit, out);
	}
	return r;
}

/* The last column is written to and the cursor waits there: only writing does that. */
static int emit_last_column(const struct screen *screen, unsigned row, unsigned col,
			    struct buffer *out)
{
	const struct screen_row *line = &screen->grids[screen->active].rows[row];
	struct screen_cell cell = screen_row_get(line, col);
	const uint32_t *marks = screen_row_get_marks(line, col);
	int r = screen_pen_emit(&cell.pen, out);

	if (r == 0)
		r = screen_line_append_character(out, cell.character);
	for (unsigned i = 0; r == 0 && i < cell.n_marks; i++)
		r = screen_line_append_character(out, marks[i]);
	return r;
}

static int emit_cursor(const struct screen *screen, struct buffer *out)
{
	bool origin = screen_modes_is_set(&screen->modes, SCREEN_MODE_ORIGIN);
	unsigned row, col;
	int r;

	screen_get_cursor(screen, &row, &col);
	r = append_position(out, origin ? row - screen->top : row, col);
	if (r == 0 && screen->wraps_next)
		r = emit_last_column(screen, row, col, out);
	if (r == 0 && (screen->wraps_next || !screen_pen_equal(&screen->pen, &plain_pen)))
		r = screen_pen_emit(&screen->pen, out);
	if (r == 0)
		r = emit_charset(&screen->charset, out);
	if (r == 0 && screen->modes.insert)
		r = append(out, "\033[4h");
	if (r == 0 && !screen_modes_is_set(&screen->modes, SCREEN_MODE_AUTOWRAP))
		r = append(out, "\033[?7l");
	return r;
}

/* --- the rest ---------------------------------------------------------------------------------
 */

static int emit_tabs(const struct screen *screen, struct buffer *out)
{
	bool is_standard = true;
	int r;

	for (unsigned i = 0; i < screen->cols; i++)
		is_standard = is_standard && screen->tabs[i] == (i % 8 == 0);
	if (is_standard)
		return 0;
	r = append(out, "\033[3g");
	for (unsigned i = 0; r == 0 && i < screen->cols; i++) {
		if (!screen->tabs[i])
			continue;
		r = append_position(out, 0, i);
		if (r == 0)
			r = append(out, "\033H");
	}
	return r;
}

static int emit_region(const struct screen *screen, struct buffer *out)
{
	char text[32];
	int r = 0;

	if (screen->top != 0 || screen->bottom != screen->rows)
		r = buffer_append(
		    out, text,
		    snprintf(text, sizeof(text), "\033[%u;%ur", screen->top + 1, screen->bottom));
	if (r == 0 && screen_modes_is_set(&screen->modes, SCREEN_MODE_ORIGIN))
		r = append(out, "\033[?6h");
	return r;
}

int screen_redraw(struct screen *screen, struct buffer *out)
{
	const struct screen_slot *slots = screen->slots;
	struct buffer line = {0};
	int r = emit_titles(screen, out);

	if (r == 0)
		r = emit_main(screen, &line, out);
	if (r == 0)
		r = emit_slot(&slots[SCREEN_MAIN], out);
	if (r == 0 && screen->active == SCREEN_ALTERNATE) {
		r = emit_alternate(screen, &line, out);
		if (r == 0)
			r = emit_slot(&slots[SCREEN_ALTERNATE], out);
	}
	if (r == 0)
		r = emit_plain(&slots[screen->active], out);
	if (r == 0)
		r = screen_modes_emit(&screen->modes, out);
	if (r == 0)
		r = emit_tabs(screen, out);
	if (r == 0)
		r = emit_region(screen, out);
	if (r == 0)
		r = emit_cursor(screen, out);
	buffer_deinit(&line);
	return r;
}

int screen_text(struct screen *screen, unsigned n_history, struct buffer *out)
{
	const struct screen_grid *grid = &screen->grids[screen->active];
	unsigned n = screen->history.n;
	struct buffer line = {0};
	int r = 0;

	for (unsigned i = n_history < n ? n - n_history : 0; r == 0 && i < n; i++) {
		r = screen_line_text(screen_history_get(&screen->history, i), out);
		if (r == 0)
			r = append(out, "\n");
	}
	for (unsigned i = 0; r == 0 && i < grid->n_rows; i++) {
		r = convert_row(grid, i, &line, screen_line_text, out);
		if (r == 0)
			r = append(out, "\n");
	}
	buffer_deinit(&line);
	return r;
}
