/*
 * What a terminal shows: the output of a program goes in, and at any time bytes come out which
 * make a terminal that was just cleared and reset show the same.
 *
 * Bytes in, bytes out: no loop, no descriptors, no threads of its own. One thread at a time may
 * use a screen; writing takes processor time only. Whatever is written, memory stays bounded (by
 * SCREEN_CELLS_MAX and SCREEN_HISTORY_BYTES) and time is proportional to what is written and to
 * the screen's height.
 *
 *     bytes ── screen_parser ──┬── colours, modes, titles, saved cursors, queries: kept here
 *                              └── text and motion, in a form that is safe ── libvterm
 *                                                                               │ glyphs, scrolling
 *                  screen_history <── lines that leave the top ── screen_grid <─┘
 *
 * libvterm does the emulation. It is fed through a parser of our own for two reasons: it does not
 * tell the modes that a client's terminal must have, and version 0.1.4 (Debian 12) writes beyond
 * its arrays when a sequence has more than 16 parameters.
 */
#ifndef DAEMON_JOBS_SCREEN_H
#define DAEMON_JOBS_SCREEN_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/codec.h"

#define SCREEN_ROWS_MAX      1000
#define SCREEN_COLS_MAX      2000
#define SCREEN_CELLS_MAX     (256 * 1024) /* of one of the two screens */
#define SCREEN_HISTORY_LINES 10000
#define SCREEN_HISTORY_BYTES (16 * 1024 * 1024)
#define SCREEN_TITLE_MAX     1024

struct screen;

struct screen_info {
	unsigned rows, cols; /* as they are, after the bounds above */
	unsigned cursor_row, cursor_col;
	bool cursor_visible;
	bool alternate;     /* the alternate screen is shown */
	unsigned n_history; /* lines above the main screen */
	const char
	    *title; /* UTF-8 without control characters; "" if none; valid until written to */
};

/* A screen as after a reset. 0 or -ENOMEM. A size of 0, or one beyond the bounds, becomes the next
 * one that is possible. */
int screen_new(unsigned rows, unsigned cols, struct screen **ret_screen);
struct screen *screen_free(struct screen *screen);

/* Takes what a program wrote to its terminal. 0, or -ENOMEM: some of it is not shown then. */
int screen_write(struct screen *screen, const void *data, size_t size);

/* As a terminal does it: lines go above the top when it becomes too small for the cursor's, and
 * come back from there. Nothing is wrapped anew. 0 or -ENOMEM (nothing changed). */
int screen_resize(struct screen *screen, unsigned rows, unsigned cols);

/*
 * Appends the bytes that make a terminal of the same size show this: the lines above (which end up
 * above, in the terminal's own history), both screens, title, cursor, modes. The terminal must be
 * as after a reset, with nothing on its screen and the cursor at the top. 0, -ENOMEM or -EMSGSIZE
 * (out->limit).
 */
int screen_redraw(struct screen *screen, struct buffer *out);

/* Appends what is shown as UTF-8: at most `n_history` lines from above, then the screen, each line
 * with a newline and without blanks at its end. As screen_redraw. */
int screen_text(struct screen *screen, unsigned n_history, struct buffer *out);

void screen_get_info(const struct screen *screen, struct screen_info *ret_info);

/*
 * Appends what the terminal itself has to answer to queries in what was written so far, and
 * forgets it. To be given to the program while no client is attached; with one attached, its
 * terminal answers, and these are to be dropped (out NULL). At most 4 KiB are kept. 0 or -ENOMEM.
 */
int screen_take_answers(struct screen *screen, struct buffer *out);

#endif
