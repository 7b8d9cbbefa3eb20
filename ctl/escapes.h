/*
 * Escapes: what keys mean us and not the program on the peer: a tilde at the beginning of a line
 * and a character after it, as in ssh.
 */
#ifndef CTL_ESCAPES_H
#define CTL_ESCAPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum escapes_command {
	ESCAPES_NONE,
	ESCAPES_END,    /* ~. */
	ESCAPES_DETACH, /* ~d */
	ESCAPES_HELP,   /* ~? */
};

struct escapes {
	bool in_line; /* something was typed since the last newline */
	bool tilde;   /* was typed at the beginning of a line; what follows decides */
};

/* Takes a byte that was typed. What goes to the program is put into `ret_bytes`, `ret_n` of them.
 */
enum escapes_command escapes_take(struct escapes *escapes, uint8_t byte, uint8_t ret_bytes[2],
				  size_t *ret_n);

#endif
