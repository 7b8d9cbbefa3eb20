#include "ctl/terminal.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Characters that show nothing or rearrange what stands around them (Unicode's Cf, separators,
 * variation selectors, private use, tags). */
static const struct {
	uint32_t first, last;
} hidden[] = {
    {0x0, 0x1f},        {0x7f, 0xa0},       {0xad, 0xad},        {0x34f, 0x34f},   {0x600, 0x605},
    {0x61c, 0x61c},     {0x115f, 0x1160},   {0x17b4, 0x17b5},    {0x180b, 0x180f}, {0x2000, 0x200f},
    {0x2028, 0x202f},   {0x205f, 0x206f},   {0x2800, 0x2800},    {0x3000, 0x3000}, {0x3164, 0x3164},
    {0xd800, 0xf8ff},   {0xfe00, 0xfe0f},   {0xfeff, 0xfeff},    {0xffa0, 0xffa0}, {0xfff0, 0xffff},
    {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0000, 0x10ffff},
};

/* The length of the UTF-8 character at `at`, and the character; 0 if there is none. */
static size_t decode(const uint8_t *at, size_t size, uint32_t *ret_character)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = at[0] < 0x80 ? 1 : at[0] < 0xc2 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
	uint32_t character;

	if (n == 0 || n > size || at[0] > 0xf4)
		return 0;
	character = n == 1 ? at[0] : at[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
		character = character << 6 | (at[i] & 0x3f);
	}
	if (character < least[n] || character > 0x10ffff)
		return 0;
	*ret_character = character;
	return n;
}

static bool is_hidden(uint32_t character)
{
	for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
		if (character >= hidden[i].first && character <= hidden[i].last)
			return true;
	return false;
}

char *terminal_escape(const char *text, size_t size)
{
	const uint8_t *at = (const uint8_t *)text, *end = at + size;
	char *escaped = malloc(size * 4 + 1), *to = escaped;

	if (!escaped)
		return NULL;
	while (at < end) {
		uint32_t character;
		size_t n = decode(at, (size_t)(end - at), &character);

		if (n > 0 && !is_hidden(character)) {
			memcpy(to, at, n);
			to += n;
			at += n;
			continue;
		}
		for (n = n ? n : 1; n > 0; n--)
			to += sprintf(to, "\\x%02x", *at++);
	}
	*to = '\0';
	return escaped;
}

void terminal_table_add(struct terminal_table *table, const char *text, enum terminal_color color)
{
	struct terminal_cell *cells =
	    realloc(table->cells, (table->n_cells + 1) * sizeof(*table->cells));

	if (!cells)
		return;
	table->cells = cells;
	if (!text || !*text)
		text = "-";
	cells[table->n_cells++] =
	    (struct terminal_cell){.text = terminal_escape(text, strlen(text)), .color = color};
}

/* Characters, which is columns for what most scripts write. */
static int width(const struct terminal_cell *cell)
{
	int n = 0;

	for (const char *c = cell->text ? cell->text : ""; *c; c++)
		n += (*c & 0xc0) != 0x80;
	return n;
}

void terminal_table_print(struct terminal_table *table, FILE *out, bool color)
{
	int widths[TERMINAL_COLUMNS_MAX] = {0};
	unsigned n_columns = table->n_columns;

	for (size_t i = 0; i < table->n_cells; i++)
		if (width(&table->cells[i]) > widths[i % n_columns])
			widths[i % n_columns] = width(&table->cells[i]);
	for (size_t i = 0; i < table->n_cells; i++) {
		struct terminal_cell *cell = &table->cells[i];
		bool last = i % n_columns == n_columns - 1;

		if (color && cell->color)
			fprintf(out, "\033[%dm%s\033[0m", cell->color, cell->text);
		else
			fputs(cell->text ? cell->text : "", out);
		if (last)
			fputc('\n', out);
		else
			fprintf(out, "%*s", widths[i % n_columns] - width(cell) + 2, "");
		free(cell->text);
	}
	free(table->cells);
	*table = (struct terminal_table){.n_columns = n_columns};
}
