#include "daemon/jobs/screen_private.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/jobs/screen_line.h"

/* How much text libvterm is given at once: it puts four times as much on its stack. */
#define TEXT_MAX 1024

void screen_note(struct screen *screen, int r)
{
	if (r < 0 && screen->error == 0)
		screen->error = r;
}

/* --- what libvterm tells ----------------------------------------------------------------------
 */

static struct screen_grid *shown(struct screen *screen)
{
	return &screen->grids[screen->active];
}

static int put_glyph(VTermGlyphInfo *info, VTermPos pos, void *arg)
{
	struct screen *screen = arg;
	struct screen_grid *grid = shown(screen);
	struct screen_cell cell = {
	    .character = info->chars[0], .pen = screen->pen, .width = info->width > 1 ? 2 : 1};

	if (info->width < 1 || pos.row < 0 || pos.col < 0 || (unsigned)pos.row >= grid->n_rows ||
	    (unsigned)pos.col >= grid->n_cols)
		return 1;
	if ((unsigned)pos.col + cell.width > grid->n_cols) {
		/* Of a wide one in a terminal of one column, something. */
		cell.character = 0xfffd;
		cell.width = 1;
	}
	screen_note(screen, screen_grid_put(grid, pos.row, pos.col, &cell, NULL));
	screen->glyph = (struct screen_glyph){.is_valid = screen->error == 0,
					      .row = pos.row,
					      .col = pos.col,
					      .n_characters = 1,
					      .characters = {cell.character}};
	screen->wraps_next = (unsigned)pos.col + cell.width >= grid->n_cols &&
			     screen_modes_is_set(&screen->modes, SCREEN_MODE_AUTOWRAP);
	return 1;
}

static VTermRect clip(const struct screen_grid *grid, VTermRect rect)
{
	int n_rows = grid->n_rows, n_cols = grid->n_cols;

	rect.start_row = rect.start_row < 0 ? 0 : rect.start_row;
	rect.start_col = rect.start_col < 0 ? 0 : rect.start_col;
	rect.end_row = rect.end_row > n_rows ? n_rows : rect.end_row;
	rect.end_col = rect.end_col > n_cols ? n_cols : rect.end_col;
	return rect;
}

static int scroll(VTermRect rect, int downward, int rightward, void *arg)
{
	struct screen *screen = arg;
	struct screen_grid *grid = shown(screen);

	rect = clip(grid, rect);
	if (rect.start_row >= rect.end_row || rect.start_col >= rect.end_col)
		return 1;
	if (rightward != 0) {
		for (int row = rect.start_row; row < rect.end_row; row++)
			screen_note(screen,
				    screen_grid_shift(grid, row, rect.start_col, rect.end_col,
						      rightward, screen->pen.bg));
		return 1;
	}
	if (screen->active == SCREEN_MAIN && screen->lines_leave && rect.start_row == 0)
		for (int row = 0; row < downward && row < rect.end_row; row++)
			screen_note(screen, screen_history_push(&screen->history, &grid->rows[row],
								grid->n_cols));
	screen_grid_scroll(grid, rect.start_row, rect.end_row, downward, screen->pen.bg);
	return 1;
}

static int erase(VTermRect rect, int selective, void *arg)
{
	struct screen *screen = arg;
	struct screen_grid *grid = shown(screen);

	rect = clip(grid, rect);
	for (int row = rect.start_row; row < rect.end_row && rect.start_col < rect.end_col; row++)
		screen_note(screen, screen_grid_erase(grid, row, rect.start_col, rect.end_col,
						      screen->pen.bg));
	return 1;
}

static const VTermStateCallbacks callbacks = {
    .putglyph = put_glyph, .scrollrect = scroll, .erase = erase};

/* --- what it is told --------------------------------------------------------------------------
 */

void screen_get_cursor(const struct screen *screen, unsigned *ret_row, unsigned *ret_col)
{
	VTermPos pos;

	vterm_state_get_cursorpos(screen->state, &pos);
	*ret_row = pos.row;
	*ret_col = pos.col;
}

static void feed(struct screen *screen, const char *format, va_list list)
{
	char text[64];
	int n = vsnprintf(text, sizeof(text), format, list);

	screen->glyph.is_valid = false;
	vterm_input_write(screen->vterm, text, n);
}

void screen_feed(struct screen *screen, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	feed(screen, format, list);
	va_end(list);
}

void screen_feed_motion(struct screen *screen, const char *format, ...)
{
	unsigned row, col;
	va_list list;

	/* What libvterm makes of a line that is full differs from command to command. */
	if (screen->wraps_next) {
		screen->wraps_next = false;
		screen_get_cursor(screen, &row, &col);
		screen_feed(screen, "\033[%uG", col + 1);
	}
	va_start(list, format);
	feed(screen, format, list);
	va_end(list);
}

