#include "daemon/jobs/screen_line.h"

#include <stdio.h>
#include <string.h>

enum tag { TAG_WIDE = 1, TAG_MARK = 2, TAG_PEN = 3, TAG_BACKGROUND = 4 };

/* What an encoded line consists of. */
struct item {
	uint8_t tag;    /* 0: a character of one column */
	uint32_t value; /* the character, or the background */
	struct screen_pen pen;
};

int screen_line_append_character(struct buffer *out, uint32_t c)
{
	char text[4];
	size_t n = 0;

	if (c < 0x80) {
		text[n++] = c;
	} else if (c < 0x800) {
		text[n++] = 0xc0 | c >> 6;
		text[n++] = 0x80 | (c & 0x3f);
	} else if (c < 0x10000) {
		text[n++] = 0xe0 | c >> 12;
		text[n++] = 0x80 | (c >> 6 & 0x3f);
		text[n++] = 0x80 | (c & 0x3f);
	} else {
		text[n++] = 0xf0 | c >> 18;
		text[n++] = 0x80 | (c >> 12 & 0x3f);
		text[n++] = 0x80 | (c >> 6 & 0x3f);
		text[n++] = 0x80 | (c & 0x3f);
	}
	return buffer_append(out, text, n);
}

static int append_tagged(struct buffer *out, uint8_t tag, const void *data, size_t size)
{
	int r = buffer_append(out, &tag, 1);

	return r < 0 ? r : buffer_append(out, data, size);
}

static int encode_cell(const struct screen_row *row, unsigned col, struct screen_pen *pen,
		       struct buffer *out)
{
	const struct screen_cell *cell = &row->cells[col];
	int r = 0;

	if (cell->width == 0)
		return 0;
	if (!screen_pen_equal(pen, &cell->pen)) {
		r = append_tagged(out, TAG_PEN, &cell->pen, sizeof(cell->pen));
		*pen = cell->pen;
	}
	if (r == 0 && cell->width == 2)
		r = append_tagged(out, TAG_WIDE, NULL, 0);
	if (r == 0)
		r = screen_line_append_character(out, cell->character);
	for (unsigned i = 0; r == 0 && i < cell->n_marks; i++) {
		r = append_tagged(out, TAG_MARK, NULL, 0);
		if (r == 0)
			r = screen_line_append_character(out, row->marks[col][i]);
	}
	return r;
}

static bool is_erased(const struct screen_cell *cell, uint32_t background)
{
	struct screen_pen erased = {.bg = background};

	return cell->character == ' ' && cell->n_marks == 0 && cell->width == 1 &&
	       screen_pen_equal(&cell->pen, &erased);
}

/* What is encoded follows from what is seen alone, and not from how it came about: blanks up to the
 * last column are a background. */
int screen_line_encode(const struct screen_row *row, unsigned n_cols, struct buffer *out)
{
	struct screen_cell cell = screen_row_get(row, n_cols - 1);
	uint32_t background = cell.pen.bg;
	unsigned length = n_cols;
	struct screen_pen pen = {0};
	int r = 0;

	while (length > 0 && is_erased(&cell, background)) {
		length--;
		if (length > 0)
			cell = screen_row_get(row, length - 1);
	}
	for (unsigned col = 0; r == 0 && col < length; col++)
		r = encode_cell(row, col, &pen, out);
	/* Behind the last column there is nothing to be erased: a terminal would take that one. */
	if (r == 0 && background && length < n_cols)
		r = append_tagged(out, TAG_BACKGROUND, &background, sizeof(background));
	return r;
}

/* --- and back --------------------------------------------------------------------------------- */

static uint32_t take_character(struct bytes *line)
{
	uint8_t first = *line->data;
	unsigned n = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
	uint32_t character = n == 1 ? first : first & (0x7f >> n);

	for (unsigned i = 1; i < n; i++)
		character = character << 6 | (line->data[i] & 0x3f);
	*line = (struct bytes){line->data + n, line->size - n};
	return character;
}

static void take_raw(struct bytes *line, void *value, size_t size)
{
	memcpy(value, line->data, size);
	*line = (struct bytes){line->data + size, line->size - size};
}

