/*
 * The modes that a client's terminal must be in, and which libvterm does not tell: a table of what
 * there is, set by number as programs do, and told as sequences.
 */
#ifndef DAEMON_JOBS_SCREEN_MODES_H
#define DAEMON_JOBS_SCREEN_MODES_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/codec.h"

/* DEC private modes that a part of a screen other than this one heeds too. */
enum screen_mode {
	SCREEN_MODE_ORIGIN = 6,
	SCREEN_MODE_AUTOWRAP = 7,
	SCREEN_MODE_CURSOR = 25,
};

struct screen_modes {
	uint32_t changed;        /* a bit per row of the table: is not as after a reset */
	uint16_t mouse;          /* 9, 1000 to 1003, or 0 */
	uint16_t mouse_encoding; /* 1005, 1006, 1015, 1016, or 0 */
	bool keypad;             /* sends application sequences */
	bool insert, newline;
	uint8_t cursor_style; /* of DECSCUSR; 0 is the terminal's own */
	uint8_t other_keys;   /* xterm's modifyOtherKeys */
};

void screen_modes_set(struct screen_modes *modes, unsigned number, bool on);
bool screen_modes_is_set(const struct screen_modes *modes, unsigned number);
/* What DECRQM asks: 1 set, 2 not set, 0 unknown. */
unsigned screen_modes_query(const struct screen_modes *modes, unsigned number);

/* Appends what takes a terminal from its state after a reset to this one, but for origin, autowrap
 * and insert, which have to come at the right moment. 0 or as buffer_append. */
int screen_modes_emit(const struct screen_modes *modes, struct buffer *out);

#endif
