/*
 * Titles, and what the terminal answers.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/jobs/screen_private.h"
#include "proto/cursor.h"

/* Without control characters, also those of two bytes: a title is sent to terminals again. */
static size_t strip_controls(char *text, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < size; i++) {
		uint8_t byte = text[i], next = i + 1 < size ? text[i + 1] : 0;

		if (byte == 0xc2 && next >= 0x80 && next < 0xa0)
			i++;
		else if (byte >= ' ' && byte != 0x7f)
			text[n++] = byte;
	}
	return n;
}

/* A sequence that was cut off at the end is taken away. */
static size_t trim_torn(const char *text, size_t size)
{
	size_t start = size;

	while (start > 0 && size - start < 4 && (text[start - 1] & 0xc0) == 0x80)
		start--;
	if (start > 0 && (uint8_t)text[start - 1] >= 0xc0 &&
	    !cursor_is_utf8((struct bytes){(const uint8_t *)text + start - 1, size - start + 1}))
		return start - 1;
	return size;
}

static void set_title(struct screen *screen, const char *text, size_t size)
{
	char title[SCREEN_PARSER_STRING_MAX];

	memcpy(title, text, size);
	size = strip_controls(title, size);
	size = trim_torn(title, size < SCREEN_TITLE_MAX ? size : SCREEN_TITLE_MAX);
	if (!cursor_is_utf8((struct bytes){(const uint8_t *)title, size}))
		for (size_t i = 0; i < size; i++)
			if (title[i] & 0x80)
				title[i] = '?';
	memcpy(screen->title, title, size);
	screen->title[size] = '\0';
}

void screen_take_osc(struct screen *screen, const char *string, size_t size)
{
	if (size >= 2 && (string[0] == '0' || string[0] == '2') && string[1] == ';')
		set_title(screen, string + 2, size - 2);
}

void screen_push_title(struct screen *screen)
{
	char *title = strdup(screen->title);

	if (!title)
		return;
	if (screen->n_titles == SCREEN_TITLES_MAX) {
		free(screen->titles[0]);
		memmove(screen->titles, screen->titles + 1,
			(SCREEN_TITLES_MAX - 1) * sizeof(*screen->titles));
		screen->n_titles--;
	}
	screen->titles[screen->n_titles++] = title;
}

void screen_pop_title(struct screen *screen)
{
	char *title;

	if (screen->n_titles == 0)
		return;
	title = screen->titles[--screen->n_titles];
	memcpy(screen->title, title, strlen(title) + 1);
	free(title);
}

void screen_answer(struct screen *screen, const char *format, ...)
{
	char text[64];
	va_list list;
	int n;

	va_start(list, format);
	n = vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	if (screen->answers.size + n <= SCREEN_ANSWERS_MAX)
		screen_note(screen, buffer_append(&screen->answers, text, n));
}

int screen_take_answers(struct screen *screen, struct buffer *out)
{
	int r = out ? buffer_append(out, screen->answers.data, screen->answers.size) : 0;

	screen->answers.size = 0;
	return r;
}
