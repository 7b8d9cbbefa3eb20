/*
 * How libvterm takes a character: its tables are not public, and differ between versions, so a
 * second terminal of one line is asked.
 */
#ifndef DAEMON_JOBS_SCREEN_WIDTHS_H
#define DAEMON_JOBS_SCREEN_WIDTHS_H

#include <stdbool.h>
#include <stdint.h>
#include <vterm.h>

struct screen_widths {
	VTerm *vterm;
	int last_col; /* of the last glyph */
};

/* `widths` must stay where it is. 0 or -ENOMEM. */
int screen_widths_init(struct screen_widths *widths);
void screen_widths_deinit(struct screen_widths *widths);

/* Does it go to the cell of the character before it? */
bool screen_widths_is_mark(struct screen_widths *widths, uint32_t character);

#endif
