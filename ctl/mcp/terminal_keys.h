/*
 * Keys by name, as the bytes that xterm sends.
 */
#ifndef CTL_MCP_TERMINAL_KEYS_H
#define CTL_MCP_TERMINAL_KEYS_H

#include <stdbool.h>

#include "proto/codec.h"

/* Appends the bytes of a key: "enter", "up", "f5", "ctrl-c", "alt-x" or one character, without
 * regard to case in names. `application`: the program has asked for those sequences of cursor keys.
 * Returns 0, -ENOENT when there is no such key, or -ENOMEM. */
int terminal_keys_add(const char *name, bool application, struct buffer *out);
/* Appends text as it is typed: the end of a line is the key enter. Returns 0 or -ENOMEM. */
int terminal_keys_add_text(const char *text, struct buffer *out);

#endif
