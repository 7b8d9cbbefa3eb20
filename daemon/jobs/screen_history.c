#include "daemon/jobs/screen_history.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/jobs/screen.h"
#include "daemon/jobs/screen_line.h"

/* What a line costs besides its bytes: its place in the ring, and malloc's own. */
#define LINE_COST (sizeof(struct screen_history_line) + 16)

static struct screen_history_line *line_at(const struct screen_history *history, unsigned i)
{
	return &history->lines[(history->first + i) % history->capacity];
}

static void drop(struct screen_history *history, struct screen_history_line *line)
{
	history->n_bytes -= line->size + LINE_COST;
	history->n--;
	free(line->data);
	*line = (struct screen_history_line){0};
}

static void drop_oldest(struct screen_history *history)
{
	drop(history, line_at(history, 0));
	history->first = (history->first + 1) % history->capacity;
}

void screen_history_clear(struct screen_history *history)
{
	while (history->n > 0)
		drop_oldest(history);
}

void screen_history_deinit(struct screen_history *history)
{
	screen_history_clear(history);
	free(history->lines);
	buffer_deinit(&history->line);
	*history = (struct screen_history){0};
}

static int grow(struct screen_history *history)
{
	unsigned capacity = history->capacity ? history->capacity * 2 : 128;
	struct screen_history_line *lines;

	if (capacity > SCREEN_HISTORY_LINES)
		capacity = SCREEN_HISTORY_LINES;
	lines = calloc(capacity, sizeof(*lines));
	if (!lines)
		return -ENOMEM;
	for (unsigned i = 0; i < history->n; i++)
		lines[i] = *line_at(history, i);
	free(history->lines);
	history->lines = lines;
	history->capacity = capacity;
	history->first = 0;
	return 0;
}

int screen_history_push(struct screen_history *history, const struct screen_row *row,
			unsigned n_cols)
{
	struct screen_history_line line = {0};
	int r;

	if (history->n == SCREEN_HISTORY_LINES)
		drop_oldest(history);
	if (history->n == history->capacity) {
		r = grow(history);
		if (r < 0)
			return r;
	}
	history->line.size = 0;
	r = screen_line_encode(row, n_cols, &history->line);
	if (r < 0)
		return r;
	line.size = history->line.size;
	if (line.size > 0) {
		line.data = malloc(line.size);
		if (!line.data)
			return -ENOMEM;
		memcpy(line.data, history->line.data, line.size);
	}
	while (history->n > 0 && history->n_bytes + line.size + LINE_COST > SCREEN_HISTORY_BYTES)
		drop_oldest(history);
	*line_at(history, history->n++) = line;
	history->n_bytes += line.size + LINE_COST;
	return 0;
}

struct bytes screen_history_get(const struct screen_history *history, unsigned i)
{
	const struct screen_history_line *line = line_at(history, i);

	return (struct bytes){line->data, line->size};
}

int screen_history_pop(struct screen_history *history, struct screen_grid *grid, unsigned row)
{
	int r;

	if (history->n == 0)
		return -ENOENT;
	r = screen_line_decode(screen_history_get(history, history->n - 1), grid, row);
	if (r == 0)
		drop(history, line_at(history, history->n - 1));
	return r;
}