void screen_place(struct screen *screen, unsigned row, unsigned col)
{
	row = row < screen->rows ? row : screen->rows - 1;
	if (screen_modes_is_set(&screen->modes, SCREEN_MODE_ORIGIN))
		row = row > screen->top ? row - screen->top : 0;
	screen_feed_motion(screen, "\033[%u;%uH", row + 1, col + 1);
}

void screen_put_text(struct screen *screen, const char *text, size_t size)
{
	for (size_t i = 0; i < size; i += TEXT_MAX)
		vterm_input_write(screen->vterm, text + i,
				  size - i < TEXT_MAX ? size - i : TEXT_MAX);
}

/* libvterm would do it too, but not in the last column, and it keeps all there are. */
static void put_mark(struct screen *screen, uint32_t mark)
{
	struct screen_glyph *glyph = &screen->glyph;
	struct screen_grid *grid = shown(screen);
	struct screen_cell cell;

	if (!glyph->is_valid || glyph->n_characters == 1 + SCREEN_MARKS_MAX)
		return;
	cell = screen_row_get(&grid->rows[glyph->row], glyph->col);
	glyph->characters[glyph->n_characters++] = mark;
	cell.n_marks = glyph->n_characters - 1;
	screen_note(screen,
		    screen_grid_put(grid, glyph->row, glyph->col, &cell, glyph->characters + 1));
}

void screen_put(struct screen *screen, uint32_t character)
{
	uint8_t text[4];
	struct buffer buffer = {.data = text, .capacity = sizeof(text)};

	if (character >= 0x300 && screen_widths_is_mark(&screen->widths, character)) {
		put_mark(screen, character);
		return;
	}
	/* By itself, since libvterm uses another character set for what comes right after. */
	screen_line_append_character(&buffer, character);
	vterm_input_write(screen->vterm, (const char *)text, buffer.size);
}

/* --- from birth to death ----------------------------------------------------------------------
 */

void screen_reset(struct screen *screen)
{
	screen->active = SCREEN_MAIN;
	screen->pen = (struct screen_pen){0};
	screen->modes = (struct screen_modes){0};
	screen->charset = screen_charset_standard;
	for (unsigned i = 0; i < 2; i++)
		screen->slots[i] = (struct screen_slot){.charset = screen_charset_standard};
	screen->top = 0;
	screen->bottom = screen->rows;
	screen->wraps_next = false;
	screen->glyph.is_valid = false;
	screen_reset_tabs(screen, 0);
	vterm_state_reset(screen->state, 1);
	screen_apply_charset(screen, &screen_charset_standard);
	screen_grid_scroll(&screen->grids[SCREEN_ALTERNATE], 0, screen->rows, screen->rows, 0);
}

/* Within the bounds; rows give way. */
static void bound(unsigned *rows, unsigned *cols)
{
	if (*rows == 0)
		*rows = 1;
	if (*cols == 0)
		*cols = 1;
	if (*cols > SCREEN_COLS_MAX)
		*cols = SCREEN_COLS_MAX;
	if (*rows > SCREEN_ROWS_MAX)
		*rows = SCREEN_ROWS_MAX;
	if (*rows > SCREEN_CELLS_MAX / *cols)
		*rows = SCREEN_CELLS_MAX / *cols;
}

int screen_new(unsigned rows, unsigned cols, struct screen **ret_screen)
{
	struct screen *screen = calloc(1, sizeof(*screen));
	int r = -ENOMEM;

	if (!screen)
		return -ENOMEM;
	bound(&rows, &cols);
	screen->rows = rows;
	screen->cols = cols;
	screen->lines_leave = true;
	screen->parser = (struct screen_parser){.ops = &screen_parser_ops, .arg = screen};
	screen->vterm = vterm_new(rows, cols);
	if (!screen->vterm || screen_widths_init(&screen->widths) < 0)
		goto fail;
	for (unsigned i = 0; i < 2; i++) {
		r = screen_grid_init(&screen->grids[i], rows, cols);
		if (r < 0)
			goto fail;
	}
	vterm_set_utf8(screen->vterm, 1);
	screen->state = vterm_obtain_state(screen->vterm);
	vterm_state_set_callbacks(screen->state, &callbacks, screen);
	screen_reset(screen);
	*ret_screen = screen;
	return 0;
fail:
	screen_free(screen);
	return r;
}

struct screen *screen_free(struct screen *screen)
{
	if (!screen)
		return NULL;
	if (screen->vterm)
		vterm_free(screen->vterm);
	screen_widths_deinit(&screen->widths);
	for (unsigned i = 0; i < 2; i++)
		screen_grid_deinit(&screen->grids[i]);
	screen_history_deinit(&screen->history);
	for (unsigned i = 0; i < screen->n_titles; i++)
		free(screen->titles[i]);
	buffer_deinit(&screen->answers);
	free(screen);
	return NULL;
}

