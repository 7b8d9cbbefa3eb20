/*
 * Raw terminal: the terminal of this program while it belongs to one on a peer: every key goes
 * there as it is, and what comes from there is watched, so that at the end the terminal is left as
 * it was found, whatever state the program there had put it in.
 */
#ifndef CTL_RAW_TERMINAL_H
#define CTL_RAW_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <termios.h>

#include "proto/codec.h"

/* Private modes that programs set (xterm's ctlseqs); the others are of no harm. */
#define RAW_TERMINAL_MODES 20

/* What was written to it so far has changed. Zero at first. */
struct raw_terminal_changes {
	enum { RAW_TERMINAL_TEXT, RAW_TERMINAL_ESCAPE, RAW_TERMINAL_CSI } state;
	char sequence[64]; /* since its '[' */
	size_t n_sequence;
	uint32_t modes; /* a bit per row of a table: is not as it was */
	bool keypad, region, cursor_style, insert, other_keys;
};

void raw_terminal_watch(struct raw_terminal_changes *changes, struct bytes output);
/* Appends what takes it all back, and forgets it. 0 or as buffer_append. */
int raw_terminal_take_back(struct raw_terminal_changes *changes, struct buffer *out);

struct raw_terminal {
	int in, out; /* both are the terminal; the latter is opened here and does not block */
	bool is_raw;
	bool is_taken; /* it was entered, and not left since: paused at most */
	struct termios found;
	struct raw_terminal_changes changes;
};

/* `in` is borrowed, `out` a descriptor of the same terminal. 0, -ENOTTY or another -errno. */
int raw_terminal_init(struct raw_terminal *terminal, int in, int out);
/* Leaves it, too. */
void raw_terminal_deinit(struct raw_terminal *terminal);
/* 0 or -errno. Twice is once. */
int raw_terminal_enter(struct raw_terminal *terminal);
/* Leaves the terminal as it was found. Not being raw is fine. */
void raw_terminal_leave(struct raw_terminal *terminal);
/* Keys are this program's until it is entered again; what was written to it stays as it is. */
void raw_terminal_pause(struct raw_terminal *terminal);
/* 24 x 80 if it does not say. */
void raw_terminal_get_size(const struct raw_terminal *terminal, unsigned *ret_rows,
			   unsigned *ret_cols);
/* Scrolls what it shows out at the top and puts the cursor there, all attributes plain. */
void raw_terminal_clear(struct raw_terminal *terminal);
/* Writes what it takes now. Returns how much, or -errno. */
ssize_t raw_terminal_write_some(struct raw_terminal *terminal, struct bytes data);
/* Writes all of it, waiting for the terminal, but not for ever. Returns 0 or -errno. */
int raw_terminal_write(struct raw_terminal *terminal, struct bytes data);

#endif
