/*
 * What the files of screen.c share; for nobody else, but for tests that compare screens.
 */
#ifndef DAEMON_JOBS_SCREEN_PRIVATE_H
#define DAEMON_JOBS_SCREEN_PRIVATE_H

#include <vterm.h>

#include "daemon/jobs/screen.h"
#include "daemon/jobs/screen_grid.h"
#include "daemon/jobs/screen_history.h"
#include "daemon/jobs/screen_modes.h"
#include "daemon/jobs/screen_parser.h"
#include "daemon/jobs/screen_widths.h"

#define SCREEN_TITLES_MAX  8
#define SCREEN_ANSWERS_MAX 4096

struct screen_charset {
	char sets[4];  /* G0 to G3: 'B' ASCII, 'A' British, '0' line drawing */
	uint8_t shift; /* which of them is in use */
};

/* What DECSC saves; zero, but for the charset, is what DECRC brings when nothing was saved. */
struct screen_slot {
	unsigned row, col;
	struct screen_pen pen;
	struct screen_charset charset;
	bool origin;
};

/* The last character that was written, if nothing but text and pens came after it. */
struct screen_glyph {
	bool is_valid;
	unsigned row, col;
	unsigned n_characters;
	uint32_t characters[1 + SCREEN_MARKS_MAX];
};

enum { SCREEN_MAIN = 0, SCREEN_ALTERNATE = 1 };

struct screen {
	unsigned rows, cols;
	VTerm *vterm;
	VTermState *state;
	struct screen_widths widths;
	struct screen_parser parser;

	unsigned active; /* SCREEN_MAIN or SCREEN_ALTERNATE */
	struct screen_grid grids[2];
	struct screen_history history;

	struct screen_pen pen;
	struct screen_charset charset;
	struct screen_slot slots[2];
	struct screen_modes modes;
	unsigned top, bottom; /* the rows that scroll: from, up to */
	bool tabs[SCREEN_COLS_MAX];
	struct screen_glyph glyph;
	bool wraps_next; /* the last column was written to: the next character goes to a new line */
	bool lines_leave; /* what scrolls out at the top goes to the history */

	char title[SCREEN_TITLE_MAX + 1];
	char *titles[SCREEN_TITLES_MAX]; /* put aside (xterm's 22 t), last one on top */
	unsigned n_titles;
	struct buffer answers;
	int error; /* the first one in what is being written */
};

/* --- screen.c: libvterm ------------------------------------------------------------------------
 */

void screen_get_cursor(const struct screen *screen, unsigned *ret_row, unsigned *ret_col);
/* A sequence for libvterm that moves nothing, or that moves the cursor or changes cells. */
void screen_feed(struct screen *screen, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void screen_feed_motion(struct screen *screen, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Moves the cursor, wherever the origin is. */
void screen_place(struct screen *screen, unsigned row, unsigned col);
/* Writes a character as a program would. */
void screen_put(struct screen *screen, uint32_t character);
/* ASCII text. */
void screen_put_text(struct screen *screen, const char *text, size_t size);
/* All as after a reset but for the history, the title and the size. */
void screen_reset(struct screen *screen);
/* Keeps the first error. */
void screen_note(struct screen *screen, int r);

/* --- screen_commands.c: what the parser finds --------------------------------------------------
 */

extern const struct screen_parser_ops screen_parser_ops;
extern const struct screen_charset screen_charset_standard;

void screen_reset_tabs(struct screen *screen, unsigned from);
/* Makes libvterm use it. */
void screen_apply_charset(struct screen *screen, const struct screen_charset *charset);

/* --- screen_osc.c: titles, and what is answered ------------------------------------------------
 */

void screen_take_osc(struct screen *screen, const char *string, size_t size);
void screen_push_title(struct screen *screen);
void screen_pop_title(struct screen *screen);
void screen_answer(struct screen *screen, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