static int take_error(struct screen *screen)
{
	int r = screen->error;

	screen->error = 0;
	return r;
}

int screen_write(struct screen *screen, const void *data, size_t size)
{
	screen_parser_write(&screen->parser, data, size);
	return take_error(screen);
}

void screen_get_info(const struct screen *screen, struct screen_info *ret_info)
{
	*ret_info = (struct screen_info){
	    .rows = screen->rows,
	    .cols = screen->cols,
	    .cursor_visible = screen_modes_is_set(&screen->modes, SCREEN_MODE_CURSOR),
	    .alternate = screen->active == SCREEN_ALTERNATE,
	    .n_history = screen->history.n,
	    .title = screen->title,
	};
	screen_get_cursor(screen, &ret_info->cursor_row, &ret_info->cursor_col);
}

/* --- another size -----------------------------------------------------------------------------
 */

/* Makes room at the bottom of a grid that becomes smaller, so that the line of the cursor stays.
 * Returns by how many rows its content has moved up. */
static unsigned move_up(struct screen *screen, unsigned which, unsigned cursor_row, unsigned rows)
{
	struct screen_grid *grid = &screen->grids[which];
	unsigned n = cursor_row >= rows ? cursor_row + 1 - rows : 0;

	for (unsigned i = 0; i < n && which == SCREEN_MAIN; i++)
		screen_note(screen,
			    screen_history_push(&screen->history, &grid->rows[i], grid->n_cols));
	if (n > 0)
		screen_grid_scroll(grid, 0, grid->n_rows, n, 0);
	return n;
}

/* Brings lines back from above, in a grid that has become larger. Returns how many. */
static unsigned move_down(struct screen *screen, unsigned n)
{
	struct screen_grid *grid = &screen->grids[SCREEN_MAIN];

	if (n > screen->history.n)
		n = screen->history.n;
	if (n == 0)
		return 0;
	screen_grid_scroll(grid, 0, grid->n_rows, -(int)n, 0);
	for (unsigned i = n; i > 0; i--)
		screen_note(screen, screen_history_pop(&screen->history, grid, i - 1));
	return n;
}

/* The line is full and stays so: its last character is written again. */
static void fill_again(struct screen *screen, unsigned row, unsigned col)
{
	struct screen_row *line = &shown(screen)->rows[row];
	struct screen_cell cell = screen_row_get(line, col);
	struct screen_pen pen = screen->pen;
	uint32_t marks[SCREEN_MARKS_MAX];

	if (cell.n_marks > 0)
		memcpy(marks, screen_row_get_marks(line, col), sizeof(marks));
	screen->pen = cell.pen;
	screen_put(screen, cell.character);
	for (unsigned i = 0; i < cell.n_marks; i++)
		screen_put(screen, marks[i]);
	screen->pen = pen;
}

static void clamp_slot(struct screen_slot *slot, unsigned rows, unsigned cols)
{
	if (slot->row >= rows)
		slot->row = rows - 1;
	if (slot->col >= cols)
		slot->col = cols - 1;
}

int screen_resize(struct screen *screen, unsigned rows, unsigned cols)
{
	bool was_full = screen->wraps_next, is_main = screen->active == SCREEN_MAIN;
	unsigned old_cols = screen->cols, old_rows = screen->rows, row, col;
	unsigned *main_row = is_main ? &row : &screen->slots[SCREEN_MAIN].row;

	bound(&rows, &cols);
	if (rows == old_rows && cols == old_cols)
		return 0;
	for (unsigned i = 0; i < 2; i++) {
		int r = screen_grid_reserve(&screen->grids[i], rows);

		if (r < 0)
			return r;
	}
	screen_get_cursor(screen, &row, &col);
	*main_row -= move_up(screen, SCREEN_MAIN, *main_row, rows);
	if (!is_main)
		row -= move_up(screen, SCREEN_ALTERNATE, row, rows);
	for (unsigned i = 0; i < 2; i++)
		screen_grid_resize(&screen->grids[i], rows, cols);
	if (rows > old_rows)
		*main_row += move_down(screen, rows - old_rows);

	/* libvterm does not look after its scrolling region. */
	screen_feed_motion(screen, "\033[r");
	vterm_set_size(screen->vterm, rows, cols);
	screen->rows = rows;
	screen->cols = cols;
	screen->top = 0;
	screen->bottom = rows;
	for (unsigned i = 0; i < 2; i++)
		clamp_slot(&screen->slots[i], rows, cols);
	if (cols > old_cols)
		screen_reset_tabs(screen, old_cols);
	if (was_full && cols > old_cols)
		col = old_cols;
	screen_place(screen, row, col < cols ? col : cols - 1);
	if (was_full && cols == old_cols)
		fill_again(screen, row, col);
	return take_error(screen);
}