/* The line is one that was made here: it is whole. */
static bool next_item(struct bytes *line, struct item *ret_item)
{
	if (line->size == 0)
		return false;
	ret_item->tag = 0;
	if (*line->data < ' ')
		take_raw(line, &ret_item->tag, 1);
	if (ret_item->tag == TAG_PEN)
		take_raw(line, &ret_item->pen, sizeof(ret_item->pen));
	else if (ret_item->tag == TAG_BACKGROUND)
		take_raw(line, &ret_item->value, sizeof(ret_item->value));
	else
		ret_item->value = take_character(line);
	return true;
}

/* Terminals are not of one mind how wide such a character is; the column is said after it. */
static bool is_doubtful(const struct item *item)
{
	bool is_drawing = item->value >= 0x2500 && item->value < 0x25a0;

	return item->tag != 0 || (item->value >= 0x1100 && !is_drawing);
}

static int emit_column(unsigned col, struct buffer *out)
{
	char text[16];

	return buffer_append(out, text, snprintf(text, sizeof(text), "\033[%uG", col + 1));
}

static int emit_background(uint32_t background, struct screen_pen *pen, struct buffer *out)
{
	int r;

	*pen = (struct screen_pen){.bg = background};
	r = screen_pen_emit(pen, out);
	return r < 0 ? r : buffer_append(out, "\033[K", 3);
}

int screen_line_emit(struct bytes line, struct buffer *out)
{
	static const struct screen_pen plain;
	struct screen_pen pen = plain;
	bool in_doubt = false;
	unsigned col = 0;
	struct item item = {0};
	int r = 0;

	while (r == 0 && next_item(&line, &item)) {
		if (in_doubt && item.tag != TAG_MARK) {
			r = emit_column(col, out);
			in_doubt = false;
			if (r < 0)
				break;
		}
		if (item.tag == TAG_PEN) {
			pen = item.pen;
			r = screen_pen_emit(&pen, out);
		} else if (item.tag == TAG_BACKGROUND) {
			r = emit_background(item.value, &pen, out);
		} else {
			in_doubt = in_doubt || is_doubtful(&item);
			col += item.tag == TAG_MARK ? 0 : item.tag == TAG_WIDE ? 2 : 1;
			r = screen_line_append_character(out, item.value);
		}
	}
	if (r == 0 && !screen_pen_equal(&pen, &plain))
		r = screen_pen_emit(&plain, out);
	return r;
}

int screen_line_text(struct bytes line, struct buffer *out)
{
	size_t end = out->size; /* behind the last character that is not a blank */
	struct item item;

	while (next_item(&line, &item)) {
		int r = 0;

		if (item.tag != TAG_PEN && item.tag != TAG_BACKGROUND)
			r = screen_line_append_character(out, item.value);
		if (r < 0)
			return r;
		if (item.tag <= TAG_MARK && item.value != ' ')
			end = out->size;
	}
	out->size = end;
	return 0;
}

/* Puts the cell that has been read, with its marks, if it fits. */
static int put(struct screen_grid *grid, unsigned row, unsigned *col, struct screen_cell *cell,
	       const uint32_t *marks)
{
	int r = 0;

	if (cell->width > 0 && *col + cell->width <= grid->n_cols)
		r = screen_grid_put(grid, row, *col, cell, marks);
	*col += cell->width;
	*cell = (struct screen_cell){.pen = cell->pen};
	return r;
}

int screen_line_decode(struct bytes line, struct screen_grid *grid, unsigned row)
{
	uint32_t marks[SCREEN_MARKS_MAX];
	struct screen_cell cell = {0};
	struct screen_pen pen = {0};
	unsigned col = 0;
	struct item item;
	int r = 0;

	while (r == 0 && next_item(&line, &item)) {
		if (item.tag == TAG_MARK) {
			marks[cell.n_marks++] = item.value;
			continue;
		}
		r = put(grid, row, &col, &cell, marks);
		if (item.tag == TAG_PEN)
			pen = item.pen;
		else if (item.tag == TAG_BACKGROUND && r == 0)
			r = screen_grid_erase(grid, row, col < grid->n_cols ? col : grid->n_cols,
					      grid->n_cols, item.value);
		else if (item.tag <= TAG_WIDE)
			cell = (struct screen_cell){.character = item.value,
						    .pen = pen,
						    .width = item.tag == TAG_WIDE ? 2 : 1};
	}
	return r < 0 ? r : put(grid, row, &col, &cell, marks);
}
