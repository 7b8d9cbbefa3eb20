/*
 * Control lines: what is written into control files, taken apart, checked and read. Pure: bytes in,
 * values out.
 *
 * A shell may write a line in pieces, or several lines in one piece: they are collected per open,
 * and taken out one by one. A line is UTF-8 text without control characters (but tabs).
 */
#ifndef FS_CONTROL_LINES_H
#define FS_CONTROL_LINES_H

#include "proto/codec.h"

#define CONTROL_LINES_MAX (128 * 1024) /* bytes of one */

/* Zero-initialised. */
struct control_lines {
	struct buffer text; /* what is not taken out yet begins at `at` */
	size_t at;
	int error; /* once a line was not one, nothing more is taken through this open; 0: none */
};

void control_lines_deinit(struct control_lines *lines);

/* Adds what one write brought; lines that were taken out before are void then. Returns 0, -ENOMEM,
 * or the error of a line before. */
int control_lines_add(struct control_lines *lines, struct bytes data);

/*
 * Takes out the next whole line, without its newline: 1; 0 if there is none. -E2BIG: it is (or
 * already would be) longer than CONTROL_LINES_MAX; -EILSEQ: it is not UTF-8; -EINVAL: it has
 * control characters. After an error, whatever is added fails with it.
 */
int control_lines_next(struct control_lines *lines, struct bytes *ret_line);

/* The same, but takes a last line without a newline for one. */
int control_lines_last(struct control_lines *lines, struct bytes *ret_line);

/* Drops all that is not taken out yet. */
void control_lines_drop(struct control_lines *lines);

/* --- what they mean --------------------------------------------------------------------------- */

/*
 * "NAME=VALUE", of which it appends NAME=VALUE as a program finds it in its environment. A value
 * that begins with a quote must end with it: between single quotes all is literal; between double
 * quotes \n and \t are a newline and a tab, and a backslash takes the meaning from ", \, $ and `.
 * Else it is taken as it is. Returns 0, -EINVAL or -ENOMEM.
 */
int control_lines_read_variable(struct bytes line, struct buffer *variable);
/* Appends a line that reads as that variable. 0 or -ENOMEM. */
int control_lines_print_variable(struct bytes variable, struct buffer *text);

/* "ROWS COLUMNS", each from 1 to OPS_JOB_SIZE_MAX. 0 or -EINVAL. */
int control_lines_read_size(struct bytes line, unsigned *ret_rows, unsigned *ret_cols);

enum control_order_kind { CONTROL_SIGNAL, CONTROL_EOF, CONTROL_CLOSE };

struct control_order {
	enum control_order_kind kind;
	unsigned signal; /* of CONTROL_SIGNAL */
};

/* "signal INT" (or SIGINT, or its number), "eof" or "close". 0 or -EINVAL. */
int control_lines_read_order(struct bytes line, struct control_order *ret_order);

/* Appends `text` on one line: what is no printable UTF-8 becomes a question mark. */
int control_lines_print(struct bytes text, struct buffer *ret_text);

#endif
