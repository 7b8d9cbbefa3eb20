/*
 * Text from outside, as JSON strings and as lines for a model.
 */
#ifndef CTL_MCP_TEXT_H
#define CTL_MCP_TEXT_H

#include <jansson.h>
#include <stdbool.h>

/* A JSON string of any bytes: what is not UTF-8, and NUL, becomes U+FFFD. NULL without memory. */
json_t *mcp_text(const void *data, size_t size);
/* The same, malloc'ed and ended by NUL. */
char *mcp_text_clean(const void *data, size_t size);
/* How many of its characters are none of text: not UTF-8, or control characters but for those of
 * text and of terminals. */
size_t mcp_text_count_odd(const void *data, size_t size);

/* How many bytes of JSON a byte of such a text takes (jansson's). */
size_t mcp_text_json_width(unsigned char c);
/* How many bytes from the start on become `max` bytes of JSON or less, when they are made a text.
 * Whole characters, but for one that may be cut off at the end of the data: with `more` it is left
 * to what comes next. */
size_t mcp_text_fit(const void *data, size_t size, size_t max, bool more);

#endif
