/*
 * Text for people: what comes from elsewhere made harmless, and columns.
 */
#ifndef CTL_TERMINAL_H
#define CTL_TERMINAL_H

#include <stdbool.h>
#include <stdio.h>

/*
 * A copy of `size` bytes of text that a terminal can show: control characters, bytes that are not
 * UTF-8 and characters that are invisible or change the direction of writing become \xNN.
 * malloc'ed; NULL without memory.
 */
char *terminal_escape(const char *text, size_t size);

enum terminal_color {
	TERMINAL_PLAIN = 0,
	TERMINAL_BOLD = 1,
	TERMINAL_RED = 31,
	TERMINAL_GREEN = 32,
	TERMINAL_YELLOW = 33,
};

#define TERMINAL_COLUMNS_MAX 8

struct terminal_cell {
	char *text; /* escaped, owned */
	enum terminal_color color;
};

/* Rows of cells that are printed in aligned columns. Zero at first. */
struct terminal_table {
	unsigned n_columns; /* set before the first cell */
	struct terminal_cell *cells;
	size_t n_cells;
};

/* Appends a cell; the text is copied and escaped. NULL is shown as "-". */
void terminal_table_add(struct terminal_table *table, const char *text, enum terminal_color color);
/* Prints all rows, two blanks between columns and none at the end of a line, and frees the table.
 */
void terminal_table_print(struct terminal_table *table, FILE *out, bool color);

#endif
