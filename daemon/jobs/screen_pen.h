/*
 * How characters look: colours and attributes, from SGR sequences (ECMA-48 8.3.117, and xterm's
 * ctlseqs) and back.
 */
#ifndef DAEMON_JOBS_SCREEN_PEN_H
#define DAEMON_JOBS_SCREEN_PEN_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/jobs/screen_parser.h"
#include "proto/codec.h"

/* A colour is 0, the terminal's own, or one of these with an index, or with red, green and blue. */
#define SCREEN_PEN_INDEXED UINT32_C(0x01000000)
#define SCREEN_PEN_RGB     UINT32_C(0x02000000)

enum screen_pen_attribute {
	SCREEN_PEN_BOLD = 1 << 0,
	SCREEN_PEN_DIM = 1 << 1,
	SCREEN_PEN_ITALIC = 1 << 2,
	SCREEN_PEN_BLINK = 1 << 3,
	SCREEN_PEN_REVERSE = 1 << 4,
	SCREEN_PEN_HIDDEN = 1 << 5,
	SCREEN_PEN_STRIKE = 1 << 6,
	SCREEN_PEN_OVERLINE = 1 << 7,
};

struct screen_pen {
	uint32_t fg, bg, under; /* colours; the last is that of the underline */
	uint16_t attributes;
	uint16_t underline; /* 0 none, 1 single, 2 double, 3 curly, 4 dotted, 5 dashed */
};

static inline bool screen_pen_equal(const struct screen_pen *a, const struct screen_pen *b)
{
	return a->fg == b->fg && a->bg == b->bg && a->under == b->under &&
	       a->attributes == b->attributes && a->underline == b->underline;
}

/* Does what an SGR sequence says. What is not known changes nothing. */
void screen_pen_apply(struct screen_pen *pen, const struct screen_csi *csi);

/* Appends the sequence that makes a terminal's pen this one, whatever it was. 0, or as
 * buffer_append. */
int screen_pen_emit(const struct screen_pen *pen, struct buffer *out);

#endif
