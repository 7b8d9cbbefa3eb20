/*
 * A row in one piece of bytes: the form in which lines above the screen are kept, and from which
 * what a terminal or a person reads is made. Text is UTF-8; bytes that no text has stand for the
 * rest:
 *
 *     1 CHAR   a wide character            3 PEN         what follows looks so
 *     2 MARK   combines with the last      4 BACKGROUND  of the rest of the line
 */
#ifndef DAEMON_JOBS_SCREEN_LINE_H
#define DAEMON_JOBS_SCREEN_LINE_H

#include "daemon/jobs/screen_grid.h"
#include "proto/codec.h"

/* Each appends and returns 0 or as buffer_append. */
int screen_line_encode(const struct screen_row *row, unsigned n_cols, struct buffer *out);
/* The sequences and text that show it in a terminal, whose pen is plain before and after, from
 * its first column on. */
int screen_line_emit(struct bytes line, struct buffer *out);
int screen_line_text(struct bytes line, struct buffer *out);
/* Back into a row of a grid that is blank; what does not fit is left out. 0 or -ENOMEM. */
int screen_line_decode(struct bytes line, struct screen_grid *grid, unsigned row);

/* Appends a character's UTF-8. */
int screen_line_append_character(struct buffer *out, uint32_t character);

#endif
